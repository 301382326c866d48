"""Unwanted text: the share of pictures in which lines of text were read.

Hits come from whoever can read pictures; here they are only counted. Text is allowed as far as the base draws it for the same prompts, or
the user's own pictures hold it: captions in stickers are a style.
"""

from dataclasses import dataclass

import numpy as np

from decal.scores.evidence import BASE, Cells, Evidence, UnfitError
from decal.scores.looks import Numbers
from decal.scores.statistic import Statistic, Weights, over_cells, over_references

TOLERATED = 0.05
"""Share of pictures with text beyond the base's and beyond the user's that is let pass."""


@dataclass(frozen=True)
class Text:
    """The share of cells that hold text."""

    evidence: Evidence
    name: str = "text"

    @classmethod
    def of(cls, evidence: Evidence) -> "Text":
        """Needs the base's pictures to have been read."""
        if BASE not in evidence.texts:
            raise UnfitError("the pictures were not read for text")
        return cls(evidence)

    def read(self, checkpoint: int, cells: Cells) -> Statistic:
        """The share of cells with text."""
        values = self.values(checkpoint)
        return over_cells(np.where(cells, np.full(cells.shape, np.nan) if values is None else values, np.nan))

    def values(self, checkpoint: int) -> Numbers | None:
        """1 for cells with text, 0 for others, [P, S]; None where nothing was read."""
        hits = self.evidence.texts.get(checkpoint)
        return None if hits is None else np.where(np.isfinite(hits), hits > 0, np.nan)

    def breach(self, checkpoint: int, cells: Cells) -> tuple[Statistic, ...]:
        """More than the base's and more than the user's."""
        here = self.read(checkpoint, cells) - TOLERATED
        beyond_base = here - self.read(BASE, cells)
        own = self.evidence.own_texts
        if own is None:
            return (beyond_base,)
        return beyond_base, here - over_references(np.where(np.isfinite(own), own > 0, np.nan))

    def complaint(self, checkpoint: int, cells: Cells) -> str:
        """How many."""
        values = self.values(checkpoint)
        count = 0 if values is None else int(np.nansum(values[cells]))
        return f"writes text into {count} of {int(cells.sum())} pictures"

    def flaw(self, weights: Weights) -> str | None:
        """None: what reads the pictures is tested where it reads."""
        return None
