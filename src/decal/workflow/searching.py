"""A small search for rate, rank and targets by the held-out loss: rates first, then a race that leaves the worse ones behind.

Every try is a training of its own, from the beginning, in a folder that is thrown away; `search.jsonl` keeps what came out, so a search
that was stopped goes on and a second one does nothing. Rates are tried in short trainings rather than in one of a rising rate, where what
a rate does cannot be told from the steps before it. The held-out loss says how well the style is learnt, not which pictures are best.
Sources: Smith 2017, arXiv:1506.01186 (range of rates); Jamieson and Talwalkar 2016, arXiv:1502.07943 (successive halving).
"""

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Literal

from decal import overview, project
from decal.errors import DivergedError, SettingsError
from decal.events import Event, Progress, Stop, Told, stop_if
from decal.project import Project, Run
from decal.records import Line
from decal.settings import Resolved, Settings, resolve, written
from decal.wording import clock, counted
from decal.workflow.checking import check
from decal.workflow.training import records_to_train

if TYPE_CHECKING:
    from decal.cache import Examples

RATES = (1 / 9, 1 / 3, 1.0, 3.0, 9.0)
"""Of the rate in the settings."""
SHARE = 8
"""The first tries are this much shorter than the training, the second round of the race half as much, and the last not at all."""
FEWEST_STEPS = 2


class Try(Line):
    """One short training.

    search: what was searched on, hex. holdout_loss: at its end; None where it was not finite. losses: of each held-out picture.
    """

    search: str
    kind: Literal["rate", "race"]
    learning_rate: float
    rank: int
    targets: Literal["attention", "all"]
    steps: int
    holdout_loss: float | None
    losses: tuple[float, ...]
    seconds: float

    @property
    def score(self) -> float:
        """The loss, infinite where there is none."""
        return math.inf if self.holdout_loss is None else self.holdout_loss

    def told(self) -> str:
        """It as a line of a table."""
        loss = "not finite" if self.holdout_loss is None else f"{self.holdout_loss:.4f}"
        return f"  {loss:>10}  rate {self.learning_rate:<8.3g} rank {self.rank:<4} {self.targets:9}  {counted(self.steps, 'step')}"


def search(at: Project, settings: Settings, tries: int, stop: Stop) -> Iterator[Event]:
    """Try rates, then race `tries` candidates by their held-out loss, and say what to write into the settings.

    Raises SettingsError where nothing is held out or the settings leave nothing to search, and StoppedError when `stop` said so.
    """
    if settings.train.optimizer == "prodigy" or settings.train.targets == "imported":
        raise SettingsError(
            'A search tries rates, ranks and targets; train.optimizer = "prodigy" finds its own rate, and an imported LoRA fixes all.\n'
            "Take another optimizer, or train without --search."
        )
    yield Progress("looking at the pictures")
    checked = check(at, settings)
    yield Told("\n".join(overview.findings(at, checked)))
    records = records_to_train(at, settings, checked)
    resolved = resolve(settings, sum(record.split == "train" for record in records))
    if all(record.split == "train" for record in records):
        raise SettingsError("A search goes by the held-out loss, and no picture is held out.\nRaise data.holdout_share, or add pictures.")
    from decal import train as training
    from decal.bases import load, told_when_full
    from decal.cache import Cache

    device = training.choose_device(resolved.train)
    base = load(resolved.taught, device=device, dtype=training.choose_dtype(resolved.train, device))
    what = project.fingerprint(
        "search",
        resolved.train.model_dump(),
        resolved.data.model_dump(),
        base.fingerprint(),
        [(one.sha256, one.caption) for one in records],
    )
    kept = at.folder / "search.jsonl"
    with (
        project.lock(kept, "searching"),
        told_when_full("searching", "Lower train.batch; a rank that is searched may be twice train.rank."),
    ):
        known = [one for one in project.read(kept, Try) if one.search == what]
        cache = Cache(at.cache, base, resolved.data)
        for encoded in cache.fill(at.dataset, records):
            yield encoded
            stop_if(stop, "the same command goes on")
        budget = int(resolved.train.cache_gib * 2**30) // 2
        sets = [cache.examples([one for one in records if one.split == split], budget=budget) for split in ("train", "holdout")]
        base.release_encoders()

        def run(candidates: list[Try]) -> Iterator[Event]:
            """Train each that was not yet, and put it in its place."""
            for place, one in enumerate(candidates):
                stop_if(stop, "the same command goes on")
                yield Progress(f"rate {one.learning_rate:.3g}, rank {one.rank}, {one.targets}", place, len(candidates))
                same = [old for old in known if _identity(old) == _identity(one)]
                done = same[0] if same else _trained(resolved, one, sets, stop)
                stop_if(stop, "the same command goes on")
                if not same:
                    project.append(kept, done)
                    known.append(done)
                candidates[place] = done

        rates = _rates(resolved, what)
        yield from run(rates)
        yield Told("\n".join(["rates, lowest held-out loss first:", *(one.told() for one in sorted(rates, key=lambda one: one.score))]))
        racing = _candidates(resolved, rates, tries)
        own = racing[0]
        for steps in dict.fromkeys((own.steps, min(resolved.train.steps, 2 * own.steps), resolved.train.steps)):
            if racing[0].steps < steps:
                # The last ones are trained to the end, since short trainings like high rates; the settings as they are stay in the race.
                left = 2 if steps == resolved.train.steps else -(-len(racing) // 2)
                names = {(one.learning_rate, one.rank, one.targets): one for one in [*racing[:left], own]}
                racing = [one.model_copy(update={"steps": steps}) for one in names.values()]
            yield from run(racing)
            racing.sort(key=lambda one: one.score)
            yield Told("\n".join([f"race of {len(racing)}, {counted(steps, 'step')} each:", *(one.told() for one in racing)]))
    yield Told("\n".join(_found(at, racing, known, resolved)))


def _identity(one: Try) -> tuple[object, ...]:
    return one.search, one.learning_rate, one.rank, one.targets, one.steps


def _rates(resolved: Resolved, what: str) -> list[Try]:
    """The tries that find the range of rates."""
    train = resolved.train
    assert train.targets != "imported", "was refused before"
    steps = max(FEWEST_STEPS, train.steps // SHARE)
    return [
        Try(
            search=what,
            kind="rate",
            learning_rate=float(f"{train.learning_rate * share:.3g}"),
            rank=train.rank,
            targets=train.targets,
            steps=steps,
            holdout_loss=None,
            losses=(),
            seconds=0,
        )
        for share in RATES
    ]


def _candidates(resolved: Resolved, rates: list[Try], tries: int) -> list[Try]:
    """Who races: the settings as they are, and then the better rates with other ranks and targets, in turn.

    A short training likes high rates, so rates a third as high as the best race as well.
    """
    own = next(one for one in rates if one.learning_rate == float(f"{resolved.train.learning_rate:.3g}"))
    best = min(rates, key=lambda one: one.score)
    place = rates.index(best)
    near = [best, rates[max(0, place - 1)], own, rates[min(len(rates) - 1, place + 1)]]
    other: Literal["attention", "all"] = "attention" if own.targets == "all" else "all"
    shapes = [(own.rank, own.targets), (own.rank, other), (min(1024, 2 * own.rank), own.targets), (max(1, own.rank // 2), own.targets)]
    shapes += [(min(1024, 2 * own.rank), other), (max(1, own.rank // 2), other)]
    # Along the diagonals, so that few tries see every rate and every shape.
    order = [(near[turn % len(near)], shapes[(turn + round_) % len(shapes)]) for round_ in range(len(shapes)) for turn in range(len(near))]
    made = [own.model_copy(update={"kind": "race"})]
    for rate, (rank, targets) in order:
        one = own.model_copy(update={"kind": "race", "learning_rate": rate.learning_rate, "rank": rank, "targets": targets})
        if all(_identity(one) != _identity(before) for before in made):
            made.append(one)
    return made[: max(2, tries)]


def _trained(resolved: Resolved, one: Try, sets: "list[Examples]", stop: Stop) -> Try:
    """A candidate, trained from the beginning and measured at its end."""
    from decal import train as training
    from decal.bases import load

    train, device = resolved.train, training.choose_device(resolved.train)
    share = one.learning_rate / train.learning_rate
    change = {
        "learning_rate": one.learning_rate,
        "text_learning_rate": None if train.text_learning_rate is None else min(1.0, train.text_learning_rate * share),
        "rank": one.rank,
        # The scale stays, so that ranks are compared and not scales.
        "alpha": train.alpha * one.rank / train.rank,
        "targets": one.targets,
        "steps": one.steps,
        "warmup_steps": train.warmup_steps * one.steps // train.steps,
        "checkpoint_every": one.steps,
        "validate_every": None,
    }
    short = resolved.model_copy(update={"train": train.model_copy(update=change)})
    base = load(resolved.taught, device=device, dtype=training.choose_dtype(train, device))
    began = perf_counter()
    held: float | None = None
    losses: tuple[float, ...] = ()
    with tempfile.TemporaryDirectory() as folder:
        task = training.Task(Run(Path(folder) / "run"), short, sets[0], sets[1], 1, None, stop)
        try:
            for event in training.train(base, task):
                for step in event if isinstance(event, list) else []:
                    if step.step == one.steps:
                        held, losses = step.holdout_loss, step.holdout_losses
        except DivergedError:
            held, losses = None, ()
    return one.model_copy(update={"holdout_loss": held, "losses": losses, "seconds": perf_counter() - began})


def _found(at: Project, racing: list[Try], known: list[Try], resolved: Resolved) -> list[str]:
    """What the search says, and what to write where."""
    best = racing[0]
    if best.holdout_loss is None:
        return ["no training of the search stayed finite: lower train.learning_rate a hundredfold and search again"]
    lines = [
        f"searched {counted(len(known), 'training')} in {clock(sum(one.seconds for one in known))}, kept in {at.folder / 'search.jsonl'}"
    ]
    for other in racing[1:2]:
        each = [theirs - ours for theirs, ours in zip(other.losses, best.losses, strict=False)]
        if len(each) > 1:
            mean = sum(each) / len(each)
            error = math.sqrt(sum((one - mean) ** 2 for one in each) / (len(each) - 1) / len(each))
            sure = "" if mean > 2 * error else ", which may be chance"
            lines.append(f"the next best is {mean:.4f} +- {error:.4f} behind over {counted(len(each), 'held-out picture')}{sure}")
    train = resolved.train
    lines += ["for decal.toml, under [train]:", f"  learning_rate = {best.learning_rate:g}", f"  rank = {best.rank}"]
    if train.alpha != train.rank:
        lines.append(f"  alpha = {train.alpha * best.rank / train.rank:g}")
    lines.append(f"  targets = {written(best.targets)}")
    return [*lines, "a low held-out loss means the style is learnt; let decal compare say which pictures are best"]
