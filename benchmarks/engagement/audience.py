"""Accounts with followers of known taste: what they like, how much each account's followers do, and all the rest that likes depend on.

What is true: log(1 + likes) = level of the account + strength of the account x taste + noise. Levels differ as on public tables (the
account's mean explains most of it), noise has the deviation measured there (0.9). The taste is of the picture alone: warm colours and food.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

NOISE, LEVELS = 0.9, 2.2
WARMTH, FOOD = 0.5, 0.4
FOODS = ("pizza", "cake", "strawberry", "apple", "hamburger", "cherries", "lemon", "mushroom")


@dataclass(frozen=True)
class Followers:
    """The followers of some accounts. levels, strengths: of each account."""

    levels: Numbers
    strengths: Numbers

    @classmethod
    def of(cls, accounts: int, dice: np.random.Generator) -> "Followers":
        """Accounts of different size, whose followers share a taste and follow it more or less."""
        return cls(dice.normal(5.5, LEVELS, accounts), dice.uniform(0.4, 1.6, accounts))

    def likes(self, accounts: NDArray[np.intp], taste: Numbers, dice: np.random.Generator) -> NDArray[np.int64]:
        """The likes of posts: of which account, and how much the picture is to their taste."""
        told = self.levels[accounts] + self.strengths[accounts] * taste + dice.normal(0, NOISE, len(accounts))
        return np.maximum(0, np.expm1(told)).round().astype(np.int64)


def warmth(pixels: NDArray[np.uint8]) -> float:
    """How warm a picture is: red less blue, of what is not nearly white, -1..1. pixels: [H, W, 3]."""
    shown = pixels.reshape(-1, 3).astype(np.float64) / 255
    figure = shown[shown.min(axis=1) < 0.9]
    return float((figure[:, 0] - figure[:, 2]).mean()) if len(figure) else 0.0


def is_food(thing: str) -> bool:
    """Whether a thing is eaten or drunk."""
    return any(name in thing for name in FOODS)


def taste(warm: Numbers, food: Numbers, usual: tuple[float, float]) -> Numbers:
    """How much pictures are to the taste. usual: mean and deviation of warmth among the pictures that are posted."""
    return WARMTH * (warm - usual[0]) / usual[1] + FOOD * (food - 0.5) * 2


def tinted(pixels: NDArray[np.uint8], tint: int) -> NDArray[np.uint8]:
    """A picture as it is, or in warmer or cooler light. tint: 0, 1, 2."""
    light = np.array([(1.0, 1.0, 1.0), (1.0, 0.9, 0.72), (0.75, 0.9, 1.0)][tint])
    return np.asarray((pixels * light).round(), np.uint8)
