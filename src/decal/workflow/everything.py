"""All commands in order, each skipping what is done."""

from collections.abc import Iterator
from pathlib import Path

from decal import dataset, project
from decal.doctor import examine
from decal.errors import DataError
from decal.events import Event, Stop
from decal.project import Project
from decal.records import Description, Finding
from decal.settings import Settings
from decal.workflow.beginning import CANDIDATES, DESCRIPTIONS, describe, draw_candidates
from decal.workflow.choice import Choice, run_to_train
from decal.workflow.choosing import compare
from decal.workflow.drawing import draw_grid
from decal.workflow.submitting import HAND_IN, hand_in
from decal.workflow.training import train


def run(at: Project, settings: Settings, choice: Choice, stop: Stop) -> Iterator[Event]:
    """Everything in order: check, train, compare, grid, hand-in; what is done is skipped.

    An empty data set is described and its candidates are drawn; then DataError is raised, because only a person can choose.
    """
    if not dataset.scan(at.dataset).files:
        yield from describe(at, settings, max(DESCRIPTIONS, len(project.read(at.descriptions, Description))), stop)
        yield from draw_candidates(at, settings, CANDIDATES, 0, stop)
        raise DataError(
            f"{at.dataset} has no picture yet, so nothing was trained.\n"
            f"Choose among the candidates with  decal caption --pick {at.folder}  and call again."
        )
    made = Choice(run_to_train(at, choice).name)
    yield from train(at, settings, choice, stop)
    yield from compare(at, settings, made, stop)
    yield from draw_grid(at, settings, made, None, stop)
    yield from hand_in(at, settings, made, None, at.folder / HAND_IN, stop)


def doctor(folder: Path) -> list[Finding]:
    """What is wrong with the installation."""
    return examine(folder)
