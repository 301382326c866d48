"""Pictures -> labelled sheets, drawn with Pillow alone.

Cells and the files drawn for them go in; out comes one picture that explains itself: what was asked, with which settings, and what came of
it. Nothing on a page is cut off: labels wrap and rows grow with them. The losses stand beneath, each step under its checkpoint's column
where checkpoints are evenly spaced, so that the eye can go from a picture to its loss.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from PIL import Image, ImageDraw

from decal.curves import ACCENT, PAPER, QUIET, RULE, TEXT, Plot, draw_losses
from decal.grid import A1111_SAMPLERS
from decal.lettering import LINE_HEIGHT, one_font, width_px, wrap, write
from decal.presets import public_name
from decal.records import Cell, Step
from decal.wording import counted

Value = TypeVar("Value")

EMPTY = "#f6f7f9"

# Pillow warns of pictures above 89 megapixels; a large sheet shrinks its pictures rather than go there.
MAX_TABLE_PX = 50_000_000


@dataclass(frozen=True)
class _Row:
    """One row of pictures, None for one that there is not.

    note: a second, quiet line of its label. is_first: a new prompt begins here. under: a quiet line beneath each picture, or none at all.
    """

    label: str
    note: str
    files: Sequence[Path | Image.Image | None]
    is_first: bool
    under: Sequence[str] = ()


@dataclass(frozen=True)
class _Head:
    """Title of a column. is_best: its note is set in the accent colour."""

    label: str
    note: str
    is_best: bool = False


@dataclass(frozen=True)
class _Measure:
    """Every length on a sheet, in px, from the size of its pictures. label_share: how much wider than usual the labels are."""

    picture_width: int
    picture_height: int
    columns: int
    label_share: float = 1.0

    @property
    def unit(self) -> float:
        return min(1.5, max(1.0, max(self.picture_width, self.picture_height) / 200))

    def of(self, length: float) -> int:
        return round(length * self.unit)

    @property
    def text(self) -> int:
        return self.of(15)

    @property
    def small(self) -> int:
        return self.of(13)

    @property
    def margin(self) -> int:
        return self.of(48)

    @property
    def gap(self) -> int:
        return self.of(12)

    @property
    def label_width(self) -> int:
        return self.of(200 * self.label_share)

    @property
    def left(self) -> int:
        """Where the pictures begin."""
        return self.margin + self.label_width + self.of(32)

    @property
    def right(self) -> int:
        """Where the pictures end, or a little later where they are so few that a title would not fit."""
        return self.left + max(self.columns * (self.picture_width + self.gap) - self.gap, self.of(420))

    def column(self, index: int) -> int:
        return self.left + index * (self.picture_width + self.gap)


def compare_sheet(
    cells: Sequence[Cell], pictures: Mapping[Cell, Path], *, steps: Sequence[Step], run: str, base: str, chosen: int | None = None
) -> Image.Image:
    """One row a prompt and seed, one column for the base and for each checkpoint, and the losses beneath.

    cells: as `grid.compare_cells` gives them; one without a picture becomes an empty frame. steps: of the training, for the losses.
    run, base: their names, for the title. chosen: the checkpoint to keep, if that is known.
    """
    checkpoints = _unique(cells, lambda cell: cell.checkpoint)
    by_place = {(cell.prompt, cell.seed, cell.checkpoint): cell for cell in cells}
    seeds = _unique(cells, lambda cell: cell.seed)
    rows = [
        _Row(
            label=prompt if seed == seeds[0] else "",
            note=f"seed {seed}" if len(seeds) > 1 else "",
            files=[_file(pictures, by_place.get((prompt, seed, checkpoint))) for checkpoint in checkpoints],
            is_first=seed == seeds[0],
        )
        for prompt in _unique(cells, lambda cell: cell.prompt)
        for seed in seeds
    ]
    holdout = {step.step: step.holdout_loss for step in steps if step.holdout_loss is not None}
    measured = {checkpoint: holdout[checkpoint] for checkpoint in checkpoints if checkpoint in holdout}
    best = min(measured, key=lambda checkpoint: measured[checkpoint]) if len(measured) > 1 else None
    heads = [
        _Head(
            "base" if checkpoint == 0 else f"step {checkpoint}" + (", chosen" if checkpoint == chosen else ""),
            (f"held-out loss {measured[checkpoint]:.4f}" + (", lowest" if checkpoint == best else "")) if checkpoint in measured else "",
            checkpoint == best,
        )
        for checkpoint in checkpoints
    ]
    count = len(checkpoints) - (0 in checkpoints)
    shown = ["the base"] * (0 in checkpoints) + [counted(count, "checkpoint")] * (count > 0)
    title = f"{run}: {' and '.join(shown)}"
    measure = _measure(cells[0], len(heads), len(rows))
    return _sheet(measure, (title, _facts(cells, base)), heads, rows, lambda: _curves(measure, steps, checkpoints, best))


def grid_sheet(cells: Sequence[Cell], pictures: Mapping[Cell, Path], *, run: str, base: str) -> Image.Image:
    """One row a prompt, one column for each guidance, LoRA strength and seed of one checkpoint.

    cells: as `grid.grid_cells` gives them; one without a picture becomes an empty frame. run, base: their names, for the title.
    """
    strengths, seeds = _unique(cells, lambda cell: cell.lora_strength), _unique(cells, lambda cell: cell.seed)
    places = list(itertools.product(_unique(cells, lambda cell: cell.guidance), strengths, seeds))
    by_place = {(cell.prompt, cell.guidance, cell.lora_strength, cell.seed): cell for cell in cells}
    heads = []
    for guidance, strength, seed in places:
        notes = [f"strength {strength:g}"] * (len(strengths) > 1) + [f"seed {seed}"] * (len(seeds) > 1)
        heads.append(_Head(f"guidance {guidance:g}", ", ".join(notes)))
    prompts = _unique(cells, lambda cell: cell.prompt)
    rows = [_Row(prompt, "", [_file(pictures, by_place.get((prompt, *place))) for place in places], is_first=True) for prompt in prompts]
    checkpoint = cells[0].checkpoint
    measure = _measure(cells[0], len(heads), len(rows))
    title = f"{run}: " + ("the base" if checkpoint == 0 else f"step {checkpoint}")
    return _sheet(measure, (title, _facts(cells, base)), heads, rows)


def candidates_sheet(rows: Sequence[tuple[str, Mapping[int, Path]]], cells: Sequence[Cell], *, title: str, base: str) -> Image.Image:
    """One row a description, its candidates under their numbers, to choose by.

    rows: each description with the files of its candidates by number. cells: what was drawn. base: what with.
    """
    numbers = range(1, max(number for _, files in rows for number in files) + 1)
    table = [_Row(label, "", [files.get(number) for number in numbers], is_first=True) for label, files in rows]
    measure = _measure(cells[0], len(numbers), len(rows))
    facts = [(name, value) for name, value in _facts(cells, base) if name != "seed"]
    return _sheet(measure, (title, facts), [_Head(str(number), "") for number in numbers], table)


def words_sheet(
    rows: Sequence[tuple[str, Sequence[Path | None]]], words: Sequence[str], cells: Sequence[Cell], *, title: str, base: str
) -> Image.Image:
    """One row a subject, one column a word that was put before it. rows: each label with its files by column."""
    table = [_Row(label, "", list(files), is_first=True) for label, files in rows]
    measure = _measure(cells[0], len(words), len(rows))
    facts = [(name, value) for name, value in _facts(cells, base) if name != "seed"]
    return _sheet(measure, (title, facts), [_Head(word, "") for word in words], table)


def posts_sheet(rows: Sequence[tuple[str, str, Mapping[str, Path]]], cells: Sequence[Cell], *, title: str, base: str) -> Image.Image:
    """One row a post: its text, under it in quiet letters what was made of it, and its candidates under their numbers and above their ids.

    rows: text, plan, and the files of the candidates by id. cells: what was drawn. base: what with.
    """
    columns = max(len(files) for _, _, files in rows)
    table = [_Row(text, plan, list(files.values()), is_first=True, under=list(files)) for text, plan, files in rows]
    measure = replace(_measure(cells[0], columns, len(rows)), label_share=2)
    facts = [(name, value) for name, value in _facts(cells, base) if name != "seed"]
    return _sheet(measure, (title, facts), [_Head(str(number + 1), "") for number in range(columns)], table)


def rows_sheet(
    rows: Sequence[tuple[str, str, Sequence[Path | Image.Image | None]]],
    heads: Sequence[str],
    cells: Sequence[Cell],
    *,
    title: str,
    base: str,
) -> Image.Image:
    """One row a line of text with a quiet line beneath, and its pictures, one a head.

    cells: what was drawn, for what stands under the title. base: what with.
    """
    measure = _measure(cells[0], len(heads), len(rows))
    table = [_Row(label, note, files, is_first=True) for label, note, files in rows]
    facts = [(name, value) for name, value in _facts(cells, base) if name != "seed"]
    return _sheet(measure, (title, facts), [_Head(head, "") for head in heads], table)


Part = tuple[int, Callable[[Image.Image, int], None]]
"""A stretch of the page from margin to margin: its height, and how to draw it from a given y on."""


def _sheet(
    measure: _Measure,
    top: tuple[str, list[tuple[str, str]]],
    heads: list[_Head],
    rows: list[_Row],
    below: Callable[[], list[Part]] = list,
) -> Image.Image:
    """A title with its facts, a table, and what stands below it, in one font."""
    title, facts = top
    texts = [title, *(value for _, value in facts), *(text for head in heads for text in (head.label, head.note))]
    with one_font([*texts, *(text for row in rows for text in (row.label, row.note))]):
        return _page(measure, [_title(measure, title, facts), _table(measure, heads, rows), *below()])


def _page(measure: _Measure, parts: Sequence[Part]) -> Image.Image:
    height = sum(height for height, _ in parts) + 2 * measure.margin
    page = Image.new("RGB", (measure.right + measure.margin, height), PAPER)
    y = measure.margin
    for part_height, draw in parts:
        draw(page, y)
        y += part_height
    return page


def _title(measure: _Measure, title: str, facts: list[tuple[str, str]]) -> Part:
    """The heading, and under it what holds for every picture, as many facts a line as fit."""
    width = measure.right - measure.margin
    large, text = measure.of(26), measure.text
    heading = wrap(title, large, width)
    lines: list[list[tuple[float, str, str]]] = [[]]
    x = 0.0
    for name, value in facts:
        indent = width_px(name, text) + measure.of(8)
        for number, piece in enumerate(wrap(value, text, width - indent)):
            needed = indent + width_px(piece, text)
            if number > 0 or (x and x + needed > width):
                lines.append([])
                x = 0.0
            lines[-1] += [(x, name if number == 0 else "", QUIET), (x + indent, piece, TEXT)]
            x += needed + measure.of(28)
    heading_height = len(heading) * large * LINE_HEIGHT + measure.of(8)

    def draw(page: Image.Image, y: int) -> None:
        pen = ImageDraw.Draw(page)
        write(pen, (measure.margin, y), heading, large, TEXT)
        for number, line in enumerate(lines):
            for offset, piece, colour in line:
                write(pen, (measure.margin + offset, y + heading_height + number * text * 1.6), [piece], text, colour)

    return round(heading_height + len(lines) * text * 1.6 + measure.of(28)), draw


def _file(pictures: Mapping[Cell, Path], cell: Cell | None) -> Path | None:
    return None if cell is None else pictures.get(cell)


def _table(measure: _Measure, heads: list[_Head], rows: list[_Row]) -> Part:
    column_text = [
        (wrap(head.label, measure.text, measure.picture_width), wrap(head.note, measure.small, measure.picture_width)) for head in heads
    ]
    head_height = round(max(_height(label, measure.text) + _height(note, measure.small) for label, note in column_text)) + measure.of(14)
    labels = [(wrap(row.label, measure.text, measure.label_width), wrap(row.note, measure.small, measure.label_width)) for row in rows]
    heights = [
        max(
            measure.picture_height + (round(measure.small * LINE_HEIGHT) + measure.of(4) if row.under else 0),
            round(_height(label, measure.text) + _height(note, measure.small)) + measure.of(4),
        )
        for row, (label, note) in zip(rows, labels, strict=True)
    ]
    has_groups = not all(row.is_first for row in rows)
    above = [measure.of(30) if has_groups and row.is_first and number else measure.gap for number, row in enumerate(rows)]

    def draw(page: Image.Image, y: int) -> None:
        pen = ImageDraw.Draw(page)
        for index, (head, (label, note)) in enumerate(zip(heads, column_text, strict=True)):
            below = write(pen, (measure.column(index), y), label, measure.text, TEXT)
            write(pen, (measure.column(index), below), note, measure.small, ACCENT if head.is_best else QUIET)
        y += head_height
        pen.line((measure.margin, y, measure.right, y), RULE, max(1, measure.of(1)))
        for row, (label, note), height, space in zip(rows, labels, heights, above, strict=True):
            y += space
            below = write(pen, (measure.margin, y - measure.of(2)), label, measure.text, TEXT) if row.label else y - measure.of(2)
            write(pen, (measure.margin, below), note, measure.small, QUIET)
            for index, file in enumerate(row.files):
                _place(page, (measure.column(index), y), measure, file)
            for index, line in enumerate(row.under):
                write(pen, (measure.column(index), y + measure.picture_height + measure.of(4)), [line], measure.small, QUIET)
            y += height

    return head_height + sum(heights) + sum(above), draw


def _place(page: Image.Image, at: tuple[int, int], measure: _Measure, file: Path | Image.Image | None) -> None:
    """Put a picture into its frame; an empty frame says why it is empty."""
    pen = ImageDraw.Draw(page)
    size = (measure.picture_width, measure.picture_height)
    picture = _open(file) if isinstance(file, Path) else file
    if picture is not None:
        page.paste(picture.resize(size, Image.Resampling.LANCZOS), at)
    # The frame lies around the picture and hides nothing of it.
    box = (at[0] - 1, at[1] - 1, at[0] + size[0], at[1] + size[1])
    pen.rectangle(box, fill=EMPTY if picture is None else None, outline=RULE)
    if picture is None:
        said = "not readable" if isinstance(file, Path) and file.exists() else "not drawn"
        x = at[0] + (size[0] - width_px(said, measure.small)) / 2
        write(pen, (x, at[1] + (size[1] - measure.small * LINE_HEIGHT) / 2), [said], measure.small, QUIET)


def _open(file: Path) -> Image.Image | None:
    try:
        with Image.open(file, formats=("PNG", "JPEG", "WEBP")) as picture:
            whole = picture.convert("RGBA")
    except (OSError, SyntaxError, ValueError):
        return None
    return Image.alpha_composite(Image.new("RGBA", whole.size, PAPER), whole).convert("RGB")


def _curves(measure: _Measure, steps: Sequence[Step], checkpoints: list[int], best: int | None) -> list[Part]:
    """The losses, with step 0 under the first column and the last step under the last one, where the columns are wide enough for it."""
    pictures_end = measure.column(measure.columns - 1) + measure.picture_width
    plot = Plot(
        label_width_px=measure.label_width,
        left_px=measure.left - measure.margin,
        right_px=measure.right - measure.margin,
        inset_px=measure.picture_width // 2 if pictures_end == measure.right else measure.gap,
        unit=measure.unit,
    )
    strip = draw_losses(steps, plot, marks=checkpoints, best=best)
    space = measure.of(40)
    return [] if strip is None else [(space + strip.height, lambda page, y: page.paste(strip, (measure.margin, y + space)))]


def _facts(cells: Sequence[Cell], base: str) -> list[tuple[str, str]]:
    """What a reader needs to draw these pictures again, as (name, value)."""
    first = cells[0]
    facts = [
        ("base", public_name(base)),
        ("guidance", _listed(cell.guidance for cell in cells)),
        ("seed", _listed(cell.seed for cell in cells)),
        ("sampler", f"{A1111_SAMPLERS[first.sampler]}, {_steps(cells)}"),
        ("size", f"{first.width_px} x {first.height_px} px"),
    ]
    if any(cell.lora_strength != 1 for cell in cells):
        facts.append(("LoRA strength", _listed(cell.lora_strength for cell in cells)))
    if first.image_strength is not None:
        facts.append(("from a picture, redrawn", _listed(cell.image_strength for cell in cells if cell.image_strength is not None)))
    return [*facts, ("negative", first.negative)] if first.negative else facts


def _steps(cells: Sequence[Cell]) -> str:
    counts = _unique(cells, lambda cell: cell.steps)
    return counted(counts[0], "step") if len(counts) == 1 else f"{', '.join(map(str, counts))} steps"


def _measure(cell: Cell, columns: int, rows: int) -> _Measure:
    """The size of pictures on a sheet.

    Small ones are enlarged a whole number of times to at least 160 px, large ones reduced to 320 px, or to 256 px where they are many.
    """
    side = max(cell.width_px, cell.height_px)
    shown = side * math.ceil(160 / side) if side < 160 else min(side, 320 if columns * rows <= 60 else 256)
    while shown > 96 and columns * rows * shown**2 > MAX_TABLE_PX:
        shown -= 16
    return _Measure(round(shown * cell.width_px / side), round(shown * cell.height_px / side), columns)


def _height(lines: list[str], size_px: int) -> float:
    return len(lines) * size_px * LINE_HEIGHT if any(lines) else 0.0


def _unique(cells: Iterable[Cell], key: Callable[[Cell], Value]) -> list[Value]:
    return list(dict.fromkeys(key(cell) for cell in cells))


def _listed(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.12g}" for value in dict.fromkeys(values))
