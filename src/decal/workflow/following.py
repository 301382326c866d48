"""What the further processes of a training do: wait for what the first one hands over, and do their share of its steps."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from decal.errors import ProcessError
from decal.project import Run
from decal.records import Record, RungKind
from decal.settings import Resolved

if TYPE_CHECKING:
    from decal.bases import Base
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
    compiled_after: int | None

    @classmethod
    def of(cls, task: "Task", cache: Path) -> "Assignment":
        """What the other processes need to know of a task."""
        prior = None if task.prior is None else task.prior.records
        told = task.train.records, prior, task.start, task.resume, task.rungs, task.compiled_after
        return cls(task.run, task.settings, cache, *told)

    def task(self, base: "Base") -> "Task":
        """The task as one of them has it, which stops when the first one does and measures nothing."""
        from decal import train
        from decal.cache import Cache

        cache = Cache(self.cache, base, self.settings.data)
        budget = int(self.settings.train.cache_gib * 2**30)
        learnt = cache.examples(self.learnt, budget=budget)
        prior = None if self.prior is None else cache.examples(self.prior, budget=max(0, budget - learnt.size_bytes))
        nothing = cache.examples([], budget=0)
        made = train.Task(self.run, self.settings, learnt, nothing, 0, self.resume, lambda: False, self.start, prior, self.rungs)
        # All of them compile after the same step, or wait for each other's word at different ones.
        return replace(made, compiled_after=self.compiled_after)


def assign(task: "Task", cache: Path) -> None:
    """Hand a training over to the other processes, once all that it learns from is encoded; nothing where there are none."""
    from decal import processes

    processes.from_first(Assignment.of(task, cache))


def follow() -> None:
    """Do the share of this process of every training that the first one hands over, until it lets go."""
    from decal import train
    from decal.bases import load, told_when_full

    while (given := _awaited()) is not None:
        settings = given.settings.train
        device = train.choose_device(settings)
        base = load(given.settings.taught, device=device, dtype=train.choose_dtype(settings, device))
        task = given.task(base)
        base.release_encoders()
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
