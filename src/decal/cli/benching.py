"""The command that measures: bench."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from decal.cli.options import STOP, Json


def bench(
    steps: Annotated[list[int] | None, typer.Option("--steps", min=4, help="Length of a run; may be given several times. 100.")] = None,
    rounds: Annotated[
        int, typer.Option(min=0, max=50, help="Warm rounds, after a cold one, which 0 leaves alone; the contenders take turns.")
    ] = 3,
    quick: Annotated[
        bool, typer.Option("--quick", help="12 steps and one warm round: shows that it works, its figures say little.")
    ] = False,
    base: Annotated[str, typer.Option(help="The base to train on.")] = "mini",
    source: Annotated[Path | None, typer.Option("--from", help="Pictures with captions; the sample where left out.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Pictures a step.")] = 4,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each program.")] = 1,
    peer_script: Annotated[
        Path | None, typer.Option(help="diffusers' train_text_to_image_lora.py, to measure beside ours; it is run as it is.")
    ] = None,
    peer_python: Annotated[Path | None, typer.Option(help="The Python of an environment that has what the script needs.")] = None,
    json: Json = False,
) -> None:
    """Measure how fast training is, as a whole program.

    Samples a second, host time a step, time to the first step, end to end, memory. With --peer-script, diffusers' own script does
    the same work in turns with ours; a gap inside the spread of the rounds is a tie.
    """
    from dataclasses import asdict, replace

    from decal import workflow
    from decal.project import to_json_object

    lengths = tuple(steps or ((12,) if quick else (100,)))
    wish = workflow.BenchWish(
        base=base,
        steps=lengths,
        rounds=1 if quick else rounds,
        batch=batch,
        threads=threads,
        script=peer_script,
        python=peer_python,
    )
    if source is not None:
        wish = replace(wish, source=source)
    STOP.install()
    for told in workflow.measure_training(wish, STOP):
        if isinstance(told, str):
            print(told, file=sys.stderr if json else sys.stdout)
        elif json:
            print(to_json_object(asdict(told)))
        else:
            when = "cold" if told.is_cold else f"round {told.round}"
            cpu = f"{1000 * told.step_cpu:.0f} CPU ms a step"
            print(f"{told.contender:17} {told.steps:,} steps, {when}: {told.whole:.1f} s, {cpu}", file=sys.stderr)
