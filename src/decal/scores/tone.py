"""Burn and blur: whether contrast, chroma, clipping or sharpness left the range of the user's pictures.

There are no limits in themselves: a poster is harsher than a watercolour. A checkpoint is burnt where it lies surely above the user's own
pictures, training ones included, and also above the base on the same prompts, by more than a margin both times; so neither a contrasty
style nor contrasty prompts are blamed, nor what the base itself cannot do. Blur is the same with sharpness, below.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from decal.scores.evidence import BASE, Cells, Evidence, UnfitError, plainly, surely_above_zero
from decal.scores.looks import TONES, Looks, Numbers
from decal.scores.statistic import Statistic, Weights, over_cells, over_references

Side = Literal["above", "below"]

MARGIN = 0.5
"""How far the mean may lie beyond that of the user's pictures, and beyond that of the base's, in standard deviations of the user's."""
MIN_REFERENCES = 4


@dataclass(frozen=True)
class Tone:
    """One number of tone, counted from the mean of the user's pictures in their standard deviations.

    tone: its place in `TONES`. side: where a checkpoint may not be.
    """

    evidence: Evidence
    name: str
    tone: int
    side: Side
    spread: float

    @classmethod
    def of(cls, evidence: Evidence, name: str, tone: str, side: Side) -> "Tone":
        """Measure the spread of the user's pictures."""
        place = TONES.index(tone)
        own = evidence.own.tone[:, place]
        if np.isfinite(own).sum() < MIN_REFERENCES:
            raise UnfitError(f"{np.isfinite(own).sum()} pictures of yours are too few to say what is usual")
        spread = float(np.nanstd(own, ddof=1))
        if spread == 0:
            raise UnfitError(f"all of your pictures have the same {tone}")
        return cls(evidence, name, place, side, spread)

    def read(self, checkpoint: int, cells: Cells) -> Statistic:
        """How far the mean lies from that of the user's pictures, in their standard deviations."""
        return self._beyond(self.evidence.drawn[checkpoint], cells) * self._sign

    def values(self, checkpoint: int) -> Numbers:
        """The same for each cell, [P, S]."""
        own = self.evidence.own.tone[:, self.tone]
        return np.asarray((self.evidence.drawn[checkpoint].tone[..., self.tone] - np.nanmean(own)) / self.spread, np.float64)

    def breach(self, checkpoint: int, cells: Cells) -> tuple[Statistic, ...]:
        """Beyond the user's pictures by more than the margin, and so beyond the base on the same cells."""
        return self._breach(self.evidence.drawn[checkpoint], cells)

    def complaint(self, checkpoint: int, cells: Cells) -> str:
        """What is too much, and by how much."""
        far = plainly(self.read(checkpoint, cells), self.evidence)
        what = TONES[self.tone]
        return f"has {abs(far):.1f} standard deviations {'more' if self.side == 'above' else 'less'} {what} than your pictures"

    def flaw(self, weights: Weights) -> str | None:
        """Spoilt pictures must lie beyond the base's own by the margin; a guardrail that sees nothing protects from nothing."""
        planted = self.evidence.planted.burnt if self.side == "above" else self.evidence.planted.blurred
        if planted is None:
            return None
        cells = self.evidence.cells(BASE) & planted.is_there
        if surely_above_zero(self._paired(planted, cells) - MARGIN, weights):
            return None
        return f"it does not see pictures {'burnt' if self.side == 'above' else 'blurred'} to test it"

    @property
    def _sign(self) -> float:
        return 1.0 if self.side == "above" else -1.0

    def _breach(self, looks: Looks, cells: Cells) -> tuple[Statistic, ...]:
        return self._beyond(looks, cells) - MARGIN, self._paired(looks, cells) - MARGIN

    def _beyond(self, looks: Looks, cells: Cells) -> Statistic:
        """Distance from the user's pictures towards the forbidden side."""
        own = self.evidence.own.tone[:, self.tone]
        drawn = np.where(cells & looks.is_there, looks.tone[..., self.tone], np.nan)
        return (over_cells(drawn) - over_references(own)) * (self._sign / self.spread)

    def _paired(self, looks: Looks, cells: Cells) -> Statistic:
        """Distance from the base on the same cells towards the forbidden side."""
        difference = looks.tone[..., self.tone] - self.evidence.base.tone[..., self.tone]
        there = cells & looks.is_there & self.evidence.cells(BASE)
        return over_cells(np.where(there, difference, np.nan)) * (self._sign / self.spread)
