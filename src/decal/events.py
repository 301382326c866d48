"""What the functions of `workflow` yield while they work, besides the records that are written to files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from decal.errors import StoppedError
from decal.project import Run
from decal.records import Candidate, Checkpoint, Description, Generation, Pick, Point, PostDrawing, Probe, Rung, Shard, Step, Verdict


@dataclass(frozen=True)
class Told:
    """Something to say that is in no record."""

    text: str


@dataclass(frozen=True)
class Begun:
    """A command begins on a run. steps: of its training. text: what is about to happen, with what."""

    run: Run
    steps: int
    text: str


@dataclass(frozen=True)
class Progress:
    """Work that takes a while: done of all. all: 0 where it cannot be counted."""

    doing: str
    done: int = 0
    all: int = 0


@dataclass(frozen=True)
class Sheet:
    """A labelled sheet that was written."""

    path: Path
    pictures: int


Made = list[Step] | Checkpoint | Generation | Description | Candidate | Pick | Point | Verdict | Probe | Rung | Shard | PostDrawing
Event = Told | Begun | Progress | Sheet | Made
Stop = Callable[[], bool]
"""Asked at safe points whether to stop; true once a signal came."""


def stop_if(stop: Stop, remedy: str) -> None:
    """Raise StoppedError, with what to do next, where `stop` says so."""
    if stop():
        raise StoppedError(f"Stopped; {remedy}.")
