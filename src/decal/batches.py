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

# An epoch is shuffled in memory, 80 MB at this length.
MAX_EPOCH = 10_000_000


@dataclass(frozen=True)
class Sample:
    """One picture of one step.

    index: into the training pictures. is_blind: it is trained on the empty caption. draw: where a picture has several captions, this
    number modulo how many says which; 0 is the first.
    """

    index: int
    is_flipped: bool
    is_blind: bool
    draw: int = 0


@dataclass(frozen=True)
class Order:
    """The order of training: every picture once an epoch, or as often as it is repeated, each epoch shuffled anew.

    pictures: how many there are, > 0. size: samples a step. caption_dropout: share of blind samples, 0..1.
    repeats: of each picture, as `lowest_terms` gives them; empty where each comes once.
    """

    seed: int
    pictures: int
    size: int
    flip: bool
    caption_dropout: float
    repeats: tuple[int, ...] = ()

    def at(self, step: int) -> list[Sample]:
        """The samples of a step, counted from 1. A step may reach over the end of an epoch; none is dropped."""
        first = (step - 1) * self.size
        places = [divmod(place, self._length) for place in range(first, first + self.size)]
        chances = np.random.default_rng(seed_for(self.seed, "sample", step)).random((self.size, 2))
        return [
            Sample(
                self._picture(epoch, place),
                self.flip and chance < 0.5,
                bool(blind < self.caption_dropout),
                seed_for(self.seed, "caption", epoch, place),
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

    def _picture(self, epoch: int, place: int) -> int:
        shown = int(_shuffled(self.seed, epoch, self._length)[place])
        return int(np.searchsorted(_ends(self.repeats), shown, side="right")) if self.repeats else shown


def lowest_terms(repeats: Sequence[int]) -> tuple[int, ...]:
    """Repeats divided by what all have in common, since only their ratio matters; empty where they are equal."""
    common = math.gcd(*repeats)
    lowest = tuple(count // common for count in repeats)
    return () if max(lowest, default=1) == 1 else lowest


def seed_for(seed: int, *what: str | int) -> int:
    """A 63-bit seed for one purpose, for instance ("noise", step); unrelated for any two different purposes."""
    text = "/".join(str(part) for part in (seed, *what))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@lru_cache(maxsize=4)
def _shuffled(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed_for(seed, "order", epoch)).permutation(count)


@lru_cache(maxsize=4)
def _ends(repeats: tuple[int, ...]) -> NDArray[np.int64]:
    """Where each picture's places in an unshuffled epoch end."""
    return np.cumsum(repeats, dtype=np.int64)
