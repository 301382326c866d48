"""How long a comparison takes, and how much of it is not drawing.

    python benchmarks/selection/timing.py WORK [--training NAME] [--prompts 32] [--seeds 0,1] [--set compare.steps=6]

Takes a trained project of real.py and compares it as a person would: first with nothing drawn, then again with everything drawn but no
verdict, then also without what was seen in the pictures. The project is copied into WORK/timing-NAME, which is made anew. Threads are those
of OMP_NUM_THREADS, or all cores; wall time is what the load of the machine makes of it, so that is printed beside it.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from decal import project
from decal.project import Project
from decal.records import Generation


@dataclass(frozen=True)
class Taken:
    """What one comparison took. load: of the machine over the last minute, as it began and as it ended."""

    what: str
    wall_s: float
    cpu_s: float
    load: tuple[float, float]
    pictures: int


def main() -> None:
    """Copy, compare three times, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="folder of real.py")
    parser.add_argument("--training", default="openmoji-1-preset", help="which of its projects")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as `decal compare` takes it")
    given = parser.parse_args()
    at = copied(given.work / given.training, given.work / f"timing-{given.training}")
    changes = [f"compare.prompts={given.prompts}", f"compare.seeds=[{given.seeds}]", *given.set]
    print(f"{len(os.sched_getaffinity(0))} cores, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}")
    print(f"{'':36} {'wall s':>8} {'CPU s':>8} {'load':>13} {'drawn':>6}")
    run = at.runs()[-1]
    _tell(compared(at, "all of it, nothing drawn before", changes))
    run.verdict.unlink()
    _tell(compared(at, "again without drawing", changes))
    run.verdict.unlink()
    shutil.rmtree(at.cache / "looks")
    _tell(compared(at, "again, pictures looked at again", changes))
    drawn = Counter(one.cell.checkpoint for one in project.read(run.generations, Generation))
    print("pictures by checkpoint: " + ", ".join(f"{step} {count}" for step, count in sorted(drawn.items())))


def copied(source: Path, to: Path) -> Project:
    """A copy of a trained project in which nothing was drawn or looked at; its prompts stay, and Decal fills them up."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(source, to, ignore=shutil.ignore_patterns("generations", "generations.jsonl", "looks"))
    return Project(to)


def compared(at: Project, what: str, changes: list[str]) -> Taken:
    """What `decal compare` takes from the start of the process to its end."""
    command = [sys.executable, "-m", "decal", "compare", str(at.folder), *(word for change in changes for word in ("--set", change))]
    before, load = resource.getrusage(resource.RUSAGE_CHILDREN), os.getloadavg()[0]
    begun, drawn = time.monotonic(), _pictures(at)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Taken(what, time.monotonic() - begun, cpu_s, (load, os.getloadavg()[0]), _pictures(at) - drawn)


def _pictures(at: Project) -> int:
    return len(project.read(at.runs()[-1].generations, Generation))


def _tell(taken: Taken) -> None:
    load = f"{taken.load[0]:.1f} .. {taken.load[1]:.1f}"
    print(f"{taken.what:36} {taken.wall_s:8.0f} {taken.cpu_s:8.0f} {load:>13} {taken.pictures:6}", flush=True)


if __name__ == "__main__":
    main()
