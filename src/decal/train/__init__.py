"""Training: the loop, where it computes, and the trackers that it is told to; the only user of accelerate."""

from decal.train.compiling import Compiler, obstacle
from decal.train.device import choose_device, choose_dtype, peak_memory
from decal.train.fitting import lowered
from decal.train.loop import STATE_FILE, UNFIT_LIMIT, Happening, Pause, Task, assist, train
from decal.train.trackers import available_trackers, require_trackers, tracked

__all__ = [
    "STATE_FILE", "UNFIT_LIMIT", "Compiler", "Happening", "Pause", "Task", "assist", "available_trackers", "choose_device", "choose_dtype",
    "lowered", "obstacle", "peak_memory", "require_trackers", "tracked", "train",
]  # fmt: skip
