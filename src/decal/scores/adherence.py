"""Adherence: whether pictures still show what the prompt asks for, told without any model of language unless the user brings one.

The base's pictures of a prompt are its anchor. A drawn picture scores the share of the other prompts whose anchors are farther from it, so
.5 is chance and 1 is perfect; what the base itself cannot draw, this cannot see. An anchor leaves out the base's picture of the cell's own
seed: both start from the same noise, and what they share through it is no adherence. A model that holds pictures against text takes the
place of the anchors: raw, its numbers say more of a prompt than of a picture, but which prompt fits a picture best can be compared.
"""

from dataclasses import dataclass

import numpy as np

from decal.scores.evidence import BASE, Cells, Evidence, UnfitError, mean_there, plainly, squared_distances, surely_above_zero, unit_rows
from decal.scores.looks import Numbers
from decal.scores.statistic import Statistic, Weights, over_prompt_pairs

CHANCE = 0.5
MIN_PROMPTS = 4


@dataclass(frozen=True)
class Adherence:
    """The share of other prompts that fit a picture worse. base: that of the base."""

    evidence: Evidence
    base: float
    name: str = "adherence"

    @classmethod
    def of(cls, evidence: Evidence) -> "Adherence":
        """Put the one of the scale where the base is; it draws what it is asked for as well as it can."""
        there = evidence.cells(BASE)
        if evidence.told and there.any(axis=1).sum() < MIN_PROMPTS:
            raise UnfitError(f"{there.any(axis=1).sum()} prompts are too few to say which fits a picture best")
        if not evidence.told and (there.sum(axis=1) >= 2).sum() < MIN_PROMPTS:
            raise UnfitError("the base needs two seeds of a prompt, so that a picture is never compared with itself; set two compare.seeds")
        adherence = cls(evidence, 0.0)
        one = plainly(adherence.read(BASE, there), evidence)
        if not one > CHANCE:
            raise UnfitError("the base's pictures of one prompt are no more alike than those of two, so it has no idea of these prompts")
        return cls(evidence, one)

    def farther(self, checkpoint: int) -> Numbers:
        """Whether another prompt fits worse than the cell's own, [P, S, P]: 1, 0, or a half for as well; NaN where unknown.

        Told by the base's pictures, or by a model of pictures and text where there is one.
        """
        if checkpoint in self.evidence.told:
            fit = self.evidence.told[checkpoint]
            own = np.diagonal(fit, axis1=0, axis2=2).T[..., None]
            return np.where(np.isfinite(fit) & np.isfinite(own), (fit < own) + 0.5 * (fit == own), np.nan)
        content = self.evidence.drawn[checkpoint].content
        table = np.full((*content.shape[:2], content.shape[0]), np.nan)
        for seed in range(content.shape[1]):
            anchors = self._anchors(seed)
            distances = squared_distances(content[:, seed], anchors)
            own = np.diagonal(distances)[:, None]
            known = np.isfinite(distances) & np.isfinite(own)
            table[:, seed] = np.where(known, (distances > own) + 0.5 * (distances == own), np.nan)
        return table

    def read(self, checkpoint: int, cells: Cells) -> Statistic:
        """The mean share."""
        return over_prompt_pairs(np.where(cells[..., None], self.farther(checkpoint), np.nan))

    def scale(self, values: Numbers) -> Numbers:
        """The share of the way from chance to the base."""
        return np.asarray((values - CHANCE) / (self.base - CHANCE), np.float64)

    def values(self, checkpoint: int) -> Numbers:
        """The share of the other prompts that fit a cell worse, [P, S]."""
        farther = self.farther(checkpoint)
        prompts = np.arange(len(farther))
        farther[prompts, :, prompts] = np.nan
        return mean_there(farther)

    def flaw(self, weights: Weights) -> str | None:
        """The base's true prompts must surely beat permuted ones, whose share is a half."""
        if surely_above_zero(self.read(BASE, self.evidence.cells(BASE)) - CHANCE, weights):
            return None
        return "it does not tell the base's pictures of one prompt from those of another"

    def _anchors(self, seed: int) -> Numbers:
        """The mean look of the base's pictures of each prompt but those of one seed, [P, C]; NaN where there is none."""
        content = np.delete(self.evidence.base.content, seed, axis=1)
        is_there = np.delete(self.evidence.cells(BASE), seed, axis=1)
        total = np.where(is_there[..., None], content, 0.0).sum(axis=1)
        has_any = np.asarray(is_there.any(axis=1), np.bool_)
        return np.where(has_any[:, None], unit_rows(total), np.nan)
