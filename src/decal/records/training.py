"""Lines of a training: its steps, its checkpoints, what it did for want of memory, and what it did to a model of few steps."""

from typing import Literal

from decal.records.line import Line

RungKind = Literal["batch", "checkpointing", "adamw_8bit", "measuring", "compiled"]


class Step(Line):
    """One optimizer step.

    step: from 1; step 0 holds only the hold-out loss of the base. attempt: rises by one whenever the run is resumed.
    loss: mean over the batch; None at step 0 and where it was not finite. grad_norm: before clipping; None likewise.
    is_skipped: the loss or the gradient was not finite, and the weights were left alone.
    holdout_loss: mean over the held-out pictures on fixed noise and timesteps; None where it was not measured.
    holdout_losses: the same of each held-out picture, in the order of the run's `dataset.jsonl`; empty where it was not measured.
    seconds: wall time of the step, without drawing and saving.
    """

    step: int
    attempt: int
    epoch: int
    loss: float | None
    grad_norm: float | None
    learning_rate: float
    seconds: float
    is_skipped: bool = False
    holdout_loss: float | None = None
    holdout_losses: tuple[float, ...] = ()


class Checkpoint(Line):
    """One saved adapter.

    file: the portable LoRA file, relative to the run. sha256: of its bytes. state_sha256: of the file to go on from.
    """

    step: int
    attempt: int
    file: str
    sha256: str
    state_sha256: str
    holdout_loss: float | None


class Rung(Line):
    """What a training did to need less memory, or less time, from the step after `step` on and in every later sitting.

    kind: batch (half of it, in twice as many passes), checkpointing, adamw_8bit, measuring (held-out pictures, half as many at once)
    or compiled, which is for speed. batch, accumulation: since then, of this process where several train. why: in words.
    """

    step: int
    attempt: int
    kind: RungKind
    batch: int
    accumulation: int
    why: str

    @property
    def is_for_speed(self) -> bool:
        """Whether it was done for less time, and not for want of memory."""
        return self.kind == "compiled"

    def told(self) -> str:
        """What was done and why, as a line to print."""
        what = {
            "batch": f"{self.batch} at a time, {self.accumulation} times a step, which teaches the same",
            "checkpointing": "parts of the forward pass are computed twice instead of kept",
            "compiled": "the denoiser is compiled",
            "measuring": "half as many held-out pictures are measured at a time, which gives the same",
            "adamw_8bit": "AdamW keeps its moments in 8 bits, which begin anew",
        }
        return f"step {self.step + 1}: {what[self.kind]}, because {self.why}"


class ProbedSteps(Line):
    """What a number of steps gives without an adapter and with it, the latter second; see `scores.few_steps.Health`.

    sharper, nearer: against many steps, the mean and the ends of its 95 % interval.
    """

    steps: int
    sharpness: tuple[float, float]
    adherence: tuple[float, float]
    distance: float
    sharper: tuple[float, float, float]
    nearer: tuple[float, float, float]
    is_lost: bool


class Probe(Line):
    """Whether a checkpoint kept the few steps of its base; `probe.json` of a run. made_of: fingerprint of cells, base and adapter."""

    checkpoint: int
    sampler: str
    guidance: float
    prompts: int
    rows: tuple[ProbedSteps, ...]
    made_of: str
