"""Diversity: whether pictures of different prompts still differ, so that a LoRA that draws one thing for everything is found out.

The mean distance between pictures of different prompts. Unlike the Vendi score it does not grow with the number of pictures
(arXiv:2410.21719). It is no aim: noise is diverse.
"""

from dataclasses import dataclass

import numpy as np

from decal.scores.evidence import BASE, Cells, Evidence, UnfitError, plainly
from decal.scores.looks import Looks, Numbers
from decal.scores.statistic import Statistic, Weights, over_prompt_pairs, over_reference_pairs

TOLERATED = 0.7
"""Share of the base's diversity below which a checkpoint has collapsed, unless your own pictures are as much alike."""


@dataclass(frozen=True)
class Diversity:
    """The mean cosine distance of content between cells of different prompts, 0..1."""

    evidence: Evidence
    name: str = "diversity"

    @classmethod
    def of(cls, evidence: Evidence) -> "Diversity":
        """Needs a base whose pictures differ."""
        diversity = cls(evidence)
        if not np.nanmax(_distances(evidence.base, evidence.cells(BASE)), initial=0.0) > 0:
            raise UnfitError("the base's pictures are all alike")
        return diversity

    def read(self, checkpoint: int, cells: Cells) -> Statistic:
        """The mean distance."""
        return over_prompt_pairs(_distances(self.evidence.drawn[checkpoint], cells))

    def values(self, checkpoint: int) -> Numbers | None:
        """None: a single picture has no diversity."""
        return None

    def breach(self, checkpoint: int, cells: Cells) -> tuple[Statistic, ...]:
        """Below a share of the base's, and below that of the user's own pictures."""
        here = self.read(checkpoint, cells)
        below_base = self.read(BASE, cells) * TOLERATED - here
        own = self.evidence.own
        if own.is_there.sum() < 2:
            return (below_base,)
        content = np.nan_to_num(own.content)
        is_there = own.is_there
        distances = np.where(is_there[:, None] & is_there, 1 - content @ content.T, np.nan)
        return below_base, over_reference_pairs(distances) - here

    def complaint(self, checkpoint: int, cells: Cells) -> str:
        """How much is left."""
        share = plainly(self.read(checkpoint, cells), self.evidence) / plainly(self.read(BASE, cells), self.evidence)
        return f"draws different prompts nearly alike ({share:.0%} of the base's diversity)"

    def flaw(self, weights: Weights) -> str | None:
        """None: there is nothing to be wrong about."""
        return None


def _distances(looks: Looks, cells: Cells) -> Numbers:
    """Cosine distances between cells, [P, S, P, S]; NaN where there is none."""
    is_there = looks.is_there & cells
    content = np.nan_to_num(looks.content).reshape(cells.size, -1)
    distances = (1 - content @ content.T).reshape(*cells.shape, *cells.shape)
    return np.where(is_there[:, :, None, None] & is_there[None, None], distances, np.nan)
