"""Where a training computes, and in which type."""

import ctypes
import os
import platform
import sys
from pathlib import Path

import torch
from accelerate.utils import parse_flag_from_env

from decal import processes
from decal.errors import SettingsError
from decal.settings import ResolvedTrain

# What glibc's malloc.h calls them.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


def choose_device(settings: ResolvedTrain) -> torch.device:
    """The device to train on, which is one of its own for each process; for auto a CPU where accelerate was told so (`--cpu`).

    Raises SettingsError where it is not there, or where accelerate was told otherwise.
    """
    # accelerate follows this whatever it is given, and would cast for a CPU what lies on a GPU.
    is_for_cpu = parse_flag_from_env("ACCELERATE_USE_CPU")
    if is_for_cpu and settings.device not in ("auto", "cpu"):
        raise SettingsError(
            f'train.device is "{settings.device}", and ACCELERATE_USE_CPU says that processors train (`accelerate launch --cpu`).\n'
            'Write "auto" or "cpu", or launch without it.'
        )
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if settings.device == "auto" and is_for_cpu:
        return torch.device("cpu")
    if settings.device == "auto":
        return processes.own(torch.device(next(kind for kind, is_there in there.items() if is_there)))
    if not there[settings.device]:
        raise SettingsError(
            f'train.device is "{settings.device}", and torch {torch.__version__} sees none.\n'
            'Write "auto" or "cpu", or install a torch build for your GPU (README, "With a GPU"); `decal doctor` says what is there.'
        )
    return processes.own(torch.device(settings.device))


def choose_dtype(settings: ResolvedTrain, device: torch.device) -> torch.dtype:
    """The type that the frozen base computes in. Raises SettingsError for fp16 without a GPU."""
    if settings.precision == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if settings.precision == "fp16" and device.type != "cuda":
        raise SettingsError('train.precision = "fp16" needs a CUDA GPU, and there is none.\nWrite "fp32" or "bf16".')
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[settings.precision]


def keep_freed_memory() -> None:
    """Let glibc keep up to 128 MiB that was freed, instead of handing them back after a step and asking for them anew, page by page.

    It holds for the whole process. Other systems' allocators are left as they are. Source: mallopt(3); 32 MiB is as much as glibc takes.
    """
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(M_TRIM_THRESHOLD, 128 << 20)


def memory_in_use() -> int:
    """Bytes of memory that this process has now; the most that it ever had where the system tells no more."""
    now = Path("/proc/self/statm")
    return int(now.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if now.is_file() else peak_memory(torch.device("cpu"))


def peak_memory(device: torch.device) -> int:
    """Bytes that this process had in use at most: on the device, or for a CPU in all; 0 where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    if sys.platform == "win32":
        return 0
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024
