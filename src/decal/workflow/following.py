"""What the further processes of a training do: wait for what the first one hands over, and do their share of its steps."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from decal.errors import ProcessError
from decal.project import Run
from decal.records import Record, RungKind
from decal.settings import Resolved

if TYPE_CHECKING:
    from decal.state import State
    from decal.train import Task


@dataclass(frozen=True)
class Assignment:
    """A training as it goes from process to process: its task, without what only the first one uses. cache: of the project."""

    run: Run
    settings: Resolved
    cache: Path
    learnt: tuple[Record, ...]
    prior: tuple[Record, ...] | None
    start: Path | None
    resume: "State | None"
    rungs: tuple[RungKind, ...]


def assign(task: "Task", cache: Path) -> None:
    """Hand a training over to the other processes, once all that it learns from is encoded; nothing where there are none."""
    from decal import processes

    prior = None if task.prior is None else task.prior.records
    processes.from_first(Assignment(task.run, task.settings, cache, task.train.records, prior, task.start, task.resume, task.rungs))


def follow() -> None:
    """Do the share of this process of every training that the first one hands over, until it lets go."""
    from decal import train
    from decal.bases import load, told_when_full
    from decal.cache import Cache

    while (given := _awaited()) is not None:
        settings = given.settings.train
        device = train.choose_device(settings)
        base = load(given.settings.taught, device=device, dtype=train.choose_dtype(settings, device))
        cache = Cache(given.cache, base, given.settings.data)
        budget = int(settings.cache_gib * 2**30)
        learnt = cache.examples(given.learnt, budget=budget)
        prior = None if given.prior is None else cache.examples(given.prior, budget=max(0, budget - learnt.size_bytes))
        base.release_encoders()
        nothing = cache.examples([], budget=0)
        task = train.Task(given.run, given.settings, learnt, nothing, 0, given.resume, lambda: False, given.start, prior, given.rungs)
        with told_when_full("training", "Lower train.batch, or launch fewer processes."):
            train.assist(base, task)


def _awaited() -> Assignment | None:
    """What the first process hands over next; None where it is done, or has ended and said why."""
    from decal import processes

    try:
        given = processes.from_first(None)
    except ProcessError:
        return None
    return given if isinstance(given, Assignment) else None


def let_go() -> None:
    """Tell the other processes that there is nothing left to do, and part from them."""
    from decal import processes

    processes.from_first(None)
    processes.leave()
