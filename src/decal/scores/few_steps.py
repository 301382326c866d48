"""Whether a model of few steps kept them: the same prompts and seeds at 1, 2, 4 and many steps, without an adapter and with it.

An adapter may make pictures softer on purpose; then it does at any number of steps. What the model was distilled for is gone where few
steps became worse and many did not. So each change is counted against that at many steps, cell by cell, with an interval over prompts.
Source of what goes wrong: Miao et al. 2024, arXiv:2410.03190, where plain training leaves blurred pictures at few steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from decal.records import Probe
from decal.scores.evidence import mean_there, squared_distances, unit_rows
from decal.scores.looks import TONES, Looks, Numbers

FEW = (1, 2, 4)
MANY = 30
BLURRED = -0.1
"""In powers of ten of the variance of the Laplacian: a fifth of it is gone. Chosen on one training of the embedded student; LOG.md."""
FORGOTTEN = -0.15
"""Of the share of other prompts that fit a picture worse, where .5 is chance."""
RESAMPLES = 1000
# Where the few steps are good is what a prompt should look like.
ANCHOR = 4


@dataclass(frozen=True)
class Change:
    """The mean of something over prompts, with the middle 95 % of what other prompts might have given."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Health:
    """What a number of steps gives before and after.

    sharpness: log10 of the variance of the Laplacian. adherence: the share of other prompts that fit a picture worse. distance: 1 - cosine
    of the looks of the two pictures of a cell. sharper, nearer: how much more sharpness and adherence changed than at many steps.
    """

    steps: int
    sharpness: tuple[float, float]
    adherence: tuple[float, float]
    distance: float
    sharper: Change
    nearer: Change

    @property
    def is_lost(self) -> bool:
        """Whether these steps surely became worse, and by more than is hard to see, while many steps did not."""
        return any(change.mean < limit and change.high < 0 for change, limit in ((self.sharper, BLURRED), (self.nearer, FORGOTTEN)))


def healths(before: Mapping[int, Looks], after: Mapping[int, Looks]) -> list[Health]:
    """The health of each number of steps, `MANY` last. before, after: looks [P, S, ...] by number of steps; two seeds at least."""
    anchors = before[ANCHOR].content
    sharp = [{steps: looks.tone[..., TONES.index("sharpness")] for steps, looks in side.items()} for side in (before, after)]
    near = [{steps: adherence(looks.content, anchors) for steps, looks in side.items()} for side in (before, after)]
    found = []
    for steps in sorted(before):
        apart = 1 - (unit_rows(before[steps].content) * unit_rows(after[steps].content)).sum(axis=-1)
        found.append(
            Health(
                steps=steps,
                sharpness=(float(np.nanmean(sharp[0][steps])), float(np.nanmean(sharp[1][steps]))),
                adherence=(float(np.nanmean(near[0][steps])), float(np.nanmean(near[1][steps]))),
                distance=float(np.nanmean(apart)),
                sharper=_against_many(sharp[0], sharp[1], steps),
                nearer=_against_many(near[0], near[1], steps),
            )
        )
    return found


def adherence(content: Numbers, anchors: Numbers) -> Numbers:
    """The share of the other prompts whose anchors are farther from a picture than its own, [P, S].

    content, anchors: [P, S, C]; a picture is never held against the anchor of its own seed, with which it shares the noise.
    """
    found = np.full(content.shape[:2], np.nan)
    others = ~np.eye(len(content), dtype=bool)
    for seed in range(content.shape[1]):
        means = unit_rows(np.nansum(np.delete(anchors, seed, axis=1), axis=1))
        distances = squared_distances(content[:, seed], means)
        own = np.diagonal(distances)[:, None]
        farther = np.where(np.isfinite(distances) & others, (distances > own) + 0.5 * (distances == own), np.nan)
        found[:, seed] = mean_there(farther)
    return found


def _against_many(before: Mapping[int, Numbers], after: Mapping[int, Numbers], steps: int) -> Change:
    """How much more a number changed at these steps than at many, over prompts."""
    each = mean_there((after[steps] - before[steps]) - (after[MANY] - before[MANY]))
    each = each[np.isfinite(each)]
    if not len(each):
        return Change(0.0, 0.0, 0.0)
    drawn = np.random.default_rng(0).integers(0, len(each), (RESAMPLES, len(each)))
    low, high = np.quantile(each[drawn].mean(axis=1), (0.025, 0.975))
    return Change(float(each.mean()), float(low), float(high))


def table(found: Probe) -> list[str]:
    """A probe as lines to print: its table, and what follows from it."""
    lines = ["", "steps  sharpness      adherence      from the base  sharper than at many       nearer than at many"]
    for row in found.rows:
        sharper, nearer = (f"{mean:+.2f} ({low:+.2f} to {high:+.2f})" for mean, low, high in (row.sharper, row.nearer))
        sharpness, adherence = (f"{one:5.2f} -> {other:5.2f}" for one, other in (row.sharpness, row.adherence))
        compared = f"{sharper:25}  {nearer}" if row.steps != MANY else ""
        lines.append(
            f"{row.steps:5}  {sharpness}  {adherence}  {row.distance:13.2f}  {compared}".rstrip() + ("  lost" if row.is_lost else "")
        )
    lost = [row.steps for row in found.rows if row.is_lost]
    if lost:
        what = " and ".join(map(str, lost))
        return [
            *lines,
            "",
            f"At {what} step{'' if lost == [1] else 's'} pictures became surely worse, and at {MANY} they did not: the training undid the "
            "few steps.",
            f"(Worse: sharper by {BLURRED:g} or less, or nearer by {FORGOTTEN:g} or less, in tenfolds and shares.)",
            'Train with  train.recipe = "on_base", lower train.learning_rate, or take an earlier checkpoint; or draw with 30 steps.',
        ]
    return [*lines, "", f"The few steps are kept: none of {', '.join(map(str, FEW))} surely lost more than {MANY} steps did."]
