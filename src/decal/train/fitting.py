"""What a training does where memory is short, in the order of what changes least.

Half the batch in twice as many passes teaches the same, but for the last digits; gradient checkpointing computes parts of the forward pass
twice; 8-bit AdamW keeps its moments coarsely. The need is foreseen from one sample, by the bytes that autograd keeps of it, and not from a
table of models, since it depends on layers, ranks and picture sizes alike.
"""

import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from decal import processes
from decal.batches import Share
from decal.records import RungKind
from decal.settings import ResolvedTrain
from decal.train.device import memory_in_use

# What a step takes of what autograd keeps, without and with gradient checkpointing. On a CPU as measured on the embedded base (LOG.md,
# 2026-11-26), which has few blocks and an allocator with gaps; too little there would end the process. On a GPU the share of checkpointing
# is counted for SD 2.1 at 512 px, .11 of .76 GB; SDXL has less, and too little costs one step that is begun anew.
ON_CPU = (1.7, 0.95)
ON_GPU = (1.2, 0.2)
# Bytes that an optimizer keeps for each trained number, after its first step.
MOMENT_BYTES = {"adamw": 8, "adamw_8bit": 2, "adafactor": 0, "prodigy": 16, "schedule_free": 8}
CGROUP = Path("/sys/fs/cgroup/memory.max")


def spare_bytes(device: torch.device) -> int | None:
    """Bytes that this process may still take on the device; None where the system does not tell.

    On a CPU it is the machine's memory, in equal parts for the processes that train, less what this one has; what others take of it
    now does not count, so that it is the same another day.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    if sys.platform == "win32":
        return None
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    if CGROUP.is_file() and (told := CGROUP.read_text().strip()).isdecimal():
        limits.append(int(told))
    return min(limits) // processes.count() - memory_in_use()


def kept_bytes(forward: Callable[[], Tensor], resident: Iterable[nn.Module]) -> int:
    """Bytes that autograd keeps for the backward pass of a forward pass, without what is there anyhow: the weights of `resident`."""
    there = {tensor.untyped_storage().data_ptr() for module in resident for tensor in (*module.parameters(), *module.buffers())}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    # The result holds what was kept until it is counted, so no address is given out twice.
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        held = forward()
    del held
    return sum(size for place, size in kept.items() if place not in there)


def foreseen_bytes(train: ResolvedTrain, device: torch.device, *, sample_bytes: int, numbers: int) -> int:
    """Bytes that a step takes beside weights and cache.

    sample_bytes: kept of one sample without gradient checkpointing. numbers: how many are trained.
    """
    share = (ON_CPU if device.type == "cpu" else ON_GPU)[train.gradient_checkpointing]
    return int(share * train.batch * sample_bytes) + (4 + MOMENT_BYTES[train.optimizer]) * numbers


def of_share(train: ResolvedTrain, own: Share) -> ResolvedTrain:
    """The settings as this process follows them: it needs memory for its own samples of a batch, whatever the others do."""
    size = own.samples.stop - own.samples.start
    return train.model_copy(update={"batch": size, "accumulation": len(own.passes)})


def next_rung(train: ResolvedTrain, device: torch.device) -> RungKind | None:
    """What is still to be done for less memory; None where nothing is left."""
    if train.batch > 1:
        return "batch"
    if not train.gradient_checkpointing:
        return "checkpointing"
    if train.optimizer == "adamw" and device.type == "cuda" and importlib.util.find_spec("bitsandbytes") is not None:
        return "adamw_8bit"
    return None


def lowered(train: ResolvedTrain, rungs: Sequence[RungKind]) -> ResolvedTrain:
    """The settings after these rungs; the samples of a step are the same. Measuring and compiling are no settings of a step."""
    for rung in rungs:
        match rung:
            case "batch":
                # Only a divisor keeps the samples of a step the same.
                batch = max((size for size in range(1, train.batch // 2 + 1) if train.batch % size == 0), default=1)
                change: dict[str, object] = {"batch": batch, "accumulation": train.accumulation * train.batch // batch}
            case "checkpointing":
                change = {"gradient_checkpointing": True}
            case "adamw_8bit":
                change = {"optimizer": rung}
            case "measuring" | "compiled":
                change = {}
        train = train.model_copy(update=change)
    return train
