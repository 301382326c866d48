"""Which pictures show the same thing, so that the check can say so and the hold-out cannot leak.

Looks go in; pairs and groups of files come out. Two pictures are alike when their pixels are equal, or when their difference hashes are
close and no cell of their thumbnails differs much; the second test tells flat stickers on a white ground apart, whose hashes are nearly
empty. Mirrored pictures count as well, because training mirrors pictures too. Groups, which keep the hold-out apart, end here; pairs, which
a person is told of, are compared once more in larger pictures, where two faces that differ in the mouth are two faces.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from decal import pictures
from decal.pictures import THUMBNAIL_PX, Look, dhash

# Measured on 65 flat icons of 256 px: copies as JPEG, at half, double and a third of the size, 5 % darker or 10 % paler differ in at most 3
# bits and by 35 in the worst cell; the nearest two different faces differ by 65 there, but only in 2 bits, so the cells decide.
MAX_BITS = 10
MAX_CELL_DIFFERENCE = 40
# A thumbnail without contrast shows nothing to compare, for instance a white drawing on the white ground.
MIN_CONTRAST = 12
# The second comparison. On 2,600 emoji of eight development sets, two that differ in the mouth or the eyes reach 58 to 171 here; copies as
# JPEG, smaller, blurred, in 64 colours, paler or warmer at most 33, and real mirror images mostly less than 45 (LOG.md, 2026-11-26).
CLOSE_UP_PX = 64
CLOSE_UP_CELL_PX = 3
MAX_CLOSE_UP_DIFFERENCE = 50
# In a set of a thousand clock faces every one resembles hundreds; each comparison takes 2 ms.
MOST_COMPARED = 4

CloseUp = NDArray[np.float32]
"""[CLOSE_UP_PX, CLOSE_UP_PX, 3], 0..255."""


@dataclass(frozen=True)
class Pair:
    """Two files that look the same. first < second; bits: of 64 in which the hashes differ, 0 with is_exact for equal pixels."""

    first: str
    second: str
    bits: int
    is_exact: bool
    is_mirrored: bool


def pairs(looks: Mapping[str, Look], close_up: Callable[[str], CloseUp]) -> list[Pair]:
    """Every later file with the first file that it looks like, in the order of their names.

    close_up: a picture by its file, on white; asked for only where two look alike.
    """
    firsts = leaders(looks)
    found = [Pair(first, file, bits=0, is_exact=True, is_mirrored=False) for file, first in firsts.items() if file != first]
    files = sorted(set(firsts.values()))
    for match in _matches([looks[file] for file in files]):
        second = close_up(files[match.second])
        shown = second[:, ::-1] if match.is_mirrored else second
        for first in match.nearest():
            if _is_same(close_up(files[first]), shown):
                bits = (match.hash ^ looks[files[first]].dhash).bit_count()
                found.append(Pair(files[first], files[match.second], bits, is_exact=False, is_mirrored=match.is_mirrored))
                break
    by_second: dict[str, Pair] = {}
    for pair in sorted(found, key=lambda pair: (pair.second, pair.is_mirrored)):
        by_second.setdefault(pair.second, pair)
    return list(by_second.values())


def copies(originals: Mapping[str, Look], others: Mapping[str, Look], close_up: Callable[[str], CloseUp]) -> set[str]:
    """Those of the others that look like an original, as a copy that was made smaller or saved anew does. close_up: as for `pairs`."""
    return {
        file
        for file, look in others.items()
        for original, its in originals.items()
        if (look.dhash ^ its.dhash).bit_count() <= MAX_BITS and _is_same(close_up(original), close_up(file))
    }


def close_ups(folder: Path) -> Callable[[str], CloseUp]:
    """Opens the pictures of a folder for `pairs`, and remembers the last few hundred. Raises PictureError for one that is gone."""

    @lru_cache(maxsize=256)
    def opened(file: str) -> CloseUp:
        picture = pictures.load(folder / file, "white").resize((CLOSE_UP_PX, CLOSE_UP_PX), Image.Resampling.BOX)
        return np.asarray(picture, np.float32)

    return opened


def groups(looks: Mapping[str, Look]) -> list[tuple[str, ...]]:
    """All files, each in one group with those that look the same, directly or through others; both levels are sorted."""
    firsts = leaders(looks)
    files = sorted(set(firsts.values()))
    group = np.arange(len(files))
    for match in _matches([looks[file] for file in files]):
        joined = np.append(group[match.firsts], group[match.second])
        group[np.isin(group, joined)] = joined.min()
    of_leader = dict(zip(files, group.tolist(), strict=True))
    members: dict[int, list[str]] = {}
    for file in sorted(looks):
        members.setdefault(of_leader[firsts[file]], []).append(file)
    return [tuple(same) for same in members.values()]


@dataclass(frozen=True)
class _Match:
    """One picture and all earlier ones that it looks like.

    differences: of each of those, in its worst cell. hash: its own, mirrored where that is what is alike.
    """

    second: int
    firsts: NDArray[np.intp]
    differences: NDArray[np.int16]
    hash: int
    is_mirrored: bool

    def nearest(self) -> list[int]:
        """Those of the earlier ones that are worth a second comparison, in their order."""
        return sorted(self.firsts[np.argsort(self.differences, kind="stable")[:MOST_COMPARED]].tolist())


def leaders(looks: Mapping[str, Look]) -> dict[str, str]:
    """Each file with the first file of the same pixels, itself where it is the first."""
    first_by_pixels: dict[str, str] = {}
    return {file: first_by_pixels.setdefault(looks[file].pixels_sha256, file) for file in sorted(looks)}


def _matches(looks: Sequence[Look]) -> Iterator[_Match]:
    """Every picture with the earlier ones that it looks like; a million comparisons take some milliseconds."""
    if len(looks) < 2:
        return
    width, height = THUMBNAIL_PX
    thumbnails = np.array([np.frombuffer(look.thumbnail, np.uint8) for look in looks], np.int16).reshape(-1, height, width, 3)
    hashes = np.array([look.dhash for look in looks], np.uint64)
    has_contrast = np.ptp(thumbnails, axis=(1, 2, 3)) >= MIN_CONTRAST
    # The means of 2 x 2 cells never differ more than the cells themselves, so they rule out most pairs at a fraction of the work.
    means = _means(thumbnails)
    fine, coarse = thumbnails.reshape(len(looks), -1), means.reshape(len(looks), -1)
    for second in np.flatnonzero(has_contrast).tolist():
        for is_mirrored in (False, True):
            shown = thumbnails[second, :, ::-1] if is_mirrored else thumbnails[second]
            own = dhash(shown.astype(np.uint8)) if is_mirrored else looks[second].dhash
            firsts = np.flatnonzero((np.bitwise_count(hashes[:second] ^ np.uint64(own)) <= MAX_BITS) & has_contrast[:second])
            differences = np.zeros(0, np.int16)
            for known, wanted in ((coarse, _means(shown[None]).reshape(-1)), (fine, shown.reshape(-1))):
                differences = np.abs(known[firsts] - wanted).max(axis=1, initial=0)
                firsts, differences = firsts[differences <= MAX_CELL_DIFFERENCE], differences[differences <= MAX_CELL_DIFFERENCE]
            if firsts.size:
                yield _Match(second, firsts, differences, own, is_mirrored)


def _means(thumbnails: NDArray[np.int16]) -> NDArray[np.int16]:
    """Means, rounded down, [N, 8, 9, 3] of the 2 x 2 cells of thumbnails [N, 16, 18, 3]."""
    cells = thumbnails.reshape(-1, thumbnails.shape[1] // 2, 2, thumbnails.shape[2] // 2, 2, 3)
    return np.asarray(cells.mean(axis=(2, 4)), np.int16)


def _is_same(one: CloseUp, other: CloseUp) -> bool:
    """Whether no part of two pictures differs much, once they lie on each other to the pixel and have the same brightness and contrast."""
    inside = slice(1, -1)
    # A shift of a pixel mends no more than this, and most pairs that are none need not be tried nine times.
    if _worst(one[inside, inside], other[inside, inside]) > 2 * MAX_CLOSE_UP_DIFFERENCE:
        return False
    shifts = [(0, 0), *((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right)]
    for down, right in shifts:
        moved = other[1 + down : CLOSE_UP_PX - 1 + down, 1 + right : CLOSE_UP_PX - 1 + right]
        if _worst(one[inside, inside], moved) <= MAX_CLOSE_UP_DIFFERENCE:
            return True
    return False


def _worst(one: CloseUp, other: CloseUp) -> float:
    """The largest difference of the means of all small squares, after other has been brought to the brightness and contrast of one."""
    spread = float(other.var())
    gain = float(((one - one.mean()) * (other - other.mean())).mean()) / spread if spread > 1 else 1.0
    difference = (one - one.mean()) - gain * (other - other.mean())
    sums = np.pad(difference, ((1, 0), (1, 0), (0, 0))).cumsum(axis=0).cumsum(axis=1)
    size = CLOSE_UP_CELL_PX
    squares = sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]
    return float(np.abs(squares).max()) / size**2
