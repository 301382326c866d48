"""The data set as labelled contact sheets, with what the check found on each picture; drawn with Pillow alone.

Pictures with errors come first, then those with warnings, then all others by name, so that the first look falls on what needs one. Every
label is a text as well as a colour.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from decal import masks, pictures
from decal.checks import LEVELS, Checked, Mask
from decal.curves import PAPER, QUIET, RULE, TEXT
from decal.lettering import LINE_HEIGHT, one_font, width_px, wrap, write
from decal.records import Finding
from decal.wording import counted

COLOURS = {"error": "#b3261e", "warning": "#8a5a00", "note": QUIET}
COLUMNS = 6
# 20 rows make a page of about 6,000 px, which every viewer opens.
PICTURES_A_PAGE = 120
PICTURE_PX, GAP_PX, MARGIN_PX = 184, 28, 48
TITLE_PX, NAME_PX, SMALL_PX = 26, 14, 12
CAPTION_LINES, REASON_LINES, FINDINGS_SHOWN = 3, 3, 4
EMPTY = "#f6f7f9"
# What a mask keeps from counting lies under this, so that it can still be told what it is.
VEIL, VEIL_SHARE = "#8d86b8", 0.75


@dataclass(frozen=True)
class _Tile:
    """One picture with its texts: (colour, size, lines) from top to bottom. picture: None where it cannot be read."""

    picture: Image.Image | None
    level: str | None
    texts: tuple[tuple[str, int, list[str]], ...]

    @property
    def height(self) -> int:
        return PICTURE_PX + 10 + round(sum(len(lines) * size * LINE_HEIGHT + 3 for _, size, lines in self.texts))


def pages(files: Sequence[str], findings: Iterable[Finding]) -> Iterator[list[str]]:
    """The files in the order in which they are shown, at most 120 a page."""
    ranks: dict[str, int] = {}
    for one in findings:
        ranks[one.file or ""] = min(ranks.get(one.file or "", 2), LEVELS.index(one.level))
    ordered = sorted(files, key=lambda file: (ranks.get(file, 2), file))
    for first in range(0, max(1, len(ordered)), PICTURES_A_PAGE):
        yield ordered[first : first + PICTURES_A_PAGE]


def sheet(folder: Path, files: Sequence[str], checked: Checked, title: str, *, is_first: bool) -> Image.Image:
    """One page. files: relative to the folder. is_first: what is about the whole set stands at its top."""
    by_file: dict[str, list[Finding]] = defaultdict(list)
    for one in checked.findings:
        by_file[one.file or ""].append(one)
    captions = {row.file: row.captions for row in checked.listing.rows}
    there = set(checked.listing.files)
    of_set = [one for name, found in by_file.items() if name not in there for one in found] if is_first else []
    # The same font on every page of a set.
    texts = [
        title,
        *checked.listing.files,
        *(text for told in captions.values() for text in told),
        *(one.reason for one in checked.findings),
    ]
    with one_font(texts):
        tiles = [_tile(folder, file, captions.get(file, ()), by_file.get(file, []), checked.masks.get(file)) for file in files]
        return _page(title, _facts(checked, by_file), of_set, tiles)


def _rank(found: Sequence[Finding]) -> int:
    """0 with an error, 1 with a warning, 2 otherwise: notes are no reason to look."""
    return min((LEVELS.index(one.level) for one in found), default=2)


def _facts(checked: Checked, by_file: Mapping[str, Sequence[Finding]]) -> str:
    files = checked.listing.files
    ranks = [_rank(by_file.get(file, [])) for file in files]
    parts = [counted(len(files), "picture"), f"{ranks.count(0):,} with errors", f"{ranks.count(1):,} with warnings"]
    parts += [f"{len(checked.masks):,} with a mask, where what is veiled does not count"] if checked.masks else []
    return ", ".join(parts)


def _tile(folder: Path, file: str, captions: Sequence[str], found: Sequence[Finding], mask: Mask | None) -> _Tile:
    try:
        picture = pictures.load(folder / file, "white")
        picture.thumbnail((PICTURE_PX, PICTURE_PX))
        picture = picture if mask is None else _veiled(picture, folder.parent / mask.path)
    except pictures.PictureError:
        picture = None
    told = " / ".join(captions)
    texts = [(TEXT, NAME_PX, _lines(file, NAME_PX, 2)), *([(QUIET, SMALL_PX, _lines(told, SMALL_PX, CAPTION_LINES))] if told else [])]
    if mask is not None:
        texts.append((TEXT, SMALL_PX, [f"mask: {mask.share:.0%} counts"]))
    for one in found[:FINDINGS_SHOWN]:
        texts.append((COLOURS[one.level], SMALL_PX, _lines(f"{one.level}: {one.reason}", SMALL_PX, REASON_LINES)))
    if len(found) > FINDINGS_SHOWN:
        texts.append((QUIET, SMALL_PX, [f"and {len(found) - FINDINGS_SHOWN} more"]))
    rank = _rank(found)
    return _Tile(picture, LEVELS[rank] if rank < 2 else None, tuple(texts))


def _veiled(picture: Image.Image, mask: Path) -> Image.Image:
    """A picture as it counts: where the mask is black, hardly to be seen."""
    veil = Image.blend(picture, Image.new("RGB", picture.size, VEIL), VEIL_SHARE)
    return Image.composite(picture, veil, masks.sized(masks.load(mask), picture.size))


def _lines(text: str, size_px: int, most: int) -> list[str]:
    """A text in the width of a picture, cut after so many lines."""
    lines = wrap(text, size_px, PICTURE_PX)
    if len(lines) <= most:
        return lines
    last = lines[most - 1]
    while last and width_px(f"{last}...", size_px) > PICTURE_PX:
        last = last[:-1]
    return [*lines[: most - 1], f"{last}..."]


def _page(title: str, facts: str, of_set: Sequence[Finding], tiles: Sequence[_Tile]) -> Image.Image:
    width = COLUMNS * (PICTURE_PX + GAP_PX) - GAP_PX
    heading = [
        (TEXT, TITLE_PX, wrap(title, TITLE_PX, width)),
        (QUIET, NAME_PX, [facts]),
        *((COLOURS[one.level], NAME_PX, wrap(f"{one.level}: {one.file or ''} {one.reason}", NAME_PX, width)) for one in of_set),
    ]
    rows = [tiles[first : first + COLUMNS] for first in range(0, len(tiles), COLUMNS)]
    top = MARGIN_PX + round(sum(len(lines) * size * LINE_HEIGHT + 4 for _, size, lines in heading)) + GAP_PX
    heights = [max(tile.height for tile in row) + GAP_PX for row in rows]
    page = Image.new("RGB", (width + 2 * MARGIN_PX, top + sum(heights) + MARGIN_PX), PAPER)
    pen = ImageDraw.Draw(page)
    y: float = MARGIN_PX
    for colour, size, lines in heading:
        y = write(pen, (MARGIN_PX, y), lines, size, colour) + 4
    for row, at in zip(rows, (top + sum(heights[:number]) for number in range(len(rows))), strict=True):
        for column, tile in enumerate(row):
            _place(page, pen, (MARGIN_PX + column * (PICTURE_PX + GAP_PX), at), tile)
    return page


def _place(page: Image.Image, pen: ImageDraw.ImageDraw, at: tuple[int, int], tile: _Tile) -> None:
    x, y = at
    box = (x - 1, y - 1, x + PICTURE_PX, y + PICTURE_PX)
    pen.rectangle(box, fill=EMPTY if tile.picture is None else PAPER, outline=RULE)
    if tile.picture is None:
        write(pen, (x + (PICTURE_PX - width_px("not readable", SMALL_PX)) / 2, y + PICTURE_PX / 2 - 8), ["not readable"], SMALL_PX, QUIET)
    else:
        page.paste(tile.picture, (x + (PICTURE_PX - tile.picture.width) // 2, y + (PICTURE_PX - tile.picture.height) // 2))
    if tile.level is not None:
        for grow in (1, 2, 3):
            pen.rectangle((box[0] - grow, box[1] - grow, box[2] + grow, box[3] + grow), outline=COLOURS[tile.level])
    below: float = y + PICTURE_PX + 10
    for colour, size, lines in tile.texts:
        below = write(pen, (x, below), lines, size, colour) + 3
