"""The hand-in: data set, notebooks that ran, adapter and sheets in one zip, and a checklist of what it holds."""

import logging
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from shlex import quote

from decal import checklist, checks, embeddings, gallery, grid, notebooks, parcel, pictures, project, reading, runs
from decal.captions import Tokenizer
from decal.dataset import scan
from decal.errors import NotebookError, SettingsError
from decal.events import Event, Progress, Stop, Told
from decal.notebooks import Execution, Subject
from decal.presets import as_folder
from decal.project import Project, Run
from decal.records import Checkpoint, Finding, Generation, HandIn, Point, Record, Verdict
from decal.settings import Resolved, Settings
from decal.wording import counted
from decal.workflow.choice import Choice, chosen, trained, trained_words, warn_of_control
from decal.workflow.drawing import draw_grid

logger = logging.getLogger(__name__)

# By the first word of a sheet's name, in the order in which they are shown.
SHEETS = {
    "compare": "The base and the checkpoints on prompts that none of them was trained on.",
    "worst": "Where the chosen checkpoint does worst.",
    "copies": "Drawn pictures that may repeat a training picture, beside it.",
}
HAND_IN = "hand-in.zip"


def submit(at: Project, settings: Settings, choice: Choice, step: int | None, out: Path | None, stop: Stop) -> Iterator[Event]:
    """Write the hand-in of a run and say what it still lacks; does nothing where nothing has changed since it was written.

    The pictures of new prompts are drawn where they are missing. step: of the checkpoint; None takes the one that the verdict names, or
    else the last. out: the zip; None for `hand-in.zip` in the project.
    Raises SettingsError where nothing is trained or `out` is another file, and NotebookError where a notebook does not run.
    """
    out = out or at.folder / HAND_IN
    parcel.there_already(out)
    run, resolved, checkpoints = trained(at, settings, choice)
    prompts, seen = _prompts(at, run, resolved)
    if prompts and not seen:
        yield from draw_grid(at, settings, Choice(run.name), chosen(run, checkpoints, step).checkpoint.step, stop)
    yield from hand_in(at, settings, Choice(run.name), step, out, stop)


def hand_in(at: Project, settings: Settings, choice: Choice, step: int | None, out: Path, stop: Stop) -> Iterator[Event]:
    """As `submit`, with the pictures that are there."""
    folder = quote(str(at.folder))
    before = parcel.there_already(out)
    run, resolved, checkpoints = trained(at, settings, choice)
    warn_of_control(run)
    verdict = runs.verdict_of(run)
    kept = chosen(run, checkpoints, step).checkpoint
    picked = checklist.Choice(kept.step, verdict, is_by_hand=step is not None)
    prompts, seen = _prompts(at, run, resolved)
    cells = grid.grid_cells(prompts, kept.step, resolved.grid, resolved.data.resolution)
    drawn = gallery.Album(run, run.generations).there(cells)
    with project.lock(at.folder / "hand-in", "making a hand-in"), _staging(at) as staged:
        subject = _subject(run, resolved, kept, picked, drawn)
        changed = [*parcel.fill(staged, at, run, subject.about), *changed_since(at, run)]
        training = _training(run, subject, verdict, at)
        parcel.add_weights(staged, run, {one.step: one for one in (kept, checkpoints[-1])}.values(), is_trained=subject.is_trained)
        parcel.add_drawn(staged, run, drawn, [at.folder / sheet for sheet in (*dict(subject.sheets), subject.grid_sheet)])
        written = {"train.ipynb": notebooks.training(subject), "inference.ipynb": notebooks.inference(subject)}
        sources = {name: notebooks.to_bytes(cells) for name, cells in written.items()}
        places = _places(at, run, staged)
        # What the points are made of but does not stand in the folder.
        asked = settings.model_dump(mode="json", include={"base", "caption", "data", "train"})
        beside = version("decal"), reading.is_installed(), changed, sorted(training.compared), asked
        made_from = project.fingerprint(*beside, parcel.hashes(parcel.contents(staged, places)), parcel.hashes(sources))
        if before is not None and before.fingerprint == made_from:
            yield from checklist.at(folder, before.points)
            yield Told(f"{checklist.total(before.points)}\n{out} is up to date")
            return
        yield Progress("checking the hand-in")
        points = [
            *checklist.of_data(_facts(settings, run, staged / "dataset", resolved, changed)),
            *checklist.of_training(training, picked),
            *checklist.of_pictures(checklist.Demonstration(prompts, seen, resolved.grid.guidance, len(cells), len(drawn))),
            checklist.of_notebooks(subject.is_trained),
        ]
        for name, source in sources.items():
            yield from _execute(name, source, staged, run, stop)
        files = parcel.contents(staged, places)
        files |= _told(subject, points, has_report=run.report.name in files)
        manifest = HandIn(run=run.name, checkpoint=kept.step, fingerprint=made_from, points=tuple(points), files=parcel.hashes(files))
        files[parcel.MANIFEST] = (manifest.model_dump_json(indent=1) + "\n").encode()
        parcel.pack(files, out)
    yield from checklist.at(folder, points)
    size = f"{counted(len(files), 'file')}, {out.stat().st_size / 1e6:.1f} MB"
    yield Told(f"{checklist.total(points)}\n{out}: {size}, {run.name} at step {kept.step}")


def _prompts(at: Project, run: Run, resolved: Resolved) -> tuple[list[str], list[tuple[str, str]]]:
    """The prompts to show, and those of them that are not new."""
    try:
        prompts = grid.read_prompts(at.prompts)
    except SettingsError as problem:
        logger.warning("%s", problem)
        return [], []
    return prompts, grid.seen(prompts, *trained_words(run, resolved))


def _subject(run: Run, resolved: Resolved, kept: Checkpoint, picked: checklist.Choice, drawn: list[Generation]) -> Subject:
    about = parcel.public(runs.about(run))
    base, note = parcel.base_in_python(about)
    cells = [one.cell for one in drawn]
    captions, ignored = trained_words(run, resolved)
    near = grid.nearest(dict.fromkeys(cell.prompt for cell in cells), captions, ignored)
    told = [(path, what) for kind, what in SHEETS.items() for path in parcel.pages(run.sheets, kind)]
    return Subject(
        run=run.name,
        about=about,
        base=base,
        base_note=note,
        records=project.read(run.dataset, Record),
        steps=project.read_steps(run.steps),
        checkpoints=runs.checkpoints(run),
        step=kept.step,
        adapter=f"runs/{run.name}/{kept.file}",
        why=_why(picked),
        verdict=picked.verdict,
        cells=cells,
        nearest=[(one.prompt, one.caption, ", ".join(one.own)) for one in near],
        sheets=[(f"runs/{run.name}/{path.relative_to(run.folder).as_posix()}", what) for path, what in told],
        learnt={word: one.path.name for word, one in embeddings.beside(run.folder / kept.file).items()},
    )


def _why(picked: checklist.Choice) -> str:
    if picked.is_by_hand:
        return f"Step {picked.step:,} was chosen by eye." + (f" The comparison says: {picked.verdict.reason}" if picked.verdict else "")
    if picked.verdict is None:
        return f"No verdict was reached; step {picked.step:,} is the last of the training."
    return picked.verdict.reason


def changed_since(at: Project, run: Run) -> list[str]:
    """How the rows of the project's data set differ from those that were trained on; it goes into the hand-in, so it names no place.

    Pictures that the run was to leave out, because something is wrong with them, are no difference.
    """
    now = {row.file: row.captions or ("",) for row in scan(at.dataset).rows}
    then = {record.file: record.captions for record in project.read(run.dataset, Record)}
    told = []
    leaves_out = runs.about(run).settings.data.faulty == "leave out"
    faulty = {one.file for one in project.read(at.findings, Finding) if one.level == "error" and leaves_out}
    if added := sorted(now.keys() - then.keys() - faulty):
        told.append(f"{counted(len(added), 'picture')} not trained on ({', '.join(added[:3])})")
    if other := sorted(file for file in now.keys() & then.keys() if now[file] != then[file]):
        told.append(f"{counted(len(other), 'caption')} changed since ({', '.join(other[:3])})")
    return told


def _facts(settings: Settings, run: Run, dataset: Path, resolved: Resolved, changed: list[str]) -> checklist.Facts:
    checked = checks.run(dataset, settings)
    records = project.read(run.dataset, Record)
    captions = [(record.file, caption) for record in records for caption in record.captions]
    tokenizer = Tokenizer.of_base(resolved.base.model)
    return checklist.Facts(
        pictures=len(checked.looks),
        captions=captions,
        caption=settings.caption,
        findings=checked.findings,
        longest=max(tokenizer.counts([text for _, text in captions]), default=0),
        limit=tokenizer.limit,
        changed=changed,
        located=parcel.located(dataset),
        lettered=_lettered(dataset, list(checked.looks), resolved.data.ground),
    )


def _lettered(dataset: Path, files: list[str], ground: str) -> list[str] | None:
    """The pictures that something can be read on; None where nothing is installed that reads."""
    if not reading.is_installed():
        return None
    reader = reading.Reader()
    return [file for file in files if reader.text(pictures.load(dataset / file, ground))]


def _training(run: Run, subject: Subject, verdict: Verdict | None, at: Project) -> checklist.Training:
    """Where nothing was judged yet, a checkpoint counts as compared where one of the prompts for comparing was drawn with it."""
    train = subject.about.settings.train
    if verdict is not None:
        compared = {standing.checkpoint for standing in verdict.standings}
    else:
        asked = set(grid.read_prompts(at.compare_prompts)) if at.compare_prompts.is_file() else set()
        compared = {one.cell.checkpoint for one in runs.drawn(run, run.generations).values() if one.cell.prompt in asked}
    return checklist.Training(
        run=run.name,
        steps=train.steps,
        reached=subject.steps[-1].step if subject.steps else 0,
        checkpoint_every=train.checkpoint_every,
        checkpoints=[one.step for one in subject.checkpoints],
        compared=compared,
    )


@contextmanager
def _staging(at: Project) -> Iterator[Path]:
    """A folder to put the hand-in together in; what a killed command left is taken away first."""
    for orphan in at.folder.glob(f"{parcel.STAGING}*"):
        shutil.rmtree(orphan, ignore_errors=True)
    staged = at.folder / f"{parcel.STAGING}{secrets.token_hex(4)}"
    try:
        yield staged.resolve()
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _places(at: Project, run: Run, staged: Path) -> dict[str, str]:
    """The folders of this machine that text may name, and what they are called in a hand-in."""
    places = {str(Path.home()): "~", sys.prefix: "python", str(Path(__file__).parents[2]): "decal", str(at.folder.resolve()): "."}
    named = runs.about(run).settings.base
    for model in (named.model, named.teacher):
        if model is not None and (base := as_folder(model)) is not None:
            places[str(base)] = f"base/{base.name}"
            if base.is_file():
                from decal.bases.unpacking import place_of

                places[str(place_of(base))] = f"base/{base.stem}"
    return places | {str(staged): "."}


def _execute(name: str, source: bytes, staged: Path, run: Run, stop: Stop) -> Iterator[Event]:
    """Run a notebook in the folder and put it there; one that fails is kept in the run, to look into."""
    failed = run.folder / f"failed-{name}"
    execution = Execution(name, source)
    try:
        yield from execution.run(staged, stop)
    except NotebookError as problem:
        project.write_bytes(failed, execution.data)
        raise NotebookError(f"{problem}\n{failed} holds it as far as it came. Mend what it names, and call again.") from problem
    failed.unlink(missing_ok=True)
    (staged / name).write_bytes(execution.data)


def _told(subject: Subject, points: list[Point], *, has_report: bool) -> dict[str, bytes]:
    """The files that say what is in the hand-in."""
    settings = subject.about.settings
    failing = [point.name for point in points if point.mark == "fail"]
    text = parcel.README.format(
        keyword=checklist.plain(settings.caption.keyword or subject.run),
        base=checklist.plain(settings.base.model),
        total=checklist.total(points),
        todo=f"To mend: {', '.join(failing)}; `checklist.md` says how." if failing else "`checklist.md` has them one by one.",
        pictures=len(subject.records),
        step=f"{subject.step:,}",
        adapter=subject.adapter,
        base_note=subject.base_note,
        report="\n| why that checkpoint, on one page | `report.html` |" if has_report else "",
    )
    return {"README.md": text.encode(), "checklist.md": checklist.to_markdown(points).encode()}
