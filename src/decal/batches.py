"""Which samples make step k.

Everything random is drawn from a counter: a seed made of the run's seed and of what is drawn. Step 137 is the same after a restart as
without one, and nothing about the order needs to be saved.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from decal.errors import SettingsError

# An epoch is shuffled in memory, 80 MB at this length.
MAX_EPOCH = 10_000_000


@dataclass(frozen=True)
class Sample:
    """One picture of one step.

    index: into the training pictures. is_blind: it is trained on the empty caption. draw: where a picture has several captions, this
    number modulo how many says which; 0 is the first. variant: the same of the crops or grounds that it was encoded with.
    """

    index: int
    is_flipped: bool
    is_blind: bool
    draw: int = 0
    variant: int = 0


@dataclass(frozen=True)
class Order:
    """The order of training: every picture once an epoch, or as often as it is repeated, each epoch shuffled anew.

    pictures: how many there are, > 0. size: samples a step. caption_dropout: share of blind samples, 0..1.
    repeats: of each picture, as `lowest_terms` gives them; empty where each comes once. buckets: a number for the shape of each picture,
    empty where all have one; then every `batch` samples in a row are of one shape. Among shapes, epochs are told by `batch` together, since
    that many passes fill whole batches of each: nothing is dropped, and nothing comes more often than it should.
    """

    seed: int
    pictures: int
    size: int
    flip: bool
    caption_dropout: float
    repeats: tuple[int, ...] = ()
    buckets: tuple[int, ...] = ()
    batch: int = 1

    def at(self, step: int) -> list[Sample]:
        """The samples of a step, counted from 1. A step may reach over the end of an epoch; none is dropped."""
        first = (step - 1) * self.size
        places = [self._bucketed(n) if self.buckets else divmod(n, self._length) for n in range(first, first + self.size)]
        chances = np.random.default_rng(seed_for(self.seed, "sample", step)).random((self.size, 2))
        return [
            Sample(
                self._picture(epoch, place),
                self.flip and chance < 0.5,
                bool(blind < self.caption_dropout),
                seed_for(self.seed, "caption", epoch, place),
                seed_for(self.seed, "variant", epoch, place),
            )
            for (epoch, place), (chance, blind) in zip(places, chances, strict=True)
        ]

    def epoch(self, step: int) -> int:
        """The epoch, from 0, in which a step begins."""
        return (step - 1) * self.size // self._length

    @property
    def _length(self) -> int:
        """Samples an epoch."""
        return int(_ends(self.repeats)[-1]) if self.repeats else self.pictures

    def _bucketed(self, number: int) -> tuple[int, int]:
        """The epoch of a sample, and its place in an epoch that is shuffled bucket by bucket."""
        group, within = divmod(number, self.batch)
        era, turn = divmod(group, self._length)
        # An era is `batch` epochs: as many whole groups of each bucket as the bucket has places.
        chosen = int(_shuffled(self.seed, era, self._length, "groups")[turn])
        begins, ends = _bounds(self.repeats, self.buckets)[chosen]
        passed, place = divmod((chosen - begins) * self.batch + within, ends - begins)
        return era * self.batch + passed, begins + place

    def _picture(self, epoch: int, place: int) -> int:
        if self.buckets:
            begins, ends = _bounds(self.repeats, self.buckets)[place]
            shown = begins + int(_shuffled(self.seed, epoch, ends - begins, f"bucket {begins}")[place - begins])
            return int(_by_bucket(self.repeats, self.buckets)[shown])
        shown = int(_shuffled(self.seed, epoch, self._length)[place])
        return int(np.searchsorted(_ends(self.repeats), shown, side="right")) if self.repeats else shown


@dataclass(frozen=True)
class Share:
    """What one of several processes does of every step. passes: the places of its forward passes; samples: those of each."""

    passes: range
    samples: slice


def share(index: int, count: int, *, batch: int, accumulation: int) -> Share:
    """What the process at that place of `count` does of steps of `accumulation` passes of `batch` samples; all together do each once.

    Whole passes where they can be dealt out, since they need no more memory than one process needs; else parts of passes.
    Raises SettingsError where a step cannot be dealt out evenly.
    """
    hands = math.gcd(accumulation, count)
    parts = count // hands
    if batch % parts:
        raise SettingsError(
            f"A step of {accumulation * batch} pictures (train.batch = {batch}, train.accumulation = {accumulation}) cannot be shared "
            f"evenly by {count} processes.\nMake train.batch x train.accumulation a multiple of {count}; what all of them do in a step "
            "is what these two say, however many there are."
        )
    size = batch // parts
    first = index // hands * size
    return Share(range(index % hands, accumulation, hands), slice(first, first + size))


def lowest_terms(repeats: Sequence[int]) -> tuple[int, ...]:
    """Repeats divided by what all have in common, since only their ratio matters; empty where they are equal."""
    common = math.gcd(*repeats)
    lowest = tuple(count // common for count in repeats)
    return () if max(lowest, default=1) == 1 else lowest


def seed_for(seed: int, *what: str | int) -> int:
    """A 63-bit seed for one purpose, for instance ("noise", step); unrelated for any two different purposes."""
    text = "/".join(str(part) for part in (seed, *what))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@lru_cache(maxsize=64)
def _shuffled(seed: int, epoch: int, count: int, *of: str) -> NDArray[np.int64]:
    return np.random.default_rng(seed_for(seed, "order", epoch, *of)).permutation(count)


@lru_cache(maxsize=4)
def _by_bucket(repeats: tuple[int, ...], buckets: tuple[int, ...]) -> NDArray[np.int64]:
    """The pictures of an unshuffled epoch, sorted by bucket."""
    pictures = np.repeat(np.arange(len(buckets)), repeats or 1)
    return pictures[np.argsort(np.array(buckets)[pictures], kind="stable")]


@lru_cache(maxsize=4)
def _bounds(repeats: tuple[int, ...], buckets: tuple[int, ...]) -> NDArray[np.int64]:
    """For each place of an epoch that is sorted by bucket, where its bucket begins and ends, [places, 2]."""
    numbers = np.array(buckets)[_by_bucket(repeats, buckets)]
    return np.stack([np.searchsorted(numbers, numbers, side) for side in ("left", "right")], axis=1)


@lru_cache(maxsize=4)
def _ends(repeats: tuple[int, ...]) -> NDArray[np.int64]:
    """Where each picture's places in an unshuffled epoch end."""
    return np.cumsum(repeats, dtype=np.int64)
