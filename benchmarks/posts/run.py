"""What a large table costs: import and plan, killed on the way and gone on with, each in a process of its own.

    python benchmarks/posts/run.py WORK --rows 300000 --kinds csv          one JSON line a step

The table is that of `invented.py`. The import is ended with SIGKILL after some seconds, the plan as well; then each is called again, and
the rows are counted: none may be missing or there twice. Seconds and memory are those of the processes that ran to their end.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from decal.records import Post, PromptPlan

# As a script, only its own folder can be imported from.
sys.path.insert(0, str(Path(__file__).parents[1]))
from posts.invented import write

Figures = dict[str, object]


def main() -> None:
    """Make the tables, and print what each step took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--kinds", nargs="+", choices=("csv", "jsonl", "xlsx", "parquet"), default=("csv",))
    parser.add_argument("--kill-after", type=float, default=20.0)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    for kind in arguments.kinds:
        table, at = arguments.work / f"posts.{kind}", arguments.work / f"project-{kind}"
        if not table.exists():
            write(table, arguments.rows)
        for step, words in (("import", ["import", str(table), str(at)]), ("plan", ["plan", str(at)])):
            about: Figures = {"kind": kind, "rows": arguments.rows, "step": step}
            killed = kill(words, arguments.kill_after)
            there = len(list((at / "posts" / {"import": "rows", "plan": "plans"}[step]).glob("*.json")))
            about |= {"killed": killed, "shards_after_kill": there} | run(words)
            print(json.dumps(about | {"rows_there": count(at, step)}, sort_keys=True), flush=True)


def kill(words: list[str], seconds: float) -> str:
    """Begin a command and end it with SIGKILL; whether it was still at work."""
    process = subprocess.Popen([sys.executable, "-m", "decal", "posts", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return "at work"
    return "done before"


def run(words: list[str]) -> Figures:
    """What a command takes to its end."""
    begun = time.perf_counter()
    actions = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawn(sys.executable, [sys.executable, "-m", "decal", "posts", *words], os.environ, file_actions=actions)
    _, status, used = os.wait4(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, f"decal posts {words[0]} failed"
    return {
        "wall_seconds": round(time.perf_counter() - begun, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_mib": used.ru_maxrss // 1024,
        "load": round(os.getloadavg()[0], 1),
    }


def count(at: Path, step: str) -> int:
    """The rows that are there, each once and in its place."""
    numbers = []
    for path in sorted((at / "posts" / {"import": "rows", "plan": "plans"}[step]).glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            number = (Post if step == "import" else PromptPlan).model_validate_json(line).number
            numbers.append(number)
    assert numbers == list(range(1, len(numbers) + 1)), "a row is missing, or there twice"
    return len(numbers)


if __name__ == "__main__":
    main()
