"""The verdict in words: a few plain sentences, the next step, and a table for the terminal."""

from collections.abc import Sequence

from decal.records import Gap, People, Standing, Verdict
from decal.wording import counted, printable

SHOWN = 3
"""Steps and reasons that are named one by one; of more, the rest is counted."""
USUAL_PROMPTS = 32
"""How many a comparison has where nothing else was asked for."""
HEADS = ("step", "utility", "95 % interval", "style", "adherence", "behind the best", "best in", "")


def reason(verdict: Verdict) -> str:
    """What was decided and why, for a person: two to five sentences."""
    if verdict.people is not None and _has_moved(verdict, verdict.people):
        return " ".join([*_voted(verdict, verdict.people), *_rejected(verdict), *_unused(verdict), *_drawn_with(verdict)])
    said = {"winner": _winner, "tie": _tie, "undecided": _undecided, "none": _none}[verdict.outcome](verdict)
    return " ".join([*said, *_rejected(verdict), *_unused(verdict), *_confirmed(verdict), *_drawn_with(verdict), *_heard(verdict)])


def next_step(verdict: Verdict) -> str:
    """What to do next: a command, or advice where no command helps."""
    needed = verdict.prompts_needed if verdict.gauges else USUAL_PROMPTS - verdict.prompts
    if verdict.outcome == "undecided" and needed:
        return f"decal compare --prompts {verdict.prompts + needed}"
    if verdict.outcome == "undecided" and verdict.checkpoint is None:
        return "mend what the reason names, and compare again"
    if verdict.outcome == "undecided" and verdict.open:
        return "add pictures to the data set, so that more can be held out, and train again"
    if verdict.outcome in ("none", "undecided") and any(standing.place == "rejected" for standing in verdict.standings):
        return "train fewer steps, or with a lower train.learning_rate"
    if verdict.checkpoint is None or verdict.outcome == "none":
        return "train more steps, or with a higher train.learning_rate"
    return f"decal grid --checkpoint {verdict.checkpoint}"


def table(verdict: Verdict) -> list[str]:
    """One line a checkpoint under a line of heads, aligned."""
    told = rows(verdict)
    widths = [max(len(row[column]) for row in told) for column in range(len(HEADS))]
    return [
        "  ".join(
            cell.ljust(width) if column == len(HEADS) - 1 else cell.rjust(width) for column, (cell, width) in enumerate(pairs)
        ).rstrip()
        for pairs in (list(zip(row, widths, strict=True)) for row in told)
    ]


def rows(verdict: Verdict) -> list[tuple[str, ...]]:
    """The cells of that table, the heads first."""
    return [HEADS, *(_row(standing) for standing in verdict.standings)]


def _winner(verdict: Verdict) -> list[str]:
    assert verdict.checkpoint is not None, "a winner has a name"
    if verdict.runner_up is None or verdict.lead is None:
        left = "the only checkpoint" + (" left" if len(verdict.standings) > 1 else "")
        return [f"Keep step {verdict.checkpoint:,}: it is {left}, and it is nearer to your style than the base is."]
    return [
        f"Keep step {verdict.checkpoint:,}: it is better than all others.",
        f"The next best, step {verdict.runner_up:,}, is {_told(verdict.lead)} behind.",
    ]


def _tie(verdict: Verdict) -> list[str]:
    assert verdict.checkpoint is not None, "a tie has a best"
    # Not the runner-up: that one may be a little behind and yet surely.
    behind = {one.checkpoint: one.behind for one in verdict.standings if one.checkpoint in verdict.tied and one.behind is not None}
    nearest = min(behind, key=lambda step: behind[step].gap)
    which = "it" if len(verdict.tied) == 1 else f"the nearest, step {nearest:,},"
    said = [f"Keep step {verdict.checkpoint:,}; {_steps(verdict.tied)} may be as good: {which} is {_told(behind[nearest])} behind."]
    if verdict.earliest != verdict.checkpoint:
        said.append(f"If you prefer less training, step {verdict.earliest:,} gives up nothing that can be noticed.")
    beaten = [standing for standing in verdict.standings if standing.place in ("beaten", "dropped")]
    return [*said, f"{_steps([standing.checkpoint for standing in beaten]).capitalize()} did worse."] if beaten else said


def _undecided(verdict: Verdict) -> list[str]:
    if not verdict.gauges:
        return [f"Not decided: {counted(verdict.prompts, 'prompt')} drawn for every checkpoint are too few to compare them."]
    gauge = next((gauge for gauge in verdict.gauges if gauge.measure == "style"), None)
    if gauge is not None and gauge.role != "objective":
        doubtful = [] if verdict.checkpoint is None else [f"A guess by it is step {verdict.checkpoint:,}."]
        return [f"Not decided: style cannot be measured, because {gauge.reason}.", *doubtful]
    assert verdict.checkpoint is not None, "what is open has a best guess"
    share = next(standing.best_share for standing in verdict.standings if standing.checkpoint == verdict.checkpoint)
    guess = f"The best guess is step {verdict.checkpoint:,}, the best in {share:.0%} of the resamples."
    if not verdict.open:
        return [f"Not decided: {_size(verdict)} cannot tell whether {_in_doubt(verdict)}.", guess]
    said = [f"Not decided: {_size(verdict)} cannot tell step {verdict.checkpoint:,} from {_steps(verdict.open)}."]
    if verdict.prompts_needed is None:
        return [
            *said,
            f"More prompts would not help: {counted(verdict.references, 'picture')} of yours say too little about the style.",
            guess,
        ]
    return [*said, f"{counted(verdict.prompts_needed, 'more prompt')} would.", guess]


def _in_doubt(verdict: Verdict) -> str:
    """What is not sure of the best checkpoint, where it is sure that it is the best."""
    best = next(standing for standing in verdict.standings if standing.checkpoint == verdict.checkpoint)
    style = next(value for value in best.values if value.measure == "style")
    if style.scaled_low is None or style.scaled_low <= 0:
        return "any checkpoint is nearer to your style than the base"
    return f"step {best.checkpoint:,} draws what it is asked for"


def _none(verdict: Verdict) -> list[str]:
    places = {standing.place for standing in verdict.standings}
    if not verdict.standings:
        return ["There is no checkpoint to compare."]
    if places <= {"broken"}:
        return ["Keep none: no checkpoint has pictures that can be used."]
    if places <= {"rejected", "broken", "dropped"}:
        return ["Keep none: every checkpoint was rejected."]
    return ["Keep none: no checkpoint is nearer to your style than the base is."]


def _rejected(verdict: Verdict) -> list[str]:
    """Who was rejected and why, the latest last."""
    out = [standing for standing in verdict.standings if standing.place in ("rejected", "broken")]
    said = [f"step {standing.checkpoint:,} {printable('; '.join(standing.reasons))}" for standing in out[:SHOWN]]
    more = [f"and {len(out) - SHOWN} more"] if len(out) > SHOWN else []
    return [f"Rejected: {'; '.join([*said, *more])}."] if out else []


def _unused(verdict: Verdict) -> list[str]:
    """Adherence that has no say changes what the choice means, so it is said at once."""
    gauge = next((gauge for gauge in verdict.gauges if gauge.measure == "adherence"), None)
    if gauge is None or gauge.role == "objective":
        return []
    return [f"Whether pictures show what was asked for was not measured: {gauge.reason}."]


def _confirmed(verdict: Verdict) -> list[str]:
    here = next((fresh for fresh in verdict.fresh if fresh.checkpoint == verdict.checkpoint), None)
    if here is None:
        return []
    better = [fresh.checkpoint for fresh in verdict.fresh if fresh.low > here.high]
    said = f"On fresh seeds it is worth {here.utility:.2f} (95 %: {here.low:.2f} to {here.high:.2f})"
    return [f"{said}, less than {_steps(better)}: the choice was luck."] if better else [f"{said}."]


def _has_moved(verdict: Verdict, people: People) -> bool:
    """Whether the votes changed what the measures say."""
    return (verdict.checkpoint, verdict.outcome) != (people.measured, people.measured_outcome)


def _voted(verdict: Verdict, people: People) -> list[str]:
    """What is decided where votes changed it."""
    favours = {favour.checkpoint: favour for favour in people.favours}
    assert verdict.checkpoint is not None, "votes are about a choice"
    here = favours.pop(verdict.checkpoint)
    steps = _steps(sorted({*verdict.tied, *verdict.open} or favours))
    if verdict.outcome == "winner":
        said = [f"Keep step {here.checkpoint:,}: {_votes(people)} and the measures together put it before {steps}."]
    elif verdict.outcome == "tie":
        said = [f"Keep step {here.checkpoint:,}; {steps} may be as good: {_votes(people)} and the measures together put it first."]
    else:
        said = [f"Not decided: {_votes(people)} and the measures together cannot tell step {here.checkpoint:,} from {steps}."]
        said.append(f"The best guess is step {here.checkpoint:,}, the best with a chance of {here.best_share:.0%}.")
    said.append(f"It was preferred in {here.won} of {counted(here.won + here.lost + here.same, 'pair')}.")
    if people.measured != here.checkpoint:
        said.append(f"The measures alone would take step {people.measured:,}.")
    return [*said, *_agreed(people)]


def _heard(verdict: Verdict) -> list[str]:
    """What votes say of a choice that they left as it is."""
    if verdict.people is None:
        return []
    return [f"{_votes(verdict.people)} leave{'s' if verdict.people.votes == 1 else ''} the choice as it is.", *_agreed(verdict.people)]


def _agreed(people: People) -> list[str]:
    by_utility = next((agreement for agreement in people.agreements if agreement.measure == "utility"), None)
    return [f"People and measures agree in {by_utility.agreed} of {counted(by_utility.of, 'vote')}."] if by_utility is not None else []


def _votes(people: People) -> str:
    return counted(people.votes, "vote")


def _drawn_with(verdict: Verdict) -> list[str]:
    """What to draw the chosen one with, where other guidances and strengths were tried."""
    if verdict.guidance is None or verdict.strength is None:
        return []
    here = f"Draw it at guidance {verdict.guidance:g}, strength {verdict.strength:g}"
    if verdict.guidances is None or verdict.guidances[0] == verdict.guidances[1]:
        return [f"{here}."]
    return [f"{here}; guidance {verdict.guidances[0]:g} to {verdict.guidances[1]:g} does about as well."]


def _row(standing: Standing) -> tuple[str, ...]:
    scaled = {value.measure: f"{value.scaled:.2f}" for value in standing.values if value.scaled is not None}
    known = standing.utility is not None and standing.low is not None and standing.high is not None
    return (
        f"{standing.checkpoint:,}",
        f"{standing.utility:.2f}" if known else "-",
        f"{standing.low:.2f} to {standing.high:.2f}" if known else "-",
        scaled.get("style", "-"),
        scaled.get("adherence", "-"),
        f"{standing.behind.gap:.2f} +- {1.96 * standing.behind.error:.2f}" if standing.behind is not None else "-",
        f"{standing.best_share:.0%}",
        standing.place if not standing.reasons else f"{standing.place}: {printable('; '.join(standing.reasons))}",
    )


def _told(gap: Gap) -> str:
    return f"{gap.gap:.2f} (95 %: {gap.low:.2f} to {gap.high:.2f})"


def _size(verdict: Verdict) -> str:
    return f"{counted(verdict.prompts, 'prompt')} with {counted(verdict.seeds, 'seed')} each"


def _steps(steps: Sequence[int]) -> str:
    named = [f"{step:,}" for step in steps[:SHOWN]]
    if len(steps) > SHOWN:
        named.append(f"{len(steps) - SHOWN} more")
    joined = f"{', '.join(named[:-1])} and {named[-1]}" if len(named) > 1 else named[0]
    return f"step{'s' if len(steps) > 1 else ''} {joined}"
