"""The true pictures: what a base was taught on, the development style, and the test styles.

In: the folder that `recipes/mini/data.py` writes. Out: galleries of plain pictures (their own colours, one of a kind), which carry the
concept and the style of each. A base is measured at its own size, so galleries can be made smaller.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from concepts import CONCEPTS
from data import read_rows
from numpy.typing import NDArray
from packs import Pack
from PIL import Image

from mini import styles

NAMES = {concept.slug: concept.names[0] for concept in CONCEPTS}


@dataclass(frozen=True)
class Gallery:
    """Pictures with what they show. pixels: uint8 [N, S, S, 3]; concepts, styles: a word for each picture."""

    pixels: NDArray[np.uint8]
    concepts: NDArray[np.str_]
    styles: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.pixels)

    def only(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> "Gallery":
        """Those of a mask, or those at these places in their order."""
        return Gallery(self.pixels[which], self.concepts[which], self.styles[which])

    def of(self, concepts: Sequence[str]) -> "Gallery":
        """The pictures of these concepts."""
        return self.only(np.isin(self.concepts, concepts))

    def at(self, side_px: int) -> "Gallery":
        """The same pictures at another size."""
        if self.pixels.shape[1] == side_px:
            return self
        # The recipe makes small pictures by averaging too.
        how = Image.Resampling.BOX if side_px < self.pixels.shape[1] else Image.Resampling.LANCZOS
        resized = [np.asarray(Image.fromarray(one).resize((side_px, side_px), how)) for one in self.pixels]
        return dataclasses.replace(self, pixels=np.stack(resized))


def taught(data: Path) -> Gallery:
    """The plain pictures of the base's own seven styles."""
    return _read(data / "pictures.npy", data / "rows.jsonl")


def development(data: Path) -> Gallery:
    """The pictures of the development style."""
    return _read(data / "development.npy", data / "development.jsonl")


def unseen(style: Pack, size_px: int) -> Gallery:
    """The pictures of a test style."""
    drawn = styles.draw(style, size_px)
    return Gallery(np.stack(list(drawn.values())), np.array(list(drawn)), np.full(len(drawn), style.style))


def _read(array: Path, lines: Path) -> Gallery:
    plain = [row for row in read_rows(lines) if row.sort == "plain"]
    pixels = np.load(array, mmap_mode="r")[[row.index for row in plain]]
    return Gallery(pixels, np.array([row.concept for row in plain]), np.array([row.style for row in plain]))
