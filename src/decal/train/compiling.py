"""When the denoiser's pass is compiled, and by what.

A function is compiled and no module, so no weight has another name, and what is saved, drawn and measured is as ever. It costs minutes once
and gains a share of every step, so a training that nobody decided about is watched for some steps and compiled where the rest is long
enough. Nothing here has been measured on a GPU; cost and gain are the most careful of what others published.
"""

import importlib.util
import math
import os
import shutil
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from decal.settings import ResolvedTrain

# Gradients of one batch, as they are and compiled, that point at least so far the same way are the same but for rounding; rounding to
# bfloat16 stays above 0.99 (LOG.md, 2026-11-27). Of those so much smaller than the largest, rounding is all.
ALIKE, NEGLIGIBLE = 0.9, 1e-4
# Steps of a run after which it is decided; the first ones pay for what is set up once.
WATCHED = 20


@dataclass(frozen=True)
class Compiler:
    """What compiles a pass. backend: as torch.compile takes it. devices: kinds of them for which it is right, as far as is known.

    On a CPU inductor's backward pass was silently wrong: losses right, no gradient for the text (LOG.md, 2026-11-27). seconds: that it
    takes, at most. gain: how many times as fast a step is then, at least. Sources: 60 to 280 s for a whole UNet and 1.15 to 1.35 times, by
    OneTrainer PR 1114, sd-scripts PR 2217 and PyTorch's blog (LOG.md, 2026-11-27).
    """

    backend: str | Callable[..., Any] = "inductor"
    devices: tuple[str, ...] = ("cuda",)
    seconds: float = 280.0
    gain: float = 1.15

    def __call__(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same work, compiled when it is first done, for the sizes that it is then done with."""
        return torch.compile(work, backend=self.backend, dynamic=False)

    @property
    def break_even(self) -> float:
        """Seconds of steps from which on compiling pays."""
        return self.seconds / (1 - 1 / self.gain)

    def told(self, a_step: float, steps: int) -> str:
        """Whether it pays for so many steps of so many seconds, in words."""
        verb = "pays" if self.pays(a_step, steps) else "does not pay"
        return (
            f"compiling {verb}: it takes up to {self.seconds:.0f} s, a step gains {1 - 1 / self.gain:.0%} at least, so from "
            f"{self.break_even / 60:.0f} minutes of steps on, and these are {a_step * steps / 60:.0f}"
        )

    def pays(self, a_step: float, steps: int) -> bool:
        """Whether so many steps of so many seconds are long enough."""
        return a_step * steps > self.break_even


INDUCTOR = Compiler()


def obstacle(train: ResolvedTrain, device: torch.device, shapes: Collection[tuple[int, int]], compiler: Compiler = INDUCTOR) -> str | None:
    """Why this training cannot be compiled, in words; None where it can. shapes: of the latents that are learnt from."""
    if train.algorithm != "lora":
        return f'train.algorithm is "{train.algorithm}", and only lora has been seen to give the same compiled'
    if len(set(shapes)) > 1:
        return f'pictures of {len(set(shapes))} shapes are learnt (data.fit = "bucket"), and each would be compiled for itself'
    if device.type not in compiler.devices:
        if device.type == "cpu":
            return "torch 2.13 compiled gradients on a CPU that were silently wrong"
        return f"torch does not compile for {device.type}"
    if sys.platform == "win32":
        return "Triton and its compiler are not there on Windows"
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        return "the package triton is missing, which comes with torch's builds for CUDA"
    # Triton calls one for its launchers.
    if "CC" not in os.environ and not any(shutil.which(name) for name in ("cc", "gcc", "clang")):
        return "there is no C compiler; install gcc, or name one in CC"
    return None


class MiscompiledError(RuntimeError):
    """A compiled pass gives other gradients."""


def wrong(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    """The factors whose gradients point elsewhere than wanted, or are not there. Both by factor, of one batch.

    Losses show nothing of it: torch 2.13 compiled a pass whose losses were right and that gave a text encoder no gradient at all.
    """
    norms = {name: float(one.double().norm()) for name, one in wanted.items()}
    least = NEGLIGIBLE * max(norms.values(), default=0.0)
    # What is not finite cannot be compared.
    told = [name for name, norm in norms.items() if least < norm < math.inf]
    return [name for name in told if name not in found or _cosine(found[name], wanted[name]) < ALIKE]


def _cosine(one: Tensor, other: Tensor) -> float:
    return float(torch.cosine_similarity(one.flatten().double(), other.flatten().double(), dim=0))


def is_refusal(problem: RuntimeError) -> bool:
    """Whether this was raised because torch cannot compile something, or not rightly."""
    if isinstance(problem, MiscompiledError):
        return True
    # Its compiler takes a second to import, and is there where anything was compiled.
    its = sys.modules.get("torch._dynamo.exc")
    return its is not None and isinstance(problem, its.TorchDynamoException)
