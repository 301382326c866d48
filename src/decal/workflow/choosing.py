"""Choosing a checkpoint: the base and every checkpoint on prompts that they never saw, and a verdict."""

import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from decal import axes, exhibits, gallery, grid, judging, language, project, reading, runs, scores, suite
from decal.compare.contest import enter
from decal.compare.racing import Race, race
from decal.compare.verdict import confirm, judge
from decal.errors import DataError, StoppedError
from decal.events import Begun, Event, Progress, Stop, Told
from decal.judging import Bench, Table
from decal.project import Project, Run
from decal.records import Cell, Record, Rival, Suite, SuitePrompt, Verdict
from decal.scores.evidence import BASE, Evidence
from decal.settings import Resolved, Settings
from decal.viewing import Reader, Viewer
from decal.wording import counted
from decal.workflow.choice import Choice, new_prompts, trained, unsaid
from decal.workflow.reporting import told_in_report
from decal.workflow.voting import join_votes

logger = logging.getLogger(__name__)

Found = TypeVar("Found")

SWEPT = 2
"""Checkpoints that are tried at other guidances and strengths, at most."""


def compare(at: Project, settings: Settings, choice: Choice, stop: Stop, only: str = "") -> Iterator[Event]:
    """Draw the base and every checkpoint on new prompts, as far as the race needs it, and say which to keep.

    only: the checkpoints to compare, as `axes` reads them; all where it is empty. What was drawn before is not drawn again; where nothing
    has changed, the verdict stands. Yields it last but for the sheets.
    """
    run, resolved, checkpoints = trained(at, settings, choice)
    there = [checkpoint.step for checkpoint in checkpoints]
    steps = axes.steps(only, there) if only else there
    rivals = [Rival(checkpoint=one.step, sha256=one.sha256) for one in checkpoints if one.step in steps]
    with project.lock(run.verdict, "comparing"):
        viewer = Viewer(at.cache, resolved.compare.embedder, resolved.train.device)
        reader = Reader(at.cache, resolved.compare.reader, resolved.train.device) if resolved.compare.reader else None
        made_with = {"embedder": viewer.id, "reader": None if reader is None else reader.viewer.id}
        frozen = yield from _frozen(_Case(at, run, settings, resolved), rivals, made_with, stop)
        case, compared = Bench(at, run, frozen, viewer, reader), resolved.compare
        knobs = (compared.fresh, compared.sweep, compared.guidances, compared.lora_strengths, reading.is_installed())
        verdict = project.read_record(run.verdict, Verdict)
        if verdict is not None and verdict.made_of == case.state(case.drawn(), knobs):
            yield Told("  nothing has changed since the verdict")
        else:
            verdict = yield from _judged(case, resolved, stop)
            verdict = verdict.model_copy(update={"made_of": case.state(case.drawn(), knobs)})
        # Votes may have been cast since, by a sitting that was killed before it joined them.
        verdict = join_votes(run, verdict)
        project.write_record(run.verdict, verdict)
        yield verdict
        yield from _sheets(case, verdict)
        yield told_in_report(at, run)


@dataclass(frozen=True)
class _Case:
    """What a comparison begins with."""

    at: Project
    run: Run
    settings: Settings
    resolved: Resolved


def _frozen(case: _Case, rivals: Sequence[Rival], made_with: Mapping[str, str | None], stop: Stop) -> Generator[Event, None, Suite]:
    """The suite of a run, written before anything is scored; what has changed since the last time is told."""
    at, run, settings, resolved = case.at, case.run, case.settings, case.resolved
    before = project.read_record(run.suite, Suite)
    records = project.read(run.dataset, Record)
    known = [caption for record in records if record.split == "train" for caption in record.captions]
    own = new_prompts(at.compare_prompts, run, resolved) if at.compare_prompts.exists() else []
    avoid = grid.read_prompts(at.prompts) if at.prompts.exists() else []
    own = [prompt for prompt in own if prompt not in avoid]
    kept = [prompt for prompt in before.prompts if prompt.group != "own" and prompt.text not in [*avoid, *own]] if before else []
    # A suite only grows: a prompt of the user's own takes nobody's place.
    count = max(resolved.compare.prompts, len(before.prompts) if before else 0, len(own) + len(kept))
    begun = settings.model_copy(update={"base": resolved.base, "caption": resolved.caption, "train": resolved.train})
    client = language.Client(settings.language, at.cache) if settings.language.endpoint else None
    prompts: list[SuitePrompt] = []
    for event in suite.fill(own, kept, count, settings=begun, known=known, avoid=avoid).run(client, stop):
        if isinstance(event, SuitePrompt):
            prompts.append(event)
        else:
            yield event
    about = runs.about(run)
    there = _there(at, records)
    now = suite.freeze(prompts, resolved, there, rivals, base_sha256=about.base, versions=about.versions, **made_with)
    shown = f"the base and {counted(len(rivals), 'checkpoint')} on {counted(len(prompts), 'new prompt')}"
    yield Begun(run, resolved.train.steps, f"{run.name}: {shown}, {counted(len(now.seeds), 'seed')} each")
    if silent := unsaid(own, at.compare_prompts, resolved):
        yield Told(f"  {silent}; prompts that are added here say them in turn")
    if not any(reference.split == "holdout" for reference in now.references):
        yield Told("  no picture is held out, so style is measured by the training pictures, for each cell its nearest left out")
    if len(now.references) < len(there):
        yield Told(f"  style and copies are looked for in {counted(len(now.references), 'picture')} of {len(there):,}")
    if before is not None:
        changes = suite.differences(before, now)
        if changes:
            yield Told("\n".join(["  the comparison has changed, so the verdict is made anew:", *(f"    {change}" for change in changes)]))
        if suite.fingerprint(before) == suite.fingerprint(now):
            return before
    project.write_record(run.suite, now)
    return now


def _there(at: Project, records: Sequence[Record]) -> list[Record]:
    """The pictures of a run that are still what they were. Raises DataError where no training picture is."""
    whole = [one for one in records if (at.dataset / one.file).is_file() and project.sha256(at.dataset / one.file) == one.sha256]
    kept = {one.file for one in whole}
    gone = [one.file for one in records if one.file not in kept]
    if not any(one.split == "train" for one in whole):
        raise DataError(
            f"{at.dataset} holds none of the pictures that were trained on, so there is nothing to compare with.\nPut them back."
        )
    if gone:
        named = ", ".join(gone[:3]) + (", ..." if len(gone) > 3 else "")
        logger.warning(
            "%s of %s missing or changed since the training (%s); compared without", counted(len(gone), "picture"), at.dataset, named
        )
    return whole


def _judged(case: Bench, resolved: Resolved, stop: Stop) -> Generator[Event, None, Verdict]:
    """Race, probe, judge, measure again and try other settings; the scores of single pictures are kept on the way."""
    studio, batch = gallery.Studio(case.run, resolved, keeps_broken=True), resolved.compare.batch
    table = case.table()

    def draw(cells: Sequence[Cell]) -> Iterator[Event]:
        yield from studio.draw(cells, stop, batch=batch)

    state, evidence = yield from _raced(case, table, draw, stop)
    yield from draw(case.probe_cells(state.survivors))
    evidence = yield from _looked_at(case, table, stop)
    verdict = judge(evidence, state)
    if reading.is_installed():
        verdict, evidence = yield from _proofread(case, evidence, state, verdict, stop)
    verdict = verdict.model_copy(update={"suite": suite.fingerprint(case.suite)})
    _keep_scores(case, evidence, state)
    if verdict.checkpoint is not None and resolved.compare.fresh:
        again = case.fresh_table(_neighbours(case, verdict.checkpoint))
        yield from draw([cell for checkpoint in (BASE, *again.checkpoints) for cell in again.cells(case.suite, checkpoint)])
        verdict = confirm(verdict, (yield from _looked_at(case, again, stop)))
    if verdict.checkpoint is not None and resolved.compare.sweep:
        swept = [verdict.checkpoint, *verdict.tied, *verdict.open][:SWEPT]
        tried = case.sweep_table(swept, _guidances(resolved), resolved.compare.lora_strengths)
        yield from draw([cell for number in tried.checkpoints for cell in tried.cells(case.suite, number)])
        verdict = judging.advised(verdict, judging.trials((yield from _looked_at(case, tried, stop)), tried), case.suite)
    return verdict


def _proofread(
    case: Bench, evidence: Evidence, state: Race, verdict: Verdict, stop: Stop
) -> Generator[Event, None, tuple[Verdict, Evidence]]:
    """Look for text on the pictures of whoever leads, since reading takes long; a leader that is rejected for it gives way to the next."""
    read: list[int] = []
    while verdict.checkpoint is not None and verdict.checkpoint not in read:
        read.append(verdict.checkpoint)
        evidence = yield from _heeding(case.read(case.drawn(), evidence, read), stop)
        verdict = judge(evidence, state)
    return verdict, evidence


def _raced(
    case: Bench, table: Table, draw: Callable[[Sequence[Cell]], Iterator[Event]], stop: Stop
) -> Generator[Event, None, tuple[Race, Evidence]]:
    """Draw round by round until the race is over."""
    while True:
        evidence = yield from _looked_at(case, table, stop)
        state = race(evidence, case.rounds())
        if not state.cells:
            return state, evidence
        cells = [table.cell(case.suite, table.prompts[at.prompt], table.base_seeds[at.seed], at.checkpoint) for at in state.cells]
        out = f", {counted(len(state.dropped), 'other')} out of the race" if state.dropped else ""
        yield Told(f"  {counted(len(cells), 'picture')} to draw for {counted(len(state.survivors), 'checkpoint')}{out}")
        yield from draw(cells)


def _looked_at(case: Bench, table: Table, stop: Stop) -> Generator[Event, None, Evidence]:
    drawn = case.drawn()
    yield from _heeding(case.look(drawn, [table]), stop)
    return case.evidence(drawn, table)


def _heeding(looking: Generator[Progress, None, Found], stop: Stop) -> Generator[Event, None, Found]:
    """Look at pictures, and hear a stop between them; what was seen by then is kept."""
    while True:
        try:
            progress = next(looking)
        except StopIteration as done:
            found: Found = done.value
            return found
        yield progress
        if progress.done < progress.all and stop():
            looking.close()
            raise StoppedError(f"Stopped; {progress.doing}: {progress.done:,} of {progress.all:,} done, the same command goes on.")


def _keep_scores(case: Bench, evidence: Evidence, state: Race) -> None:
    """Write what every measure says of every picture."""
    if state.survivors and len(evidence.prompts) > 1:
        fitted = enter(evidence, state.survivors, resamples=200).fitted
        project.write_lines(case.run.scores, list(scores.lines(fitted, evidence)))


def _neighbours(case: Bench, chosen: int) -> list[int]:
    """A checkpoint with the one before it and the one after it."""
    steps = [rival.checkpoint for rival in case.suite.rivals]
    place = steps.index(chosen)
    return steps[max(0, place - 1) : place + 2]


def _guidances(resolved: Resolved) -> list[float]:
    """The guidances to try: half of the usual one to twice as much, unless others are asked for."""
    if resolved.compare.guidances is not None:
        return list(resolved.compare.guidances)
    return [round(resolved.compare.guidance * factor, 2) for factor in (0.5, 0.75, 1.5, 2.0)]


def _sheets(case: Bench, verdict: Verdict) -> Iterator[Event]:
    drawn = case.drawn()
    yield from exhibits.pages(case, drawn, verdict)
    yield from exhibits.copies(case, drawn, verdict)
    yield from exhibits.worst(case, drawn, case.evidence(drawn, case.table()), verdict)
