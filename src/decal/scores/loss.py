"""Held-out loss: how well the denoiser predicts the noise of pictures that were not trained on, as a share of the base's loss.

Its minimum marks where a LoRA begins to know its training pictures better than others. It decides nothing: in every run that was looked at,
good pictures came later than the minimum (spacepxl, demystifying-sd-finetuning; LOG.md, 2026-11-24).
"""

from dataclasses import dataclass

import numpy as np

from decal.scores.evidence import BASE, Cells, Evidence, UnfitError
from decal.scores.looks import Numbers
from decal.scores.statistic import Statistic, over_references


@dataclass(frozen=True)
class Loss:
    """The mean over the held-out pictures of the loss over the base's."""

    evidence: Evidence
    name: str = "held-out loss"

    @classmethod
    def of(cls, evidence: Evidence) -> "Loss":
        """Needs the base's losses."""
        if BASE not in evidence.losses or not len(evidence.losses[BASE]):
            raise UnfitError("no held-out loss was measured")
        return cls(evidence)

    def read(self, checkpoint: int, cells: Cells) -> Statistic:
        """The mean share; the cells of the table play no part."""
        shares = np.full(len(self.evidence.is_heldout), np.nan)
        if checkpoint in self.evidence.losses:
            shares[self.evidence.is_heldout] = self.evidence.losses[checkpoint] / self.evidence.losses[BASE]
        return over_references(shares)

    def values(self, checkpoint: int) -> Numbers | None:
        """None: it is not of cells."""
        return None
