"""What the commands share: their options, how they are stopped, and how their work is shown."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from decal.compat import Launch
    from decal.events import Event
    from decal.project import Project
    from decal.records import Finding
    from decal.settings import Settings

Folder = Annotated[Path, typer.Argument(help="The project folder.", show_default=True)]
Changes = Annotated[
    list[str], typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change a setting for this call, e.g. train.rank=16.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the records as JSON lines.")]
RunName = Annotated[
    str | None, typer.Option("--run", metavar="NAME", help="Which run; where left out, the newest that is no control of posts.")
]
CheckpointStep = Annotated[
    int | None, typer.Option("--checkpoint", metavar="STEP", help="Which checkpoint; the one that the comparison chose, or the last.")
]
GuidanceList = Annotated[
    str, typer.Option("--guidance", metavar="LIST", help='Guidances to draw at, e.g. "1, 3, 5" or "1-7 (+1.5)" or "1-7 [5]".')
]
NewRun = Annotated[bool, typer.Option("--new-run", help="Begin another run instead of going on with the newest.")]
Accept = Annotated[bool, typer.Option("--accept-changes", help="Go on with a run although settings or data are others than before.")]

HERE = Path(".")
# Names of files that are longer push what stands beside them to the right.
FILE_COLUMN = 40


class _Signals:
    """The first SIGINT or SIGTERM becomes a wish to stop; the second ends the process as usual."""

    received = 0

    def install(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._receive)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self.received = number
        signal.signal(number, signal.SIG_DFL)
        # Not print: a handler may interrupt a print that is under way.
        os.write(2, b"stopping at the next safe point; once more ends it at once\n")

    def __call__(self) -> bool:
        return self.received > 0


STOP = _Signals()


@contextmanager
def together() -> Iterator[bool]:
    """Whether this process does the command: the only one, or the first of those that were launched to train together.

    The others follow it until it is done. Raises SettingsError where they were launched in a way that cannot work.
    """
    launch = _launch()
    if launch.problems:
        refuse(launch, "\n".join(launch.problems))
    for note in launch.notes:
        logging.warning("%s", note)
    if launch.processes == 1:
        yield True
        return
    from decal import processes, workflow

    if processes.join() == 0:
        yield True
        workflow.let_go()
        return
    # A signal reaches all of them, and the first one says when to stop.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    logging.getLogger().setLevel(logging.ERROR)
    yield False
    workflow.follow()
    processes.leave()


def alone(what: str) -> None:
    """Raise SettingsError where several processes were launched to do what only one can do."""
    launch = _launch()
    if launch.processes > 1:
        refuse(launch, f"{launch.processes} processes were launched, and {what} is done by one.\nCall it without the launcher.")


def _launch() -> "Launch":
    from decal.compat import launching

    return launching.of_environment(os.environ)


def refuse(launch: "Launch", told: str) -> NoReturn:
    """Raise SettingsError in the first of the processes; the others end without repeating it."""
    from decal.errors import SettingsError

    if launch.index:
        sys.exit(SettingsError.exit_code)
    raise SettingsError(told)


def show_work(
    folder: Path,
    changes: list[str],
    work: Callable[["Project", "Settings"], Iterable["Event"]],
    json: bool,
    *,
    lists_pictures: bool = False,
) -> None:
    """Open the project, do the work on it and show what happens; a signal stops it at the next safe point."""
    from decal import workflow
    from decal.project import open_project

    at = open_project(folder)
    show_events(work(at, workflow.settings_of(at, changes)), json, lists_pictures=lists_pictures)


def show_events(events: Iterable["Event"], json: bool, *, lists_pictures: bool = False) -> None:
    """Show what happens in a work as it goes on; a signal stops it at the next safe point."""
    from decal.progress import Display

    STOP.install()
    with Display(json, lists_pictures=lists_pictures) as display:
        display.show(events)


def print_records(findings: Iterable["Finding"]) -> None:
    """Each as a JSON line."""
    from decal.project import to_json

    for finding in findings:
        print(to_json(finding))


def say_next(command: str, json: bool = False) -> None:
    """The last line of a command: what to call next; nothing where the output is records."""
    if not json:
        print(f"next: {command}")


def typed(changes: Iterable[str]) -> str:
    """The changes of settings as they were typed, to follow a command; "" for none."""
    return "".join(f" --set {quote(change)}" for change in changes)


def listed(setting: str, text: str) -> list[str]:
    """The change to a setting that a list of numbers on the command line stands for; none where it is empty."""
    from decal import axes

    return [f"{setting}={axes.numbers(text, '--guidance')}"] if text else []
