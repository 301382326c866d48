"""What measures are given, and what a measure is.

`Evidence` holds the looks of every picture of a comparison: drawn ones on a table of prompts x seeds for each checkpoint, and the user's
own. A measure is made from it once, which freezes its scale on the base and the references; then it reads checkpoints. Making one fails
with `UnfitError`, whose text is the reason why the measure is skipped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from decal.scores.looks import Looks, Numbers, join
from decal.scores.statistic import Axis, Statistic, Weights

Cells = NDArray[np.bool_]
"""Which cells of the table count, [P, S]."""

BASE = 0


class UnfitError(Exception):
    """A measure cannot be used on this data; the text says why."""


@dataclass(frozen=True)
class Planted:
    """Cases made on purpose, to see that guardrails catch them. None where the caller made none.

    copies: edited copies of training pictures, [K, ...]. burnt, blurred: the base's pictures on their table, spoilt, [P, S, ...].
    """

    copies: Looks | None = None
    burnt: Looks | None = None
    blurred: Looks | None = None


@dataclass(frozen=True)
class Evidence:
    """Every picture of a comparison.

    prompts, seeds: of the table; the base (checkpoint 0) may have more seeds than the others. drawn: by checkpoint, [P, S, ...]; NaN where
    nothing was drawn or the picture cannot be used. broken: by checkpoint, the cells that were drawn and cannot be used, [P, S].
    training, mirrored: the training pictures, [T, ...], and their mirror images; files: their names. heldout: [H, ...].
    probes: by checkpoint, pictures of prompts without the keyword, [Q, S', ...], adapter on. recited: the same of training captions.
    told: by checkpoint, how well a model of pictures and text holds each picture to fit each prompt, [P, S, P].
    texts: by checkpoint, lines of text that were read in each picture, [P, S]; own_texts: in the user's, [T + H], training first.
    losses: by checkpoint, of each held-out picture, [H].
    """

    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    drawn: Mapping[int, Looks]
    heldout: Looks
    training: Looks
    mirrored: Looks
    files: tuple[str, ...]
    broken: Mapping[int, Cells] = field(default_factory=dict)
    probes: Mapping[int, Looks] = field(default_factory=dict)
    recited: Mapping[int, Looks] = field(default_factory=dict)
    told: Mapping[int, Numbers] = field(default_factory=dict)
    texts: Mapping[int, Numbers] = field(default_factory=dict)
    own_texts: Numbers | None = None
    losses: Mapping[int, Numbers] = field(default_factory=dict)
    planted: Planted = Planted()

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """The trained ones, in order."""
        return tuple(sorted(step for step in self.drawn if step != BASE))

    @property
    def base(self) -> Looks:
        """The base's pictures, [P, S, ...]."""
        return self.drawn[BASE]

    @property
    def own(self) -> Looks:
        """The user's pictures: those trained on, then those held out, [R, ...]."""
        return join(self.training, self.heldout)

    @property
    def is_heldout(self) -> NDArray[np.bool_]:
        """Which of `own` are held out, [R]."""
        return np.arange(len(self.training) + len(self.heldout)) >= len(self.training)

    def cells(self, checkpoint: int) -> Cells:
        """The cells of a checkpoint that can be measured."""
        return self.drawn[checkpoint].is_there

    def sizes(self) -> dict[Axis, tuple[int, ...]]:
        """The groups to resample on each axis; training and held-out pictures are drawn apart, so their numbers stay."""
        probes = len(self.probes[BASE]) if BASE in self.probes else 0
        captions = len(self.recited[BASE]) if BASE in self.recited else 0
        return {
            "prompts": (len(self.prompts),),
            "references": (len(self.training), len(self.heldout)),
            "probes": (probes,),
            "captions": (captions,),
        }


class Measure(Protocol):
    """One thing that can be said of a checkpoint in numbers. name: as it stands in records."""

    @property
    def name(self) -> str: ...

    def read(self, checkpoint: int, cells: Cells) -> Statistic:
        """The value of a checkpoint on some cells."""
        ...

    def values(self, checkpoint: int) -> Numbers | None:
        """The value of each cell, [P, S], for showing the best and the worst; None where single cells have none."""
        ...


class Objective(Measure, Protocol):
    """A measure that is sought."""

    def scale(self, values: Numbers) -> Numbers:
        """Values on the scale that objectives share: 0 is worthless, 1 as good as can be expected."""
        ...

    def flaw(self, weights: Weights) -> str | None:
        """Why the measure does not work on this data, found by testing it; None where it works."""
        ...


class Guardrail(Measure, Protocol):
    """A measure that must not leave a range."""

    def breach(self, checkpoint: int, cells: Cells) -> tuple[Statistic, ...]:
        """How far a checkpoint is out of the range; it is rejected where every one of these is surely above 0."""
        ...

    def complaint(self, checkpoint: int, cells: Cells) -> str:
        """What is wrong with a rejected checkpoint: the end of a sentence that begins with its name."""
        ...

    def flaw(self, weights: Weights) -> str | None:
        """Why the measure does not work on this data, found by testing it; None where it works."""
        ...


def plainly(statistic: Statistic, evidence: Evidence) -> float:
    """The value with everything counted once."""
    ones = {axis: np.ones((1, sum(groups))) for axis, groups in evidence.sizes().items()}
    return float(statistic.at(ones)[0])


def unit_rows(vectors: Numbers) -> Numbers:
    """The vectors at length 1; a vector of zeros stays."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(length == 0, 1.0, length), np.float64)


def mean_there(values: Numbers) -> Numbers:
    """The mean over the last axis of what is not NaN; NaN where nothing is."""
    count = np.isfinite(values).sum(axis=-1, keepdims=True)
    total = np.nan_to_num(values).sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)[..., 0], np.float64)


def squared_distances(first: Numbers, second: Numbers) -> Numbers:
    """Squared Euclidean distances [n, m] between the rows of [n, d] and [m, d]."""
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)[None]
    return np.asarray(np.maximum(squares - 2 * first @ second.T, 0.0), np.float64)


def surely_above_zero(statistic: Statistic, weights: Weights) -> bool:
    """Whether the lower end of the 95 % interval lies above 0; never, where it cannot be computed."""
    drawn = statistic.at(weights)[1:]
    drawn = drawn[np.isfinite(drawn)]
    return bool(len(drawn) and np.quantile(drawn, 0.025) > 0)
