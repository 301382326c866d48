"""Adherence: whether pictures still show what the prompt asks for, told without any model of language unless the user brings one.

The base's pictures of a prompt are its anchor. A picture scores by how much farther the anchors of the other prompts are than its own: 0
is chance, and as far as for the base's own pictures is 1; what the base itself cannot draw, this cannot see. How far says more than
whether, from as many pictures (LOG.md, 2026-11-26). An anchor leaves out the base's picture of the cell's own seed: both start from the
same noise, and what they share through it is no adherence. A model that holds pictures against text takes the place of the anchors: raw,
its numbers say more of a prompt than of a picture, but by how much its own prompt leads the others can be compared.
"""

from dataclasses import dataclass

import numpy as np

from decal.scores.evidence import BASE, Cells, Evidence, UnfitError, mean_there, plainly, squared_distances, surely_above_zero, unit_rows
from decal.scores.looks import Numbers
from decal.scores.statistic import Statistic, Weights, over_prompt_pairs

MIN_PROMPTS = 6
"""With fewer, resamples of the prompts are too alike to say how sure anything is."""


@dataclass(frozen=True)
class Adherence:
    """By how much better a picture fits its own prompt than the others. base: the same of the base's pictures."""

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
        one = plainly(cls(evidence, 0.0).read(BASE, there), evidence)
        if not one > 0:
            raise UnfitError("the base's pictures of one prompt are no more alike than those of two, so it has no idea of these prompts")
        return cls(evidence, one)

    def lead(self, checkpoint: int) -> Numbers:
        """By how much a cell's own prompt fits it better than another, [P, S, P]; NaN where unknown.

        Told by squared distances to the base's pictures, or by a model of pictures and text where there is one.
        """
        fit = self.evidence.told[checkpoint] if checkpoint in self.evidence.told else self._nearness(checkpoint)
        own = np.diagonal(fit, axis1=0, axis2=2).T[..., None]
        return np.asarray(own - fit, np.float64)

    def read(self, checkpoint: int, cells: Cells) -> Statistic:
        """The mean lead over the other prompts."""
        return over_prompt_pairs(np.where(cells[..., None], self.lead(checkpoint), np.nan))

    def scale(self, values: Numbers) -> Numbers:
        """As a share of the base's."""
        return np.asarray(values / self.base, np.float64)

    def values(self, checkpoint: int) -> Numbers:
        """The share of the other prompts that fit a cell worse, [P, S]: a half is chance."""
        lead = self.lead(checkpoint)
        fits_worse = np.where(np.isfinite(lead), (lead > 0) + 0.5 * (lead == 0), np.nan)
        prompts = np.arange(len(lead))
        fits_worse[prompts, :, prompts] = np.nan
        return mean_there(fits_worse)

    def flaw(self, weights: Weights) -> str | None:
        """The base's true prompts must surely beat permuted ones, which have no lead."""
        if surely_above_zero(self.read(BASE, self.evidence.cells(BASE)), weights):
            return None
        return "it does not tell the base's pictures of one prompt from those of another"

    def _nearness(self, checkpoint: int) -> Numbers:
        """Of every cell to the anchor of every prompt, [P, S, P]: the squared distance below zero."""
        content = self.evidence.drawn[checkpoint].content
        apart = [squared_distances(content[:, seed], self._anchors(seed)) for seed in range(content.shape[1])]
        return -np.stack(apart, axis=1)

    def _anchors(self, seed: int) -> Numbers:
        """The mean look of the base's pictures of each prompt but those of one seed, [P, C]; NaN where there is none."""
        content = np.delete(self.evidence.base.content, seed, axis=1)
        is_there = np.delete(self.evidence.cells(BASE), seed, axis=1)
        total = np.where(is_there[..., None], content, 0.0).sum(axis=1)
        has_any = np.asarray(is_there.any(axis=1), np.bool_)
        return np.where(has_any[:, None], unit_rows(total), np.nan)
