"""Drift: how much the adapter changes pictures that nobody asked it to change, those of prompts without the keyword.

Adapter on against base, same prompt and same noise, in units of how much the base's own pictures of one prompt differ between seeds: at 1
the adapter changes a picture as much as other noise would. It decides nothing, because a LoRA that is loaded only to be used may drift.
"""

from dataclasses import dataclass

import numpy as np

from decal.scores.evidence import BASE, Cells, Evidence, UnfitError
from decal.scores.looks import Numbers
from decal.scores.statistic import Statistic, over_cells


@dataclass(frozen=True)
class Drift:
    """The mean distance from the base's pictures, over that between seeds of the base. usual: that distance."""

    evidence: Evidence
    usual: float
    name: str = "drift"

    @classmethod
    def of(cls, evidence: Evidence) -> "Drift":
        """Needs probes of the base, with two seeds."""
        if BASE not in evidence.probes:
            raise UnfitError("no prompts without the keyword were drawn")
        content = evidence.probes[BASE].content
        between = 1 - np.einsum("psc,ptc->pst", content, content)
        first, second = np.triu_indices(content.shape[1], 1)
        apart = between[:, first, second]
        usual = float(np.nanmean(apart)) if np.isfinite(apart).any() else 0.0
        if not usual > 0:
            raise UnfitError("prompts without the keyword need two seeds, to know how much pictures differ anyway")
        return cls(evidence, usual)

    def read(self, checkpoint: int, cells: Cells) -> Statistic:
        """The mean over the probes; the cells of the table play no part."""
        values = self.values(checkpoint)
        return over_cells(np.full((self.evidence.sizes()["probes"][0], 1), np.nan) if values is None else values, "probes")

    def values(self, checkpoint: int) -> Numbers | None:
        """For each probe, [Q, S']; None where none was drawn."""
        if checkpoint not in self.evidence.probes:
            return None
        base, here = self.evidence.probes[BASE], self.evidence.probes[checkpoint]
        distances = (1 - (base.content * here.content).sum(axis=-1)) / self.usual
        return np.where(base.is_there & here.is_there, distances, np.nan)
