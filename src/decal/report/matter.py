"""What a report tells of: everything that stands in a run folder, read once.

A run goes in, `Matter` comes out. Nothing is made and nothing is judged here; what is not there is empty, so that a run that was only
trained has its page too.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from decal import project, runs, suite
from decal.errors import ProjectError
from decal.project import Project, Run
from decal.records import Checkpoint, Finding, Generation, Record, Rung, Score, Source, Standing, Step, Suite, Verdict
from decal.runs import About

logger = logging.getLogger(__name__)

BASE = 0


@dataclass(frozen=True)
class Cell:
    """A place on the table of a comparison: what was asked, whoever draws it."""

    prompt: str
    seed: int


@dataclass(frozen=True)
class Matter:
    """A run and what was made of it.

    name: of the project. drawn: files of the comparison's pictures by checkpoint and cell. cells: those cells, in the suite's order.
    scores: by measure, checkpoint and cell. glimpses: pictures drawn while training, by checkpoint and cell. drawing_seconds: of `drawn`.
    """

    name: str
    dataset: Path
    run: Run
    about: About
    records: Sequence[Record]
    sources: Sequence[Source]
    findings: Sequence[Finding] | None
    steps: Sequence[Step]
    rungs: Sequence[Rung]
    checkpoints: Sequence[Checkpoint]
    suite: Suite | None
    verdict: Verdict | None
    cells: Sequence[Cell]
    drawn: Mapping[tuple[int, Cell], Path]
    scores: Mapping[tuple[str, int, Cell], float]
    glimpses: Mapping[tuple[int, Cell], Path]
    drawing_seconds: float

    @property
    def standings(self) -> tuple[Standing, ...]:
        return self.verdict.standings if self.verdict is not None else ()

    @property
    def is_from_elsewhere(self) -> bool:
        """Whether another tool trained it: there are checkpoints, and nothing is known of a step."""
        return bool(self.checkpoints) and not self.steps

    @property
    def chosen(self) -> int | None:
        """The checkpoint that the page is about: the one to keep, or the best guess."""
        return self.verdict.checkpoint if self.verdict is not None else None

    def own(self, file: str) -> Path | None:
        """The path of one of the user's pictures; None for a name that leads out of the data set, as a stranger's file may hold."""
        name = PurePosixPath(file)
        return None if name.is_absolute() or ".." in name.parts else self.dataset / file

    def standing(self, checkpoint: int) -> Standing | None:
        """How a checkpoint came out; None where it was not judged."""
        return next((standing for standing in self.standings if standing.checkpoint == checkpoint), None)


def gather(at: Project, run: Run) -> Matter:
    """Read a run. Raises ProjectError where a file is damaged."""
    about = runs.about(run)
    frozen, verdict = project.read_record(run.suite, Suite), runs.verdict_of(run)
    checkpoints = runs.checkpoints(run)
    generations = project.read(run.generations, Generation)
    cells = _cells(frozen, generations)
    wanted = set(cells)
    weights = {BASE: "", **{checkpoint.step: checkpoint.sha256 for checkpoint in checkpoints}}
    compared = [
        one
        for one in generations
        if one.fingerprint == runs.cell_fingerprint(one.cell, about.base, weights.get(one.cell.checkpoint, ""))
        and _belongs(one, frozen)
        and Cell(one.cell.prompt, one.cell.seed) in wanted
    ]
    # Without a verdict that holds, scores may be of weights that are no longer there.
    scores = [] if verdict is None else project.read(run.scores, Score)
    return Matter(
        name=at.folder.resolve().name,
        dataset=at.dataset,
        run=run,
        about=about,
        records=project.read(run.dataset, Record),
        sources=_readable(at.sources, Source),
        findings=project.read(at.findings, Finding) if at.findings.exists() else None,
        steps=project.read_steps(run.steps),
        rungs=project.read(run.rungs, Rung),
        checkpoints=checkpoints,
        suite=frozen,
        verdict=verdict,
        cells=cells,
        drawn=_files(run, compared),
        scores={(score.measure, score.checkpoint, Cell(score.prompt, score.seed)): score.value for score in scores},
        glimpses=_files(run, project.read(run.validation, Generation)),
        drawing_seconds=sum(generation.seconds for generation in compared),
    )


def _readable(path: Path, kind: type[Source]) -> list[Source]:
    """Where pictures come from is told where it can be; a run is no worse for it."""
    try:
        return project.read(path, kind)
    except ProjectError as problem:
        logger.warning("%s", problem)
        return []


def _cells(frozen: Suite | None, generations: Sequence[Generation]) -> list[Cell]:
    """The cells of the comparison in order; without a suite, those that the base was drawn on."""
    if frozen is not None:
        return [Cell(prompt.text, seed) for prompt in frozen.prompts for seed in frozen.seeds]
    base = [generation.cell for generation in generations if generation.cell.checkpoint == BASE]
    return list(dict.fromkeys(Cell(cell.prompt, cell.seed) for cell in base))


def _belongs(generation: Generation, frozen: Suite | None) -> bool:
    """Whether a picture is as the suite asks for it; of the whole strength where there is no suite. Broken ones show nothing."""
    cell = generation.cell
    if generation.is_broken:
        return False
    if frozen is None:
        return cell.image_sha256 is None and cell.lora_strength == 1.0
    return cell == suite.cell(frozen, cell.prompt, cell.seed, cell.checkpoint)


def _files(run: Run, generations: Sequence[Generation]) -> dict[tuple[int, Cell], Path]:
    """The file of each picture, by checkpoint and cell; the last one counts, and none that lies outside the run."""
    folder = run.folder.resolve()
    return {
        (generation.cell.checkpoint, Cell(generation.cell.prompt, generation.cell.seed)): path
        for generation in generations
        if (path := (folder / generation.file).resolve()).is_relative_to(folder)
    }
