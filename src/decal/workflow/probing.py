"""A look at whether a model of few steps kept them: the same prompts at 1, 2, 4 and 30 steps, without the LoRA and with it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from decal import gallery, grid, project, runs, sheets
from decal.errors import SettingsError
from decal.events import Begun, Event, Sheet, Stop, Told
from decal.project import Project, Run
from decal.records import Cell, Checkpoint, Generation, Probe, ProbedSteps
from decal.scores.few_steps import BLURRED, FEW, FORGOTTEN, MANY, Change, Health, healths
from decal.scores.looks import Looks, lay_out
from decal.settings import Resolved, Settings
from decal.viewing import Shown, Viewer
from decal.wording import counted
from decal.workflow.choice import Choice, chosen, trained

PROMPTS = 8
SEEDS = (0, 1)
MIN_PROMPTS = 4
"""So many are also on the sheet."""


def probe(at: Project, settings: Settings, choice: Choice, step: int | None, stop: Stop) -> Iterator[Event]:
    """Draw a few prompts at few and at many steps with the base and with a checkpoint, and say whether the few are still as good.

    Works on any base; one that was never made for few steps is as bad before as after. What is drawn already is not drawn again. Raises
    SettingsError where there are too few prompts.
    """
    run, resolved, checkpoints = trained(at, settings, choice)
    yield from probe_checkpoint(at, run, resolved, chosen(run, checkpoints, step).checkpoint, stop)


def probe_checkpoint(at: Project, run: Run, resolved: Resolved, checkpoint: Checkpoint, stop: Stop) -> Iterator[Event]:
    """The same for one checkpoint of a run."""
    prompts = grid.read_prompts(at.compare_prompts)[:PROMPTS] if at.compare_prompts.exists() else []
    if len(prompts) < MIN_PROMPTS:
        raise SettingsError(
            f"{at.compare_prompts} holds {counted(len(prompts), 'prompt')}, and a probe needs {MIN_PROMPTS}.\n"
            "Write more of them, one a line."
        )
    cells = _cells(resolved, checkpoint.step, prompts)
    what = f"step {checkpoint.step} and the base at {', '.join(map(str, FEW))} and {MANY} steps"
    yield Begun(run, resolved.train.steps, f"{run.name}: {what}, {counted(len(prompts), 'prompt')}, {counted(len(SEEDS), 'seed')} each")
    made_of = project.fingerprint(
        BLURRED, FORGOTTEN, [cell.model_dump(mode="json") for cell in cells], runs.about(run).base, checkpoint.sha256
    )
    before = project.read_record(run.probe, Probe)
    if before is not None and before.made_of == made_of:
        yield Told("  nothing has changed since the last probe")
        yield before
        return
    kept: dict[Cell, Generation] = {}
    for event in gallery.Studio(run, resolved, keeps_broken=True).draw(cells, stop, batch=resolved.compare.batch):
        if isinstance(event, Generation):
            kept[event.cell] = event
        yield event
    viewer = Viewer(at.cache, resolved.compare.embedder, resolved.train.device)
    yield from viewer.fill(shown for one in kept.values() if (shown := _shown(run, one)) is not None)
    sides = [{steps: _looks(viewer, run, cells, kept, (steps, of)) for steps in (*FEW, MANY)} for of in (0, checkpoint.step)]
    found = Probe(
        checkpoint=checkpoint.step,
        sampler=resolved.compare.sampler,
        guidance=resolved.compare.guidance,
        rows=tuple(_row(health) for health in healths(*sides)),
        prompts=len(prompts),
        made_of=made_of,
    )
    project.write_record(run.probe, found)
    yield found
    files = {cell: run.folder / one.file for cell, one in kept.items()}
    yield _sheet(run, resolved, cells, files)


def _cells(resolved: Resolved, step: int, prompts: Sequence[str]) -> list[Cell]:
    """The base and the checkpoint at every number of steps."""
    cells: list[Cell] = []
    for steps in (*FEW, MANY):
        drawing = resolved.compare.model_copy(update={"seeds": SEEDS, "steps": steps})
        cells += grid.compare_cells(prompts, [step], drawing, resolved.data.resolution)
    return cells


def _shown(run: Run, one: Generation | None) -> Shown | None:
    return None if one is None or one.is_broken else Shown(run.folder / one.file, one.sha256)


def _looks(viewer: Viewer, run: Run, cells: Sequence[Cell], kept: dict[Cell, Generation], of: tuple[int, int]) -> Looks:
    """What is seen in the pictures of one number of steps and one checkpoint, [P, S, ...]."""
    some = [cell for cell in cells if (cell.steps, cell.checkpoint) == of]
    prompts = list(dict.fromkeys(cell.prompt for cell in some))
    places = [(prompts.index(cell.prompt), SEEDS.index(cell.seed)) for cell in some]
    return lay_out(viewer.looks([_shown(run, kept.get(cell)) for cell in some]), places, len(prompts), len(SEEDS))


def _row(health: Health) -> ProbedSteps:
    def three(change: Change) -> tuple[float, float, float]:
        return change.mean, change.low, change.high

    return ProbedSteps(
        steps=health.steps,
        sharpness=health.sharpness,
        adherence=health.adherence,
        distance=health.distance,
        sharper=three(health.sharper),
        nearer=three(health.nearer),
        is_lost=health.is_lost,
    )


def _sheet(run: Run, resolved: Resolved, cells: Sequence[Cell], files: dict[Cell, Path]) -> Sheet:
    """The first prompts: every number of steps, without the LoRA above and with it beneath."""
    step = cells[-1].checkpoint
    by_place = {(cell.prompt, cell.steps, cell.checkpoint): files.get(cell) for cell in cells if cell.seed == SEEDS[0]}
    prompts = list(dict.fromkeys(cell.prompt for cell in cells))[:MIN_PROMPTS]
    counts = (*FEW, MANY)
    rows = [
        (prompt if of == 0 else "", "without the LoRA" if of == 0 else f"step {step}", [by_place.get((prompt, n, of)) for n in counts])
        for prompt in prompts
        for of in (0, step)
    ]
    title = f"{run.name}, step {step}: does it still draw in a few steps?"
    picture = sheets.rows_sheet(rows, [counted(n, "step") for n in counts], cells, title=title, base=resolved.base.model)
    return gallery.write_sheet(run.sheets / f"probe-step-{step:06d}.png", picture, len(rows) * len(counts))
