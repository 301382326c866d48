"""The trainings of the plan by Decal's own commands: a project for each, trained and drawn with once, gone on with where it stopped."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from plan import BASE_SEEDS, DRAWN_WITH, KEYWORDS, SEEDS, Pictures, Training

from decal import gallery, grid, project, runs, workflow
from decal.project import Project
from decal.records import Cell, Checkpoint
from decal.settings import Resolved
from decal.workflow import Choice, Order, choice


def train(training: Training, true: Pictures, work: Path) -> Project:
    """The project of a training, trained to the end. true: the pictures of its style."""
    at = Project(work / training.name)
    if not at.settings.exists():
        source = work / f"{training.name}-pictures"
        source.mkdir(parents=True, exist_ok=True)
        lines = []
        for concept in training.learns:
            Image.fromarray(true[concept]).save(source / f"{concept}.png")
            lines.append(json.dumps({"file_name": f"{concept}.png", "text": training.prompt(concept)}) + "\n")
        (source / "metadata.jsonl").write_text("".join(lines), "utf-8")
        workflow.new(at.folder, Order(source, KEYWORDS[training.style], "mini", "stickers"))
    at.compare_prompts.write_text("".join(f"{training.prompt(concept)}\n" for concept in training.asked), "utf-8")
    for _ in workflow.train(at, workflow.settings_of(at, training.settings), Choice(), lambda: False):
        pass
    return at


def read(at: Project, changes: Sequence[str]) -> tuple[project.Run, Resolved, list[Checkpoint]]:
    """The run of a project that is trained, its settings with changes, and its checkpoints."""
    return choice.trained(at, workflow.settings_of(at, changes), Choice())


def cells(training: Training, at: Project) -> list[Cell]:
    """All pictures of a training: of its checkpoints, and of the base with more seeds."""
    _, resolved, checkpoints = read(at, DRAWN_WITH)
    prompts, steps = [training.prompt(concept) for concept in training.asked], [one.step for one in checkpoints]
    asked = []
    for of, seeds in (([0], BASE_SEEDS), (steps, SEEDS)):
        compare = resolved.compare.model_copy(update={"seeds": seeds})
        asked += [cell for cell in grid.compare_cells(prompts, of, compare, resolved.data.resolution) if cell.checkpoint in of]
    return asked


def draw(training: Training, at: Project, others: list[Project]) -> None:
    """Draw what is not drawn yet. others: projects of the same style, whose pictures of the base are taken over where they have them."""
    run, resolved, _ = read(at, DRAWN_WITH)
    for other in others:
        _take_base(run, other.runs()[-1])
    for _ in gallery.draw(run, resolved, cells(training, at), lambda: False, batch=resolved.compare.batch):
        pass


def is_whole(training: Training, at: Project) -> bool:
    """Whether a training has ended and everything is drawn."""
    if not at.runs() or not runs.is_complete(at.runs()[-1], runs.about(at.runs()[-1]).settings):
        return False
    return not gallery.Album(at.runs()[-1], at.runs()[-1].generations).missing(cells(training, at))


def _take_base(run: project.Run, other: project.Run) -> None:
    """Copy the pictures of the base: with the same prompts, they are the same for all trainings on a style."""
    known = runs.drawn(run, run.generations)
    for fingerprint, generation in runs.drawn(other, other.generations).items():
        if generation.cell.checkpoint == 0 and fingerprint not in known:
            (run.folder / generation.file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(other.folder / generation.file, run.folder / generation.file)
            project.append(run.generations, generation)
