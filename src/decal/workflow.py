"""The story: one function per command, in order. Read this first.

Each does the same four things: read what is there, ask a room for the rest, append each record as it comes, and pass it on. torch is
imported inside the functions that need it, so that looking at a project stays instant.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from decal import (
    candidates,
    captions,
    checks,
    dataset,
    descriptions,
    edits,
    export,
    gallery,
    grid,
    overview,
    pictures,
    project,
    runs,
    sheets,
    undo,
)
from decal.batches import MAX_EPOCH, lowest_terms
from decal.candidates import Question
from decal.captions import Tokenizer
from decal.checks import Checked
from decal.dataset import Brought, Row
from decal.doctor import examine
from decal.errors import DataError, SettingsError, StoppedError
from decal.events import Begun, Event, Progress, Sheet, Stop, Told, stop_if
from decal.export import Exported
from decal.language import Client
from decal.presets import KINDS, as_folder, base_preset, public_name
from decal.project import Project, Run
from decal.records import Candidate, Cell, Checkpoint, Description, Finding, Generation, Pick, Record, Step
from decal.settings import CaptionSettings, Resolved, Settings, parse, read, resolve, resolve_describe, to_toml
from decal.wording import counted

if TYPE_CHECKING:
    from decal.bases import Base
    from decal.state import State

logger = logging.getLogger(__name__)

GRID_PROMPTS = 10
COMPARE_PROMPTS = 8
DESCRIPTIONS = 30
CANDIDATES = 4
SAMPLE = Path(__file__).parent / "mini" / "sample"
SAMPLE_KEYWORD = "cobink"


@dataclass(frozen=True)
class Order:
    """What a new project is made of.

    source: a path, a pattern of tars, or an address on the hub; None for a project from nothing. model: a base by name, hub id or folder.
    kind: one of `presets.KINDS`. style: the look in words that a base knows, for every caption that is made. caption_column: the key that
    holds the captions; None where it has a usual name. limit: rows to take; None for all.
    """

    source: Path | str | None
    keyword: str
    model: str
    kind: str
    style: str = ""
    caption_column: str | None = None
    limit: int | None = None


def sample_order() -> Order:
    """The stickers that come with Decal, on the base model that comes with it."""
    return Order(SAMPLE, SAMPLE_KEYWORD, "mini", "stickers")


def new(folder: Path, order: Order) -> Brought | None:
    """Make a project: copy the pictures with their captions, write the settings and the prompts; None where it begins without pictures.

    Raises SettingsError for a wrong option or a folder that is a project already, and DataError where there are no pictures.
    Content is never a reason to refuse: `check` reports it.
    """
    at = Project(folder)
    if at.settings.exists():
        raise SettingsError(f"{folder} is a project already.\nChoose another folder, or look at this one with  decal show {folder}")
    if at.dataset.exists() and (not at.dataset.is_dir() or any(at.dataset.iterdir())):
        raise SettingsError(f"{at.dataset} is there already and not empty; it is left alone.\nMake the project in another folder.")
    if order.kind not in KINDS:
        raise SettingsError(f"--preset {order.kind} is not known.\nThere are: {', '.join(KINDS)}.")
    kind = KINDS[order.kind]
    # A folder is kept by its full path, so that the project can be used from anywhere.
    model = str(as_folder(order.model) or order.model)
    table: dict[str, dict[str, object]] = {
        "base": {"model": model},
        "data": dict(kind["data"]),
        "caption": {"keyword": order.keyword, **kind["caption"]},
    }
    if order.style.strip():
        template = str(table["caption"].get("template", CaptionSettings().template))
        words = [word.strip() for word in order.style.split(",") if word.strip()]
        table["caption"] |= {"template": f"{template}, {', '.join(words)}", "style_words": words}
    settings = parse(table, where="decal new")
    base_preset(model)
    brought = None
    if order.source is None:
        at.dataset.mkdir(parents=True, exist_ok=True)
    else:
        brought = dataset.bring_in(order.source, at.dataset, caption_column=order.caption_column, limit=order.limit)
        project.write_lines(at.sources, [brought.source])
    rows = dataset.scan(at.dataset).rows
    told = [text for row in rows for text in (row.captions if row.caption else (captions.subject(row.file),))]
    avoid: list[str] = []
    for path, count in ((at.prompts, GRID_PROMPTS), (at.compare_prompts, COMPARE_PROMPTS)):
        given = None if order.source is None else Path(order.source) / path.name
        if given is not None and given.is_file():
            project.write_bytes(path, given.read_bytes())
        else:
            proposed = grid.propose(told, order.keyword, settings.caption.template, count, avoid)
            project.write_text(path, "\n".join(proposed) + "\n")
        avoid += grid.read_prompts(path)
    project.write_text(at.settings, to_toml(table))
    return brought


def check(at: Project, settings: Settings) -> Checked:
    """Look at every picture and caption, and write what there is to say to `findings.jsonl`."""
    checked = checks.run(at.dataset, settings)
    with project.lock(at.findings, "checking"):
        project.write_lines(at.findings, list(checked.findings))
    return checked


def describe(at: Project, settings: Settings, count: int, stop: Stop) -> Iterator[Event]:
    """Make the table of descriptions as long as asked for; yields all of it, those that were there first, and how it is spread."""
    with project.lock(at.descriptions, "describing"):
        lines = project.read(at.descriptions, Description)
        describing = resolve_describe(settings)
        prompts = [prompt for path in (at.prompts, at.compare_prompts) if path.exists() for prompt in grid.read_prompts(path)]
        known = [row.caption for row in dataset.scan(at.dataset).rows if row.caption]
        tokenizer = Tokenizer.of_base(settings.base.model)
        table = descriptions.Table(describing, settings.caption, tokenizer, known, prompts, lines)
        yield from list(lines)
        if len(lines) >= count:
            yield Told(f"{counted(len(lines), 'description')} there already; -n {len(lines) + 10} adds more")
        elif settings.language.endpoint:
            client = Client(settings.language, at.cache)
            yield Told(f"{counted(count - len(lines), 'description')} in the words of {client.name}")
            written = descriptions.by_model(table, count, client, api=settings.language.api, stop=stop)
            yield from _appended(written, at.descriptions)
        else:
            yield Told(f"{counted(count - len(lines), 'description')} from the built-in grammar")
            yield from _appended(descriptions.by_grammar(table, count), at.descriptions)
    if table.lines:
        yield Told("\n".join(descriptions.coverage(table.lines)))
    if len(table.lines) < count:
        reasons = ", ".join(f"{number} {why}" for why, number in table.refused.most_common(4)) or "nothing more fits"
        remedy = "for more: another describe.subjects, describe.kinds or describe.detail, or a language model"
        logger.warning("only %d of %d descriptions (%s); %s", len(table.lines), count, reasons, remedy)


def draw_candidates(at: Project, settings: Settings, count: int, seed: int, stop: Stop) -> Iterator[Event]:
    """Draw so many candidates for each description with the base alone, and the sheets to choose by."""
    lines = project.read(at.descriptions, Description)
    if not lines:
        raise DataError(f"{at.descriptions} holds no description.\nMake some with  decal describe {at.folder}")
    resolved = resolve(settings, 1)
    wanted = candidates.cells(lines, resolved, count, seed)
    side, model = resolved.data.resolution, public_name(resolved.base.model)
    yield Told(f"{counted(len(wanted), 'picture')} of {side} x {side} px for {counted(len(lines), 'description')}, drawn with {model}")
    yield from candidates.draw(at, resolved, wanted, stop)
    drawn: dict[int, list[Candidate]] = {}
    for one in candidates.whole(at):
        drawn.setdefault(one.description, []).append(one)
    for first in range(0, len(lines), candidates.DESCRIPTIONS_A_SHEET):
        part = [line for line in lines[first : first + candidates.DESCRIPTIONS_A_SHEET] if line.number in drawn]
        shown = [one for line in part for one in drawn[line.number]]
        if shown:
            rows = [(f"{line.number}  {line.content}", {one.number: at.folder / one.file for one in drawn[line.number]}) for line in part]
            title = f"Candidates for descriptions {part[0].number} to {part[-1].number}"
            bases = ", ".join(dict.fromkeys(one.base for one in shown))
            picture = sheets.candidates_sheet(rows, [one.cell for one in shown], title=title, base=bases)
            yield _write_sheet(candidates.sheet_of(at, first), picture, len(shown))


def pick(at: Project, picks: Iterable[tuple[Question, Pick]]) -> Iterator[Pick]:
    """Put what is chosen into the data set; yields each choice once its pictures are there."""
    with project.lock(at.folder / "metadata", "choosing pictures"):
        for question, one in picks:
            candidates.keep(at, question, one)
            yield one


@dataclass(frozen=True)
class Captioned:
    """What `caption` did. written: the captions of each file. without: pictures that still have none, because their names say nothing."""

    written: dict[str, tuple[str, ...]]
    without: list[str]


def caption(at: Project, settings: Settings, *, adds_keyword: bool, stop: Stop) -> Captioned:
    """Give pictures without caption the one of the `.txt` file beside them, or one made from their name or by the captioner.

    A picture whose own line of the metadata cannot be used is left alone, with a warning: a second line would hide the first.
    Raises StoppedError where `stop` said so; the captions that were made by then are written.
    adds_keyword: also put the keyword in front of captions that lack it.
    """
    keyword = settings.caption.keyword
    if adds_keyword and not keyword:
        raise SettingsError(f"There is no keyword to add.\nWrite caption.keyword in {at.settings}.")
    listing = dataset.scan(at.dataset)
    there = {row.file: row.captions for row in listing.rows if row.caption and row.caption.strip()}
    rows = [row for row in listing.rows if not (row.caption or "").strip() and row.file not in listing.broken]
    bare = [*rows, *(Row(file, None, None) for file in listing.unnamed)]
    beside = {row.file: texts for row in bare if (texts := dataset.sidecar(at.dataset / row.file))}
    nothing_beside = [row for row in bare if row.file not in beside]
    columns, subjects, stopped = captions.columns(at.dataset), None, None
    if settings.caption.captioner != "names" and nothing_beside:
        subjects, stopped = _subjects(at, settings, nothing_beside, stop)
    made = {row.file: (text,) for row, text in captions.fill(nothing_beside, settings.caption, columns, subjects)}
    written = beside | made
    if adds_keyword:
        for file, texts in (there | beside).items():
            called = tuple(text if captions.holds(text, [keyword], ending="") else f"{keyword} style, {text}" for text in texts)
            written |= {file: called} if called != texts else {}
    if written:
        with project.lock(at.folder / "metadata", "captioning"):
            captions.write(at.dataset, written)
    left = [f"{file} (line {line})" for file, line in listing.broken.items() if file not in there]
    if stopped is not None:
        raise stopped
    if left:
        logger.warning("left without caption, because the line of their own cannot be used; decal check says why: %s", ", ".join(left))
    return Captioned(written, [row.file for row in bare if row.file not in written])


def export_dataset(at: Project, target: Path, kind: str) -> Exported:
    """Write the pictures and captions of a project into a new folder, as other tools want them."""
    keyword = settings_of(at, []).caption.keyword
    return export.write(dataset.scan(at.dataset), at.dataset, target, kind=kind, keyword=keyword)


def edit(at: Project, settings: Settings, change: edits.Edit, *, is_dry: bool) -> list[edits.Changed]:
    """Edit every caption; what was changed, or what would be."""
    if change.keyword is not None and not settings.caption.keyword:
        raise SettingsError(f"There is no keyword to move.\nWrite caption.keyword in {at.settings}.")
    if is_dry:
        return edits.preview(at.dataset, change, settings.caption.keyword)
    with project.lock(at.folder / "metadata", "captioning"):
        return edits.apply(at.dataset, change, settings.caption.keyword)


def undo_edit(at: Project) -> str:
    """Take back the newest change of captions; what it was, in words."""
    with project.lock(at.folder / "metadata", "captioning"):
        return undo.undo(at.folder)


def write_txt(at: Project) -> tuple[list[str], list[str]]:
    """Write each caption into a `.txt` file beside its picture; those files, and the pictures that two of one name keep without."""
    with project.lock(at.folder / "metadata", "captioning"):
        return edits.write_txt(at.dataset)


@dataclass(frozen=True)
class Choice:
    """Which run a command works on. name: None for the newest. is_new: begin another one."""

    name: str | None = None
    is_new: bool = False
    accept_changes: bool = False


def train(at: Project, settings: Settings, choice: Choice, stop: Stop) -> Iterator[Event]:
    """Train the LoRA, or go on where a run stopped; a run that is complete is left alone, without a look into the pictures.

    Yields what happens, each after its record is on disk. Raises DataError where the check found errors, ChangedError
    where a run is resumed with other settings, and StoppedError when `stop` said so; the run can then be resumed.
    """
    run = _run_to_train(at, choice)
    if _is_done(at, settings, run):
        yield _nothing_to_train(run, "settings and pictures are as they were")
        return
    yield Progress("looking at the pictures")
    checked = check(at, settings)
    yield Told("\n".join(overview.findings(at, checked)))
    records = _records(at, settings, checked)
    counts = {split: sum(record.split == split for record in records) for split in ("train", "holdout")}
    resolved = resolve(settings, counts["train"])
    prompts = _validation_prompts(at, resolved)
    with project.lock(run.steps, "training"):
        if is_begun := run.about.exists():
            runs.require_same(run, resolved, records, accept_changes=choice.accept_changes)
            if runs.is_complete(run, resolved):
                yield _nothing_to_train(run, counted(resolved.train.steps, "step"))
                return
        yield Progress("loading the base")
        from decal import train as training
        from decal.bases import load, told_when_full
        from decal.cache import Cache

        training.require_trackers(resolved.train.trackers)
        device = training.choose_device(resolved.train)
        base = load(resolved.base.model, device=device, dtype=training.choose_dtype(resolved.train, device))
        where = f"{str(base.dtype).removeprefix('torch.')} on {device}"
        if is_begun:
            gallery.same_base(run, base)
            runs.go_on(run, resolved, records, device=where)
        else:
            runs.begin(run, resolved, records, device=where, base=base.fingerprint())
        resume, attempt = _resume(run)
        yield Begun(run, resolved.train.steps, overview.training(run, resolved, counts, where, 0 if resume is None else resume.step))
        cache = Cache(at.cache, base, resolved.data)
        batch, accumulation = resolved.train.batch, resolved.train.accumulation
        remedy = (
            f"At {resolved.data.resolution} px: halve train.batch and double train.accumulation (now {batch} and {accumulation}), "
            "lower compare.batch, or lower data.resolution."
        )
        with told_when_full("training", remedy):
            for encoded in cache.fill(at.dataset, records):
                yield encoded
                stop_if(stop, "the same command goes on")
            yield Progress("encoding captions")
            budget = int(resolved.train.cache_gib * 2**30)
            holdout = cache.examples([record for record in records if record.split == "holdout"], budget=budget)
            rest = budget - holdout.size_bytes if holdout.is_resident else budget
            learnt = cache.examples([record for record in records if record.split == "train"], budget=rest)
            album = gallery.Album(run, run.validation)
            yield from _validate_missing(run, base, resolved, album, prompts)
            base.release_encoders()
            task = training.Task(run, resolved, learnt, holdout, attempt, resume, stop)
            yield Progress("training", 0 if resume is None else resume.step, resolved.train.steps)
            for event in training.tracked(training.train(base, task), run, resolved):
                if isinstance(event, Checkpoint):
                    project.append(run.checkpoints, event)
                    album.add(event)
                    yield event
                    yield from _validate(base, resolved, album, event.step, prompts)
                else:
                    project.append_all(run.steps, event)
                    yield event
        if project.read_steps(run.steps)[-1].step < resolved.train.steps:
            stop_if(stop, "the same command goes on")


def compare(at: Project, settings: Settings, choice: Choice, stop: Stop) -> Iterator[Event]:
    """Draw the base and every checkpoint on the prompts of `compare_prompts.txt`, side by side on one sheet."""
    run, resolved, checkpoints = _trained(at, settings, choice)
    prompts = _new_prompts(at.compare_prompts, run, resolved)
    cells = grid.compare_cells(prompts, [checkpoint.step for checkpoint in checkpoints], resolved.compare, resolved.data.resolution)
    shown = f"the base and {counted(len(checkpoints), 'checkpoint')} on {counted(len(prompts), 'new prompt')}"
    told = f"{run.name}: {shown}, {counted(len(cells), 'picture')}"
    yield Begun(run, resolved.train.steps, told)
    found: dict[Cell, Path] = {}
    yield from gallery.noted(gallery.draw(run, resolved, cells, stop, batch=resolved.compare.batch), run, found)
    steps = project.read_steps(run.steps)
    picture = sheets.compare_sheet(cells, found, steps=steps, run=run.name, base=resolved.base.model)
    yield _write_sheet(run.sheets / "compare.png", picture, len(cells))


def draw_grid(at: Project, settings: Settings, choice: Choice, step: int | None, stop: Stop) -> Iterator[Event]:
    """Draw the prompts of `prompts.txt` at every guidance with one checkpoint: the sheet to hand in.

    step: of the checkpoint; None takes the last. Raises DataError where a prompt is not new.
    """
    run, resolved, checkpoints = _trained(at, settings, choice)
    is_last, step = step is None, _chosen(checkpoints, step).step
    prompts = _new_prompts(at.prompts, run, resolved)
    cells = grid.grid_cells(prompts, step, resolved.grid, resolved.data.resolution)
    why = " (the last; --checkpoint takes another)" if is_last else ""
    shown = f"{counted(len(prompts), 'new prompt')} at {counted(len(resolved.grid.guidance), 'guidance scale')}"
    told = f"{run.name}, step {step}{why}: {shown}, {counted(len(cells), 'picture')}"
    yield Begun(run, resolved.train.steps, told)
    found: dict[Cell, Path] = {}
    yield from gallery.noted(gallery.draw(run, resolved, cells, stop, batch=resolved.grid.batch), run, found)
    picture = sheets.grid_sheet(cells, found, run=run.name, base=resolved.base.model)
    yield _write_sheet(run.sheets / f"grid-step-{step:06d}.png", picture, len(cells))


@dataclass(frozen=True)
class Wish:
    """What `draw` is asked for. image: the picture to start from; image_strength: the share of the steps that redraw it, 0..1."""

    prompt: str
    negative: str
    guidance: float | None
    seed: int
    count: int
    lora_strength: float
    image: Path | None
    image_strength: float


def draw(at: Project, settings: Settings, choice: Choice, step: int | None, wish: Wish, stop: Stop) -> Iterator[Event]:
    """Draw pictures of one prompt with a checkpoint, from noise or from a picture; warns where nothing in the prompt calls the LoRA."""
    if not wish.prompt.strip():
        raise SettingsError('The prompt is empty.\nSay what to draw, for instance  decal draw "KEYWORD style sticker of a boat"')
    run, resolved, checkpoints = _trained(at, settings, choice)
    step = 0 if step == 0 else _chosen(checkpoints, step).step
    keyword, is_on = resolved.caption.keyword.strip(), step != 0 and wish.lora_strength != 0
    if keyword and is_on and not captions.holds(wish.prompt, [keyword], ending=""):
        logger.warning("the prompt lacks the keyword %s, so the LoRA may hardly show", keyword)
    side = resolved.data.resolution
    images: dict[str, Image.Image] = {}
    size, source = (side, side), None
    if wish.image is not None:
        if not wish.image.is_file():
            raise SettingsError(f"--image {wish.image} is not a file.\nName a picture to start from.")
        source = project.sha256(wish.image)
        images[source] = _to_start_from(pictures.load(wish.image, resolved.data.ground), side)
        size = images[source].size
        if int(resolved.grid.steps * wish.image_strength) < 1:
            raise SettingsError(
                f"--strength {wish.image_strength:g} of {counted(resolved.grid.steps, 'step')} is less than one, so nothing would change.\n"
                f"Write at least {1 / resolved.grid.steps:.2f}, or raise grid.steps."
            )
    cells = [
        Cell(
            prompt=wish.prompt,
            negative=wish.negative,
            guidance=wish.guidance if wish.guidance is not None else resolved.compare.guidance,
            seed=seed,
            steps=resolved.grid.steps,
            sampler=resolved.grid.sampler,
            width_px=size[0],
            height_px=size[1],
            checkpoint=step,
            lora_strength=wish.lora_strength,
            image_sha256=source,
            image_strength=None if source is None else wish.image_strength,
        )
        for seed in range(wish.seed, wish.seed + wish.count)
    ]
    what = f"step {step}" if step else "the base alone"
    told = f"{run.name}, {what}: {counted(wish.count, 'picture')} of {size[0]} x {size[1]} px"
    yield Begun(run, resolved.train.steps, told)
    yield from gallery.draw(run, resolved, cells, stop, batch=resolved.grid.batch, images=images)


def run(at: Project, settings: Settings, choice: Choice, stop: Stop) -> Iterator[Event]:
    """Everything in order: check, train, compare, grid; what is done is skipped.

    An empty data set is described and its candidates are drawn; then DataError is raised, because only a person can choose.
    """
    if not dataset.scan(at.dataset).files:
        yield from describe(at, settings, max(DESCRIPTIONS, len(project.read(at.descriptions, Description))), stop)
        yield from draw_candidates(at, settings, CANDIDATES, 0, stop)
        raise DataError(
            f"{at.dataset} has no picture yet, so nothing was trained.\n"
            f"Choose among the candidates with  decal caption --pick {at.folder}  and call again."
        )
    yield from train(at, settings, choice, stop)
    yield from compare(at, settings, Choice(), stop)
    yield from draw_grid(at, settings, Choice(), None, stop)


def doctor(folder: Path) -> list[Finding]:
    """What is wrong with the installation."""
    return examine(folder)


def settings_of(at: Project, changes: Sequence[str]) -> Settings:
    """The settings of a project with `--set` changes applied."""
    return read(at.settings, changes)


def _appended(events: Iterable[Description | Progress | Told], path: Path) -> Iterator[Event]:
    """The same events; each description is on disk before it is passed on."""
    for event in events:
        if isinstance(event, Description):
            project.append(path, event)
        yield event


def _subjects(at: Project, settings: Settings, rows: Sequence[Row], stop: Stop) -> tuple[dict[str, str], StoppedError | None]:
    """What the captioner sees in each picture, as far as it came before it was stopped."""
    from decal import captioners

    files = {at.dataset / row.file: row.file for row in rows}
    found: dict[str, str] = {}
    try:
        for path, text in captioners.load(settings, at.cache).look(list(files), stop):
            found[files[path]] = text
    except StoppedError as problem:
        return found, problem
    return found, None


def _records(at: Project, settings: Settings, checked: Checked) -> list[Record]:
    """The pictures to train on. Raises DataError where the check finds errors that are not to be left out."""
    errors = [finding for finding in checked.findings if finding.level == "error"]
    faulty = {finding.file for finding in errors if finding.file is not None}
    is_of_the_set = any(finding.file is None for finding in errors)
    if errors and (settings.data.faulty == "refuse" or is_of_the_set):
        without = (
            ', or train without those pictures: for this call with  --set data.faulty="leave out"  '
            f'and always with  faulty = "leave out"  under [data] in {at.settings}'
        )
        raise DataError(
            f"{counted(len(errors), 'error')} in {at.dataset}, nothing was trained.\nMend them{'' if is_of_the_set else without}."
        )
    looks = {file: look for file, look in checked.looks.items() if file not in faulty}
    records = dataset.records(checked.listing, looks, holdout_share=settings.data.holdout_share, seed=settings.train.seed)
    if not records:
        raise DataError(f"{at.dataset} has no picture that can be trained on.\nSee  decal check {at.folder}")
    shown = sum(lowest_terms([record.repeats for record in records]))
    if shown > MAX_EPOCH:
        raise DataError(
            f"{at.dataset}: the repeats add up to {shown:,} pictures an epoch, the limit is {MAX_EPOCH:,}.\n"
            "Lower them; only their ratio counts, so 1 and 2 do what 100 and 200 do."
        )
    return records


def _is_done(at: Project, settings: Settings, run: Run) -> bool:
    """Whether a run is complete with these settings and pictures; the hashes of the files say so, none is decoded."""
    if not run.about.exists():
        return False
    records = project.read(run.dataset, Record)
    rows = dataset.scan(at.dataset).rows
    told = [(row.file, row.captions or ("",), row.repeats) for row in rows]
    if told != [(record.file, record.captions, record.repeats) for record in records]:
        return False
    try:
        if any(project.sha256(at.dataset / record.file) != record.sha256 for record in records):
            return False
    except OSError:
        return False  # The check says which file cannot be read.
    resolved = resolve(settings, sum(record.split == "train" for record in records))
    return runs.is_complete(run, resolved) and not runs.changes(run, resolved, records)


def _nothing_to_train(run: Run, why: str) -> Told:
    return Told(f"{run.name} is complete: {why}. Nothing to train; --new-run begins another.")


def _run_to_train(at: Project, choice: Choice) -> Run:
    if choice.name is not None and choice.is_new and at.run(choice.name).about.exists():
        raise SettingsError(f"There is a run {choice.name!r} already.\nLeave --new-run out to go on with it, or name another one.")
    if choice.name is not None:
        return at.run(choice.name) if choice.is_new else runs.newest(at, choice.name)
    known = at.runs()
    return at.run(runs.next_name(at)) if choice.is_new or not known else known[-1]


def _resume(run: Run) -> tuple["State | None", int]:
    """The newest state that is whole, and the number of this attempt, from 1."""
    from decal import state
    from decal.train import STATE_FILE

    attempts = [step.attempt for step in project.read(run.steps, Step)]
    found: list[State] = [state.load(run.stop_state)] if run.stop_state.is_file() else []
    for checkpoint in reversed(runs.checkpoints(run)):
        if not runs.is_whole(run, checkpoint):
            logger.warning("the weights of step %d are missing or damaged; they are made again from an older step", checkpoint.step)
            found = [one for one in found if one.step < checkpoint.step]
            continue
        path = run.checkpoint(checkpoint.step) / "state" / STATE_FILE
        if path.is_file() and project.sha256(path) == checkpoint.state_sha256:
            found.append(state.load(path))
            break
        logger.warning("the state of step %d is missing or damaged; going on from an older one", checkpoint.step)
    return max(found, key=lambda state: state.step, default=None), max(attempts, default=0) + 1


def _trained(at: Project, settings: Settings, choice: Choice) -> tuple[Run, Resolved, list[Checkpoint]]:
    """A run, its settings with the drawing settings of today, and its checkpoints."""
    run = runs.newest(at, choice.name)
    begun = runs.about(run).settings
    today = resolve(settings.model_copy(update={"base": begun.base, "data": begun.data, "train": begun.train}), 1)
    machine = begun.train.model_copy(update={"device": settings.train.device, "precision": settings.train.precision})
    checkpoints = []
    for checkpoint in runs.checkpoints(run):
        if runs.is_whole(run, checkpoint):
            checkpoints.append(checkpoint)
        else:
            logger.warning("%s is missing or damaged; step %d is left out", run.folder / checkpoint.file, checkpoint.step)
    if not checkpoints:
        raise SettingsError(f"{run.folder} has no whole checkpoint.\nTrain it with  decal train {at.folder} --run {run.name}")
    return run, begun.model_copy(update={"compare": today.compare, "grid": today.grid, "train": machine}), checkpoints


def _chosen(checkpoints: list[Checkpoint], step: int | None) -> Checkpoint:
    """The checkpoint of that step; the last for None, since the lowest held-out loss does not name the best pictures."""
    if step is None:
        return checkpoints[-1]
    for checkpoint in checkpoints:
        if checkpoint.step == step:
            return checkpoint
    there = ", ".join(str(checkpoint.step) for checkpoint in checkpoints)
    raise SettingsError(f"There is no checkpoint at step {step}.\nThere are: {there}.")


def _new_prompts(path: Path, run: Run, resolved: Resolved) -> list[str]:
    """The prompts of a file. Raises DataError where one is not new against the training captions."""
    prompts = grid.read_prompts(path)
    known = [caption for record in project.read(run.dataset, Record) for caption in record.captions]
    words = [resolved.caption.keyword, *resolved.caption.kind_words, *resolved.caption.style_words]
    seen = grid.seen(prompts, known, words)
    if seen:
        pairs = "\n".join(f'  "{prompt}" is in the training caption "{text}"' for prompt, text in seen)
        raise DataError(
            f"{path}: {len(seen)} of {counted(len(prompts), 'prompt')} not new.\n{pairs}\n"
            "Write others, about things that were not trained on."
        )
    return prompts


def _validation_prompts(at: Project, resolved: Resolved) -> list[str]:
    given = resolved.train.validation_prompts
    if given is not None:
        return list(given)
    return grid.read_prompts(at.compare_prompts)[:2] if at.compare_prompts.exists() else []


def _validate(base: "Base", resolved: Resolved, album: gallery.Album, step: int, prompts: list[str]) -> Iterator[Progress | Generation]:
    """Draw the validation prompts with the adapter as it stands in training."""
    from decal.generate import generate_live

    cells = album.missing(_validation_cells(resolved, [step], prompts))
    if cells:
        yield Progress("drawing the validation prompts")
    yield from album.keep(generate_live(base, cells, batch=resolved.compare.batch))
    base.release_encoders()


def _validate_missing(
    run: Run, base: "Base", resolved: Resolved, album: gallery.Album, prompts: list[str]
) -> Iterator[Progress | Generation]:
    """Draw what an attempt that was killed left out."""
    from decal.generate import generate

    whole = {step: run.folder / one.file for step, one in album.checkpoints.items() if runs.is_whole(run, one)}
    cells = album.missing(_validation_cells(resolved, list(whole), prompts))
    if cells:
        yield Progress("drawing the validation prompts")
        yield from album.keep(generate(base, cells, adapters=whole, images={}, batch=resolved.compare.batch))


def _validation_cells(resolved: Resolved, steps: list[int], prompts: list[str]) -> list[Cell]:
    cells = grid.compare_cells(prompts, steps, resolved.compare, resolved.data.resolution)
    return [cell for cell in cells if cell.checkpoint in steps]


def _write_sheet(path: Path, picture: Image.Image, count: int) -> Sheet:
    data = gallery.to_png(picture)
    if not path.exists() or path.read_bytes() != data:
        project.write_bytes(path, data)
    return Sheet(path, count)


def _to_start_from(picture: Image.Image, side_px: int) -> Image.Image:
    """The picture with its longer side at the training size, both sides multiples of 8 px."""
    scale = side_px / max(picture.size)
    width, height = (max(8, round(length * scale / 8) * 8) for length in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)
