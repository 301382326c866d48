"""What came out of one training, in numbers that can be kept: all that the tables of real.py are made of.

A line of JSON each. The quality of every single picture is there, so that noise and other ways to choose can be looked into long after the
pictures are gone.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from plan import SEEDS
from regrets import Numbers

from decal.records import Line

Table = tuple[tuple[float, ...], ...]


class Said(Line):
    """What one verdict said. best_share: of the resamples in which a checkpoint is the best, by step."""

    outcome: str
    checkpoint: int | None
    earliest: int | None
    places: dict[int, str]
    best_share: dict[int, float]
    reason: str


class View(Line):
    """What was seen on some seeds. measures: by name, of every checkpoint on all prompts, None where there is none; `scaled style` and the
    like on the scale of utility. choices: by rule, from 0, None for none.
    """

    seeds: tuple[int, ...]
    measures: dict[str, tuple[float | None, ...]]
    choices: dict[str, int | None]
    said: Said


class Judged(Line):
    """One training and what each rule would choose.

    settings: as `--set` takes them. base_model: its fingerprint. asked: the subjects. steps: of the checkpoints. pictures: the quality of
    each, by checkpoint, subject and seed of the plan; base: of the base's, by subject and seed. views: by the seeds that were judged.
    """

    training: str
    style: str
    recipe: str
    settings: tuple[str, ...]
    base_model: str
    asked: tuple[str, ...]
    steps: tuple[int, ...]
    pictures: tuple[Table, ...]
    base: Table
    views: tuple[View, ...]

    @cached_property
    def quality(self) -> Numbers:
        """Of each picture, [C, P, S]."""
        return np.array(self.pictures, np.float64)

    def by_seeds(self, seeds: Sequence[int]) -> Numbers:
        """Quality of each checkpoint on some seeds, [C]."""
        return np.asarray(self.quality[:, :, [SEEDS.index(seed) for seed in seeds]].mean(axis=(1, 2)), np.float64)

    def base_by_seeds(self, seeds: Sequence[int]) -> float:
        """Quality of the base on some seeds."""
        return float(np.array(self.base)[:, list(seeds)].mean())

    def view(self, seeds: Sequence[int]) -> View:
        """What was seen on these seeds."""
        return next(view for view in self.views if view.seeds == tuple(seeds))
