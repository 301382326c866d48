"""Choosing a checkpoint: the base and every checkpoint on prompts that they never saw."""

from collections.abc import Iterator
from pathlib import Path

from decal import gallery, grid, project, sheets
from decal.events import Begun, Event, Stop
from decal.project import Project
from decal.records import Cell
from decal.settings import Settings
from decal.wording import counted
from decal.workflow.choice import Choice, new_prompts, trained
from decal.workflow.reporting import told_in_report


def compare(at: Project, settings: Settings, choice: Choice, stop: Stop) -> Iterator[Event]:
    """Draw the base and every checkpoint on the prompts of `compare_prompts.txt`, side by side on one sheet."""
    run, resolved, checkpoints = trained(at, settings, choice)
    prompts = new_prompts(at.compare_prompts, run, resolved)
    cells = grid.compare_cells(prompts, [checkpoint.step for checkpoint in checkpoints], resolved.compare, resolved.data.resolution)
    shown = f"the base and {counted(len(checkpoints), 'checkpoint')} on {counted(len(prompts), 'new prompt')}"
    told = f"{run.name}: {shown}, {counted(len(cells), 'picture')}"
    yield Begun(run, resolved.train.steps, told)
    found: dict[Cell, Path] = {}
    yield from gallery.noted(gallery.draw(run, resolved, cells, stop, batch=resolved.compare.batch), run, found)
    steps = project.read_steps(run.steps)
    picture = sheets.compare_sheet(cells, found, steps=steps, run=run.name, base=resolved.base.model)
    yield gallery.write_sheet(run.sheets / "compare.png", picture, len(cells))
    yield told_in_report(at, run)
