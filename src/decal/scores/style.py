"""Style: whether each drawn picture lies among the user's pictures rather than among the base's.

Two numbers a cell: how dense the user's pictures are around it, and how dense the base's of other prompts are. The first less
the second, the witness of the maximum mean discrepancy, says where it lies between the two sets. The
discrepancy of the whole set is kept as `Distance`, for information: it ranks checkpoints worse, because it also asks that they be as varied
as the references, which show other things (LOG.md, 2026-11-25).
Source: Gretton et al. 2012, JMLR 13, 723-773, section 2.3 for the witness.
"""

from dataclasses import dataclass

import numpy as np

from decal.scores.copying import nearest_distances
from decal.scores.evidence import BASE, Cells, Evidence, UnfitError, mean_there, plainly, squared_distances, surely_above_zero, unit_rows
from decal.scores.looks import Looks, Numbers
from decal.scores.statistic import Statistic, Weights, over_prompt_pairs, over_prompts_and_references, over_reference_pairs

MIN_REFERENCES = 4
LOCALITY = 0.2
"""Bandwidth of the witness as a share of the median squared distance: near enough that only alike pictures count."""


def vectors(looks: Looks) -> Numbers:
    """What style is compared by, [..., D + 233 + C]: how a picture is drawn, its histogram, and what is in it, with equal say.

    What is in it counts too, because colours and edges alone hardly tell scraps from whole drawings (LOG.md, 2026-11-26).
    """
    parts = [unit_rows(looks.style), unit_rows(looks.histogram), unit_rows(looks.content)]
    return np.asarray(np.concatenate(parts, axis=-1) / np.sqrt(len(parts)), np.float64)


@dataclass(frozen=True)
class Kernels:
    """The user's pictures and the base's as points, and how alike pictures are.

    references: of all own pictures, [R, D + 233 + C]; is_reference: which of them can be compared with, [R].
    median: of the squared distances between them and the base's pictures.
    """

    evidence: Evidence
    references: Numbers
    is_reference: Cells
    median: float

    @classmethod
    def of(cls, evidence: Evidence) -> "Kernels":
        """Freeze the bandwidth on the base and the references by the median heuristic."""
        own = evidence.own
        is_reference = own.is_there
        if is_reference.sum() < MIN_REFERENCES:
            raise UnfitError(f"{is_reference.sum()} pictures to compare with are too few; it takes {MIN_REFERENCES}")
        references = np.nan_to_num(vectors(own))
        points = np.concatenate([vectors(evidence.base)[evidence.cells(BASE)], references[is_reference]])
        distances = squared_distances(points, points)[np.triu_indices(len(points), 1)]
        median = float(np.median(distances))
        if median <= 0:
            raise UnfitError("the pictures of the base and yours are all alike")
        return cls(evidence, references, is_reference, median)

    def alike(self, first: Numbers, second: Numbers, share: float) -> Numbers:
        """Gaussian kernel [n, m] between rows. share: bandwidth, of the median."""
        return np.asarray(np.exp(-squared_distances(first, second) / (share * self.median)), np.float64)

    def to_references(self, looks: Looks, share: float) -> Numbers:
        """Of every cell with every reference, [P, S, R]; NaN where the pair does not count.

        No cell counts with the training picture that it is nearest to, so that a copy gains nothing by its twin.
        """
        table = looks.content.shape[:2]
        alike = self.alike(_rows(vectors(looks)), self.references, share)
        _forget_nearest(alike, nearest_distances(_rows(looks.content), self.evidence))
        alike[:, ~self.is_reference] = np.nan
        return np.where(looks.is_there[..., None], alike.reshape(*table, -1), np.nan)

    def among_references(self, share: float) -> Numbers:
        """Of the references with each other, [R, R]; like a cell, none counts with the training picture that it is nearest to."""
        alike = self.alike(self.references, self.references, share)
        distances = nearest_distances(np.nan_to_num(self.evidence.own.content), self.evidence)
        np.fill_diagonal(distances, np.inf)
        _forget_nearest(alike, distances)
        alike[~self.is_reference] = np.nan
        alike[:, ~self.is_reference] = np.nan
        np.fill_diagonal(alike, np.nan)
        return alike

    def between(self, first: Looks, second: Looks, share: float) -> Numbers:
        """Of every cell with every other, [P, S, P, S]; NaN where one is missing."""
        table = first.content.shape[:2]
        alike = self.alike(_rows(vectors(first)), _rows(vectors(second)), share).reshape(*table, *table)
        return np.where(first.is_there[:, :, None, None] & second.is_there[None, None], alike, np.nan)


@dataclass(frozen=True)
class Style:
    """The mean witness; higher is nearer to the user's pictures. zero, one: that of the base, and of the user's own pictures."""

    evidence: Evidence
    kernels: Kernels
    zero: float
    one: float
    name: str = "style"

    @classmethod
    def of(cls, evidence: Evidence) -> "Style":
        """Put the ends of the scale where the base and the user's own pictures are."""
        style = cls(evidence, Kernels.of(evidence), 0.0, 1.0)
        zero = plainly(style.read(BASE, evidence.cells(BASE)), evidence)
        one = plainly(style._own(), evidence)
        if not one > zero:
            raise UnfitError("the base draws in your style already, as far as can be told")
        return cls(evidence, style.kernels, zero, one)

    def read(self, checkpoint: int, cells: Cells) -> Statistic:
        """The mean witness."""
        looks, base = self.evidence.drawn[checkpoint], self.evidence.base
        near = np.where(cells[..., None], self.kernels.to_references(looks, LOCALITY), np.nan)
        far = np.where(cells[..., None, None], self.kernels.between(looks, base, LOCALITY), np.nan)
        return over_prompts_and_references(near) - over_prompt_pairs(far)

    def scale(self, values: Numbers) -> Numbers:
        """The share of the way from the base to the user's own pictures."""
        return np.asarray((values - self.zero) / (self.one - self.zero), np.float64)

    def values(self, checkpoint: int) -> Numbers:
        """The witness of each cell on its scale, [P, S]: 0 like the base's pictures, 1 like the user's."""
        looks, base = self.evidence.drawn[checkpoint], self.evidence.base
        far = self.kernels.between(looks, base, LOCALITY)
        prompts = np.arange(len(far))
        far[prompts, :, prompts] = np.nan
        near = mean_there(self.kernels.to_references(looks, LOCALITY))
        return self.scale(near - mean_there(far.reshape(*far.shape[:2], -1)))

    def flaw(self, weights: Weights) -> str | None:
        """The user's own pictures must surely be farther on the way than the base's are."""
        lead = self._own() - self.read(BASE, self.evidence.cells(BASE))
        return None if surely_above_zero(lead, weights) else "it cannot surely tell the base's pictures from yours"

    def _own(self) -> Statistic:
        """The mean witness of the user's own pictures."""
        far = self.kernels.alike(_rows(vectors(self.evidence.base)), self.kernels.references, LOCALITY)
        far = np.where(self.kernels.is_reference, far.reshape(*self.evidence.cells(BASE).shape, -1), np.nan)
        far = np.where(self.evidence.cells(BASE)[..., None], far, np.nan)
        return over_reference_pairs(self.kernels.among_references(LOCALITY)) - over_prompts_and_references(far)


@dataclass(frozen=True)
class Distance:
    """The unbiased squared maximum mean discrepancy to the user's pictures, pairs of one prompt left out; lower is nearer."""

    evidence: Evidence
    kernels: Kernels
    name: str = "distance"

    @classmethod
    def of(cls, evidence: Evidence) -> "Distance":
        """Freeze the kernel."""
        return cls(evidence, Kernels.of(evidence))

    def read(self, checkpoint: int, cells: Cells) -> Statistic:
        """The discrepancy; may be a little below 0."""
        looks = self.evidence.drawn[checkpoint]
        counts = cells[:, :, None, None] & cells[None, None]
        within = over_prompt_pairs(np.where(counts, self.kernels.between(looks, looks, 1.0), np.nan))
        across = over_prompts_and_references(np.where(cells[..., None], self.kernels.to_references(looks, 1.0), np.nan))
        return within - across * 2.0 + over_reference_pairs(self.kernels.among_references(1.0))

    def values(self, checkpoint: int) -> Numbers | None:
        """None: it is of the whole set."""
        return None


def _rows(vectors_: Numbers) -> Numbers:
    """Points of any table in one row, [N, d]; zeros where there is none."""
    return np.nan_to_num(vectors_).reshape(-1, vectors_.shape[-1])


def _forget_nearest(alike: Numbers, distances: Numbers) -> None:
    """Strike out for each row the training picture that is nearest in content. distances: [N, T]."""
    if distances.shape[1] > 1:
        alike[np.arange(len(alike)), np.argmin(distances, axis=1)] = np.nan
