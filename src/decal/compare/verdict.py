"""The decision: a winner, a tie, "not decided" or none, with everything that speaks for and against it.

A `Race` that is over comes in, a `Verdict` goes out. The best checkpoint is the one of the highest utility among those that no guardrail
rejects; another is beaten only where its paired interval lies wholly behind. What is not beaten ties if it cannot be much better, and is
open if it can: then more prompts are asked for, and the best guess is still named.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from decal.compare import telling
from decal.compare.confidence import confidence_set
from decal.compare.contest import RESAMPLES, Contest, common_cells, enter, gap, interval
from decal.compare.racing import DELTA, Dropped, Race, is_broken
from decal.records import Fresh, Gap, Otherwise, Outcome, Place, Standing, Suspect, Verdict
from decal.scores.adherence import MIN_PROMPTS
from decal.scores.copying import Copying
from decal.scores.evidence import Evidence
from decal.settings import MOST_PROMPTS

MATERIAL = 0.05
"""Utility by which an unbeaten rival may be better, at the end of its interval, and still count as tied; beyond, the comparison is open."""
ROUNDING = 1e-6
"""Utility that is nothing but rounding."""
MANY = 10
"""Candidates above which the model confidence set says who is beaten."""
PROMPTS_AT_A_TIME = 4
WEIGHTS = (0.3, 0.7)
"""Weights of style, besides one half, under which the choice is made again."""
MAX_SUSPECTS = 24

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Ranking:
    """The candidates of a contest and how each stands to the best.

    candidates: rows of the contest that no guardrail rejects. best: row of the highest utility. behind: by row, the best less it.
    places: by row.
    """

    candidates: tuple[int, ...]
    best: int
    behind: dict[int, Gap]
    places: dict[int, Place]


def judge(evidence: Evidence, race: Race, *, resamples: int = RESAMPLES, seed: int = 0) -> Verdict:
    """Which checkpoint to keep. race: one that is over. resamples, seed: of the bootstrap; equal seeds give equal verdicts."""
    contest = _held(evidence, race, resamples, seed)
    ranking = None if contest is None else rank(contest)
    outcome = _outcome(contest, ranking, race)
    if outcome == "none" and ranking is not None:
        # The best of those that the base beats is not chosen.
        ranking = replace(ranking, places=dict.fromkeys(ranking.places, "beaten"))
    verdict = Verdict(
        outcome=outcome,
        checkpoint=None,
        best=None,
        earliest=None,
        tied=(),
        open=(),
        runner_up=None,
        lead=None,
        prompts_needed=None,
        reason="",
        next="",
        gauges=contest.fitted.gauges if contest is not None else (),
        standings=_standings(contest, ranking, race, evidence),
        picks=_picks(contest),
        suspects=_suspects(contest),
        prompts=int(common_cells(evidence, race.survivors).any(axis=1).sum()),
        seeds=int(common_cells(evidence, race.survivors).any(axis=0).sum()),
        references=len(evidence.own),
        resamples=resamples,
        seed=seed,
    )
    if contest is not None and ranking is not None and outcome != "none" and "style" in contest.scaled:
        verdict = verdict.model_copy(update=_chosen(contest, ranking))
    return verdict.model_copy(update={"reason": telling.reason(verdict), "next": telling.next_step(verdict)})


def confirm(verdict: Verdict, evidence: Evidence, *, resamples: int = RESAMPLES, seed: int = 0) -> Verdict:
    """The verdict with the chosen checkpoint and its neighbours measured again on seeds that did not choose them.

    evidence: fresh seeds of these checkpoints and of the base; one that is broken is left out. The choice stays; the numbers it was made
    by flatter it, and these do not.
    """
    whole = [checkpoint for checkpoint in evidence.checkpoints if not is_broken(evidence, checkpoint)]
    contest = enter(evidence, whole, resamples=resamples, seed=seed)
    utilities = contest.utilities()
    fresh = []
    for row, checkpoint in enumerate(contest.checkpoints):
        if not np.isfinite(utilities[row, 0]):
            continue
        low, high = interval(utilities[row])
        fresh.append(Fresh(checkpoint=checkpoint, utility=float(utilities[row, 0]), low=low, high=high))
    again = verdict.model_copy(update={"fresh": tuple(fresh)})
    return again.model_copy(update={"reason": telling.reason(again)})


def rank(contest: Contest) -> Ranking | None:
    """How the candidates stand to the best of them; None where a guardrail rejects all."""
    utilities = contest.utilities()
    candidates = tuple(row for row, step in enumerate(contest.checkpoints) if not contest.complaints[step])
    if not candidates:
        return None
    best = max(candidates, key=lambda row: (utilities[row, 0], -row))
    behind = {row: gap(utilities[best], utilities[row]) for row in range(len(utilities)) if row != best}
    may_be_best = confidence_set(utilities[list(candidates)]) if len(candidates) > MANY else None
    places: dict[int, Place] = {}
    for place, row in enumerate(candidates):
        if "style" not in contest.scaled:
            places[row] = "open"
        elif row == best:
            places[row] = "chosen"
        elif (behind[row].low > 0) if may_be_best is None else not may_be_best[place]:
            places[row] = "beaten"
        else:
            places[row] = "tied" if behind[row].low >= -MATERIAL else "open"
    return Ranking(candidates, best, behind, places)


def _held(evidence: Evidence, race: Race, resamples: int, seed: int) -> Contest | None:
    """The last contest; None where nobody is left or too few prompts were drawn for all."""
    if not race.survivors or common_cells(evidence, race.survivors).any(axis=1).sum() < MIN_PROMPTS:
        return None
    return enter(evidence, race.survivors, resamples=resamples, seed=seed)


def _chosen(contest: Contest, ranking: Ranking) -> dict[str, object]:
    """What a verdict says of the best and of those near it."""
    steps, others = contest.checkpoints, [row for row in ranking.candidates if row != ranking.best]
    second = min(others, key=lambda row: ranking.behind[row].gap) if others else None
    return {
        "checkpoint": steps[ranking.best],
        "best": steps[ranking.best],
        "earliest": min(steps[row] for row in ranking.candidates if _is_near(ranking, row)),
        "tied": tuple(steps[row] for row in ranking.candidates if ranking.places[row] == "tied"),
        "open": tuple(steps[row] for row in ranking.candidates if ranking.places[row] == "open"),
        "runner_up": None if second is None else steps[second],
        "lead": None if second is None else ranking.behind[second],
        "prompts_needed": _prompts_needed(contest, ranking),
    }


def _outcome(contest: Contest | None, ranking: Ranking | None, race: Race) -> Outcome:
    if contest is None:
        return "undecided" if race.survivors else "none"
    if ranking is None:
        return "none"
    is_sound = "style" in {objective.name for objective in contest.fitted.objectives}
    if is_sound and contest.utilities()[ranking.best, 0] <= ROUNDING:
        return "none"
    # A best that may be no better than the base, or draw anything at all, is none to recommend.
    if not is_sound or "open" in ranking.places.values() or any(interval(of[ranking.best])[0] <= 0 for of in contest.scaled.values()):
        return "undecided"
    return "tie" if "tied" in ranking.places.values() else "winner"


def _is_near(ranking: Ranking, row: int) -> bool:
    """Whether a candidate is within min(1 standard error, delta) of the best."""
    if row == ranking.best:
        return True
    behind = ranking.behind[row]
    return ranking.places[row] != "beaten" and behind.gap <= min(behind.error, DELTA)


def _prompts_needed(contest: Contest, ranking: Ranking) -> int | None:
    """How many more prompts would make a tie or a win of every open comparison; None where none is open or all that may be cannot."""
    needed = 0
    for row in (row for row in ranking.candidates if ranking.places[row] == "open"):
        a_prompt, floor = (float(np.var(table[ranking.best, 1:] - table[row, 1:])) for table in (contest.by_prompts, contest.by_references))
        a_prompt *= contest.prompts
        # The error at which the interval, if the gap stays, ends where a rival counts as tied.
        goal = ((ranking.behind[row].gap + MATERIAL) / 1.96) ** 2
        if goal <= floor:
            return None
        needed = max(needed, math.ceil(a_prompt / (goal - floor)) - contest.prompts)
    needed = math.ceil(needed / PROMPTS_AT_A_TIME) * PROMPTS_AT_A_TIME
    return needed if 0 < needed <= MOST_PROMPTS - contest.prompts else None


def _best_share(utilities: Numbers, candidates: Sequence[int]) -> Numbers:
    """Share of the resamples in which each row is the best of the candidates, [C]; equal ones share."""
    shares = np.zeros(len(utilities))
    drawn = utilities[list(candidates), 1:]
    if drawn.size:
        is_best = drawn == drawn.max(axis=0)
        shares[list(candidates)] = (is_best / is_best.sum(axis=0)).mean(axis=1)
    return shares


def _front(contest: Contest) -> NDArray[np.bool_]:
    """Which rows no other surely beats in one of style, adherence and diversity without being worse in the rest, [C]."""
    axes = [*contest.scaled.values()]
    if "diversity" in contest.values:
        axes.append(contest.values["diversity"])
    rows = range(len(contest.checkpoints))
    is_on = np.ones(len(contest.checkpoints), bool)
    for row in rows:
        for other in rows:
            gaps = [gap(axis[other], axis[row]) for axis in axes]
            if any(one.low > 0 for one in gaps) and all(one.gap >= -DELTA for one in gaps):
                is_on[row] = False
    return is_on


def _standings(contest: Contest | None, ranking: Ranking | None, race: Race, evidence: Evidence) -> tuple[Standing, ...]:
    """How every checkpoint came out, in order of steps."""
    if contest is None:
        shown = int(common_cells(evidence, race.survivors).sum())
        entered = [_left(step, Dropped(step, (), None, shown)).model_copy(update={"place": "open"}) for step in race.survivors]
    else:
        entered = _entered(contest, ranking)
    out = [_left(checkpoint.checkpoint, checkpoint) for checkpoint in race.dropped]
    for checkpoint in race.broken:
        count, shown = int(evidence.broken[checkpoint].sum()), int(evidence.cells(checkpoint).sum())
        reason = f"drew {count} of {count + shown} pictures that cannot be used"
        out.append(_left(checkpoint, Dropped(checkpoint, (reason,), None, shown)).model_copy(update={"place": "broken"}))
    return tuple(sorted((*entered, *out), key=lambda standing: standing.checkpoint))


def _entered(contest: Contest, ranking: Ranking | None) -> list[Standing]:
    utilities, is_on_front = contest.utilities(), _front(contest)
    candidates = () if ranking is None else ranking.candidates
    shares = _best_share(utilities, candidates)
    standings = []
    for row, checkpoint in enumerate(contest.checkpoints):
        low, high = interval(utilities[row])
        standings.append(
            Standing(
                checkpoint=checkpoint,
                place="rejected" if ranking is None or row not in ranking.places else ranking.places[row],
                reasons=tuple(contest.complaints[checkpoint].values()),
                pictures=int(contest.cells.sum()),
                utility=float(utilities[row, 0]),
                low=low,
                high=high,
                behind=None if ranking is None else ranking.behind.get(row),
                values=tuple(contest.value(name, checkpoint) for name in contest.values if np.isfinite(contest.values[name][row, 0])),
                best_share=float(shares[row]),
                is_on_front=bool(is_on_front[row]),
            )
        )
    return standings


def _left(checkpoint: int, dropped: Dropped) -> Standing:
    """The standing of a checkpoint that is not in the last contest."""
    return Standing(
        checkpoint=checkpoint,
        place="rejected" if dropped.reasons else "dropped",
        reasons=dropped.reasons,
        pictures=dropped.pictures,
        utility=None,
        low=None,
        high=None,
        behind=dropped.behind,
        values=(),
        best_share=0.0,
        is_on_front=False,
    )


def _picks(contest: Contest | None) -> tuple[Otherwise, ...]:
    """What would be chosen with other weights, and without each measure that has a say."""
    if contest is None or not contest.scaled:
        return ()
    picks: list[Otherwise] = []

    def pick(how: str, utilities: Numbers, ignored: str = "") -> None:
        rows = [row for row, step in enumerate(contest.checkpoints) if not set(contest.complaints[step]) - {ignored}]
        if rows:
            best = max(rows, key=lambda row: (utilities[row, 0], -row))
            picks.append(Otherwise(how=how, checkpoint=contest.checkpoints[best]))

    if len(contest.scaled) > 1:
        for weight in WEIGHTS:
            pick(f"style weighs {weight:g}", contest.utilities(weight))
        for name in contest.scaled:
            pick(f"without {name}", contest.utilities(without=name))
    for name in sorted({name for found in contest.complaints.values() for name in found}):
        pick(f"without {name}", contest.utilities(), name)
    return tuple(picks)


def _suspects(contest: Contest | None) -> tuple[Suspect, ...]:
    """The surest suspected copies of each checkpoint in the contest, as far as there is a measure for them."""
    copying = next((measure for measure in contest.fitted.guardrails if isinstance(measure, Copying)), None) if contest else None
    if contest is None or copying is None:
        return ()
    found = [pair for checkpoint in contest.checkpoints for pair in copying.pairs(checkpoint)]
    evidence = contest.evidence
    return tuple(
        Suspect(
            checkpoint=pair.checkpoint,
            prompt=evidence.prompts[pair.prompt],
            seed=evidence.seeds[pair.seed],
            file=pair.file,
            ratio=pair.ratio,
            is_certain=pair.is_certain,
        )
        for pair in sorted(found, key=lambda pair: pair.ratio)[:MAX_SUSPECTS]
    )
