"""What the trainings of this recipe share: workers, the learning rate, the moving average, and a state to go on from.

On a CPU two workers of one thread each, averaging their gradients through gloo, are several times faster than one with two threads as soon
as anything else runs; one worker leaves a core to others. On a GPU there is one. The state is written every few minutes to a temporary
name and renamed.
"""

import ctypes
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

SAVE_EVERY_SECONDS = 120.0


@dataclass(frozen=True)
class Worker:
    """One of the processes that train together. rank: which, from 0."""

    rank: int
    count: int
    device: torch.device


@dataclass(frozen=True)
class Plan:
    """How long and how fast. The rate is constant after `warm_up` steps and falls linearly to nothing over the last `decay` steps.

    seed: of what each step sees.
    """

    folder: Path
    steps: int
    decay: int
    rate: float
    batch: int
    seed: int
    warm_up: int = 200
    weight_decay: float = 0.01
    ema: float = 0.999
    clip: float = 1.0

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        return self.rate * min(1.0, (step + 1) / self.warm_up, (self.steps - step) / max(1, self.decay))


@dataclass
class Training:
    """A model with its optimizer and moving average; `steps` yields the number of each step that is still to be made."""

    plan: Plan
    model: nn.Module
    worker: Worker
    _shadow: dict[str, Tensor] = field(default_factory=dict)
    _losses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        channels_last(self.model, self.worker.device)
        self._weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        matrices = [weight for weight in self._weights if weight.ndim > 1]
        vectors = [weight for weight in self._weights if weight.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": self.plan.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        self._optimizer = torch.optim.AdamW(groups, lr=self.plan.rate, betas=(0.9, 0.99), fused=True)
        self._shadow = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self._at = 0
        self._stop = False
        if self._file.exists():
            state = torch.load(self._file, map_location=self.worker.device, weights_only=True)
            self.model.load_state_dict(state["model"])
            self._optimizer.load_state_dict(state["optimizer"])
            self._shadow, self._at = state["ema"], int(state["step"])
        if self.worker.count > 1:
            for weight in self._weights:
                dist.broadcast(weight.data, 0)

    @property
    def _file(self) -> Path:
        return self.plan.folder / "state.pt"

    def steps(self) -> Iterator[int]:
        """The steps from where it stands to the end; saves as it goes, also when it is asked to stop with SIGTERM."""
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "_stop", True))
        started, first, saved = time.monotonic(), self._at, time.monotonic()
        for step in range(self._at, self.plan.steps):
            yield step
            self._at = step + 1
            if self.worker.rank == 0 and self._at % 100 == 0:
                pace = (self._at - first) * self.plan.batch * self.worker.count / (time.monotonic() - started)
                loss = sum(self._losses) / len(self._losses)
                self._losses.clear()
                line = {
                    "step": self._at,
                    "loss": round(loss, 5),
                    "rate": round(self.plan.rate_at(step), 7),
                    "pictures_a_second": round(pace, 1),
                }
                with (self.plan.folder / "losses.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
                print(json.dumps(line), flush=True)
            if self._wants_to_stop():
                break
            if time.monotonic() - saved > SAVE_EVERY_SECONDS:
                self.save()
                saved = time.monotonic()
        self.save()

    def update(self, loss: Tensor) -> None:
        """One step of AdamW on the mean gradient of all workers."""
        torch.autograd.backward(loss)
        gradients = [weight.grad for weight in self._weights if weight.grad is not None]
        if self.worker.count > 1:
            flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
            dist.all_reduce(flat)
            flat /= self.worker.count
            for gradient, mean in zip(gradients, torch.split(flat, [gradient.numel() for gradient in gradients]), strict=True):
                gradient.copy_(mean.view_as(gradient))
        torch.nn.utils.clip_grad_norm_(self._weights, self.plan.clip)
        for group in self._optimizer.param_groups:
            group["lr"] = self.plan.rate_at(self._at)
        self._optimizer.step()
        self._optimizer.zero_grad()
        decay = min(self.plan.ema, (self._at + 1) / (self._at + 10))
        own = self.model.state_dict()
        with torch.no_grad():
            floating = [name for name in own if own[name].is_floating_point()]
            torch._foreach_lerp_([self._shadow[name] for name in floating], [own[name].detach() for name in floating], 1 - decay)
        self._losses.append(loss.detach().item())

    def averaged(self) -> dict[str, Tensor]:
        """The moving average of the weights."""
        return {name: value.detach().cpu().contiguous() for name, value in self._shadow.items()}

    def save(self) -> None:
        """Write the state, whole or not at all."""
        if self.worker.rank > 0:
            return
        state = {"model": self.model.state_dict(), "optimizer": self._optimizer.state_dict(), "ema": self._shadow, "step": self._at}
        part = self._file.with_suffix(".part")
        torch.save(state, part)
        part.replace(self._file)

    def _wants_to_stop(self) -> bool:
        if self.worker.count == 1:
            return self._stop
        flag = torch.tensor([float(self._stop)])
        dist.all_reduce(flag)
        return bool(flag.item())


def launch(work: Callable[[Worker], None], workers: int = 2) -> None:
    """Call work(worker): once on the GPU where there is one, else in so many processes of one thread each."""
    if torch.cuda.is_available():
        work(Worker(0, 1, torch.device("cuda")))
        return
    if workers == 1:
        keep_memory()
        torch.set_num_threads(1)
        work(Worker(0, 1, torch.device("cpu")))
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    spawned = spawn(_begin, (work, workers), nprocs=workers, join=False)  # type: ignore[no-untyped-call]
    # Whoever stops the parent means the training: the workers save and end, and then so does this.
    signal.signal(signal.SIGTERM, lambda *_: _pass_on(spawned.pids()))
    while not spawned.join():
        pass


def channels_last(model: nn.Module, device: torch.device) -> None:
    """Move a model to a device, its convolutions in the layout that CPUs and GPUs are fastest with."""
    model.to(device)
    for weight in model.parameters():
        if weight.ndim == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)


def _pass_on(processes: list[int]) -> None:
    for number in processes:
        os.kill(number, signal.SIGTERM)


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where the processor computes in it; elsewhere it would be imitated, ten times slower than float32."""
    is_fast = device.type != "cpu" or torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=is_fast)


def keep_memory() -> None:
    """Tell glibc to keep what is freed: given back to the system, it is faulted in again page by page at every step."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        # M_MMAP_MAX, M_TRIM_THRESHOLD and M_TOP_PAD of malloc.h.
        for name, value in ((-4, 0), (-1, 2**31 - 1), (-2, 2**28)):
            libc.mallopt(name, value)


def _begin(rank: int, work: Callable[[Worker], None], count: int) -> None:
    keep_memory()
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=count)
    try:
        work(Worker(rank, count, torch.device("cpu")))
    finally:
        dist.destroy_process_group()
