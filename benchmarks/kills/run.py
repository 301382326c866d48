"""Kill a training with SIGKILL at seeded random instants, resume it, and compare the bytes of the weights.

    python benchmarks/kills/run.py                          100 kills, at least 30 of them inside a save
    python benchmarks/kills/run.py --kills 2 --inside 1 --steps 8 --base FOLDER     the short form that the tests run

Each kill: a copy of one project is trained by `decal`'s own workflow in a child process, which is killed; another child resumes it. Its
last checkpoint must have the hash that it has in the training that nobody killed, and so must the state beside it. A kill counts as inside
a save when it left a staged folder behind.
The children are forked from a parent that has imported torch but never computed with it, so a start costs milliseconds.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

from decal import runs, workflow
from decal.project import STAGING_PREFIX, Project
from decal.settings import parse

SAVE_EVERY = 4


def train(folder: Path, base: str, steps: int) -> None:
    """Train the project on a base in this process to its end."""
    settings = {
        "base": {"model": base},
        "caption": {"keyword": workflow.SAMPLE_KEYWORD},
        "data": {"holdout_share": 0.0},
        "train": {
            "steps": steps,
            "checkpoint_every": SAVE_EVERY,
            "batch": 1,
            "rank": 8,
            "targets": "all",
            "trackers": [],
            "validation_prompts": [],
        },
    }
    for _ in workflow.train(Project(folder), parse(settings), workflow.Choice(), lambda: False):
        pass


def in_child(work: Callable[[], None]) -> int:
    """Start the work in a forked child and give its process id."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException as problem:
            print(f"child failed: {problem!r}", file=sys.stderr, flush=True)
            os._exit(1)
    return pid


def finish(pid: int) -> int:
    """Wait for a child; its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def last_hashes(folder: Path, steps: int) -> tuple[str, str]:
    """sha256 of the last checkpoint's portable file and of its state."""
    last = runs.checkpoints(Project(folder).runs()[-1])[-1]
    assert last.step == steps, f"the training ended at step {last.step}"
    return last.sha256, last.state_sha256


def is_saving(folder: Path) -> bool:
    """Whether a staged checkpoint is there."""
    return any((folder / "runs" / "run-01" / "checkpoints").glob(f"{STAGING_PREFIX}*"))


def main() -> None:
    """Run the kills and print what came of them; exit code 1 if one training did not end in the same bytes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--inside", type=int, default=30, help="kills that must hit a save")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=24, help=f"of a training, which saves every {SAVE_EVERY}")
    parser.add_argument("--base", default="mini")
    arguments = parser.parse_args()
    import decal.bases.sd
    import decal.train  # noqa: F401

    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        workflow.new(root / "blank", workflow.sample_order())
        whole, seconds, saving = root / "whole", [], []
        for _ in range(2):
            shutil.rmtree(whole, ignore_errors=True)
            shutil.copytree(root / "blank", whole)
            begun = time.perf_counter()
            pid = in_child(lambda: train(whole, arguments.base, arguments.steps))
            saving.append(time_saving(whole, pid))
            seconds.append(time.perf_counter() - begun)
            shutil.copytree(whole / "cache", root / "blank" / "cache", dirs_exist_ok=True)
        wanted = last_hashes(whole, arguments.steps)
        print(f"whole training {seconds[-1]:.2f} s, {saving[-1] * 1000:.0f} ms a save, weights {wanted[0][:16]}", flush=True)
        outside = inside = same = 0
        while outside + inside < arguments.kills:
            aims_inside = inside < arguments.inside and (outside >= arguments.kills - arguments.inside or chance.random() < 0.5)
            cut = root / "cut"
            shutil.rmtree(cut, ignore_errors=True)
            shutil.copytree(root / "blank", cut)
            pid = in_child(lambda cut=cut: train(cut, arguments.base, arguments.steps))  # type: ignore[misc]
            skipped = chance.randrange(arguments.steps // SAVE_EVERY - 1) if aims_inside else None
            was_inside = kill(pid, cut, chance.uniform(0.0, saving[-1] if aims_inside else seconds[-1]), skipped)
            if finish(pid) != -signal.SIGKILL or (aims_inside and not was_inside):
                continue
            inside, outside = inside + was_inside, outside + (not was_inside)
            status = finish(in_child(lambda cut=cut: train(cut, arguments.base, arguments.steps)))  # type: ignore[misc]
            is_same = status == 0 and last_hashes(cut, arguments.steps) == wanted
            same += is_same
            if not is_same:
                print(f"kill {outside + inside}: the weights differ", flush=True)
        kills = outside + inside
        print(f"{kills} kills, {inside} inside a save: {same} of {kills} resumed to the same weights and state")
        sys.exit(0 if same == kills else 1)


def time_saving(folder: Path, pid: int) -> float:
    """Wait for a child, and give the median time in seconds that a staged checkpoint was there."""
    times: list[float] = []
    since = 0.0
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        now = is_saving(folder)
        if now and not since:
            since = time.perf_counter()
        elif since and not now:
            times.append(time.perf_counter() - since)
            since = 0.0
        time.sleep(0.001)
    return sorted(times)[len(times) // 2]


def kill(pid: int, folder: Path, seconds: float, saves_to_skip: int | None) -> bool:
    """Kill a child so many seconds after its start, or after the start of the save behind those to skip; whether a save was cut."""
    was_saving = False
    while saves_to_skip is not None and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        now = is_saving(folder)
        if now and not was_saving:
            if saves_to_skip == 0:
                break
            saves_to_skip -= 1
        was_saving = now
        time.sleep(0.001)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return is_saving(folder)


if __name__ == "__main__":
    main()
