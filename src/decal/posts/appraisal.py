"""Targets that are reached, missed, or cannot be told; and what each way of drawing is worth, paired over the same posts.

Ways are drawn for posts that were kept out of training. Fit is what candidates show of what was asked for; `adds` is what a ranker expects
a picture to add to log(1 + likes). Whoever chooses a picture never judges it: one ranker chooses, and one that learnt from other accounts
judges, and the other way round. Where pictures say nothing of likes, every statement about likes is "cannot be told", whatever the numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from decal.posts.engagement import RESAMPLES, interval
from decal.posts.selection import MIN_FIT
from decal.records import AppraisedDifference, AppraisedTarget, AppraisedWay
from decal.scores.evidence import mean_there
from decal.scores.statistic import Statistic, over_cells, resampled

Numbers = NDArray[np.float64]
Outcome = Literal["reached", "missed", "cannot be told"]

# With fewer scored pictures than this, what is scored says little of the rest.
MIN_KNOWN = 0.8

WAYS: Mapping[str, str] = {
    "none": "the base, the text of the post as it is",
    "prompt": "the base, the planned prompt",
    "LoRA": "the LoRA, the text of the post as it is",
    "both": "the LoRA, the planned prompt",
    "control": "the LoRA of the control run, the planned prompt",
}
PAIRS = (("prompt", "none"), ("LoRA", "none"), ("both", "none"), ("both", "prompt"), ("both", "LoRA"), ("both", "control"))


@dataclass(frozen=True)
class Way:
    """How posts were drawn in one way. fit, adds: [P, K]. halves: what either half of the accounts expects, [P, K] each, and its high."""

    fit: Numbers
    adds: Numbers
    halves: tuple[Numbers, Numbers]
    high: tuple[float, float]

    def chosen(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Which candidate each half would choose, [P] each; of those that show what was asked for, where there are such."""
        passes = ~(self.fit < MIN_FIT)
        passes |= ~passes.any(axis=1, keepdims=True)
        one, other = (np.where(passes & np.isfinite(half), half, -np.inf).argmax(axis=1) for half in self.halves)
        return one, other

    def judged(self) -> Numbers:
        """What the half that did not choose expects of the chosen candidate, [P, 2]."""
        rows, (one, other) = np.arange(len(self.fit)), self.chosen()
        return np.asarray(np.stack([self.halves[1][rows, one], self.halves[0][rows, other]], axis=1), np.float64)

    def lead(self) -> Numbers:
        """The same, less what it expects of a candidate taken at random, [P, 2]."""
        usual = np.stack([mean_there(self.halves[1]), mean_there(self.halves[0])], axis=1)
        return np.asarray(self.judged() - usual, np.float64)

    def is_high(self) -> Numbers:
        """Whether the half that did not choose counts the chosen candidate as high, [P, 2]."""
        judged = self.judged()
        return np.where(np.isfinite(judged), judged >= np.array([self.high[1], self.high[0]]), np.nan)

    def is_known(self) -> bool:
        """Whether most pictures are like those that the rankers learnt from, so that their scores say something."""
        return bool(np.isfinite(self.adds).mean() >= MIN_KNOWN)

    def shown(self) -> Numbers:
        """The fit of the chosen candidates, [P, 2]."""
        rows, (one, other) = np.arange(len(self.fit)), self.chosen()
        return np.stack([self.fit[rows, one], self.fit[rows, other]], axis=1)


def ways(found: Mapping[str, Way], *, is_told: bool) -> tuple[AppraisedWay, ...]:
    """Fit and the share of high pictures of each way."""
    rows = []
    for name, way in found.items():
        fit, high = (
            _share(way.fit),
            _share(way.is_high()) if is_told and way.is_known() else (None, None, None),
        )
        rows.append(AppraisedWay(name=name, what=WAYS[name], fit=fit, high=high))
    return tuple(rows)


def differences(found: Mapping[str, Way], *, is_told: bool) -> tuple[AppraisedDifference, ...]:
    """What each way is worth against another, and the best of the candidates against one at random; paired by post."""
    rows = []
    for first, second in PAIRS:
        if first in found and second in found:
            is_known = is_told and found[first].is_known() and found[second].is_known()
            name = "real buckets against shuffled" if second == "control" else f"{first} against {second}"
            if second != "control":
                rows.append(_difference(name, "fit", over_cells(found[first].fit) - over_cells(found[second].fit), is_known=True))
            rows.append(_difference(name, "adds", over_cells(found[first].adds) - over_cells(found[second].adds), is_known=is_known))
    last = "both" if "both" in found else "prompt"
    name = f"best of {found[last].fit.shape[1]} against one at random"
    rows.append(_difference(name, "adds", over_cells(found[last].lead()), is_known=is_told and found[last].is_known()))
    return tuple(rows)


def targets(way: Way, wanted: Mapping[str, float], *, is_told: bool, reason: str) -> tuple[AppraisedTarget, ...]:
    """Whether the declared targets are reached by the chosen candidates. wanted: high and fit, as shares."""
    rows = []
    for name, share in wanted.items():
        value, low, high = _share(way.is_high() if name == "high" else way.shown())
        outcome: Outcome = "cannot be told"
        why = "its interval holds the target"
        if name == "high" and not is_told:
            value, low, high, why = None, None, None, reason
        elif name == "high" and not way.is_known():
            value, low, high, why = None, None, None, "too many pictures are unlike all that was posted"
        elif value is None or low is None or high is None:
            why = "it could not be measured"
        elif low >= share:
            outcome, why = "reached", "all of its interval lies at or above the target"
        elif high < share:
            outcome, why = "missed", "all of its interval lies below the target"
        rows.append(AppraisedTarget(name=name, wanted=share, value=value, low=low, high=high, outcome=outcome, reason=why))
    return tuple(rows)


def _difference(name: str, measure: str, statistic: Statistic, *, is_known: bool) -> AppraisedDifference:
    value, low, high = _interval(statistic)
    outcome = "cannot be told"
    if is_known and low is not None and high is not None:
        outcome = "better" if low > 0 else "worse" if high < 0 else "cannot be told"
    return AppraisedDifference(name=name, measure=measure, value=value, low=low, high=high, outcome=outcome)


def _share(values: Numbers) -> tuple[float | None, float | None, float | None]:
    """The mean of shares [P, 2] over whole posts. Where all are 0 or all are 1, resamples would be sure of it: the exact bound is taken.

    Source: Clopper and Pearson 1934, Biometrika 26, 404.
    """
    value, low, high = _interval(over_cells(values))
    posts = int(np.isfinite(values).any(axis=1).sum())
    if value is not None and value in (0.0, 1.0):
        bound = 0.025 ** (1 / posts)
        return (value, bound, 1.0) if value else (value, 0.0, 1 - bound)
    return value, low, high


def _interval(statistic: Statistic) -> tuple[float | None, float | None, float | None]:
    """Over whole posts."""
    posts = len(statistic.means[0].total)
    return interval(statistic, resampled({"prompts": (posts,)}, RESAMPLES, np.random.default_rng(0)), 0.95)


def headline(found: Sequence[AppraisedTarget]) -> str:
    """The outcome of every target in a few words."""
    names = {"high": "High engagement", "fit": "Fit"}
    return " ".join(f"{names.get(one.name, one.name)}: {one.outcome}." for one in found)
