"""How well a picture is made, as numbers: how sharp, how much contrast, how its cut-out edges are.

Pixels go in, numbers come out; what is too much is for `checks` to say. Everything is counted in histograms and shifted copies, because
all pictures of a set are measured while they are decoded, at a few milliseconds each.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

# Edges are looked for in pictures of at most this size; a larger one is reduced first.
MEASURED_PX = 1024
# The steepest of all places decide how sharp a picture is, so that soft shading and a ground out of focus do not.
STEEP_SHARE = 0.001
# What an edge joins is looked for so far apart, in px; wider edges than that cannot be told from shading.
REACH_PX = 16
# Colours that cover less than this share of a picture are no part of its contrast.
RARE_SHARE = 0.005
# Pixels that the alpha leaves neither clear nor opaque.
SOFT = (32, 224)
# How far from a soft pixel its object is looked for, in px.
INSIDE_PX = 1


@dataclass(frozen=True)
class CutOut:
    """The edge of a picture with transparency.

    steps: places where the outline goes around a corner of a pixel. soft: half transparent pixels. An outline that is not straight has at
    least as many soft pixels as steps where it is smooth, and none where it is jagged. fringe: by how many levels of 255 soft pixels are
    lighter than the object beside them; below 0 where they are darker.
    """

    steps: int
    soft: int
    fringe: float


def edge_px(picture: Image.Image) -> float | None:
    """How many px the sharpest edges of a picture are wide, at its own size; None where there is nothing that could be an edge.

    The largest differences of places 16 px apart over those of neighbours. A step is 1 px wide, a smooth drawn edge 1 to 2.5, and a blur of
    deviation s makes it 2.5 s.
    """
    grey = picture.convert("L")
    factor = -(-max(grey.size) // MEASURED_PX)
    grey = grey.reduce(factor) if factor > 1 else grey
    if min(grey.size) <= REACH_PX:
        return None
    near, far = (max(_steep(grey, (distance, 0)), _steep(grey, (0, distance))) for distance in (1, REACH_PX))
    return factor * far / near if near else None


def contrast(picture: Image.Image) -> int:
    """The range of levels, 0..255, in the channel of an RGB picture that has the largest; the rarest 0.5 % at either end left out."""
    counts = np.array(picture.histogram(), np.int64).reshape(3, 256).cumsum(axis=1)
    few = RARE_SHARE * counts[0, -1]
    low, high = (counts > few).argmax(axis=1), (counts >= counts[:, -1:] - few).argmax(axis=1)
    return int((high - low).max())


def cut_out(rgb: Image.Image, alpha: Image.Image) -> CutOut:
    """The edge between what is opaque and what is transparent."""
    clear = np.asarray(alpha)
    solid = clear >= 128
    corners = solid[:-1, :-1].view(np.uint8) + solid[:-1, 1:] + solid[1:, :-1] + solid[1:, 1:]
    is_soft = (clear >= SOFT[0]) & (clear < SOFT[1])
    rows, columns = np.nonzero(is_soft)
    steps = int(np.count_nonzero((corners == 1) | (corners == 3)))
    return CutOut(steps, len(rows), _fringe(np.asarray(rgb), clear, rows, columns))


def _steep(grey: Image.Image, shift: tuple[int, int]) -> int:
    """The difference that the steepest 0.1 % of the places at this distance reach."""
    (right, down), (width, height) = shift, grey.size
    differences = ImageChops.difference(grey.crop((0, 0, width - right, height - down)), grey.crop((right, down, width, height)))
    above = np.array(differences.histogram(), np.int64)[::-1].cumsum()
    return 255 - int((above >= max(1, STEEP_SHARE * above[-1])).argmax())


def _fringe(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8], rows: NDArray[np.intp], columns: NDArray[np.intp]) -> float:
    """The median, over soft pixels with something opaque near them, of how much lighter they are than that."""
    if not len(rows):
        return 0.0
    # A few thousand places say as much as all.
    every = -(-len(rows) // 4096)
    rows, columns = rows[::every], columns[::every]
    inside, found = np.zeros((len(rows), 3)), np.zeros(len(rows))
    for down in (-INSIDE_PX, 0, INSIDE_PX):
        for right in (-INSIDE_PX, 0, INSIDE_PX):
            y, x = np.clip(rows + down, 0, alpha.shape[0] - 1), np.clip(columns + right, 0, alpha.shape[1] - 1)
            is_opaque = alpha[y, x] == 255
            inside += rgb[y, x] * is_opaque[:, None]
            found += is_opaque
    there = found > 0
    if not there.any():
        return 0.0
    difference = rgb[rows, columns][there] - inside[there] / found[there, None]
    return float(np.median(difference.mean(axis=1)))
