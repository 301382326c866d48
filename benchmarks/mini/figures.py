"""The measures, in NumPy alone: from pictures or vectors to a number with its spread.

Concepts, not pictures, are what a base was given by chance, so every spread is a bootstrap over concepts: each statistic takes a weight
for each concept (how often the draw took it) and is worked out again for a thousand draws.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DRAWS = 1000
HALVES = 50
WHITE = 250  # of 255, in every channel
RIM_SHARE = 0.03  # of the side; the true pictures leave 0.06 free


@dataclass(frozen=True)
class Spread:
    """A number and the middle 95 % of its bootstrap."""

    value: float
    low: float
    high: float


def over_concepts(statistic: Callable[[Floats], float], concepts: int) -> Spread:
    """A statistic with its spread. statistic: from weights [concepts] to a number, NaN where a draw leaves it without a value."""
    rng = np.random.default_rng(0)
    draws = rng.multinomial(concepts, np.full(concepts, 1 / concepts), size=DRAWS)
    found = [statistic(draw.astype(np.float64)) for draw in draws]
    low, high = np.nanpercentile(found, (2.5, 97.5))
    return Spread(statistic(np.ones(concepts)), float(low), float(high))


def mean(values: NDArray[np.generic], concepts: NDArray[np.str_]) -> Spread:
    """The mean of a number for each picture. values, concepts: [N]."""
    names, place = np.unique(concepts, return_inverse=True)
    numbers = np.asarray(values, np.float64)
    return over_concepts(lambda weights: float(np.average(numbers, weights=weights[place])), len(names))


def ratio(values: NDArray[np.generic], ceiling: NDArray[np.generic], concepts: NDArray[np.str_]) -> Spread:
    """The mean of a number for each picture as a share of the mean of another one."""
    names, place = np.unique(concepts, return_inverse=True)
    above, below = np.asarray(values, np.float64), np.asarray(ceiling, np.float64)

    def share(weights: Floats) -> float:
        whole = float(weights[place] @ below)
        return float(weights[place] @ above) / whole if whole else float("nan")

    return over_concepts(share, len(names))


def nearest(queries: NDArray[np.float32], gallery: NDArray[np.float32], allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each query, the place of the allowed picture with the highest cosine. queries, gallery: unit rows; allowed: [Q, N]."""
    return np.asarray(np.where(allowed, queries @ gallery.T, -np.inf).argmax(axis=1), np.int64)


def psnr(true: NDArray[np.uint8], made: NDArray[np.uint8]) -> Floats:
    """Peak signal to noise ratio of each picture, in dB. true, made: [N, S, S, 3]."""
    error = ((true.astype(np.float64) - made) ** 2).mean(axis=(1, 2, 3))
    return np.asarray(10 * np.log10(255**2 / np.maximum(error, 1e-3)))


def clipped(pixels: NDArray[np.uint8]) -> Floats:
    """Share of each picture's pixels that are not white and have a channel at 0 or 255."""
    is_white = np.all(pixels >= WHITE, axis=-1)
    is_clipped = np.any((pixels == 0) | (pixels == 255), axis=-1)
    return np.asarray((is_clipped & ~is_white).mean(axis=(1, 2)))


def white_rim(pixels: NDArray[np.uint8]) -> Floats:
    """Share of each picture's outermost pixels that are white, where the true pictures show only their ground."""
    side = pixels.shape[1]
    width = max(1, round(RIM_SHARE * side))
    is_rim = np.ones((side, side), bool)
    is_rim[width:-width, width:-width] = False
    return np.asarray(np.all(pixels >= WHITE, axis=-1)[:, is_rim].mean(axis=1))


def nearest_distance(
    queries: NDArray[np.float32], gallery: NDArray[np.float32], forbidden: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The Euclidean distance of each query to the nearest picture of a gallery, and that picture's place. forbidden: [Q, N]."""
    squared = (queries**2).sum(axis=1)[:, None] + (gallery**2).sum(axis=1) - 2 * queries @ gallery.T
    if forbidden is not None:
        squared = np.where(forbidden, np.inf, squared)
    place = squared.argmin(axis=1)
    return np.sqrt(np.maximum(squared[np.arange(len(place)), place], 0)), place


class Gap:
    """How far sets of pictures are from the true pictures of the same concepts, as the squared MMD of their vectors.

    The kernel is Gaussian; its width is the median distance within and between the true pictures and those of the base, for every set.
    Unbiased: only pictures of different concepts are compared, so neither copies of a true picture nor a bootstrap's doubles count as near.
    Source: Gretton et al. 2012, JMLR 13: lemma 6 for the estimate from pairs, section 8 for the width.
    """

    def __init__(self, true: NDArray[np.float32], base: NDArray[np.float32]) -> None:
        both = np.concatenate([true, base])
        distances = _squared_distances(both, both)
        self._width = float(np.median(distances[~np.eye(len(both), dtype=bool)]))
        self._true = true

    def of(self, made: NDArray[np.float32]) -> Callable[[Floats], float]:
        """The distance of a set to the true pictures, as a statistic. made: [C, D], in the concepts' order."""
        between = self._kernel(self._true, made)
        terms = self._kernel(self._true, self._true) + self._kernel(made, made) - between - between.T
        return lambda weights: _over_pairs(terms, weights)

    def between_halves(self) -> float:
        """The distance between random halves of the true pictures: what is left of a gap that is closed."""
        rng, count = np.random.default_rng(0), len(self._true) // 2
        found = []
        for _ in range(HALVES):
            order = rng.permutation(len(self._true))
            one, other = self._true[order[:count]], self._true[order[count : 2 * count]]
            between = self._kernel(one, other)
            found.append(_over_pairs(self._kernel(one, one) + self._kernel(other, other) - between - between.T, np.ones(count)))
        return float(np.mean(found))

    def _kernel(self, one: NDArray[np.float32], other: NDArray[np.float32]) -> Floats:
        return np.asarray(np.exp(-_squared_distances(one, other) / self._width))


def _over_pairs(terms: Floats, weights: Floats) -> float:
    """The weighted mean over pairs of different rows."""
    pairs = np.outer(weights, weights)
    np.fill_diagonal(pairs, 0)
    return float((pairs * terms).sum() / pairs.sum())


def _squared_distances(one: NDArray[np.float32], other: NDArray[np.float32]) -> Floats:
    first, second = one.astype(np.float64), other.astype(np.float64)
    squared = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2 * first @ second.T
    return np.asarray(np.maximum(squared, 0))
