"""Looks at the machine and the installation, and says what would go wrong later.

A folder goes in, Findings come out, and nothing is changed. torch and torchvision are only imported in child processes: importing them
takes seconds, and a broken one may take the process down. The version of a package is read from its metadata, so that one which fails to
import can still be named.
"""

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError, safe_open

from decal.presets import MINI
from decal.records import Finding, Level

# Room for a run's checkpoints, each with the state to go on from, its cache and its pictures; a disk that fills up stops it midway.
FREE_DISK_BYTES = 2 * 2**30
# Importing torch and diffusers and loading the embedded base takes 0.5 GiB before the first step.
FREE_MEMORY_BYTES = 2 * 2**30
# Importing torch for the first time on a cold, slow disk.
PATIENCE_SECONDS = 180

LISTED = ("torch", "diffusers", "transformers", "peft", "accelerate", "pillow")

ASK_TORCH = """
import json, torch
gpus = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
print(json.dumps({
    "version": torch.__version__,
    "built_for": torch.version.cuda or torch.version.hip,
    "gpus": [f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB" for gpu in gpus],
    "has_mps": torch.backends.mps.is_available(),
    "threads": torch.get_num_threads(),
}))
"""


class Torch(BaseModel):
    """What torch says of itself. built_for: version of CUDA or ROCm; None for a build without GPU support."""

    version: str
    built_for: str | None
    gpus: list[str]
    has_mps: bool
    threads: int


def examine(folder: Path) -> list[Finding]:
    """Everything that can be said about this machine, this installation and the disk of a folder, in a fixed order."""
    findings = examine_installation()
    torch = ask_torch()
    if isinstance(torch, Torch):
        findings += [_note("torch", f"torch {torch.version} imports."), examine_gpu(torch, list_nvidia_gpus()), *examine_threads(torch)]
    else:
        findings.append(torch)
    findings += examine_torchvision()
    findings += [examine_disk(folder, FREE_DISK_BYTES), *examine_memory(FREE_MEMORY_BYTES)]
    return [*findings, *examine_base(Path(MINI.where))]


def examine_installation() -> list[Finding]:
    """Whether Python and the packages are what decal's own metadata ask for."""
    try:
        decal = importlib.metadata.distribution("decal")
    except importlib.metadata.PackageNotFoundError:
        reason = "decal runs from its source without being installed, so what it needs cannot be compared with what is here."
        return [_say("error", "versions", reason, "Install it, from its repository with  pip install -e .")]
    return [examine_python(decal.metadata["Requires-Python"]), *examine_versions(decal.requires or [])]


def examine_python(wanted: str) -> Finding:
    """Whether this Python is one that decal says it runs on. wanted: such as `>=3.11`."""
    here = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if _lies_in(platform.python_version(), wanted):
        return _note("python", f"{here}.")
    return _say("error", "python", f"{here}, but decal needs {wanted}.", "Make a virtual environment with a Python in that range.")


def examine_versions(requirements: Iterable[str]) -> list[Finding]:
    """An error for each required package that is missing or outside its range, and a note with the versions of the main ones.

    requirements: as the metadata of a package list them, such as `torch>=2.7`; those of extras are skipped.
    """
    findings, versions = [], {}
    for requirement in requirements:
        needed, _, marker = requirement.partition(";")
        if "extra" in marker:
            continue
        match = re.match(r"\s*([\w.-]+)(?:\[.*\])?\s*\(?([^)]*)", needed)
        assert match, f"{requirement!r} begins with a name"
        name, wanted = match[1], match[2].strip()
        remedy = f'Install it again, for instance with  pip install "{name}{wanted}"'
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            findings.append(_say("error", "versions", f"{name} is not installed, and decal needs {name}{wanted}.", remedy))
            continue
        versions[name.lower()] = version
        if not _lies_in(version, wanted):
            findings.append(_say("error", "versions", f"{name} {version} is installed, but decal needs {name}{wanted}.", remedy))
    listed = ", ".join(f"{name} {versions[name]}" for name in LISTED if name in versions)
    return [*findings, _note("versions", f"{listed}.")] if listed else findings


def ask_torch() -> Torch | Finding:
    """What torch says of itself in a child process; the error, where it does not import."""
    said, problem = _run([sys.executable, "-c", ASK_TORCH])
    try:
        return Torch.model_validate_json(said.strip().rpartition("\n")[2])
    except ValidationError:
        remedy = "Install torch again, the build that pytorch.org names for this system."
        return _say("error", "torch", f"torch does not import: {problem or 'it said nothing'}", remedy)


def list_nvidia_gpus() -> list[str]:
    """Names of the GPUs that the NVIDIA driver knows; none where there is no driver."""
    program = shutil.which("nvidia-smi")
    said, problem = _run([program, "--query-gpu=name", "--format=csv,noheader"]) if program else ("", "")
    return [] if problem else said.split("\n") if said else []


def examine_gpu(torch: Torch, nvidia_gpus: list[str]) -> Finding:
    """Which GPU torch can use, or why it cannot use the one that is there."""
    if torch.gpus:
        return _note("cuda", f"{'; '.join(torch.gpus)}; torch is built for CUDA or ROCm {torch.built_for}.")
    if torch.has_mps:
        return _note("cuda", "No CUDA GPU; torch can use this Mac's GPU (mps).")
    if nvidia_gpus and torch.built_for is None:
        return _say(
            "warning",
            "cuda",
            f"This machine has a GPU ({nvidia_gpus[0]}), but torch {torch.version} is a build without CUDA, so everything runs on the CPU.",
            "Uninstall torch, then install the CUDA build with the command that pytorch.org/get-started shows for your driver "
            "(pip install torch --index-url ...).",
        )
    if nvidia_gpus:
        return _say(
            "warning",
            "cuda",
            f"This machine has a GPU ({nvidia_gpus[0]}), but torch {torch.version}, built for CUDA {torch.built_for}, cannot use it.",
            "Compare the CUDA version that nvidia-smi shows: where it is lower, renew the driver or install torch for that version. "
            "Where it is not, look whether CUDA_VISIBLE_DEVICES hides the GPU.",
        )
    return _note("cuda", "No GPU: training and drawing run on the CPU, which suits the embedded base.")


def examine_threads(torch: Torch) -> list[Finding]:
    """Cores and threads, and a warning where other programs already keep the cores busy."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    findings = [_note("threads", f"{cores} core{'s' * (cores > 1)}, {torch.threads} thread{'s' * (torch.threads > 1)} in torch.")]
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    # Threads of one step wait for each other: on two busy cores, one thread was measured to be four to six times faster than two.
    if torch.threads > 1 and load > cores:
        reason = f"Other programs are busy here (load {load:.1f} on {cores} cores); several threads would wait for each other."
        findings.append(_say("warning", "threads", reason, "Set OMP_NUM_THREADS=1, or wait until the machine is idle."))
    return findings


def examine_torchvision() -> list[Finding]:
    """Whether a torchvision lies around that does not import; decal needs none, but transformers trips over a broken one."""
    if importlib.util.find_spec("torchvision") is None:
        return []
    said, problem = _run([sys.executable, "-c", "import torchvision; print(torchvision.__version__)"])
    if problem:
        reason = f"torchvision is installed but does not import ({problem}), which breaks transformers."
        return [_say("error", "torchvision", reason, "Uninstall it: decal does not need it.  pip uninstall torchvision")]
    return [_note("torchvision", f"torchvision {said} imports; decal does not need it.")]


def examine_disk(folder: Path, at_least_bytes: int) -> Finding:
    """How much may still be written where a folder lies, or would lie."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free, named = shutil.disk_usage(there).free, "this folder" if folder == Path(".") else folder
    if free < at_least_bytes:
        reason = f"{_gib(free)} free on the disk of {named}, less than {_gib(at_least_bytes)}."
        return _say("warning", "disk", reason, "Free some space, or put the project on another disk.")
    return _note("disk", f"{_gib(free)} free on the disk of {named}.")


def examine_memory(at_least_bytes: int) -> list[Finding]:
    """How much memory is free, within the limit of the container; nothing where the system does not tell."""
    free: list[int] = []
    with contextlib.suppress(OSError, ValueError):
        free += [int(size) * 1024 for size in re.findall(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())]
    with contextlib.suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        # File pages count as used there, although they can be given up.
        pages = re.search(r"^inactive_file (\d+)", (group / "memory.stat").read_text(), re.MULTILINE)
        used = int((group / "memory.current").read_text()) - int(pages[1] if pages else 0)
        free.append(int((group / "memory.max").read_text()) - used)
    if not free:
        return []
    if min(free) < at_least_bytes:
        reason = f"{_gib(min(free))} of memory free, less than {_gib(at_least_bytes)}."
        return [_say("warning", "memory", reason, "Close other programs, or lower train.batch and train.cache_gib.")]
    return [_note("memory", f"{_gib(min(free))} of memory free.")]


def examine_base(folder: Path) -> list[Finding]:
    """Whether the files of the embedded base are all there and whole: weights as long as their headers say, settings that are JSON.

    Bytes that were changed and not lost go unnoticed.
    """
    remedy = "Install decal again; in a clone, look for it with  git status"
    weights = [
        folder / "text_encoder" / "model.safetensors",
        *(folder / part / "diffusion_pytorch_model.safetensors" for part in ("unet", "vae")),
    ]
    texts = [
        folder / "model_index.json",
        *(folder / part / "config.json" for part in ("text_encoder", "unet", "vae")),
        folder / "scheduler" / "scheduler_config.json",
        *(folder / "tokenizer" / name for name in ("tokenizer.json", "tokenizer_config.json")),
    ]
    findings = []
    for path in (*texts, *weights):
        try:
            if path in weights:
                with safe_open(path, framework="numpy") as tensors:
                    tensors.keys()
            else:
                json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            findings.append(_say("error", "embedded base", f"{path} is missing.", remedy))
        except (OSError, ValueError, SafetensorError) as problem:
            findings.append(_say("error", "embedded base", f"{path} is damaged ({problem}).", remedy))
    total = sum(path.stat().st_size for path in (*texts, *weights) if path.exists())
    return findings or [_note("embedded base", f"{len(texts) + len(weights)} files, {total / 1e6:.0f} MB, all whole.")]


def _run(command: list[str]) -> tuple[str, str]:
    """What a program said, and the last line of what it complained of where it failed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "", f"no answer in {PATIENCE_SECONDS} seconds"
    except OSError as problem:
        return "", str(problem)
    complaint = done.stderr.strip().rpartition("\n")[2] or f"exit status {done.returncode}"
    return done.stdout.strip(), complaint if done.returncode else ""


def _lies_in(version: str, wanted: str) -> bool:
    """Whether a version fulfils bounds such as `>=2.0,<3`; by its leading numbers, so that a broken installation needs no `packaging`."""
    for bound in filter(None, (bound.strip() for bound in wanted.split(","))):
        match = re.fullmatch(r"(>=|<)\s*([\d.]+)", bound)
        assert match, f"{bound!r} is a bound of the kinds that pyproject.toml uses"
        if (_numbers(version) >= _numbers(match[2])) != (match[1] == ">="):
            return False
    return True


def _numbers(version: str) -> list[int]:
    """`2.13.0+cpu` -> [2, 13]; trailing zeros say nothing."""
    leading = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(part) for part in leading[0].split(".")] if leading else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers


def _say(level: Level, check: str, reason: str, remedy: str) -> Finding:
    return Finding(level=level, check=check, reason=reason, remedy=remedy)


def _note(check: str, reason: str) -> Finding:
    return _say("note", check, reason, "")


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.1f} GiB"
