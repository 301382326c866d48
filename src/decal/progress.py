"""What a person sees while work goes on: one live line on a terminal, plain lines elsewhere, JSON lines where asked.

Consumes the events of `workflow`; knows nothing of how they are made. The time left is the median of the newest steps times the steps left,
so drawing and saving do not disturb it.
"""

import shutil
import statistics
import sys
import textwrap
import time
from collections import deque
from collections.abc import Iterable, Sequence
from types import TracebackType

from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Column

from decal import checklist
from decal.compare import telling
from decal.events import Begun, Event, Progress, Sheet, Told
from decal.project import to_json
from decal.records import Checkpoint, Description, Generation, Point, Probe, Rung, Step, Verdict
from decal.scores import few_steps
from decal.wording import clock, counted, printable, shown

# Between two plain lines of the same work, and the share of its time so far, so that ten hours are some 180 lines of a log.
PLAIN_SECONDS, PLAIN_SHARE = 5.0, 0.04
STEPS_TIMED = 50
PARAGRAPH_WIDTH = 100
BAR_WIDTH, MIN_BAR_WIDTH = 24, 8


class Display:
    """Shows the events of one command."""

    def __init__(self, json: bool, *, lists_pictures: bool = False) -> None:
        self._json = json
        self._lists_pictures = lists_pictures
        self._console = Console(stderr=True)
        self._is_live = self._console.is_terminal and not json
        # Without wrapping, so that a terminal that was made narrower does not fill with lines.
        self._text = TextColumn("{task.description}", table_column=Column(no_wrap=True))
        self._bar = Bar(self._text, console=self._console, transient=True)
        self._doing = ""
        self._seconds: deque[float] = deque(maxlen=STEPS_TIMED)
        self._last_line = self._since = time.monotonic()
        self._begun: Begun | None = None
        self._holdout: float | None = None

    def __enter__(self) -> "Display":
        if self._is_live:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self._is_live:
            self._bar.stop()

    def show(self, events: Iterable[Event]) -> None:
        """Show every event as it comes."""
        for event in events:
            if self._json:
                self._print_json(event)
            else:
                self._print(event)

    def _print(self, event: Event) -> None:
        match event:
            case Told() | Description() | Point() | Verdict() | Probe():
                self._line(_text(event))
            case Begun():
                self._begun = event
                self._line(event.text)
            case Progress():
                self._advance(event.doing, event.done, event.all)
            case Checkpoint():
                holdout = "" if event.holdout_loss is None else f"  held-out loss {event.holdout_loss:.4f}"
                self._line(f"  checkpoint  step {event.step}{holdout}  {event.file}")
            case Rung():
                self._line(f"  memory  {event.told()}")
            case Sheet():
                self._line(f"{counted(event.pictures, 'picture')} on one sheet: {event.path}")
            case Generation():
                if self._lists_pictures and self._begun is not None:
                    self._line(f"  {self._begun.run.folder / event.file}  seed {event.cell.seed}")
            case list():
                self._print_steps(event)

    def _print_steps(self, steps: list[Step]) -> None:
        for step in steps:
            self._holdout = step.holdout_loss if step.holdout_loss is not None else self._holdout
            if step.step > 0:
                self._seconds.append(step.seconds)
        last = steps[-1]
        if last.step == 0 or self._begun is None:
            return
        seconds = statistics.median(self._seconds)
        losses = [step.loss for step in steps if step.loss is not None]
        loss = f"loss {statistics.fmean(losses):.4f}" if losses else "loss not finite"
        holdout = [] if self._holdout is None else [f"held-out {self._holdout:.4f}"]
        left = clock(seconds * (self._begun.steps - last.step))
        self._advance("training", last.step, self._begun.steps, f"ETA {left}", loss, *holdout, f"{1 / seconds:.2f} it/s")

    def _advance(self, doing: str, done: int, of: int, *said: str) -> None:
        """Show how far the work is. of: 0 where it cannot be counted. said: what else there is to tell, the most important first."""
        parts = [f"{doing} {done}/{of}" if of else doing, *said]
        is_new, self._doing = doing != self._doing, doing
        if self._is_live:
            self._draw(fit(parts, self._console.width), done, of, is_new=is_new)
            return
        now = time.monotonic()
        if is_new:
            self._since = now
        if is_new or done == of > 0 or now - self._last_line > max(PLAIN_SECONDS, PLAIN_SHARE * (now - self._since)):
            self._last_line = now
            print("  " + "  ".join(parts), file=sys.stderr, flush=True)

    def _draw(self, text: str, done: int, of: int, *, is_new: bool) -> None:
        """Redraw the live line: the text, after a bar where there is room for one."""
        width = min(BAR_WIDTH, self._console.width - len(text) - 1)
        self._bar.columns = (BarColumn(width), self._text) if width >= MIN_BAR_WIDTH else (self._text,)
        if is_new:
            # rich cannot make a task that counts into one that does not.
            for task in self._bar.task_ids:
                self._bar.remove_task(task)
            self._bar.add_task(text, completed=done, total=of or None)
        for task in self._bar.task_ids:
            self._bar.update(task, description=text, completed=done)

    def _line(self, text: str) -> None:
        if self._is_live:
            self._bar.console.file.flush()
            self._bar.stop()
            print(shown(text), flush=True)
            self._bar.start()
        else:
            print(shown(text), flush=True)

    def _print_json(self, event: Event) -> None:
        lines = event if isinstance(event, list) else [event]
        for line in lines:
            if isinstance(line, BaseModel):
                print(to_json(line), flush=True)


def _text(event: Told | Description | Point | Verdict | Probe) -> str:
    """What there is to read in an event that is only told."""
    match event:
        case Told():
            return event.text
        case Description():
            return f"  {event.number:4}  {printable(event.caption)}  ({counted(event.tokens, 'token')})"
        case Point():
            return "\n".join(checklist.lines(event))
        case Verdict():
            return "\n".join(["", *wrapped(event.reason), "", *telling.table(event), ""])
        case Probe():
            return "\n".join(few_steps.table(event))


def wrapped(text: str) -> list[str]:
    """A paragraph as lines of a terminal."""
    width = min(PARAGRAPH_WIDTH, shutil.get_terminal_size((PARAGRAPH_WIDTH, 0)).columns)
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def fit(parts: Sequence[str], width: int) -> str:
    """As many of the parts as fit on a line of that many columns, the first ones first."""
    told = parts[0]
    for part in parts[1:]:
        if len(f"{told}  {part}") > width:
            break
        told = f"{told}  {part}"
    return told
