"""How good a small base model is: what its VAE keeps, what its prompts draw, how it takes to a new style, what it has by heart.

    python benchmarks/mini/run.py --base DIR [--base DIR2] --data DATA --work FOLDER [--quick]

DATA is what recipes/mini/data.py writes. Prints a table with a column for each base and writes it, the numbers as JSON and sheets of
pictures into FOLDER; what is drawn or trained there already is not done again. README.md says what the figures mean.
"""

import argparse
import dataclasses
import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "recipes" / "mini"))

from mini import drawn, measure, styles, truth
from mini.drawn import Candidate, Sampling
from mini.looks import Looks
from mini.measure import Figure, Scope
from mini.truth import Gallery

PARTS = ("vae", "prompts", "lora", "guidance", "memory", "timing")


@dataclass(frozen=True)
class Plan:
    """What is measured, and on what. own: pictures that bases were taught on; unseen: styles for the VAE; strangers: styles for LoRAs."""

    parts: Sequence[str]
    scope: Scope
    changes: Sequence[str]
    own: Gallery
    unseen: Sequence[Gallery]
    strangers: Sequence[Gallery]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, action="append", required=True, help="a Stable Diffusion folder; may be given several times")
    parser.add_argument("--data", type=Path, required=True, help="folder with pictures.npy and development.npy")
    parser.add_argument("--work", type=Path, required=True, help="folder for everything that is made")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part only; may be given several times")
    parser.add_argument("--on", choices=("test", "development"), default="test", help="styles for the LoRAs; tune on development only")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the training, as in decal train")
    parser.add_argument("--steps", type=int, default=Sampling.steps, help="of drawing, where no other number is measured")
    parser.add_argument("--guidance", type=float, default=Sampling.guidance)
    parser.add_argument("--concepts", type=int, help="so many for the prompts, instead of 200")
    parser.add_argument("--spared", type=int, help="so many concepts in all styles for what a LoRA leaves alone, instead of 24")
    parser.add_argument("--quick", action="store_true", help="few concepts and steps, to see that everything works")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    own, development = truth.taught(given.data), truth.development(given.data)
    tests = [truth.unseen(style, own.pixels.shape[1]) for style in styles.STYLES]
    for gallery in tests:
        measure.style_sheet(given.work / f"style-{gallery.styles[0]}.png", gallery)
    scope = measure.QUICK if given.quick else measure.FULL
    plan = Plan(
        parts=given.only or PARTS,
        scope=dataclasses.replace(scope, prompted=given.concepts or scope.prompted, spared=given.spared or scope.spared),
        changes=given.set,
        own=own,
        unseen=[*tests, development],
        strangers=tests if given.on == "test" else [development],
    )
    looks = Looks(given.work / "vectors", given.device)
    columns: dict[str, list[Figure]] = {}
    for folder, name in zip(given.base, drawn.names(given.base), strict=True):
        columns[name] = []
        base = drawn.candidate(folder, name, work=given.work, device=given.device, sampling=Sampling(given.steps, given.guidance))
        for figure in figures_of(base, plan, looks):
            columns[name].append(figure)
            print(f"{time.strftime('%H:%M:%S')}  {name}  {figure.name}: {shown(figure)}", file=sys.stderr, flush=True)
    text = table(columns)
    (given.work / "table.txt").write_text(text, "utf-8")
    (given.work / "figures.json").write_text(to_json(columns), "utf-8")
    print(text, end="")
    print(f"figures.json and the sheets are in {given.work}", file=sys.stderr)


def figures_of(base: Candidate, plan: Plan, looks: Looks) -> Iterator[Figure]:
    """All figures of one base that are asked for."""
    if "vae" in plan.parts:
        yield from measure.reconstruction(base, [*plan.unseen, plan.own])
    if set(plan.parts) == {"vae"}:
        return
    pictures = measure.draw_prompts(base, plan.own, plan.scope.prompted)
    if "prompts" in plan.parts:
        yield from measure.prompts(base, pictures, looks)
    if "lora" in plan.parts:
        scope = dataclasses.replace(plan.scope, changes=(*plan.scope.changes, *plan.changes))
        for gallery in plan.strangers:
            yield from measure.lora(base, gallery, pictures, looks, scope)
    if "guidance" in plan.parts:
        yield from measure.guidance(base, pictures, looks, plan.scope.guided)
    if "memory" in plan.parts:
        yield from measure.memory(base, pictures, looks)
    if "timing" in plan.parts:
        yield from measure.timing(base, pictures)


def table(columns: Mapping[str, Sequence[Figure]]) -> str:
    """A line for each figure with its goal and a column for each base."""
    figures = [{figure.name: figure for figure in column} for column in columns.values()]
    named = {name: figure for column in figures for name, figure in column.items()}
    lines = [["", "goal", *columns]]
    for name, example in named.items():
        goal = "" if example.goal is None else written(example.goal, example.unit)
        lines.append([name, goal, *(shown(column[name]) if name in column else "" for column in figures)])
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    return "".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n" for line in lines)


def shown(figure: Figure) -> str:
    """A figure with its spread."""
    value, unit = figure.value, figure.unit
    if value.low == value.high or math.isnan(value.low):
        return written(value.value, unit)
    return f"{written(value.value, unit)} [{written(value.low, unit)}, {written(value.high, unit)}]"


def written(value: float, unit: str) -> str:
    """A number as it stands in the table."""
    return {"%": f"{100 * value:.1f} %", "dB": f"{value:.1f} dB", "s": f"{value:.1f} s"}.get(unit, f"{value:.3f}")


def to_json(columns: Mapping[str, Sequence[Figure]]) -> str:
    """All figures of all bases, shares as 0..1."""
    known = {name: [dataclasses.asdict(figure) for figure in column] for name, column in columns.items()}
    return json.dumps(known, indent=1) + "\n"


if __name__ == "__main__":
    main()
