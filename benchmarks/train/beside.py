"""Training beside diffusers' script, at the lengths that our figures are told of: 100 and 1,000 steps.

    python benchmarks/train/beside.py --peer-python PYTHON --peer-script train_text_to_image_lora.py [--out figures.jsonl] [--quick]

It is `decal bench` with these lengths, and keeps every round as a line. The README beside it says how to make the script's environment.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from decal import workflow


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--peer-script", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="12 and 24 steps, one round")
    parser.add_argument("--out", type=Path, help="a line of JSON for each run")
    asked = parser.parse_args()
    lengths, rounds = ((12, 24), 1) if asked.quick else ((100, 1000), asked.rounds)
    wish = workflow.BenchWish(steps=lengths, rounds=rounds, script=asked.peer_script, python=asked.peer_python)
    for told in workflow.measure_training(wish, lambda: False):
        if isinstance(told, str):
            print(told, flush=True)
        elif asked.out is not None:
            with asked.out.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(asdict(told), sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
