"""Every number of every checkpoint under every resample: what the verdict is read off.

Evidence comes in and a `Contest` goes out. Prompts are resampled as wholes, with their seeds, and so are the references; each resample asks
all checkpoints at once, so differences between them are paired. The ends of the scales stay as they were measured once.
Source of clustering by prompt: Miller 2024, arXiv:2411.00640.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from decal import scores
from decal.records import Gap, Value
from decal.scores import Fitted
from decal.scores.evidence import BASE, Cells, Evidence, Objective, surely_above_zero
from decal.scores.statistic import Statistic, Weights, resampled

Numbers = NDArray[np.float64]

RESAMPLES = 2000
CEILING = 1.2
"""Where scaled values are cut: an adapter that follows prompts better than the base does is welcome, but not at any price."""
STYLE_WEIGHT = 0.5


@dataclass(frozen=True)
class Contest:
    """Some checkpoints on the cells that they have in common.

    scaled: by objective, 0..1.2, [C, 1 + B]; column 0 is plain. values: by measure, as it is, [C, 1 + B].
    complaints: of checkpoints beyond a guardrail, by the name of that.
    by_prompts, by_references: utilities, [C, 1 + B'], where only prompts or only references are resampled, which says of
    what more would help.
    """

    evidence: Evidence
    fitted: Fitted
    checkpoints: tuple[int, ...]
    cells: Cells
    scaled: Mapping[str, Numbers]
    values: Mapping[str, Numbers]
    complaints: Mapping[int, Mapping[str, str]]
    by_prompts: Numbers
    by_references: Numbers
    seed: int

    @property
    def prompts(self) -> int:
        """How many prompts the comparison rests on."""
        return int(self.cells.any(axis=1).sum())

    @property
    def resamples(self) -> int:
        """How many there are, the plain one not counted."""
        return next(iter(self.values.values())).shape[1] - 1 if self.values else 0

    def utilities(self, weight: float = STYLE_WEIGHT, without: str = "") -> Numbers:
        """What each checkpoint is worth, [C, 1 + B]. weight: of style, 0..1. without: an objective to leave out."""
        return utility({name: scaled for name, scaled in self.scaled.items() if name != without}, weight, len(self.checkpoints))

    def value(self, measure: str, checkpoint: int) -> Value:
        """One number with its interval."""
        row = self.checkpoints.index(checkpoint)
        values = self.values[measure][row]
        low, high = interval(values)
        said = Value(measure=measure, value=float(values[0]), low=low, high=high)
        if measure not in self.scaled:
            return said
        scaled = self.scaled[measure][row]
        low, high = interval(scaled)
        return said.model_copy(update={"scaled": float(scaled[0]), "scaled_low": low, "scaled_high": high})


def utility(scaled: Mapping[str, Numbers], weight: float, count: int) -> Numbers:
    """The weighted geometric mean of the objectives: no style pays for an adherence of nothing, [C, 1 + B].

    Resamples in which some checkpoint has no value, because they hold a single prompt, are left out.
    """
    if not scaled:
        return np.zeros((count, 1))
    weights = {name: weight if name == "style" else 1 - weight for name in scaled} if len(scaled) > 1 else dict.fromkeys(scaled, 1.0)
    utilities = np.prod([values ** weights[name] for name, values in scaled.items()], axis=0)
    is_known = np.isfinite(utilities).all(axis=0)
    is_known[0] = True
    return np.asarray(utilities[:, is_known], np.float64)


def enter(
    evidence: Evidence, checkpoints: Sequence[int], *, within: Cells | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> Contest:
    """Measure some checkpoints on the cells that they and the base have in common.

    within: only these cells, [P, S]; None for all. resamples: of the bootstrap. seed: of its randomness; equal seeds give equal numbers.
    """
    cells = common_cells(evidence, checkpoints)
    if within is not None:
        cells = cells & within
    fitted = scores.fit(evidence, _weights(evidence, evidence.cells(BASE), resamples, seed))
    weights = _weights(evidence, cells, resamples, seed)
    statistics = {measure.name: [measure.read(checkpoint, cells) for checkpoint in checkpoints] for measure in fitted.measures}
    values = {name: _table(read, weights) for name, read in statistics.items()}
    complaints = {
        checkpoint: {
            guardrail.name: guardrail.complaint(checkpoint, cells)
            for guardrail in fitted.guardrails
            if all(surely_above_zero(part, weights) for part in guardrail.breach(checkpoint, cells))
        }
        for checkpoint in checkpoints
    }

    # Without style, whoever learnt least would lead; then a doubtful style makes the better guess.
    sought = [*fitted.objectives, *(objective for objective in fitted.doubtful if objective.name == "style")]

    def utilities_under(some: Weights) -> Numbers:
        scaled = {objective.name: scale(objective, _table(statistics[objective.name], some)) for objective in sought}
        return utility(scaled, STYLE_WEIGHT, len(checkpoints))

    return Contest(
        evidence=evidence,
        fitted=fitted,
        checkpoints=tuple(checkpoints),
        cells=cells,
        scaled={objective.name: scale(objective, values[objective.name]) for objective in sought},
        values=values,
        complaints=complaints,
        by_prompts=utilities_under(weights | {"references": np.ones_like(weights["references"])}),
        by_references=utilities_under(weights | {"prompts": np.broadcast_to(weights["prompts"][0], weights["prompts"].shape)}),
        seed=seed,
    )


def common_cells(evidence: Evidence, checkpoints: Sequence[int]) -> Cells:
    """The cells that all of these checkpoints and the base have, [P, S]."""
    return np.asarray(np.logical_and.reduce([evidence.cells(checkpoint) for checkpoint in (BASE, *checkpoints)]), np.bool_)


def scale(objective: Objective, values: Numbers) -> Numbers:
    """Values on the scale of an objective, 0..1.2."""
    return np.asarray(np.clip(objective.scale(values), 0.0, CEILING), np.float64)


def interval(values: Numbers) -> tuple[float, float]:
    """The 95 % percentile interval of a value, [1 + B]; the plain value itself where no resample has one."""
    known = values[1:][np.isfinite(values[1:])]
    low, high = np.quantile(known if known.size else values[:1], (0.025, 0.975))
    return float(low), float(high)


def gap(ahead: Numbers, behind: Numbers) -> Gap:
    """By how much one row of resampled utilities is above another, [1 + B] each; anything is possible where nothing was resampled."""
    difference = ahead - behind
    if len(difference) < 2:
        return Gap(gap=float(difference[0]), low=-CEILING, high=CEILING, error=CEILING)
    low, high = interval(difference)
    return Gap(gap=float(difference[0]), low=low, high=high, error=float(np.nanstd(difference[1:])))


def _table(statistics: Sequence[Statistic], weights: Weights) -> Numbers:
    rows = [statistic.at(weights) for statistic in statistics]
    return np.array(rows, np.float64).reshape(len(statistics), len(weights["prompts"]))


def _weights(evidence: Evidence, cells: Cells, resamples: int, seed: int) -> Weights:
    """Resamples of the prompts that have cells, and of references and probes."""
    sizes = evidence.sizes()
    is_used = np.asarray(cells.any(axis=1), np.bool_)
    drawn = resampled(sizes | {"prompts": (int(is_used.sum()),)}, resamples, np.random.default_rng(seed))
    prompts = np.zeros((1 + resamples, len(is_used)))
    prompts[:, is_used] = drawn["prompts"]
    return drawn | {"prompts": prompts}
