"""Which pictures show the same thing, so that the check can say so and the hold-out cannot leak.

Looks go in; pairs and groups of files come out. Two pictures are alike when their pixels are equal, or when their difference hashes are
close and no cell of their thumbnails differs much; the second test tells flat stickers on a white ground apart, whose hashes are nearly
empty. Mirrored pictures count as well, because training mirrors pictures too.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from decal.pictures import THUMBNAIL_PX, Look, dhash

# Both measured on 30 flat icons, their nearest pairs and their copies (resized, JPEG, brighter); LOG.md, "Near duplicates".
MAX_BITS = 10
MAX_CELL_DIFFERENCE = 40
# A thumbnail without contrast shows nothing to compare, for instance a white drawing on the white ground.
MIN_CONTRAST = 12
# Rows of the comparison held at a time: 512 x 100,000 distances are 50 MB.
BLOCK = 512


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
    first_by_pixels: dict[str, str] = {}
    found: list[Pair] = []
    for file in sorted(looks):
        first = first_by_pixels.setdefault(looks[file].pixels_sha256, file)
        if first != file:
            found.append(Pair(first, file, bits=0, is_exact=True, is_mirrored=False))
    distinct = sorted(first_by_pixels.values())
    found += _near([(file, looks[file]) for file in distinct])
    return sorted(found, key=lambda pair: (pair.second, pair.first))


def groups(looks: Mapping[str, Look]) -> list[tuple[str, ...]]:
    """All files, each in one group with those that look the same, directly or through others; both levels are sorted."""
    leader = {file: file for file in looks}

    def find(file: str) -> str:
        while leader[file] != file:
            leader[file] = leader[leader[file]]
            file = leader[file]
        return file

    for pair in pairs(looks):
        first, second = sorted((find(pair.first), find(pair.second)))
        leader[second] = first
    members: dict[str, list[str]] = {}
    for file in sorted(looks):
        members.setdefault(find(file), []).append(file)
    return [tuple(files) for files in members.values()]


def _near(distinct: list[tuple[str, Look]]) -> list[Pair]:
    """Near pairs among pictures of different pixels: each picture with the first earlier one that it looks like."""
    if len(distinct) < 2:
        return []
    width, height = THUMBNAIL_PX
    thumbnails = np.stack([np.frombuffer(look.thumbnail, np.uint8).reshape(height, width, 3) for _, look in distinct])
    mirrored = thumbnails[:, :, ::-1]
    contrast = np.ptp(thumbnails.reshape(len(distinct), -1), axis=1)
    hashes = np.array([look.dhash for _, look in distinct], np.uint64)
    mirrored_hashes = np.array([dhash(thumbnail) for thumbnail in mirrored], np.uint64)
    found: dict[int, Pair] = {}
    for start in range(0, len(distinct), BLOCK):
        block = slice(start, start + BLOCK)
        for is_mirrored, others, shown in ((False, hashes, thumbnails), (True, mirrored_hashes, mirrored)):
            for second, first, bits in _close(hashes[block], others, start):
                is_told = second in found and not found[second].is_mirrored
                if is_told or min(contrast[first], contrast[second]) < MIN_CONTRAST:
                    continue
                if _largest_difference(thumbnails[second], shown[first]) <= MAX_CELL_DIFFERENCE:
                    found.setdefault(second, Pair(distinct[first][0], distinct[second][0], bits, is_exact=False, is_mirrored=is_mirrored))
    return list(found.values())


def _close(block: NDArray[np.uint64], others: NDArray[np.uint64], start: int) -> list[tuple[int, int, int]]:
    """(second, first, bits) of every hash in the block, whose places begin at start, with each earlier one that is close."""
    bits = np.bitwise_count(block[:, None] ^ others[None, : start + len(block)])
    seconds, firsts = np.nonzero(bits <= MAX_BITS)
    return [
        (start + int(second), int(first), int(bits[second, first]))
        for second, first in zip(seconds, firsts, strict=True)
        if first < start + second
    ]


def _largest_difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> int:
    return int(np.abs(one.astype(np.int16) - other.astype(np.int16)).max())
