"""Which of the candidates for a post is shown first, and why: a gate, a veto, and an order.

A candidate must show what was asked for, hold no lettering, be safe for work and not be blank. Those that pass are ordered by what the
audience likes, but only where that could be told from pictures at all; otherwise by how well they show what was asked for, and the reason
says so. Where none passes, none is best: a person decides.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from decal.posts.safety import UNSAFE_FROM
from decal.records import Engagement
from decal.scores.evidence import squared_distances

Numbers = NDArray[np.float64]
Standing = Literal["best", "good", "out"]

# A picture must be nearer to its own prompt's anchor than to those of three quarters of the other prompts; chance is a half.
MIN_FIT = 0.75
# Fewer other prompts than this say nothing of a picture.
MIN_OTHERS = 3
# RMS contrast below which a picture is one flat colour.
BLANK = 0.02


@dataclass(frozen=True)
class Seen:
    """What was seen in a candidate; NaN where it could not be told.

    fit: share of the other prompts whose pictures by the base are farther from it. adds: what it adds to log(1 + likes), by the audience.
    lines: of lettering. unsafe: 0..1. contrast: RMS of the luma.
    """

    fit: float
    adds: float
    lines: float
    unsafe: float
    contrast: float


@dataclass(frozen=True)
class Placed:
    """Where a candidate stands among those of its post. rank: from 1; those that are out come last."""

    rank: int
    standing: Standing
    reason: str
    bucket: Engagement | None


@dataclass(frozen=True)
class Order:
    """How candidates are ordered. is_told: whether pictures say something of likes. medium, high: from where on a picture counts as one."""

    is_told: bool
    medium: float = math.inf
    high: float = math.inf

    def bucket(self, adds: float) -> Engagement | None:
        """What the audience is expected to make of a picture; None where that cannot be told."""
        if not self.is_told or not math.isfinite(adds):
            return None
        return "high" if adds >= self.high else "medium" if adds >= self.medium else "low"

    def place(self, candidates: Sequence[Seen]) -> list[Placed]:
        """Where each candidate of one post stands."""
        faults = [_fault(one) for one in candidates]
        # Pictures that are unlike all that was learnt from have no score.
        by_likes = self.is_told and any(math.isfinite(one.adds) for one, fault in zip(candidates, faults, strict=True) if not fault)

        def key(place: int) -> tuple[bool, float, int]:
            one = candidates[place]
            worth = one.adds if by_likes else one.fit
            return faults[place] != "", -worth if math.isfinite(worth) else math.inf, place

        order = sorted(range(len(candidates)), key=key)
        rank = {place: number for number, place in enumerate(order, start=1)}
        passed = sum(not fault for fault in faults)
        found = []
        for place, (one, fault) in enumerate(zip(candidates, faults, strict=True)):
            standing: Standing = "out" if fault else "best" if rank[place] == 1 else "good"
            found.append(Placed(rank[place], standing, fault or self._why(one, standing, passed), self.bucket(one.adds)))
        return found

    def _why(self, one: Seen, standing: Standing, passed: int) -> str:
        fit = f"shows what was asked for (nearer than {one.fit:.0%} of other prompts)" if math.isfinite(one.fit) else "fit not told"
        if self.is_told and math.isfinite(one.adds):
            likes = f"likes x {math.exp(one.adds):.2f} of the usual, as pictures go"
            return f"{likes}; first of {passed} that pass; {fit}" if standing == "best" else f"{likes}; {fit}"
        if standing == "best" and not math.isfinite(one.fit):
            return f"first drawn of {passed} that pass: of so few prompts, none can be told to fit better"
        return f"first of {passed} that pass, by fit alone; {fit}" if standing == "best" else fit


def fits(content: Numbers, prompts: Sequence[int], anchors: Numbers) -> Numbers:
    """For each picture, the share of the other prompts whose anchor is farther than its own, [N]; NaN where there are too few others.

    content: [N, C]. prompts: of each picture, as a row of anchors [P, C]: what the base draws for each prompt.
    """
    if len(anchors) <= MIN_OTHERS:
        return np.full(len(content), np.nan)
    distances = squared_distances(content, anchors)
    own = distances[np.arange(len(content)), list(prompts)][:, None]
    others = (distances > own).sum(axis=1) + 0.5 * ((distances == own).sum(axis=1) - 1)
    return np.where(np.isfinite(own[:, 0]), others / (len(anchors) - 1), np.nan)


def _fault(one: Seen) -> str:
    """Why a candidate is out; "" where it is not."""
    if one.contrast < BLANK:
        return "out: blank"
    if one.unsafe >= UNSAFE_FROM:
        return f"out: not safe for work ({one.unsafe:.0%} sure)"
    if one.lines > 0:
        return f"out: lettering on it ({one.lines:.0f} lines)"
    if one.fit < MIN_FIT:
        return f"out: does not show what was asked for (nearer than {one.fit:.0%} of other prompts, chance 50%)"
    return ""
