"""Which pictures show the same thing, so that the check can say so and the hold-out cannot leak.

Looks go in; pairs and groups of files come out. Two pictures are alike when their pixels are equal, or when their difference hashes are
close and no cell of their thumbnails differs much; the second test tells flat stickers on a white ground apart, whose hashes are nearly
empty. Mirrored pictures count as well, because training mirrors pictures too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from decal.pictures import THUMBNAIL_PX, Look, dhash

# Measured on 65 flat icons of 256 px: copies as JPEG, at half, double and a third of the size, 5 % darker or 10 % paler differ in at most 3
# bits and by 35 in the worst cell; the nearest two different faces differ by 65 there, but only in 2 bits, so the cells decide.
MAX_BITS = 10
MAX_CELL_DIFFERENCE = 40
# A thumbnail without contrast shows nothing to compare, for instance a white drawing on the white ground.
MIN_CONTRAST = 12


@dataclass(frozen=True)
class Pair:
    """Two files that look the same. first < second; bits: of 64 in which the hashes differ, 0 with is_exact for equal pixels."""

    first: str
    second: str
    bits: int
    is_exact: bool
    is_mirrored: bool


def pairs(looks: Mapping[str, Look]) -> list[Pair]:
    """Every later file with the first file that it looks like, in the order of their names."""
    firsts = leaders(looks)
    found = [Pair(first, file, bits=0, is_exact=True, is_mirrored=False) for file, first in firsts.items() if file != first]
    files = sorted(set(firsts.values()))
    for match in _matches([looks[file] for file in files]):
        first = int(match.firsts[0])
        bits = (match.hash ^ looks[files[first]].dhash).bit_count()
        found.append(Pair(files[first], files[match.second], bits, is_exact=False, is_mirrored=match.is_mirrored))
    by_second: dict[str, Pair] = {}
    for pair in sorted(found, key=lambda pair: (pair.second, pair.is_mirrored)):
        by_second.setdefault(pair.second, pair)
    return list(by_second.values())


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
    """One picture and all earlier ones that it looks like. hash: its own, mirrored where that is what is alike."""

    second: int
    firsts: NDArray[np.intp]
    hash: int
    is_mirrored: bool


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
            for known, wanted in ((coarse, _means(shown[None]).reshape(-1)), (fine, shown.reshape(-1))):
                firsts = firsts[np.abs(known[firsts] - wanted).max(axis=1, initial=0) <= MAX_CELL_DIFFERENCE]
            if firsts.size:
                yield _Match(second, firsts, own, is_mirrored)


def _means(thumbnails: NDArray[np.int16]) -> NDArray[np.int16]:
    """Means, rounded down, [N, 8, 9, 3] of the 2 x 2 cells of thumbnails [N, 16, 18, 3]."""
    cells = thumbnails.reshape(-1, thumbnails.shape[1] // 2, 2, thumbnails.shape[2] // 2, 2, 3)
    return np.asarray(cells.mean(axis=(2, 4)), np.int16)
