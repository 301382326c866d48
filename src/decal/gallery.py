"""Draws the cells of a run that are not drawn yet, and keeps the pictures.

A picture is kept when its file is whole and its record is appended, in that order; PNG files are written by a few threads, off the drawing
loop. A cell whose record and file are there is never drawn again, so a sheet can be stopped and gone on with, or asked for twice.
"""

import logging
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from decal import grid, project, runs
from decal.errors import BaseModelError
from decal.events import Progress, Sheet, Stop, Told, stop_if
from decal.presets import public_name
from decal.project import Run
from decal.records import Cell, Checkpoint, Generation
from decal.settings import Resolved
from decal.wording import counted

if TYPE_CHECKING:
    from decal.bases import Base
    from decal.generate import Drawn

logger = logging.getLogger(__name__)

WRITING_THREADS = 2


class Album:
    """The pictures of one stream of a run: which are there, and how new ones are kept.

    stream: `run.generations` or `run.validation`. What the run folder says is read once, here. keeps_broken: pictures that are not finite
    are kept as such, for they say something of a checkpoint; otherwise they are an error.
    """

    def __init__(self, run: Run, stream: Path, *, keeps_broken: bool = False) -> None:
        self._run = run
        self._stream = stream
        self._about = runs.about(run)
        self._keeps_broken = keeps_broken
        self._there = {name: one for name, one in runs.drawn(run, stream).items() if keeps_broken or not one.is_broken}
        self.checkpoints = {checkpoint.step: checkpoint for checkpoint in runs.checkpoints(run)}
        self._pauses: dict[int, str] = {}

    def add_pause(self, step: int, factors_sha256: str) -> None:
        """Learn of what the adapter is at a step between two checkpoints, of which there is no file."""
        self._pauses[step] = factors_sha256

    def add(self, checkpoint: Checkpoint) -> None:
        """Learn of a checkpoint that was saved since; where it was made anew, pictures of the old one no longer count."""
        self.checkpoints[checkpoint.step] = checkpoint

    def there(self, cells: Iterable[Cell]) -> list[Generation]:
        """The pictures of these cells that are drawn."""
        return [self._there[fingerprint] for cell in cells if (fingerprint := self._fingerprint(cell)) in self._there]

    def missing(self, cells: Iterable[Cell]) -> list[Cell]:
        """Those of the cells that are not drawn."""
        return [cell for cell in cells if self._fingerprint(cell) not in self._there]

    def keep(self, drawn: Iterable["Drawn"]) -> Iterator[Generation]:
        """Write pictures in a pool of threads; yields each record once its file is whole and it is appended to the stream."""
        from decal.generate import finite

        base, keyword = public_name(self._about.settings.base.model), self._about.settings.caption.keyword

        @cache
        def tensors(step: int) -> str:
            if step in self._pauses:
                return self._pauses[step]
            return grid.tensors_sha256(self._run.folder / self.checkpoints[step].file)

        def write(picture: "Drawn") -> Generation:
            cell = picture.cell
            is_base = cell.checkpoint == 0
            fingerprint = self._fingerprint(cell)
            path = self._run.folder / self._stream.stem / _name(cell, fingerprint)
            lora = None if is_base else f"{keyword or 'lora'}-{cell.checkpoint:06d}"
            info = grid.png_text(cell, base=base, lora=lora, lora_sha256=None if is_base else tensors(cell.checkpoint))
            project.write_bytes(path, to_png(Image.fromarray(picture.pixels), info))
            file = path.relative_to(self._run.folder).as_posix()
            return Generation(
                cell=cell,
                fingerprint=fingerprint,
                file=file,
                sha256=project.sha256(path),
                seconds=picture.seconds,
                is_broken=not picture.is_finite,
            )

        waiting: deque[Future[Generation]] = deque()
        with ThreadPoolExecutor(WRITING_THREADS) as pool:
            try:
                for picture in _named(drawn) if self._keeps_broken else finite(drawn):
                    waiting.append(pool.submit(write, picture))
                    while waiting and (waiting[0].done() or len(waiting) > 4 * WRITING_THREADS):
                        yield self._record(waiting.popleft())
                while waiting:
                    yield self._record(waiting.popleft())
            except GeneratorExit:
                # The caller stops; what is drawn by now is kept all the same.
                while waiting:
                    self._record(waiting.popleft())
                raise

    def _fingerprint(self, cell: Cell) -> str:
        step = cell.checkpoint
        adapter = (self._pauses.get(step) or self.checkpoints[step].sha256) if step else ""
        return runs.cell_fingerprint(cell, self._about.base, adapter)

    def _record(self, written: "Future[Generation]") -> Generation:
        generation = written.result()
        project.append(self._stream, generation)
        self._there[generation.fingerprint] = generation
        return generation


def _named(drawn: Iterable["Drawn"]) -> Iterator["Drawn"]:
    """The same pictures; of each adapter that cannot be used, it is said once why."""
    named: set[int] = set()
    for picture in drawn:
        if picture.problem and picture.cell.checkpoint not in named:
            named.add(picture.cell.checkpoint)
            logger.warning("step %d cannot be drawn with, so it counts as broken: %s", picture.cell.checkpoint, picture.problem)
        yield picture


class Studio:
    """Draws cells of a run that are not drawn yet; the base is loaded once, when there is something to draw."""

    def __init__(self, run: Run, resolved: Resolved, *, keeps_broken: bool = False) -> None:
        self._run, self._resolved = run, resolved
        self._album = Album(run, run.generations, keeps_broken=keeps_broken)

    def draw(
        self, cells: Sequence[Cell], stop: Stop, *, batch: int, images: Mapping[str, Image.Image] | None = None
    ) -> Iterator[Told | Progress | Generation]:
        """Draw the cells that are not drawn yet; yields the records of all of them, those that were there first.

        images: sha256 -> RGB picture, for image-to-image. Raises StoppedError where `stop` says so; what is drawn by then is kept.
        """
        album, run = self._album, self._run
        missing = album.missing(cells)
        yield from album.there(cells)
        if not missing:
            return
        if "_base" not in self.__dict__:
            yield Progress("loading the base")
        from decal.bases import told_when_full
        from decal.generate import generate

        adapters = {step: runs.verified(run, album.checkpoints[step]) for step in {cell.checkpoint for cell in missing} - {0}}
        base = self._base
        remedy = f"Draw fewer pictures at a time (now {batch}): lower compare.batch or grid.batch."
        with project.lock(run.generations, "drawing"), told_when_full("drawing", remedy):
            drawn = generate(base, missing, adapters=adapters, images=images or {}, batch=batch)
            yield Progress("drawing", 0, len(missing))
            for done, generation in enumerate(album.keep(drawn), start=1):
                yield generation
                yield Progress("drawing", done, len(missing))
                stop_if(stop, f"{done} of {counted(len(missing), 'picture')} drawn, the same command draws the rest")

    @cached_property
    def _base(self) -> "Base":
        import torch

        from decal.bases import load
        from decal.train import choose_device

        device = choose_device(self._resolved.train)
        # Of the half precisions, fp16 keeps more of a small LoRA when it is added to the weights than bf16 does.
        is_half = device.type == "cuda" and self._resolved.train.precision != "fp32"
        base = load(self._resolved.base.model, device=device, dtype=torch.float16 if is_half else torch.float32)
        same_base(base, runs.about(self._run).base, self._run)
        return base


def draw(
    run: Run, resolved: Resolved, cells: Sequence[Cell], stop: Stop, *, batch: int, images: Mapping[str, Image.Image] | None = None
) -> Iterator[Told | Progress | Generation]:
    """Draw cells as a `Studio` does, and say so where there is nothing to draw."""
    is_drawing = False
    for event in Studio(run, resolved).draw(cells, stop, batch=batch, images=images):
        is_drawing = is_drawing or isinstance(event, Progress)
        yield event
    if not is_drawing:
        yield Told("  all of them are there already")


def noted(events: Iterable[Told | Progress | Generation], run: Run, found: dict[Cell, Path]) -> Iterator[Told | Progress | Generation]:
    """The same events; the file of each picture is put into `found`."""
    for event in events:
        if isinstance(event, Generation):
            found[event.cell] = run.folder / event.file
        yield event


def _name(cell: Cell, fingerprint: str) -> str:
    words = re.sub(r"\W+", "-", cell.prompt.lower()).strip("-_")[:60]
    return f"step-{cell.checkpoint:06d}-{words}-guidance-{cell.guidance:g}-seed-{cell.seed}-{fingerprint[:8]}.png"


def to_png(picture: Image.Image, info: PngInfo | None = None) -> bytes:
    """A picture as the bytes of a PNG file."""
    buffer = BytesIO()
    picture.save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def same_base(base: "Base", fingerprint: str, run: Run) -> None:
    """Raise BaseModelError where the base is not the one that the run was begun on, whose fingerprint is given."""
    if base.fingerprint() != fingerprint:
        raise BaseModelError(
            f"{base.name}: the files of the base model are others than those that {run.name} was begun on.\n"
            "Put them back, or begin another run with  decal train --new-run"
        )


def write_sheet(path: Path, picture: Image.Image, count: int) -> Sheet:
    """Write a sheet of so many pictures, unless the same bytes are there already."""
    data = to_png(picture)
    if not path.exists() or path.read_bytes() != data:
        project.write_bytes(path, data)
    return Sheet(path, count)
