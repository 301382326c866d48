"""How the learning rate goes over a training.

Pure arithmetic of the step, so a resumed training needs nothing of it saved. The shapes that diffusers has too give its numbers exactly;
warm-up is honoured by every one of them, `constant` included.
"""

import math
from dataclasses import dataclass
from typing import Literal

Schedule = Literal["constant", "linear", "cosine", "cosine_with_restarts", "polynomial", "wsd"]

# The rate at which diffusers' polynomial schedule ends.
POLYNOMIAL_END = 1e-7
# Share of the training in which "wsd" falls; Hägele et al. find 20 % enough.
DECAY_SHARE = 0.2


@dataclass(frozen=True)
class Rate:
    """The learning rate of a training.

    restarts: cycles of `cosine_with_restarts`. final_share: where the decay ends, as a share of the peak, 0..1.
    Sources: Loshchilov and Hutter 2017, arXiv:1608.03983 (cosine, restarts); Hu et al. 2024, arXiv:2404.06395 (wsd: warm-up, stable,
    decay), with the decay 1 - sqrt of Hägele et al. 2024, arXiv:2405.18392.
    """

    schedule: Schedule
    peak: float
    steps: int
    warmup_steps: int = 0
    restarts: int = 1
    final_share: float = 0.0

    def at(self, step: int) -> float:
        """The rate of a step, counted from 0."""
        if step < self.warmup_steps:
            return self.peak * (step / self.warmup_steps)
        return self.peak * (self.final_share + (1 - self.final_share) * self._height(step))

    def _height(self, step: int) -> float:
        """Where the decay is, from 1 to 0."""
        length = max(1, self.steps - self.warmup_steps)
        share = (step - self.warmup_steps) / length
        match self.schedule:
            case "constant":
                return 1.0
            case "linear":
                return max(0.0, (self.steps - step) / length)
            case "cosine":
                return max(0.0, 0.5 * (1.0 + math.cos(math.pi * share)))
            case "cosine_with_restarts":
                return 0.0 if share >= 1 else max(0.0, 0.5 * (1.0 + math.cos(math.pi * ((self.restarts * share) % 1.0))))
            case "polynomial":
                end = POLYNOMIAL_END / self.peak
                return end if step > self.steps else (1 - end) * (1 - share) + end
            case "wsd":
                begins = self.steps - max(1, round(DECAY_SHARE * length))
                return 1.0 if step < begins else max(0.0, 1 - math.sqrt((step - begins) / max(1, self.steps - begins)))
