"""One run of one contender, in a process of its own, to figures."""

import json
import os
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from decal.bench.contenders import Contender
from decal.errors import DecalError

OBSERVER = Path(__file__).with_name("observer.py")
# The first steps pay for what is set up once: ten, or a quarter of a short run.
SETTLING = 10


@dataclass(frozen=True)
class Trial:
    """One run of one contender. is_cold: it had not run on these pictures before. load: of the machine when it began."""

    contender: str
    steps: int
    round: int
    batch: int
    is_cold: bool
    load: float | None


@dataclass(frozen=True)
class Measured(Trial):
    """Figures of one run. Wall times in seconds, `cpu` ones in seconds of the processor.

    first_step: from the end of the imports to the end of the first step. step: between two steps once settled, on average, with what is
    done at checkpoints; middle_step: the middle one, which is a step alone. whole: from the start of the process to its end. peak_bytes:
    of the process, without a GPU's.
    """

    imports: float
    imports_cpu: float
    first_step: float
    first_step_cpu: float
    step: float
    step_cpu: float
    middle_step_cpu: float
    whole: float
    whole_cpu: float
    peak_bytes: int | None
    cuda_bytes: int | None

    @property
    def samples_per_second(self) -> float:
        """Once settled, by the clock."""
        return self.batch / self.step


def measure(contender: Contender, folder: Path, *, steps: int, round: int, batch: int, threads: int) -> Measured:
    """Run the contender once. folder: its own, kept between its runs. Raises DecalError with its last words where it fails."""
    is_cold = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "out", ignore_errors=True)
    stamps, said = folder / "stamps.json", folder / "said.txt"
    stamps.unlink(missing_ok=True)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    begun = time.time()
    command = [str(contender.python), str(OBSERVER), str(stamps), repr(begun), contender.program, *contender.command(steps, folder)]
    with said.open("wb") as words:
        ended = subprocess.run(command, env=environment, stdout=words, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    if ended.returncode or not stamps.exists():
        last = "\n".join(said.read_text("utf-8", errors="replace").strip().splitlines()[-5:])
        raise DecalError(f"{contender.name} failed (exit code {ended.returncode}); its last words, the rest is in {said}:\n{last}")
    return figures(Trial(contender.name, steps, round, batch, is_cold, load), json.loads(stamps.read_text("utf-8")))


def figures(trial: Trial, stamps: dict[str, Any]) -> Measured:
    """What the stamps of one run come to. Raises DecalError where the program did another number of steps than asked."""
    moments = stamps["steps"]
    if len(moments) != trial.steps:
        raise DecalError(
            f"{trial.contender} did {len(moments)} steps of the optimizer where {trial.steps} were asked for, so they say nothing.\n"
            "Is it the text-to-image LoRA script of diffusers, unmodified?"
        )
    settled = moments[min(SETTLING, len(moments) // 4) :]
    step, step_cpu = ((settled[-1][clock] - settled[0][clock]) / (len(settled) - 1) for clock in (0, 1))
    (imports, imports_cpu), (whole, whole_cpu) = stamps["imported"], stamps["ended"]
    return Measured(
        **asdict(trial),
        imports=imports,
        imports_cpu=imports_cpu,
        first_step=moments[0][0] - imports,
        first_step_cpu=moments[0][1] - imports_cpu,
        step=step,
        step_cpu=step_cpu,
        middle_step_cpu=median(after[1] - before[1] for before, after in pairwise(settled)),
        whole=whole,
        whole_cpu=whole_cpu,
        peak_bytes=stamps["peak_bytes"],
        cuda_bytes=stamps["cuda_bytes"],
    )
