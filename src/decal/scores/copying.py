"""Copying: whether drawn pictures repeat training pictures, and which.

A picture is suspect when it is much nearer to one training picture, or to its mirror image, than that one's rivals are: the ratio of the
nearest distance to the mean of the next five. What counts as much is calibrated on pictures that cannot be copies: the base's, and the
user's own, each held-out one beside the training pictures and each training picture beside the others.
Source of the ratio: Carlini et al. 2023, arXiv:2301.13188, section 5.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from decal.scores.evidence import BASE, Cells, Evidence, UnfitError
from decal.scores.looks import Looks, Numbers
from decal.scores.statistic import Statistic, Weights, over_cells

NEIGHBOURS = 5
MIN_TRAINING = 3
FALSE_ALARMS = 0.01
"""Share of pictures that cannot be copies which may be taken for some: where the threshold is put."""
ALIKE = 1e-9
"""Distance up to which pictures are the same but for rounding."""
TOLERATED = 0.02
"""Share of copies beyond the base's that is let pass."""
MIN_RECALL = 0.4
"""Share of planted copies that must be caught; chance is a hundredth. On moved and tinted emoji .65 to .87 were (LOG.md, 2026-11-25)."""


def nearest_distances(content: Numbers, evidence: Evidence) -> Numbers:
    """Cosine distance [N, T] of pictures to training pictures, the nearer of each and its mirror image; infinite for broken ones."""
    distances = 1 - np.maximum(content @ evidence.training.content.T, content @ evidence.mirrored.content.T)
    return np.asarray(np.where(np.isnan(distances), np.inf, np.maximum(distances, 0.0)), np.float64)


@dataclass(frozen=True)
class Pair:
    """A drawn picture and the training picture that it may repeat. ratio: 0 for an exact copy. is_certain: far beyond any that is none."""

    checkpoint: int
    prompt: int
    seed: int
    file: str
    ratio: float
    is_certain: bool


@dataclass(frozen=True)
class Copying:
    """The share of cells that repeat a training picture."""

    evidence: Evidence
    threshold: float
    certain: float
    name: str = "copying"

    @classmethod
    def of(cls, evidence: Evidence) -> "Copying":
        """Calibrate on the base's pictures and the held-out ones."""
        if evidence.training.is_there.sum() < MIN_TRAINING:
            raise UnfitError(f"{evidence.training.is_there.sum()} training pictures are too few to say what is near")
        among = _distances(evidence.training, evidence)
        np.fill_diagonal(among, np.inf)
        among_ratios = _ratios_of(among)
        own = np.concatenate([among_ratios, _ratios(evidence.heldout, evidence)])
        # Pictures of one style are nearer to each other than to the base's, so each group must be let pass for itself.
        groups = [group[np.isfinite(group)] for group in (_ratios(evidence.base, evidence).ravel(), own)]
        if not np.isfinite(among_ratios).any() or not all(len(group) and group.max() > 0 for group in groups):
            raise UnfitError("the training pictures cannot be told apart")
        threshold = min(float(np.quantile(group, FALSE_ALARMS, method="lower")) for group in groups)
        return cls(evidence, threshold, threshold / 2)

    def values(self, checkpoint: int) -> Numbers:
        """The ratio of each cell, [P, S]: the distance to the nearest training picture over that to the next ones; small is suspect."""
        return _ratios(self.evidence.drawn[checkpoint], self.evidence)

    def read(self, checkpoint: int, cells: Cells) -> Statistic:
        """The share of suspected copies."""
        return over_cells(np.where(cells, self._hits(checkpoint), np.nan))

    def breach(self, checkpoint: int, cells: Cells) -> tuple[Statistic, ...]:
        """More copies than the base's chance hits and a few."""
        return (self.read(checkpoint, cells) - self.read(BASE, cells) - TOLERATED,)

    def complaint(self, checkpoint: int, cells: Cells) -> str:
        """How many cells, and which picture most."""
        files = [pair.file for pair in self.pairs(checkpoint) if cells[pair.prompt, pair.seed]]
        most = max(sorted(set(files)), key=files.count) if files else ""
        shown = int((cells & self.evidence.cells(checkpoint)).sum())
        return f"copies training pictures in {len(files)} of {shown} pictures, {most} {files.count(most)} times"

    def pairs(self, checkpoint: int) -> Iterator[Pair]:
        """Every suspected copy, the surest first."""
        ratios = self.values(checkpoint)
        content = self.evidence.drawn[checkpoint].content
        order = np.argsort(ratios, axis=None, kind="stable")
        for prompt, seed in zip(*np.unravel_index(order, ratios.shape), strict=True):
            ratio = float(ratios[prompt, seed])
            if not ratio < self.threshold:
                return
            twin = int(np.argmin(nearest_distances(content[prompt, seed][None], self.evidence)[0]))
            yield Pair(checkpoint, int(prompt), int(seed), self.evidence.files[twin], ratio, ratio < self.certain)

    def flaw(self, weights: Weights) -> str | None:
        """Planted copies must be caught."""
        planted = self.evidence.planted.copies
        if planted is None:
            return None
        ratios = _ratios(planted, self.evidence)
        ratios = ratios[np.isfinite(ratios)]
        caught = float((ratios < self.threshold).mean()) if len(ratios) else 0.0
        return None if caught >= MIN_RECALL else f"it catches only {caught:.0%} of copies made to test it"

    def _hits(self, checkpoint: int) -> Numbers:
        ratios = self.values(checkpoint)
        return np.where(np.isfinite(ratios), ratios < self.threshold, np.nan)


@dataclass(frozen=True)
class Recital:
    """The share of pictures drawn for training captions that repeat a training picture.

    It decides nothing: to draw for a caption what belongs to it is what training is for. But at 1, the captions are known by heart.
    """

    copying: Copying
    name: str = "recital"

    @classmethod
    def of(cls, evidence: Evidence) -> "Recital":
        """Needs the base's pictures of training captions."""
        if BASE not in evidence.recited:
            raise UnfitError("no training captions were drawn")
        return cls(Copying.of(evidence))

    def read(self, checkpoint: int, cells: Cells) -> Statistic:
        """The mean over the captions; the cells of the table play no part."""
        evidence = self.copying.evidence
        hits = np.full((evidence.sizes()["captions"][0], 1), np.nan)
        if checkpoint in evidence.recited:
            ratios = _ratios(evidence.recited[checkpoint], evidence)
            hits = np.where(np.isfinite(ratios), ratios < self.copying.threshold, np.nan)
        return over_cells(hits, "captions")

    def values(self, checkpoint: int) -> Numbers | None:
        """None: it is not of cells of the table."""
        return None


def _ratios(looks: Looks, evidence: Evidence) -> Numbers:
    """Distance to the nearest training picture over the mean distance to the next ones, [...]; NaN where there is no picture."""
    return np.where(looks.is_there, _ratios_of(_distances(looks, evidence)).reshape(looks.is_there.shape), np.nan)


def _distances(looks: Looks, evidence: Evidence) -> Numbers:
    """`nearest_distances` of pictures on any table, [N, T]."""
    return nearest_distances(np.nan_to_num(looks.content).reshape(-1, looks.content.shape[-1]), evidence)


def _ratios_of(distances: Numbers) -> Numbers:
    """The ratio for each row of distances, [N]; NaN where all training pictures are equally the same."""
    distances = np.sort(distances, axis=1)
    next_ones = distances[:, 1 : 1 + NEIGHBOURS]
    is_known = np.isfinite(next_ones)
    mean = np.where(is_known, next_ones, 0.0).sum(axis=1) / np.maximum(is_known.sum(axis=1), 1)
    return np.asarray(np.divide(distances[:, 0], mean, out=np.full(len(mean), np.nan), where=mean > ALIKE), np.float64)
