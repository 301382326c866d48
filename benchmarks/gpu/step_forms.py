"""One training step in the forms that are compared: eager, compiled, and captured whole as a CUDA graph."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from lora_linear import take_over
from peft import LoraConfig
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from unets import Inputs, inputs, unet

VARIANTS = ("eager", "own linear", "channels_last", "checkpointing", "compile", "graph", "graph, own linear")
WARM_UP = 3


class Training:
    """A LoRA of rank 16 on attention with its optimizer; `step` does forward, backward, clipping and AdamW, and never waits."""

    def __init__(self, model: Any, given: Inputs) -> None:
        model.add_adapter(LoraConfig(r=16, lora_alpha=16, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
        self.model, self.given = model, given
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        # diffusers walks through all modules whenever it is asked for the device.
        device = model.device
        for parameter, value in zip(self.parameters, begin(self.parameters), strict=True):
            parameter.data = value.to(device)
            parameter.grad = torch.zeros_like(parameter)
        is_cuda = device.type == "cuda"
        rate = torch.tensor(1e-4, device=device) if is_cuda else 1e-4
        self.optimizer = torch.optim.AdamW(self.parameters, lr=rate, fused=True, capturable=is_cuda)
        self.signal = torch.linspace(0.999, 0.005, 1000, device=device)
        self.loss = torch.zeros((), device=device)

    def step(self) -> None:
        """One step on what the inputs hold now; gradients stay in their places and are zeroed at the end."""
        given = self.given
        level = self.signal[given.timesteps][:, None, None, None]
        noisy = (level.sqrt() * given.latents + (1 - level).sqrt() * given.noise).to(given.latents.dtype)
        more = {} if given.added is None else {"added_cond_kwargs": given.added}
        predicted = self.model(noisy, given.timesteps, given.states, return_dict=False, **more)[0]
        loss = (predicted.float() - given.noise.float()).square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0, foreach=True)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=False)
        self.loss.copy_(loss.detach())

    def snapshot(self) -> list[Tensor]:
        """Copies of the weights and of the optimizer's moments."""
        return [tensor.detach().clone() for tensor in self._tensors()]

    @torch.no_grad()
    def put_back(self, snapshot: list[Tensor]) -> None:
        """Weights and moments as they were, in the places where they are."""
        for tensor, was in zip(self._tensors(), snapshot, strict=True):
            tensor.copy_(was)

    def _tensors(self) -> list[Tensor]:
        slots = [self.optimizer.state[parameter] for parameter in self.parameters]
        return [*(p.data for p in self.parameters), *(slot[name] for slot in slots for name in sorted(slot))]


def prepared(name: str, variant: str, *, batch: int, is_tiny: bool, device: torch.device) -> tuple[Training, Callable[[], None]]:
    """A training and what does one step of it in this form; the form's own set-up is done by the first call."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    model = unet(name, is_tiny=is_tiny, device=device, dtype=dtype)
    if variant == "channels_last":
        model.to(memory_format=torch.channels_last)
    if variant == "checkpointing":
        model.enable_gradient_checkpointing()
    training = Training(model, inputs(model, batch))
    if "own linear" in variant:
        take_over(model)
    if variant == "compile":
        training.model = torch.compile(model, dynamic=False)
    return training, captured(training) if variant.startswith("graph") else training.step


def captured(training: Training) -> Callable[[], None]:
    """The whole step as one CUDA graph; weights and moments are as before the capture. Needs a CUDA device."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        training.step()
        # The moments are there after one step; a training that is captured begins after it.
        before = training.snapshot()
        for _ in range(WARM_UP):
            training.step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        training.step()
    training.put_back(before)
    return graph.replay


def difference(name: str, variant: str, *, is_tiny: bool, device: torch.device, steps: int = 5) -> float:
    """How far a variant leads the weights astray from where the eager step leads them, as a share of the way, by the Euclidean norm.

    AdamW makes as much of the rounding of a vanishing gradient as of a large one, so single weights may differ more.
    """
    # Capturing a graph has done the first step.
    ways = [_way(name, form, is_tiny=is_tiny, device=device, steps=steps + (not form.startswith("graph"))) for form in ("eager", variant)]
    return float((ways[0] - ways[1]).norm() / ways[0].norm())


def _way(name: str, variant: str, *, is_tiny: bool, device: torch.device, steps: int) -> Tensor:
    """How far all weights move in so many steps, in one row."""
    training, step = prepared(name, variant, batch=2, is_tiny=is_tiny, device=device)
    began = begin(training.parameters)
    for _ in range(steps):
        step()
    return torch.cat([(parameter.detach().cpu() - was).flatten() for parameter, was in zip(training.parameters, began, strict=True)])


def begin(parameters: Sequence[Tensor]) -> list[Tensor]:
    """The weights that every training here begins with; not 0, so that every product and every gradient counts."""
    generator = torch.Generator().manual_seed(2)
    return [0.01 * torch.randn(parameter.shape, generator=generator) for parameter in parameters]


@dataclass(frozen=True)
class Timed:
    """setup: seconds of the first step. step, host: seconds of a later one, in all and until the host is free again. bytes: peak."""

    model: str
    variant: str
    batch: int
    setup: float
    step: float
    host: float
    bytes: int
    flops: int

    @property
    def flops_per_second(self) -> float:
        """Achieved; of the operations that the eager step needs."""
        return self.flops / self.step


def timed(name: str, variant: str, *, batch: int, is_tiny: bool, device: torch.device, steps: int) -> Timed:
    """Time a variant. Raises torch.OutOfMemoryError where it does not fit."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    training, step = prepared(name, variant, batch=batch, is_tiny=is_tiny, device=device)
    step()
    _wait(device)
    setup = time.perf_counter() - began
    for _ in range(WARM_UP):
        step()
    _wait(device)
    began = time.perf_counter()
    for _ in range(steps):
        step()
    host = time.perf_counter() - began
    _wait(device)
    whole = time.perf_counter() - began
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else 0
    assert bool(training.loss.isfinite()), f"{name}, {variant}: the loss is not finite"
    return Timed(name, variant, batch, setup, whole / steps, host / steps, peak, flops(name, batch, is_tiny=is_tiny))


@cache
def flops(name: str, batch: int, *, is_tiny: bool) -> int:
    """Floating point operations of the eager step, counted on the meta device."""
    meta = torch.device("meta")
    model = unet(name, is_tiny=is_tiny, device=meta, dtype=torch.float32)
    model.add_adapter(LoraConfig(r=16, lora_alpha=16, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
    given = inputs(model, batch)
    more = {} if given.added is None else {"added_cond_kwargs": given.added}
    with FlopCounterMode(display=False) as counter:
        model(given.latents, given.timesteps, given.states, return_dict=False, **more)[0].square().mean().backward()
    return int(counter.get_total_flops())


def ceiling(device: torch.device, *, side: int, repeats: int = 10) -> float:
    """Floating point operations a second that a product of square matrices reaches here, the best of several."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    a = torch.randn(side, side, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(repeats):
        _wait(device)
        began = time.perf_counter()
        a @ a
        _wait(device)
        best = min(best, time.perf_counter() - began)
    return 2 * side**3 / best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
