"""Which posts nearly repeat an earlier one, so that the same words never stand on both sides of a split.

Each post is a set of pairs of neighbouring words. The smallest hashes of the set, in several orders, bring likely pairs together (Broder
1997, "On the resemblance and containment of documents"), and only those are compared: two posts are alike where they share 60 % of all
their pairs of words. 300,000 posts take seconds and 100 MB, and the result does not depend on chance.
"""

import itertools
import re
import zlib
from array import array

import numpy as np
from numpy.typing import NDArray

from decal.records import Post

# "20% off until Friday" and "20% off until Sunday" are alike, two menus of the same shop are not.
MIN_SHARED = 0.6
# At a share of 0.6, one of eight keys of two smallest hashes agrees in 1 - (1 - 0.6 ** 2) ** 8 = 97 %, at 0.8 nearly always.
KEYS = 8
# Odd numbers to multiply with, after Knuth: each gives another order of the pairs.
MULTIPLIERS = [2654435761 + 2 * 40503 * turn for turn in range(KEYS)]
# Of posts under one key only so many are compared, which is enough where they are all alike.
LEADERS = 4
WORD = re.compile(r"[^\W_]+")


class Alikes:
    """Posts are added in their order; `firsts` then says of each which post it nearly repeats."""

    def __init__(self) -> None:
        self._numbers = array("Q")
        self._pairs = array("L" if array("L").itemsize == 4 else "I")
        self._ends = array("Q")

    def add(self, post: Post) -> None:
        """One more post; one that says nothing is like no other."""
        words = WORD.findall(f"{post.text} {' '.join(post.hashtags)}".casefold() if post.status == "kept" else "")
        self._numbers.append(post.number)
        hashed = [zlib.crc32(word.encode()) for word in words]
        self._pairs.extend({(one * 31 + other) & 0xFFFFFFFF for one, other in itertools.pairwise(hashed)} or set(hashed))
        self._ends.append(len(self._pairs))

    def firsts(self) -> dict[int, int]:
        """By number, the first post that each nearly repeats, directly or through others; itself where there is none before it."""
        keys, owners = self._keys()
        parent = list(range(len(self._numbers)))
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        begins = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if len(keys) else np.zeros(0, np.int64)
        lengths = np.diff(np.append(begins, len(keys)))
        for begin, length in zip(begins[lengths > 1].tolist(), lengths[lengths > 1].tolist(), strict=True):
            leaders: list[tuple[int, frozenset[int]]] = []
            for place in owners[order[begin : begin + length]].tolist():
                if leaders and _root(parent, place) in [_root(parent, leader) for leader, _ in leaders]:
                    continue
                own = self._set(place)
                like = next((leader for leader, other in leaders if _is_alike(own, other)), None)
                if like is not None:
                    low, high = sorted((_root(parent, like), _root(parent, place)))
                    parent[high] = low
                elif len(leaders) < LEADERS:
                    leaders.append((place, own))
        return {number: self._numbers[_root(parent, place)] for place, number in enumerate(self._numbers)}

    def _keys(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """What posts that are likely alike have in common, and the place of the post that each key belongs to."""
        ends = np.frombuffer(self._ends, np.uint64).astype(np.int64)
        begins = np.concatenate((np.zeros(1, np.int64), ends[:-1]))
        places = np.flatnonzero(ends > begins)
        if not places.size:
            return np.zeros(0, np.uint64), np.zeros(0, np.int64)
        pairs = np.frombuffer(self._pairs, np.uint32)
        least = []
        for multiplier in MULTIPLIERS:
            mixed = pairs * np.uint32(multiplier & 0xFFFFFFFF)
            mixed ^= mixed >> np.uint32(15)
            mixed *= np.uint32(0x2C1B3C6D)
            least.append(np.minimum.reduceat(mixed, begins[places]).astype(np.uint64))
        keys = [least[turn] << np.uint64(32) | least[(turn + 1) % KEYS] for turn in range(KEYS)]
        return np.concatenate(keys), np.tile(places, KEYS)

    def _set(self, place: int) -> frozenset[int]:
        begin = self._ends[place - 1] if place else 0
        return frozenset(self._pairs[begin : self._ends[place]])


def _is_alike(one: frozenset[int], other: frozenset[int]) -> bool:
    if min(len(one), len(other)) < MIN_SHARED * max(len(one), len(other)):
        return False
    shared = len(one & other)
    return shared >= MIN_SHARED * (len(one) + len(other) - shared)


def _root(parent: list[int], place: int) -> int:
    while parent[place] != place:
        parent[place] = parent[parent[place]]
        place = parent[place]
    return place
