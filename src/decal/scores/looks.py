"""Pictures as numbers: vectors from an embedder, and what can be counted in the pixels without one.

Pixels and vectors come in, `Looks` go out: the only thing that measures look at. What is counted here needs no weights: a histogram of
colours and edges, and four numbers of tone and sharpness. Pictures that are compared must have the same size in px, because edges depend
on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Numbers = NDArray[np.float64]

COLOUR_LEVELS = 6
EDGE_BINS = 16
HISTOGRAM_WIDTH = COLOUR_LEVELS**3 + EDGE_BINS + 1
# Luma of Rec. 601, as Pillow's "L".
LUMA = (0.299, 0.587, 0.114)
DARK = 0.25
"""Luma below which a pixel counts as dark: outlines, mostly."""
GROUND_TOLERANCE = 8 / 255
"""A pixel whose channels all lie this near to the middle colour of the border belongs to the ground."""
TONES = ("contrast", "chroma", "clipping", "sharpness")


@dataclass(frozen=True)
class Looks:
    """What was seen in pictures; leading axes are N, or P prompts x S seeds. A row of NaN stands for a picture that is not there.

    content, style: [..., C], [..., D], as an embedder gives them, rows of length 1. histogram: [..., 233]. tone: [..., 4], see `TONES`.
    """

    content: Numbers
    style: Numbers
    histogram: Numbers
    tone: Numbers

    @property
    def is_there(self) -> NDArray[np.bool_]:
        """Which pictures can be measured, [...]."""
        fields = (self.content, self.style, self.histogram, self.tone)
        return np.asarray(np.logical_and.reduce([np.isfinite(field).all(axis=-1) for field in fields]), np.bool_)

    def __len__(self) -> int:
        return len(self.content)

    def rows(self, keep: NDArray[np.bool_] | NDArray[np.intp] | tuple[NDArray[np.intp], ...] | slice) -> "Looks":
        """Some of the pictures, by index or mask over the leading axes."""
        return Looks(self.content[keep], self.style[keep], self.histogram[keep], self.tone[keep])


def look(pictures: Sequence[Pixels | None], content: NDArray[np.floating], style: NDArray[np.floating]) -> Looks:
    """What is seen in N pictures, with their vectors from an embedder.

    pictures: [H, W, 3], 0..255, all of one size; None for one that cannot be used, whose vectors are then ignored.
    """
    is_good = np.array([picture is not None for picture in pictures], bool)
    gone = np.where(is_good, 0.0, np.nan)[:, None]
    histograms = [np.full(HISTOGRAM_WIDTH, np.nan) if picture is None else histogram(picture) for picture in pictures]
    tones = [np.full(len(TONES), np.nan) if picture is None else tone(picture) for picture in pictures]
    return Looks(
        np.asarray(content, np.float64) + gone,
        np.asarray(style, np.float64) + gone,
        np.array(histograms).reshape(-1, HISTOGRAM_WIDTH),
        np.array(tones).reshape(-1, len(TONES)),
    )


def lay_out(looks: Looks, places: Sequence[tuple[int, int]], prompts: int, seeds: int) -> Looks:
    """The looks of N pictures on a table of prompts x seeds, [P, S, ...]; NaN where there is none.

    places: (index of the prompt, index of the seed) of each picture.
    """
    rows, columns = (np.array([place[axis] for place in places], np.intp) for axis in (0, 1))

    def spread(values: Numbers) -> Numbers:
        table = np.full((prompts, seeds, values.shape[-1]), np.nan)
        table[rows, columns] = values
        return table

    return Looks(spread(looks.content), spread(looks.style), spread(looks.histogram), spread(looks.tone))


def join(first: Looks, *others: Looks) -> Looks:
    """All the pictures in one row; each is [N, ...]."""
    every = (first, *others)
    return Looks(
        np.concatenate([looks.content for looks in every]),
        np.concatenate([looks.style for looks in every]),
        np.concatenate([looks.histogram for looks in every]),
        np.concatenate([looks.tone for looks in every]),
    )


def histogram(picture: Pixels) -> Numbers:
    """Which colours and edges a picture has, [233], length 1: 6 x 6 x 6 colours, 16 strengths of edges, the share of dark pixels.

    Shares enter by their square roots, so that a large white ground does not drown the rest.
    """
    levels = np.minimum(picture.astype(np.int64) * COLOUR_LEVELS // 256, COLOUR_LEVELS - 1)
    bins = (levels[..., 0] * COLOUR_LEVELS + levels[..., 1]) * COLOUR_LEVELS + levels[..., 2]
    colours = np.bincount(bins.ravel(), minlength=COLOUR_LEVELS**3) / bins.size
    grey = _luma(picture)
    strength = np.hypot(np.diff(grey, axis=0)[:, :-1], np.diff(grey, axis=1)[:-1])
    # Edges are rare and mostly weak; on a root scale each bin gets its share of them.
    places = np.minimum((np.sqrt(strength / np.sqrt(2)) * EDGE_BINS).astype(np.int64), EDGE_BINS - 1)
    edges = np.bincount(places.ravel(), minlength=EDGE_BINS) / places.size
    vector = np.concatenate([np.sqrt(colours), np.sqrt(edges), [(grey < DARK).mean()]])
    return np.asarray(vector / np.linalg.norm(vector), np.float64)


def tone(picture: Pixels) -> Numbers:
    """Contrast, chroma, clipping and sharpness of a picture, [4].

    contrast: RMS of the luma, 0..0.5. chroma: 95 % quantile of the largest less the smallest channel of what is not ground, 0..1.
    clipping: share of what is not ground that has a channel at its end, 0..1. sharpness: log10 of the variance of the Laplacian.
    """
    grey = _luma(picture)
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    ground = np.median(border, axis=0) / 255
    shown = picture / 255
    figure = picture[(np.abs(shown - ground) > GROUND_TOLERANCE).any(axis=-1)]
    chroma, clipping = 0.0, 0.0
    if len(figure):
        low, high = figure.min(axis=-1), figure.max(axis=-1)
        chroma = float(np.quantile((high.astype(np.int64) - low) / 255, 0.95))
        clipping = float(((low == 0) | (high == 255)).mean())
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    # A picture of one colour has no edges; the floor is far below any other and keeps the logarithm finite.
    return np.array([grey.std(), chroma, clipping, np.log10(laplacian.var() + 1e-8)])


def _luma(picture: Pixels) -> Numbers:
    return np.asarray(picture @ np.array(LUMA) / 255, np.float64)
