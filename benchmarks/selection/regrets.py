"""What choices lose, and how sure that is.

Qualities and choices come in, shares and intervals go out. Intervals are drawn over styles and over the trainings on each: what another
style would change is more than what another training on the same one would.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from decal.scores.evidence import Evidence
from decal.scores.looks import Looks

Numbers = NDArray[np.float64]

ACCEPTABLE = 0.05
RESAMPLES = 10_000


@dataclass(frozen=True)
class Mean:
    """A mean with the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:6.1%} [{self.low:6.1%}, {self.high:6.1%}]"


def regret(quality: Numbers, chosen: int) -> float:
    """What is lost by a choice, 0..1. quality: of each checkpoint. chosen: from 0."""
    return float((quality.max() - quality[chosen]) / (quality.max() - quality.min()))


def given_away(quality: Numbers, base: float, chosen: int) -> float:
    """What a choice gives away of what training gained: (best - chosen) / (best - base), 0 and more.

    Where all checkpoints are about as good this is next to nothing, while the regret, which is by the worst, may be 1.
    base: quality of the base; nothing is given away where no checkpoint is above it.
    """
    gained = quality.max() - base
    return float((quality.max() - quality[chosen]) / gained) if gained > 0 else 0.0


def mean_cosines(evidence: Evidence, references: Looks, checkpoints: Sequence[int]) -> Numbers:
    """How much the pictures of each checkpoint are like some pictures on average, as CLIP-I and DINO-I have it, [C]."""
    mean = references.content.mean(axis=0)
    return np.array([np.nanmean(evidence.drawn[checkpoint].content @ mean) for checkpoint in checkpoints])


def mean_cosine(evidence: Evidence, references: Looks, checkpoints: Sequence[int]) -> int:
    """The checkpoint whose pictures are most like some pictures on average; from 0."""
    return int(mean_cosines(evidence, references, checkpoints).argmax())


def mean_over_styles(values: Mapping[str, Sequence[float]], *, resamples: int = RESAMPLES, seed: int = 0) -> Mean:
    """The mean over all trainings. values: by style, one for each training on it; the interval is over styles, then trainings."""
    rows = [np.asarray(of, np.float64) for of in values.values()]
    rng = np.random.default_rng(seed)
    styles = rng.integers(len(rows), size=(resamples, len(rows)))
    # A style that is drawn twice has its trainings drawn anew, so each place has a draw from every style to take its own from.
    sums = np.stack([rng.choice(of, (resamples, len(rows), len(of))).sum(axis=2) for of in rows], axis=2)
    totals = np.take_along_axis(sums, styles[..., None], axis=2).sum(axis=(1, 2))
    drawn = totals / np.array([len(of) for of in rows])[styles].sum(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Mean(float(np.concatenate(rows).mean()), float(low), float(high))


def differs(quality: Numbers) -> bool:
    """Whether checkpoints differ by more than chance. quality: of each picture, [C, P]: the best less the worst, twice its standard error.

    The two are chosen for being the ends, which makes differences look surer than they are; so this asks little.
    """
    means = quality.mean(axis=1)
    gap = quality[means.argmax()] - quality[means.argmin()]
    return bool(gap.mean() > 2 * gap.std(ddof=1) / np.sqrt(len(gap)))
