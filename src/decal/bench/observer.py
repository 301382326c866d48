"""Runs one training program as it is, and notes when its optimizer steps.

    PYTHON observer.py OUT BEGUN PROGRAM [ARGUMENT ...]

PROGRAM is `decal`, or a Python script with a function `main`. BEGUN is when this process was started, in seconds since 1970. It needs
nothing but what the program needs, so it runs in the environment of another trainer too. OUT gets one JSON object: the moments as
[seconds since BEGUN, CPU seconds of this process] after the imports, after each optimizer step and at the end, and the peak of memory.

The steps are seen through torch's own hook for optimizers, so nothing of the program is changed.
"""

import importlib
import importlib.util
import inspect
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# What `decal train` imports by the time it trains; it imports late, and here imports are counted apart.
OURS = ("decal.cli", "decal.workflow", "decal.progress", "decal.bases.sd", "decal.bases.sdxl", "decal.cache", "decal.train")


def observe(program: str, begun: float) -> dict[str, Any]:
    """Run the program with the arguments in `sys.argv`; the moments and the peak of memory."""
    steps: list[tuple[float, float]] = []

    def now() -> tuple[float, float]:
        return time.time() - begun, time.process_time()

    main = _main_of(program)
    from torch.optim.optimizer import register_optimizer_step_post_hook

    register_optimizer_step_post_hook(lambda *_: steps.append(now()))
    imported = now()
    try:
        main()
    except SystemExit as ended:
        if ended.code not in (None, 0):
            raise
    import torch

    cuda = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
    return {
        "imported": imported,
        "steps": steps,
        "ended": now(),
        "peak_bytes": peak_bytes(),
        "cuda_bytes": cuda,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def peak_bytes() -> int | None:
    """The most memory that this process had in use; None where the system does not tell."""
    status = Path("/proc/self/status")
    if status.exists():
        # Unlike the peak of getrusage, this one does not begin with that of the parent.
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024
    if sys.platform == "win32":
        return None
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


def _main_of(program: str) -> Callable[[], object]:
    """The program's function `main`, after its imports."""
    if program == "decal":
        modules = {name: importlib.import_module(name) for name in OURS}
        main: Callable[[], object] = modules["decal.cli"].main
        return main
    _make_torchvision_importable()
    spec = importlib.util.spec_from_file_location("observed", program)
    assert spec is not None, f"{program} is no Python file"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["observed"] = module
    spec.loader.exec_module(module)
    # The script for SDXL hands its arguments to `main`, the one for SD reads them there.
    if inspect.signature(module.main).parameters:
        return lambda: module.main(module.parse_args())
    main = module.main
    return main


def _make_torchvision_importable() -> None:
    """Where torchvision's build does not fit torch's, declare the two operators that its import asks for; they are never called."""
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except (RuntimeError, OSError):
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        import torch

        library: Any = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        # The library forgets its operators when it goes.
        globals()["_declared"] = library
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


if __name__ == "__main__":
    out, begun, program = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    sys.argv = [program, *sys.argv[4:]]
    # The folder of this file would hide modules of the program, and the program's own folder is where it looks.
    sys.path[0] = str(Path(program).parent) if program != "decal" else os.getcwd()
    out.write_text(json.dumps(observe(program, begun)), "utf-8")
