"""From a run folder to a verdict: which pictures are there, what is seen in them, and what that says.

A `Suite` and the pictures of a run go in; `Evidence`, a race and a `Verdict` come out. Nothing is drawn here: what a race asks for is for
the caller to draw. Everything follows from the files, so that a second look costs no more than reading them.
"""

import logging
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from decal import project, runs, suite
from decal.compare import telling
from decal.compare.contest import enter, gap, interval
from decal.compare.racing import ROUNDS, Race, Round, is_broken, race
from decal.compare.verdict import MATERIAL, judge
from decal.errors import DataError, ProjectError
from decal.events import Progress
from decal.project import Project, Run
from decal.records import Cell, Generation, Reference, Suite, Trial, Verdict
from decal.scores.evidence import BASE, Evidence, Planted
from decal.scores.looks import Looks, lay_out
from decal.viewing import COPIES, Change, Proofreader, Reader, Shown, Square, Viewer

logger = logging.getLogger(__name__)

METHOD = 2
"""Raised whenever the same pictures lead to another verdict."""
SWEEP_PROMPTS = 8
MAX_PLANTED = 24
"""Copies that are planted; more say nothing more."""


@dataclass(frozen=True)
class Table:
    """Which cells of a suite are looked at: prompts x seeds, of some checkpoints at some guidance and strength.

    seeds: of the checkpoints. base_seeds: of the base; holds seeds. made_with: by checkpoint, the step, guidance and strength that its
    pictures were drawn with, where they are not the suite's own; a setting that is tried counts as a checkpoint of its own.
    """

    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    base_seeds: tuple[int, ...]
    checkpoints: tuple[int, ...]
    made_with: Mapping[int, tuple[int, float, float]] = field(default_factory=dict)

    def cell(self, of: Suite, prompt: str, seed: int, checkpoint: int) -> Cell:
        """The cell at a place of the table."""
        step, guidance, strength = self.made_with.get(checkpoint, (checkpoint, of.guidance, of.strength))
        return suite.cell(of, prompt, seed, step, guidance=guidance, strength=strength)

    def cells(self, of: Suite, checkpoint: int) -> list[Cell]:
        """All cells of a checkpoint, or of the base."""
        seeds = self.base_seeds if checkpoint == BASE else self.seeds
        return [self.cell(of, prompt, seed, checkpoint) for prompt in self.prompts for seed in seeds]


@dataclass(frozen=True)
class Bench:
    """A run, what its checkpoints are compared on, and eyes to look at its pictures with."""

    at: Project
    run: Run
    suite: Suite
    viewer: Viewer
    reader: Reader | None = None

    def table(self) -> Table:
        """The table that the verdict rests on."""
        of = self.suite
        rivals = tuple(rival.checkpoint for rival in of.rivals)
        return Table(tuple(prompt.text for prompt in of.prompts), of.seeds, of.base_seeds, rivals)

    def rounds(self) -> tuple[Round, ...]:
        """The rounds of the race: a few prompts, all of them, and all seeds."""
        prompts, seeds = len(self.suite.prompts), len(self.suite.seeds)
        first = [size for size in ROUNDS[:1] if size.prompts < prompts]
        return (*first, *(Round(prompts, number) for number in dict.fromkeys((1, seeds))))

    def fingerprint(self, cell: Cell) -> str:
        """Of a cell with the base and the adapter that draw it."""
        adapter = self._adapters[cell.checkpoint] if cell.checkpoint else ""
        return runs.cell_fingerprint(cell, self.suite.base_sha256, adapter)

    def drawn(self) -> dict[str, Generation]:
        """The pictures of the run that are there and whole, by fingerprint."""
        return runs.drawn(self.run, self.run.generations)

    def look(self, drawn: Mapping[str, Generation], tables: Sequence[Table]) -> Generator[Progress, None, None]:
        """Look at everything that the evidence of these tables needs and that was not looked at before."""
        shown = [*self._own("train"), *self._own("holdout"), *self._own("train", "mirrored"), *self._copies()]
        base: list[Shown | None] = []
        for table in tables:
            for checkpoint in (BASE, *table.checkpoints):
                there = [self._shown(drawn, cell) for cell in table.cells(self.suite, checkpoint)]
                base += there if checkpoint == BASE else []
                shown += [one for one in there if one is not None]
        shown += [Shown(one.path, one.sha256, None, how) for one in base if one is not None for how in ("burnt", "blurred")]
        for cell in self._probe_cells():
            if (one := self._shown(drawn, cell)) is not None:
                shown.append(one)
        yield from self.viewer.fill(shown)
        if self.reader is not None:
            every = [
                self._shown(drawn, cell)
                for table in tables
                for step in (BASE, *table.checkpoints)
                for cell in table.cells(self.suite, step)
            ]
            yield from self.reader.viewer.fill(one for one in every if one is not None)

    def evidence(self, drawn: Mapping[str, Generation], table: Table) -> Evidence:
        """What the pictures of a table say. Pictures that are not drawn leave holes."""
        training = self._own("train")
        if not training:
            raise DataError(f"{self.run.dataset}: none of the training pictures is in {self.at.dataset} any more.\nPut them back.")
        base = [self._shown(drawn, cell) for cell in table.cells(self.suite, BASE)]
        places = [(p, table.base_seeds.index(seed)) for p in range(len(table.prompts)) for seed in table.base_seeds]
        size = (len(table.prompts), len(table.base_seeds))
        looks = {BASE: lay_out(self.viewer.looks(base), places, *size)}
        broken = {BASE: self._broken(drawn, table, BASE)}
        for checkpoint in table.checkpoints:
            there = [self._shown(drawn, cell) for cell in table.cells(self.suite, checkpoint)]
            columns = [(p, table.base_seeds.index(seed)) for p in range(len(table.prompts)) for seed in table.seeds]
            looks[checkpoint] = lay_out(self.viewer.looks(there), columns, *size)
            broken[checkpoint] = self._broken(drawn, table, checkpoint)
        copies = self._copies()
        return Evidence(
            prompts=table.prompts,
            seeds=table.base_seeds,
            drawn=looks,
            heldout=self.viewer.looks(self._own("holdout")),
            training=self.viewer.looks(training),
            mirrored=self.viewer.looks(self._own("train", "mirrored")),
            files=tuple(reference.file for reference in self._references("train")),
            broken=broken,
            probes=self._probes(drawn, table, self.suite.drift_probe),
            recited=self._probes(drawn, table, self.suite.copy_probe),
            told=self._told(drawn, table),
            losses=self._losses(table),
            planted=Planted(
                self.viewer.looks(copies) if copies else None,
                *(lay_out(self.viewer.looks(_all_changed(base, how)), places, *size) for how in ("burnt", "blurred")),
            ),
        )

    def read(self, drawn: Mapping[str, Generation], evidence: Evidence, checkpoints: Sequence[int]) -> Generator[Progress, None, Evidence]:
        """The evidence with the text that stands on pictures of the base and of some checkpoints, first seed, and on the user's own."""
        table, proof = self.table(), Proofreader(self.at.cache)
        own = [*self._own("train"), *self._own("holdout")]
        there = {}
        for step in (BASE, *checkpoints):
            cells = [table.cell(self.suite, prompt, table.seeds[0], step) for prompt in table.prompts]
            there[step] = [self._shown(drawn, cell) for cell in cells]
        every: list[Sequence[Shown | None]] = [own, *there.values()]
        yield from proof.fill(one for shown in every for one in shown if one is not None)
        texts = dict(evidence.texts)
        for step, shown in there.items():
            texts[step] = np.full(evidence.cells(BASE).shape, np.nan)
            texts[step][:, table.base_seeds.index(table.seeds[0])] = proof.lines(shown)
        return replace(evidence, texts=texts, own_texts=proof.lines(own))

    def probe_cells(self, checkpoints: Sequence[int]) -> list[Cell]:
        """The pictures of the probes: of prompts without the keyword, and of training captions; the base's too."""
        of = self.suite
        return [
            suite.cell(of, prompt, seed, checkpoint)
            for checkpoint in (BASE, *checkpoints)
            for prompt in (*of.drift_probe, *of.copy_probe)
            for seed in of.probe_seeds
        ]

    def fresh_table(self, checkpoints: Sequence[int]) -> Table:
        """The table on which checkpoints are measured again, on seeds that did not choose them."""
        of = self.suite
        return Table(self.table().prompts, of.fresh_seeds, (*of.base_seeds, *of.fresh_seeds), tuple(checkpoints))

    def sweep_table(self, checkpoints: Sequence[int], guidances: Sequence[float], strengths: Sequence[float]) -> Table:
        """The table on which checkpoints are tried at other guidances and other strengths, the suite's own first; a few prompts."""
        of = self.suite
        settings = [(of.guidance, of.strength)]
        settings += [(guidance, of.strength) for guidance in guidances if guidance != of.guidance]
        settings += [(of.guidance, strength) for strength in strengths if strength != of.strength]
        every = [(step, *setting) for step in checkpoints for setting in settings]
        # Below zero, so that no number is taken for a step.
        made_with = dict(enumerate(every, start=-len(every)))
        return Table(self.table().prompts[:SWEEP_PROMPTS], of.seeds[:1], of.base_seeds, tuple(made_with), made_with)

    def state(self, drawn: Mapping[str, Generation], *knobs: object) -> str:
        """Fingerprint of all that a verdict follows from: the suite, its pictures, and what else was asked for."""
        of = self.suite
        asked = {*(prompt.text for prompt in of.prompts), *of.drift_probe, *of.copy_probe}
        pictures = sorted((name, one.sha256) for name, one in drawn.items() if one.cell.prompt in asked)
        return project.fingerprint(METHOD, suite.fingerprint(of), pictures, knobs)

    @cached_property
    def _adapters(self) -> dict[int, str]:
        return {rival.checkpoint: rival.sha256 for rival in self.suite.rivals}

    def _probe_cells(self) -> list[Cell]:
        return self.probe_cells([rival.checkpoint for rival in self.suite.rivals])

    def _shown(self, drawn: Mapping[str, Generation], cell: Cell) -> Shown | None:
        generation = drawn.get(self.fingerprint(cell))
        if generation is None or generation.is_broken:
            return None
        return Shown(self.run.folder / generation.file, generation.sha256)

    def _broken(self, drawn: Mapping[str, Generation], table: Table, checkpoint: int) -> NDArray[np.bool_]:
        is_broken = np.zeros((len(table.prompts), len(table.base_seeds)), bool)
        for row, prompt in enumerate(table.prompts):
            for seed in table.base_seeds if checkpoint == BASE else table.seeds:
                generation = drawn.get(self.fingerprint(table.cell(self.suite, prompt, seed, checkpoint)))
                is_broken[row, table.base_seeds.index(seed)] = generation is not None and generation.is_broken
        return is_broken

    def _references(self, split: str) -> list[Reference]:
        return [reference for reference in self.suite.references if reference.split == split]

    def _own(self, split: str, change: Change = "none") -> list[Shown]:
        square = Square(self.suite.width_px, self.suite.fit, self.suite.ground)
        return [Shown(self.at.dataset / one.file, one.sha256, square, change) for one in self._references(split)]

    def _copies(self) -> list[Shown]:
        training = self._own("train")[:MAX_PLANTED]
        return [Shown(one.path, one.sha256, one.square, COPIES[place % len(COPIES)]) for place, one in enumerate(training)]

    def _probes(self, drawn: Mapping[str, Generation], table: Table, prompts: Sequence[str]) -> dict[int, Looks]:
        seeds, found = self.suite.probe_seeds, {}
        for checkpoint in (BASE, *(step for step in table.checkpoints if step not in table.made_with)):
            cells = [suite.cell(self.suite, prompt, seed, checkpoint) for prompt in prompts for seed in seeds]
            there = [self._shown(drawn, cell) for cell in cells]
            if prompts and all(one is not None for one in there):
                places = [(row, column) for row in range(len(prompts)) for column in range(len(seeds))]
                found[checkpoint] = lay_out(self.viewer.looks(there), places, len(prompts), len(seeds))
        return found if BASE in found else {}

    def _told(self, drawn: Mapping[str, Generation], table: Table) -> dict[int, NDArray[np.float64]]:
        """By checkpoint, how well each picture fits each prompt, [P, S, P], as the reader sees it."""
        if self.reader is None:
            return {}
        scored = {prompt.text: prompt.scored for prompt in self.suite.prompts}
        texts = self.reader.texts([scored[prompt] for prompt in table.prompts])
        found = {}
        for checkpoint in (BASE, *table.checkpoints):
            seeds = table.base_seeds if checkpoint == BASE else table.seeds
            there = [self._shown(drawn, cell) for cell in table.cells(self.suite, checkpoint)]
            fit = np.full((len(table.prompts), len(table.base_seeds), len(table.prompts)), np.nan)
            columns = [table.base_seeds.index(seed) for seed in seeds]
            fit[:, columns] = (self.reader.viewer.looks(there).content @ texts.T).reshape(len(table.prompts), len(seeds), -1)
            found[checkpoint] = fit
        return found

    def _losses(self, table: Table) -> dict[int, NDArray[np.float64]]:
        """By checkpoint, the loss of each held-out picture; the mean for all of them where only that was kept."""
        count = len(self._references("holdout"))
        found = {}
        for step in project.read_steps(self.run.steps):
            if step.holdout_loss is not None and step.step in (BASE, *table.checkpoints) and count:
                each = step.holdout_losses
                found[step.step] = np.array(each) if len(each) == count else np.full(count, step.holdout_loss)
        return found


def _all_changed(shown: Sequence[Shown | None], change: Change) -> list[Shown | None]:
    return [None if one is None else Shown(one.path, one.sha256, one.square, change) for one in shown]


def trials(evidence: Evidence, table: Table) -> tuple[Trial, ...]:
    """What checkpoints are worth at other guidances and strengths; nothing of those whose pictures cannot be used.

    evidence: of a `sweep_table`.
    """
    contest = enter(evidence, [number for number in table.checkpoints if not is_broken(evidence, number)])
    utilities, found = contest.utilities(), []
    for row, number in enumerate(contest.checkpoints):
        step, guidance, strength = table.made_with[number]
        first = min(one for one in table.checkpoints if table.made_with[one][0] == step)
        if first not in contest.checkpoints or not np.isfinite(utilities[row, 0]):
            continue
        usual = contest.checkpoints.index(first)
        low, high = interval(utilities[row])
        scaled = {name: float(values[row, 0]) for name, values in contest.scaled.items()}
        found.append(
            Trial(
                checkpoint=step,
                guidance=guidance,
                strength=strength,
                pictures=int(contest.cells.sum()),
                utility=float(utilities[row, 0]),
                low=low,
                high=high,
                style=scaled.get("style"),
                adherence=scaled.get("adherence"),
                better=None if row == usual else gap(utilities[row], utilities[usual]),
                complaints=tuple(contest.complaints[number].values()),
            )
        )
    return tuple(found)


def advised(verdict: Verdict, tried: Sequence[Trial], of: Suite) -> Verdict:
    """The verdict with what was tried, and what to draw the chosen checkpoint with: what is surely better, or else the usual."""
    mine = [trial for trial in tried if trial.checkpoint == verdict.checkpoint]
    better = [trial for trial in mine if trial.better is not None and trial.better.low > 0 and not trial.complaints]
    best = max(better, key=lambda trial: trial.utility, default=None)
    # What the usual setting is blamed for as well is no reason against another guidance.
    usual = {complaint for trial in mine if trial.better is None for complaint in trial.complaints}
    even = [
        trial.guidance
        for trial in mine
        if trial.strength == of.strength
        and (trial.better is None or (trial.better.high >= 0 and trial.better.gap > -MATERIAL and (usual or not trial.complaints)))
    ]
    update = {
        "trials": tuple(tried),
        "guidance": of.guidance if best is None else best.guidance,
        "strength": of.strength if best is None else best.strength,
        "guidances": (min(even), max(even)) if even else None,
    }
    return told_again(verdict.model_copy(update=update if mine else {"trials": tuple(tried)}))


def told_again(verdict: Verdict) -> Verdict:
    """The verdict with its words made anew."""
    return verdict.model_copy(update={"reason": telling.reason(verdict), "next": telling.next_step(verdict)})


def bench(at: Project, run: Run, embedder: str, device: str = "auto", reader: str = "") -> Bench:
    """The bench of a run whose suite is frozen. Raises ProjectError where it is not, or was made with another embedder or reader."""
    frozen = project.read_record(run.suite, Suite)
    if frozen is None:
        raise ProjectError(f"{run.folder} was not compared yet.\nCompare its checkpoints with  decal compare {at.folder}")
    viewer = Viewer(at.cache, embedder, device)
    if viewer.id != frozen.embedder:
        raise ProjectError(f"{run.suite} was made with {frozen.embedder}, and compare.embedder is {viewer.id}.\nCompare again.")
    eyes = Reader(at.cache, reader, device) if reader else None
    if frozen.reader != (None if eyes is None else eyes.viewer.id):
        raise ProjectError(f"{run.suite} was made with {frozen.reader or 'no reader'}, and compare.reader is another.\nCompare again.")
    return Bench(at, run, frozen, viewer, eyes)


def of_pictures(case: Bench) -> tuple[Evidence, Race, Verdict]:
    """The verdict by the pictures that are there, however few; draws nothing and writes nothing."""
    drawn, table = case.drawn(), case.table()
    for _ in case.look(drawn, [table]):
        pass
    evidence = case.evidence(drawn, table)
    state = race(evidence, case.rounds())
    return evidence, state, judge(evidence, state)
