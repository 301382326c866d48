"""Whether one picture is a part of another: a crop, a picture moved or made smaller on its ground, a screenshot with a margin.

Hashes of whole pictures cannot say so. Here the smaller part is laid over the larger picture at every place and at a few sizes, and what
counts is how well both agree there; so two pictures have to be likely before they are worth the comparison.
"""

import numpy as np
from numpy.typing import NDArray

SIDE_PX = 48
# Shares of the sides, across and down, that a part may have. A part of less than half of the sides is another picture.
SHARES = (0.94, 0.88, 0.81, 0.75, 0.69, 0.63, 0.56)
# Around the best of them, others are tried so far apart, and then again around the best of those.
FINER = (0.03, 0.02)
MAX_STRETCH = 0.3
EDGE = SIDE_PX // 7
# Chosen on 160 crops of emoji of four development sets and on the 1,900 likest pairs of others there; LOG.md, 2026-11-26.
MIN_AGREEMENT = 0.93
MIN_GAIN = 0.12
# Thin lines agree less when they are made smaller; but two pictures that lie on each other so badly and yet agree are one.
MIN_AGREEMENT_OF_LINES = 0.905
MIN_GAIN_OF_LINES = 0.5

Pixels = NDArray[np.float32]
"""[SIDE_PX, SIDE_PX, 3], 0..255."""


def is_part(one: Pixels, other: Pixels) -> bool:
    """Whether one of two pictures is a part of the other, or the same moved on its ground.

    They must agree better somewhere else than as they lie: two drawings of one series agree best as they lie.
    """
    found = agreement(one, other)
    gain = found - _correlation(one, other)
    return (found >= MIN_AGREEMENT and gain >= MIN_GAIN) or (found >= MIN_AGREEMENT_OF_LINES and gain >= MIN_GAIN_OF_LINES)


def agreement(one: Pixels, other: Pixels) -> float:
    """How well one of two pictures agrees with a part of the other, -1..1; the correlation of their pixels at the best place and size."""
    best, wholes = (-1.0, 0, 1.0, 1.0), (_Whole(one), _Whole(other))
    parts = (other, one)
    for number in (0, 1):
        # A picture that was moved on its ground holds the middle of the other, but not the whole of it.
        best = max(best, (wholes[number].holds(parts[number][EDGE:-EDGE, EDGE:-EDGE]), -1, 1.0, 1.0))
        for down in SHARES:
            for across in SHARES:
                # Parts with quite other proportions are no crops.
                if abs(np.log(down / across)) < MAX_STRETCH:
                    best = max(best, (_held(wholes[number], parts[number], down, across), number, down, across))
    for step in FINER:
        _, number, down, across = best
        if number < 0:
            break
        finer = [(down + one, across + two) for one in (-step, 0, step) for two in (-step, 0, step) if max(down + one, across + two) < 1]
        best = max([best, *((_held(wholes[number], parts[number], *shares), number, *shares) for shares in finer)])
    return best[0]


def _correlation(one: Pixels, other: Pixels) -> float:
    a, b = one - one.mean(), other - other.mean()
    scale = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / scale) if scale > 0 else -1.0


class _Whole:
    """A picture that may hold another, with what can be reckoned in advance."""

    def __init__(self, picture: Pixels):
        self._spectrum = np.fft.rfft2(picture, axes=(0, 1))
        self._sums, self._squares = _table(picture.sum(axis=2)), _table((picture**2).sum(axis=2))

    def holds(self, part: Pixels) -> float:
        """The highest correlation of a part with equally large windows, by the correlation theorem and tables of sums."""
        height, width = part.shape[:2]
        centred = part - part.mean()
        norm = float((centred**2).sum())
        if norm <= 0:
            return -1.0
        size = (SIDE_PX, SIDE_PX)
        product = np.fft.irfft2(self._spectrum * np.conj(np.fft.rfft2(centred, size, axes=(0, 1))), size, axes=(0, 1))
        product = product.sum(axis=2)[: SIDE_PX - height + 1, : SIDE_PX - width + 1]
        variance = _windows(self._squares, height, width) - _windows(self._sums, height, width) ** 2 / (height * width * 3)
        # A flat window agrees with nothing.
        return float((product / np.sqrt(norm * np.maximum(variance, 1e-3 * norm))).max())


def _held(whole: _Whole, part: Pixels, down: float, across: float) -> float:
    return whole.holds(_shrunk(part, round(down * SIDE_PX), round(across * SIDE_PX)))


def _table(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Sums of all values above and to the left, with a row and a column of zeros in front."""
    return np.pad(values.astype(np.float64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))


def _windows(table: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    return table[height:, width:] - table[:-height, width:] - table[height:, :-width] + table[:-height, :-width]


def _shrunk(picture: Pixels, height: int, width: int) -> Pixels:
    """The picture at another size, each new pixel the mean of the old ones that it covers."""
    return np.asarray(np.einsum("yi,ijc,xj->yxc", _cover(height), picture, _cover(width), optimize=True), np.float32)


def _cover(size: int) -> Pixels:
    """[size, SIDE_PX]: which share each old row has in each new one."""
    edges = np.arange(size + 1) * SIDE_PX / size
    low, high = np.maximum(edges[:-1, None], np.arange(SIDE_PX)), np.minimum(edges[1:, None], np.arange(1, SIDE_PX + 1))
    return np.asarray(np.maximum(0, high - low) * size / SIDE_PX, np.float32)
