"""Sheets to look at: rows of pictures with a word before each row and one above each column."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from decal import lettering

SIDE_PX = 128  # so that pictures of 64 and of 128 px stay sharp
GAP_PX = 4
TEXT_PX = 12
LEFT_PX = 150
MARGIN_PX = 12


@dataclass(frozen=True)
class Row:
    """A row of a sheet: pictures uint8 [N, S, S, 3] of any size, with words above each where heads are given."""

    name: str
    pixels: NDArray[np.uint8]
    heads: Sequence[str] = ()


def write(path: Path, title: str, rows: Sequence[Row]) -> None:
    """Draw a sheet and write it as PNG."""
    columns = max(len(row.pixels) for row in rows)
    heads = [[lettering.wrap(head, TEXT_PX, SIDE_PX) for head in row.heads] for row in rows]
    heights = [_height(max((len(lines) for lines in above), default=0)) for above in heads]
    width = 2 * MARGIN_PX + LEFT_PX + columns * (SIDE_PX + GAP_PX)
    top = MARGIN_PX + _height(2)
    page = Image.new("RGB", (width, top + sum(heights) + len(rows) * (SIDE_PX + GAP_PX) + MARGIN_PX), "#e8e8e8")
    pen = ImageDraw.Draw(page)
    lettering.write(pen, (MARGIN_PX, MARGIN_PX), [title], TEXT_PX + 3, "black")
    for row, above, height in zip(rows, heads, heights, strict=True):
        names = lettering.wrap(row.name, TEXT_PX, LEFT_PX - MARGIN_PX)
        lettering.write(pen, (MARGIN_PX, top + height + SIDE_PX / 2 - _height(len(names)) / 2), names, TEXT_PX, "black")
        for place, pixels in enumerate(row.pixels):
            left = MARGIN_PX + LEFT_PX + place * (SIDE_PX + GAP_PX)
            if above:
                lettering.write(pen, (left, top), above[place], TEXT_PX, "black")
            page.paste(Image.fromarray(pixels).resize((SIDE_PX, SIDE_PX), Image.Resampling.NEAREST), (left, top + height))
        top += height + SIDE_PX + GAP_PX
    path.parent.mkdir(parents=True, exist_ok=True)
    page.save(path)


def _height(lines: int) -> int:
    return round(lines * TEXT_PX * lettering.LINE_HEIGHT) + (GAP_PX if lines else 0)
