"""Numbers that can be asked again under other weights of prompts and pictures, so that one bootstrap serves every measure.

A mean over cells, a mean over pairs of prompts (an MMD, a retrieval, a diversity) and a mean over reference pictures are all weighted sums
over weighted counts. A `Statistic` is a sum of such means; its differences are again one. What costs time, the kernels, is computed once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Axis = Literal["prompts", "references", "probes", "captions"]
Weights = dict[Axis, Numbers]
"""How often each prompt, reference picture, probe and caption counts, [B, n] each; a row is one resample."""


@dataclass(frozen=True)
class Mean:
    """A mean over one axis or over pairs of two. total, count: [n] or [n, m]; count 0 where there is nothing. factor: on the mean."""

    total: Numbers
    count: Numbers
    axes: tuple[Axis] | tuple[Axis, Axis]
    factor: float = 1.0

    def at(self, weights: Weights) -> Numbers:
        """The mean under each row of weights, [B]; NaN where nothing counts."""
        first = weights[self.axes[0]]
        total, count = first @ self.total, first @ self.count
        if len(self.axes) == 2:
            second = weights[self.axes[1]]
            total, count = (total * second).sum(axis=1), (count * second).sum(axis=1)
        mean = np.divide(total, count, out=np.full(len(first), np.nan), where=count > 0)
        return np.asarray(self.factor * mean, np.float64)


@dataclass(frozen=True)
class Statistic:
    """A sum of means and a constant."""

    means: tuple[Mean, ...]
    constant: float = 0.0

    def at(self, weights: Weights) -> Numbers:
        """The value under each row of weights, [B]."""
        rows = len(weights["prompts"])
        parts = [np.full(rows, self.constant), *(mean.at(weights) for mean in self.means)]
        return np.asarray(np.sum(parts, axis=0), np.float64)

    def __add__(self, other: "Statistic | float") -> "Statistic":
        if isinstance(other, Statistic):
            return Statistic(self.means + other.means, self.constant + other.constant)
        return Statistic(self.means, self.constant + other)

    def __sub__(self, other: "Statistic | float") -> "Statistic":
        return self + other * -1.0

    def __mul__(self, factor: float) -> "Statistic":
        scaled = tuple(Mean(mean.total, mean.count, mean.axes, factor * mean.factor) for mean in self.means)
        return Statistic(scaled, factor * self.constant)


def over_cells(values: Numbers, axis: Axis = "prompts") -> Statistic:
    """The mean over the seeds of all prompts. values: [P, S], NaN where there is no cell."""
    is_there = np.isfinite(values)
    return Statistic((Mean(np.where(is_there, values, 0.0).sum(axis=1), is_there.sum(axis=1).astype(np.float64), (axis,)),))


def over_prompt_pairs(values: Numbers) -> Statistic:
    """The mean over all cells and all other prompts, or all cells of other prompts.

    values: [P, S, P] or [P, S, P, S]; NaN where there is nothing. Pairs of one prompt show the same thing and are left out.
    """
    within = (1,) if values.ndim == 3 else (1, 3)
    is_there = np.isfinite(values)
    total, count = np.where(is_there, values, 0.0).sum(axis=within), is_there.sum(axis=within).astype(np.float64)
    np.fill_diagonal(total, 0.0)
    np.fill_diagonal(count, 0.0)
    return Statistic((Mean(total, count, ("prompts", "prompts")),))


def over_prompts_and_references(values: Numbers) -> Statistic:
    """The mean over all pairs of a cell and a reference picture. values: [P, S, R], NaN where a pair does not count."""
    is_there = np.isfinite(values)
    total, count = np.where(is_there, values, 0.0).sum(axis=1), is_there.sum(axis=1).astype(np.float64)
    return Statistic((Mean(total, count, ("prompts", "references")),))


def over_references(values: Numbers) -> Statistic:
    """The mean over reference pictures. values: [R], NaN where one does not count."""
    is_there = np.isfinite(values)
    return Statistic((Mean(np.where(is_there, values, 0.0), is_there.astype(np.float64), ("references",)),))


def over_reference_pairs(values: Numbers) -> Statistic:
    """The mean over pairs of two different reference pictures. values: [R, R], NaN where a pair does not count."""
    is_there = np.isfinite(values) & ~np.eye(len(values), dtype=bool)
    return Statistic((Mean(np.where(is_there, values, 0.0), is_there.astype(np.float64), ("references", "references")),))


def resampled(sizes: Mapping[Axis, tuple[int, ...]], resamples: int, rng: np.random.Generator) -> Weights:
    """Weights of which row 0 counts everything once and every other row is a bootstrap resample, [1 + resamples, n] for each axis.

    sizes: of the groups that each axis consists of, in order; a resample draws n - 1 of the n of a group, with replacement.
    Drawing one less makes the variance of a mean unbiased, which matters with the six references that small sets have.
    Source: Rao and Wu 1988, J. Amer. Statist. Assoc. 83, 231-241.
    """
    weights: Weights = {}
    for axis, groups in sizes.items():
        drawn = [_drawn(size, resamples, rng) for size in groups]
        weights[axis] = np.concatenate(drawn, axis=1) if drawn else np.zeros((1 + resamples, 0))
    return weights


def _drawn(size: int, resamples: int, rng: np.random.Generator) -> Numbers:
    if size < 2:
        return np.ones((1 + resamples, size))
    counts = rng.multinomial(size - 1, np.full(size, 1 / size), size=resamples)
    return np.concatenate([np.ones((1, size)), counts])
