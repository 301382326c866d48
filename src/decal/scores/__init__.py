"""What can be said of checkpoints in numbers: one file a family of measures, behind the protocol `Measure`.

Pixels and vectors come in as `Evidence`, numbers go out as `Statistic`s, which `compare` asks again under thousands of weights. No measure
loads a model or draws a picture. `fit` makes them all, tests each on the data at hand, and says which are used.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from decal.records import Gauge, Role, Score
from decal.scores.adherence import Adherence
from decal.scores.copying import Copying, Recital
from decal.scores.diversity import Diversity
from decal.scores.drift import Drift
from decal.scores.evidence import Evidence, Guardrail, Measure, Objective, UnfitError
from decal.scores.loss import Loss
from decal.scores.statistic import Weights
from decal.scores.style import Distance, Style
from decal.scores.text import Text
from decal.scores.tone import Tone

OBJECTIVES: dict[str, Callable[[Evidence], Objective]] = {"style": Style.of, "adherence": Adherence.of}
GUARDRAILS: dict[str, Callable[[Evidence], Guardrail]] = {
    "copying": Copying.of,
    "contrast": lambda evidence: Tone.of(evidence, "contrast", "contrast", "above"),
    "chroma": lambda evidence: Tone.of(evidence, "chroma", "chroma", "above"),
    "clipping": lambda evidence: Tone.of(evidence, "clipping", "clipping", "above"),
    "harshness": lambda evidence: Tone.of(evidence, "harshness", "sharpness", "above"),
    "blur": lambda evidence: Tone.of(evidence, "blur", "sharpness", "below"),
    "diversity": Diversity.of,
    "text": Text.of,
}
INFORMATION: dict[str, Callable[[Evidence], Measure]] = {
    "distance": Distance.of,
    "drift": Drift.of,
    "recital": Recital.of,
    "held-out loss": Loss.of,
}


@dataclass(frozen=True)
class Fitted:
    """The measures that work on some evidence, by what they are used for, and what became of each.

    doubtful: objectives that failed their test; they decide nothing, but a guess may rest on them. information: also guardrails that did.
    """

    objectives: tuple[Objective, ...]
    doubtful: tuple[Objective, ...]
    guardrails: tuple[Guardrail, ...]
    information: tuple[Measure, ...]
    gauges: tuple[Gauge, ...]

    @property
    def measures(self) -> tuple[Measure, ...]:
        """All that can be read."""
        return (*self.objectives, *self.doubtful, *self.guardrails, *self.information)


def fit(evidence: Evidence, weights: Weights) -> Fitted:
    """Every measure that this evidence allows; one that fails its test on it decides nothing, and one without data is skipped.

    weights: resamples to test with, as `statistic.resampled` gives them.
    """
    objectives, failed, gauges = _tested(OBJECTIVES, "objective", evidence, weights)
    guardrails, blind, more_gauges = _tested(GUARDRAILS, "guardrail", evidence, weights)
    shown, last_gauges = [], []
    for name, make in INFORMATION.items():
        try:
            shown.append(make(evidence))
        except UnfitError as problem:
            last_gauges.append(Gauge(measure=name, role="skipped", reason=str(problem)))
        else:
            last_gauges.append(Gauge(measure=name, role="information", reason=None))
    return Fitted(tuple(objectives), tuple(failed), tuple(guardrails), (*blind, *shown), (*gauges, *more_gauges, *last_gauges))


class _Testable(Measure, Protocol):
    def flaw(self, weights: Weights) -> str | None: ...


Tested = TypeVar("Tested", bound=_Testable)


def _tested(
    makers: Mapping[str, Callable[[Evidence], Tested]], role: Role, evidence: Evidence, weights: Weights
) -> tuple[list[Tested], list[Tested], list[Gauge]]:
    """The measures that work, those that failed, and what became of each."""
    working: list[Tested] = []
    failed: list[Tested] = []
    gauges = []
    for name, make in makers.items():
        try:
            measure = make(evidence)
        except UnfitError as problem:
            gauges.append(Gauge(measure=name, role="skipped", reason=str(problem)))
            continue
        flaw = measure.flaw(weights)
        (failed if flaw else working).append(measure)
        gauges.append(Gauge(measure=name, role="information" if flaw else role, reason=flaw))
    return working, failed, gauges


def lines(fitted: Fitted, evidence: Evidence) -> Iterator[Score]:
    """What every measure says of every single picture, to be kept and shown."""
    for measure in fitted.measures:
        for checkpoint in sorted(evidence.drawn):
            values = measure.values(checkpoint)
            if values is None or values.shape != (len(evidence.prompts), len(evidence.seeds)):
                continue
            for prompt, seed in np.argwhere(np.isfinite(values)).tolist():
                yield Score(
                    measure=measure.name,
                    checkpoint=checkpoint,
                    prompt=evidence.prompts[prompt],
                    seed=evidence.seeds[seed],
                    value=float(values[prompt, seed]),
                )
