"""Which samples make step k.

Everything random is drawn from a counter: a seed made of the run's seed and of what is drawn. Step 137 is the same after a restart as
without one, and nothing about the order needs to be saved.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class Sample:
    """One picture of one step. index: into the training pictures. is_blind: it is trained on the empty caption."""

    index: int
    is_flipped: bool
    is_blind: bool


@dataclass(frozen=True)
class Order:
    """The order of training: every picture once an epoch, each epoch shuffled anew.

    pictures: how many there are, > 0. size: samples a step. caption_dropout: share of blind samples, 0..1.
    """

    seed: int
    pictures: int
    size: int
    flip: bool
    caption_dropout: float

    def at(self, step: int) -> list[Sample]:
        """The samples of a step, counted from 1. A step may reach over the end of an epoch; none is dropped."""
        first = (step - 1) * self.size
        places = [divmod(place, self.pictures) for place in range(first, first + self.size)]
        chances = np.random.default_rng(seed_for(self.seed, "sample", step)).random((self.size, 2))
        return [
            Sample(_shuffled(self.seed, epoch, self.pictures)[place], self.flip and chance < 0.5, bool(blind < self.caption_dropout))
            for (epoch, place), (chance, blind) in zip(places, chances, strict=True)
        ]

    def epoch(self, step: int) -> int:
        """The epoch, from 0, in which a step begins."""
        return (step - 1) * self.size // self.pictures


def seed_for(seed: int, *what: str | int) -> int:
    """A 63-bit seed for one purpose, for instance ("noise", step); unrelated for any two different purposes."""
    text = "/".join(str(part) for part in (seed, *what))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@lru_cache(maxsize=4)
def _shuffled(seed: int, epoch: int, count: int) -> tuple[int, ...]:
    return tuple(np.random.default_rng(seed_for(seed, "order", epoch)).permutation(count).tolist())
