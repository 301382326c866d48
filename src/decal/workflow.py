"""The story: one function per command, in order. Read this first.

Each does the same four things: read what is there, ask a room for the rest, append each record as it comes, and pass it on. torch is
imported inside the functions that need it, so that looking at a project stays instant.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from decal import captions, checks, dataset, grid, pictures, project, runs, sheets
from decal.checks import Checked
from decal.dataset import Brought, Row
from decal.errors import BaseModelError, DataError, SettingsError, StoppedError
from decal.doctor import examine
from decal.presets import BASES, KINDS, base_preset
from decal.project import Project, Run
from decal.records import Cell, Checkpoint, Finding, Generation, Record, Step
from decal.settings import Resolved, Settings, fields, parse, read, resolve, write

if TYPE_CHECKING:
    from decal.bases import Base
    from decal.generate import Drawn
    from decal.state import State

logger = logging.getLogger(__name__)

GRID_PROMPTS = 10
COMPARE_PROMPTS = 8
DRAWING_THREADS = 2
SAMPLE = Path(__file__).parent / "mini" / "sample"
SAMPLE_KEYWORD = "cobink"


@dataclass(frozen=True)
class Told:
    """Something to say that is in no record."""

    text: str


@dataclass(frozen=True)
class Begun:
    """A command begins on a run. steps: of its training. text: what is about to happen, with what."""

    run: Run
    steps: int
    text: str


@dataclass(frozen=True)
class Progress:
    """Work that takes a while: done of all."""

    doing: str
    done: int
    all: int


@dataclass(frozen=True)
class Sheet:
    """A labelled sheet that was written."""

    path: Path
    pictures: int


Event = Told | Begun | Progress | Sheet | list[Step] | Checkpoint | Generation
Stop = Callable[[], bool]


@dataclass(frozen=True)
class Order:
    """What a new project is made of. model: a base by name, hub id or folder. kind: one of `presets.KINDS`."""

    source: Path
    keyword: str
    model: str
    kind: str


def sample_order() -> Order:
    """The stickers that come with Decal, on the base model that comes with it."""
    return Order(SAMPLE, SAMPLE_KEYWORD, "mini", "stickers")


def new(folder: Path, order: Order) -> Brought:
    """Make a project: copy the pictures with their captions, write the settings and the prompts.

    Raises SettingsError for a wrong option or a folder that is a project already, and DataError where there are no pictures.
    Content is never a reason to refuse: `check` reports it.
    """
    at = Project(folder)
    if at.settings.exists():
        raise SettingsError(f"{folder} is a project already.\nChoose another folder, or look at this one with  decal show {folder}")
    if order.kind not in KINDS:
        raise SettingsError(f"--preset {order.kind} is not known.\nThere are: {', '.join(KINDS)}.")
    kind = KINDS[order.kind]
    table = {"base": {"model": order.model}, "data": dict(kind["data"]), "caption": {"keyword": order.keyword, **kind["caption"]}}
    settings = parse(table, where="decal new")
    base_preset(order.model)
    brought = dataset.bring_in(order.source, at.dataset)
    told = [row.caption or captions.subject(row.file) for row in dataset.scan(at.dataset).rows]
    avoid: list[str] = []
    for path, count in ((at.prompts, GRID_PROMPTS), (at.compare_prompts, COMPARE_PROMPTS)):
        given = order.source / path.name
        if given.is_file():
            project.write_bytes(path, given.read_bytes())
        else:
            proposed = grid.propose(told, order.keyword, settings.caption.template, count, avoid)
            project.write_text(path, "\n".join(proposed) + "\n")
        avoid += grid.read_prompts(path)
    write(at.settings, table)
    return brought


def check(at: Project, settings: Settings) -> Checked:
    """Look at every picture and caption, and write what there is to say to `findings.jsonl`."""
    checked = checks.run(at.dataset, settings)
    with project.lock(at.findings, "checking"):
        project.write_lines(at.findings, list(checked.findings))
    return checked


def told(at: Project, checked: Checked) -> list[str]:
    """What a check found, as lines to print."""
    counts = [f"{count} {level}{'s' if count != 1 else ''}" for level in ("error", "warning") for count in [checked.count(level)]]
    pictures = len(checked.listing.files)
    head = f"{pictures} picture{'s' if pictures != 1 else ''} in {at.dataset}"
    return [head, *checks.summary(checked.findings), f"{', '.join(counts)}, written to {at.findings}"]


def caption(at: Project, settings: Settings) -> list[Row]:
    """Give pictures without caption one made from their file name; the rows that were filled."""
    filled = [Row(row.file, text, row.line) for row, text in captions.fill(dataset.scan(at.dataset).rows, settings.caption)]
    if filled:
        with project.lock(at.folder / "metadata", "captioning"):
            captions.write(at.dataset, {row.file: row.caption or "" for row in filled})
    return filled


@dataclass(frozen=True)
class Choice:
    """Which run a command works on. name: None for the newest. is_new: begin another one."""

    name: str | None = None
    is_new: bool = False
    accept_changes: bool = False


def train(at: Project, settings: Settings, choice: Choice, stop: Stop) -> Iterator[Event]:
    """Train the LoRA, or go on where a run stopped; a run that is complete is left alone.

    Yields what happens, each after its record is on disk. Raises DataError where the check found errors, ChangedError
    where a run is resumed with other settings, and StoppedError when `stop` said so; the run can then be resumed.
    """
    records = _records(at, settings)
    counts = {split: sum(record.split == split for record in records) for split in ("train", "holdout")}
    resolved = resolve(settings, counts["train"])
    run = _run_to_train(at, choice)
    with project.lock(run.steps, "training"):
        if run.about.exists():
            runs.go_on(run, resolved, records, accept_changes=choice.accept_changes)
            last = runs.checkpoints(run)[-1:]
            if last and last[0].step >= resolved.train.steps:
                yield Told(f"{run.name} is complete: {last[0].step} steps. Nothing to train; --new-run begins another.")
                return
        from decal import train as training
        from decal.cache import Cache

        device = training.choose_device(resolved.train)
        base = _load_base(resolved, device.type, training.choose_dtype(resolved.train, device))
        if run.about.exists():
            _same_base(run, base)
        else:
            runs.begin(run, resolved, records, device=str(device), base=base.fingerprint())
        resume, attempt = _resume(run)
        yield Begun(run, resolved.train.steps, _told_training(run, resolved, counts, base, 0 if resume is None else resume.step))
        cache = Cache(at.cache, base, resolved.data)
        for encoded in cache.fill(at.dataset, records):
            yield Progress("encoding pictures", encoded, len(records))
            _stop_if(stop, "the same command goes on")
        budget = int(resolved.train.cache_gib * 2**30)
        sets = [cache.examples([r for r in records if r.split == split], budget=budget) for split in ("train", "holdout")]
        base.release_encoders()
        task = training.Task(run, resolved, sets[0], sets[1], attempt, resume, stop)
        for event in training.tracked(training.train(base, task), run, resolved):
            if isinstance(event, Checkpoint):
                project.append(run.checkpoints, event)
                yield event
                yield from _validate(run, base, resolved, event.step, _validation_prompts(at, resolved))
            else:
                project.append_all(run.steps, event)
                yield event
        _stop_if(stop, f"go on with  decal train {at.folder} --run {run.name}")


def compare(at: Project, settings: Settings, choice: Choice, stop: Stop) -> Iterator[Event]:
    """Draw the base and every checkpoint on the prompts of `compare_prompts.txt`, side by side on one sheet."""
    run, resolved, checkpoints = _trained(at, settings, choice)
    prompts = _new_prompts(at.compare_prompts, run, resolved)
    cells = grid.compare_cells(prompts, [checkpoint.step for checkpoint in checkpoints], resolved.compare, resolved.data.resolution)
    yield Begun(
        run,
        resolved.train.steps,
        f"{run.name}: the base and {len(checkpoints)} checkpoints on {len(prompts)} new prompts, {len(cells)} pictures",
    )
    found: dict[Cell, Path] = {}
    for event in _draw(run, resolved, cells, stop, batch=resolved.compare.batch):
        if isinstance(event, Generation):
            found[event.cell] = run.folder / event.file
        yield event
    steps = project.read_steps(run.steps)
    picture = sheets.compare_sheet(cells, found, steps=steps, run=run.name, base=resolved.base.model)
    yield _write_sheet(run.sheets / "compare.png", picture, len(cells))


def draw_grid(at: Project, settings: Settings, choice: Choice, step: int | None, stop: Stop) -> Iterator[Event]:
    """Draw the prompts of `prompts.txt` at every guidance with one checkpoint: the sheet to hand in.

    step: of the checkpoint; None takes the last. Raises DataError where a prompt is not new.
    """
    run, resolved, checkpoints = _trained(at, settings, choice)
    step = _chosen(checkpoints, step).step
    prompts = _new_prompts(at.prompts, run, resolved)
    cells = grid.grid_cells(prompts, step, resolved.grid, resolved.data.resolution)
    yield Begun(
        run,
        resolved.train.steps,
        f"{run.name}, step {step}: {len(prompts)} new prompts at {len(resolved.grid.guidance)} guidance scales, {len(cells)} pictures",
    )
    found: dict[Cell, Path] = {}
    for event in _draw(run, resolved, cells, stop, batch=resolved.grid.batch):
        if isinstance(event, Generation):
            found[event.cell] = run.folder / event.file
        yield event
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
    """Draw pictures of one prompt with a checkpoint, from noise or from a picture."""
    run, resolved, checkpoints = _trained(at, settings, choice)
    step = 0 if step == 0 else _chosen(checkpoints, step).step
    side = resolved.data.resolution
    images: dict[str, Image.Image] = {}
    size, source = (side, side), None
    if wish.image is not None:
        source = project.sha256(wish.image) if wish.image.is_file() else ""
        images[source] = _to_start_from(pictures.load(wish.image, resolved.data.ground), side)
        size = images[source].size
        if int(resolved.grid.steps * wish.image_strength) < 1:
            raise SettingsError(
                f"--strength {wish.image_strength:g} of {resolved.grid.steps} steps is less than one step, so nothing would change.\n"
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
    yield Begun(
        run, resolved.train.steps, f"{run.name}, {what}: {wish.count} picture{'s' if wish.count > 1 else ''} of {size[0]} x {size[1]} px"
    )
    yield from _draw(run, resolved, cells, stop, batch=resolved.grid.batch, images=images)


def run(at: Project, settings: Settings, stop: Stop) -> Iterator[Event]:
    """Everything in order: check, train, compare, grid; what is done is skipped."""
    yield Told("\n".join(told(at, check(at, settings))))
    yield from train(at, settings, Choice(), stop)
    yield from compare(at, settings, Choice(), stop)
    yield from draw_grid(at, settings, Choice(), None, stop)


def show(at: Project) -> list[str]:
    """What is in a project and what comes next, as lines to print."""
    settings = read(at.settings)
    listing = dataset.scan(at.dataset)
    captioned = sum(bool(row.caption) for row in listing.rows)
    lines = [
        f"{at.folder}: {len(listing.files)} pictures, {captioned} captions, keyword {settings.caption.keyword or '(none)'}, base {settings.base.model}"
    ]
    following = f"decal check {at.folder}"
    if at.findings.exists():
        findings = project.read(at.findings, Finding)
        errors = sum(finding.level == "error" for finding in findings)
        lines.append(f"  check     {errors} errors, {len(findings) - errors} other findings")
        following = f"decal train {at.folder}" if not errors else f"mend the errors, then  {following}"
    for one in at.runs():
        about, steps, checkpoints = runs.about(one), project.read_steps(one.steps), runs.checkpoints(one)
        done = steps[-1].step if steps else 0
        drawn = len(project.read(one.generations, Generation))
        lines.append(
            f"  {one.name}    {done} of {about.settings.train.steps} steps, {len(checkpoints)} checkpoints, {drawn} pictures, begun {about.begun}"
        )
        lines += [
            f"    step {one_checkpoint.step:6}  held-out loss {'-' if one_checkpoint.holdout_loss is None else f'{one_checkpoint.holdout_loss:.4f}'}"
            for one_checkpoint in checkpoints
        ]
        lines += [f"    {path}" for path in sorted(one.sheets.glob("*.png"))]
        following = f"decal train {at.folder}" if done < about.settings.train.steps else f"decal compare {at.folder}"
        if (one.sheets / "compare.png").exists():
            following = f"decal grid {at.folder} --checkpoint STEP"
    return [*lines, f"next: {following}"]


def doctor(folder: Path) -> list[Finding]:
    """What is wrong with the installation."""
    return examine(folder)


def presets() -> list[str]:
    """Every setting with its default and meaning, and every base, as lines to print."""
    lines = ["Settings of decal.toml:"]
    for name, default, meaning in fields():
        lines += [f"  {name} = {default}", f"      {meaning}"]
    lines.append("Bases:")
    for name, preset in BASES.items():
        preset = base_preset(name)
        where = "comes with Decal" if name == "mini" else preset.where
        lines.append(
            f"  {name:11} {preset.resolution} px, {where}, licence {preset.licence}; rank {preset.rank}, targets {preset.targets}, "
            f"learning_rate {preset.learning_rate:g}, batch {preset.batch}, steps {preset.steps}, checkpoint_every {preset.checkpoint_every}"
        )
    return lines


def settings_of(at: Project, changes: Sequence[str]) -> Settings:
    """The settings of a project with `--set` changes applied."""
    return read(at.settings, changes)


def _records(at: Project, settings: Settings) -> list[Record]:
    """The pictures to train on. Raises DataError where the check finds errors that are not to be left out."""
    checked = check(at, settings)
    errors = [finding for finding in checked.findings if finding.level == "error"]
    faulty = {finding.file for finding in errors if finding.file is not None}
    if errors and (settings.data.faulty == "refuse" or None in {finding.file for finding in errors}):
        raise DataError(
            "\n".join(checks.summary(errors))
            + f"\n{len(errors)} error{'s' if len(errors) > 1 else ''} in {at.dataset}, nothing was trained.\n"
            'Mend them, or train without those pictures:  --set data.faulty="leave out"'
        )
    looks = {file: look for file, look in checked.looks.items() if file not in faulty}
    records = dataset.records(checked.listing, looks, holdout_share=settings.data.holdout_share, seed=settings.train.seed)
    if not records:
        raise DataError(f"{at.dataset} has no picture that can be trained on.\nSee  decal check {at.folder}")
    return records


def _told_training(run: Run, resolved: Resolved, counts: Mapping[str, int], base: "Base", reached: int) -> str:
    train = resolved.train
    kept = f"{counts['holdout']} held out" if counts["holdout"] else "none held out (fewer than 12), so there is no held-out loss"
    begin = f"going on from step {reached}" if reached else "from the beginning"
    return (
        f"{run.folder}: {train.steps} steps of {train.batch * train.accumulation} on {counts['train']} pictures, {kept}; {begin}\n"
        f"  base {base.name}, {resolved.data.resolution} px, rank {train.rank}, alpha {train.alpha:g}, targets {train.targets}, "
        f"learning rate {train.learning_rate:g} {train.schedule}, {str(base.dtype).removeprefix('torch.')} on {base.device}"
    )


def _stop_if(stop: Stop, remedy: str) -> None:
    if stop():
        raise StoppedError(f"Stopped; {remedy}.")


def _run_to_train(at: Project, choice: Choice) -> Run:
    if choice.name is not None:
        return at.run(choice.name)
    known = at.runs()
    return at.run(runs.next_name(at)) if choice.is_new or not known else known[-1]


def _load_base(resolved: Resolved, device: str, dtype: object) -> "Base":
    import torch

    from decal.bases.sd import StableDiffusion

    assert isinstance(dtype, torch.dtype)
    return StableDiffusion(resolved.base.model, device=torch.device(device), dtype=dtype)


def _same_base(run: Run, base: "Base") -> None:
    if base.fingerprint() != runs.about(run).base:
        raise BaseModelError(
            f"{base.name}: the files of the base model are others than those that {run.name} was begun on.\n"
            "Put them back, or begin another run with  decal train --new-run"
        )


def _resume(run: Run) -> tuple["State | None", int]:
    """The newest state that is whole, and the number of this attempt, from 1."""
    from decal import state
    from decal.train import STATE_FILE

    attempts = [step.attempt for step in project.read(run.steps, Step)]
    found: list[State] = [state.load(run.stop_state)] if run.stop_state.is_file() else []
    for checkpoint in reversed(runs.checkpoints(run)):
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
    today = resolve(settings.model_copy(update={"base": begun.base}), 1)
    checkpoints = runs.checkpoints(run)
    if not checkpoints:
        raise SettingsError(f"{run.folder} has no checkpoint yet.\nTrain it with  decal train {at.folder} --run {run.name}")
    return run, begun.model_copy(update={"compare": today.compare, "grid": today.grid}), checkpoints


def _chosen(checkpoints: list[Checkpoint], step: int | None) -> Checkpoint:
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
    known = [record.caption for record in project.read(run.dataset, Record)]
    words = [resolved.caption.keyword, *resolved.caption.kind_words, *resolved.caption.style_words]
    seen = grid.seen(prompts, known, words)
    if seen:
        pairs = "\n".join(f'  "{prompt}" is in the training caption "{text}"' for prompt, text in seen)
        raise DataError(
            f"{path}: {len(seen)} of {len(prompts)} prompts are not new.\n{pairs}\nWrite others, about things that were not trained on."
        )
    return prompts


def _validation_prompts(at: Project, resolved: Resolved) -> list[str]:
    given = resolved.train.validation_prompts
    if given is not None:
        return list(given)
    return grid.read_prompts(at.compare_prompts)[:2] if at.compare_prompts.exists() else []


def _validate(run: Run, base: "Base", resolved: Resolved, step: int, prompts: list[str]) -> Iterator[Generation]:
    """Draw the validation prompts with the adapter as it stands in training."""
    from decal.generate import generate_live

    cells = (
        [cell for cell in grid.compare_cells(prompts, [step], resolved.compare, resolved.data.resolution) if cell.checkpoint]
        if prompts
        else []
    )
    yield from _keep(
        run, run.validation, resolved, generate_live(base, cells, batch=resolved.compare.batch), {step: ""}, base.fingerprint()
    )
    base.release_encoders()


def _draw(
    run: Run, resolved: Resolved, cells: Sequence[Cell], stop: Stop, *, batch: int, images: Mapping[str, Image.Image] | None = None
) -> Iterator[Progress | Generation]:
    """Draw the cells that are not drawn yet; yields all of them, those that were there first."""
    about = runs.about(run)
    known = {checkpoint.step: checkpoint for checkpoint in runs.checkpoints(run)}
    hashes = {step: checkpoint.sha256 for step, checkpoint in known.items()} | {0: ""}
    there = runs.drawn(run, run.generations)
    fingerprints = {cell: runs.cell_fingerprint(cell, about.base, hashes[cell.checkpoint]) for cell in cells}
    missing = [cell for cell in cells if fingerprints[cell] not in there]
    yield from (there[fingerprints[cell]] for cell in cells if fingerprints[cell] in there)
    if not missing:
        return
    import torch

    from decal.generate import generate
    from decal.train import choose_device

    adapters = {step: runs.verified(run, known[step]) for step in {cell.checkpoint for cell in missing} - {0}}
    device = choose_device(resolved.train)
    base = _load_base(resolved, device.type, torch.float16 if device.type == "cuda" else torch.float32)
    _same_base(run, base)
    with project.lock(run.generations, "drawing"):
        drawn = generate(base, missing, adapters=adapters, images=images or {}, batch=batch)
        for done, generation in enumerate(_keep(run, run.generations, resolved, drawn, hashes, about.base), start=1):
            yield generation
            yield Progress("drawing", done, len(missing))
            _stop_if(stop, f"{done} of {len(missing)} pictures are drawn, the same command draws the rest")


def _keep(
    run: Run, stream: Path, resolved: Resolved, drawn: Iterable["Drawn"], hashes: Mapping[int, str], base: str
) -> Iterator[Generation]:
    """Write pictures in a pool of threads, and append each record once its file is whole."""
    waiting: list[Future[Generation]] = []

    def write_one(picture: "Drawn") -> Generation:
        cell, adapter = picture.cell, hashes[picture.cell.checkpoint]
        fingerprint = runs.cell_fingerprint(cell, base, adapter)
        name = f"{resolved.caption.keyword or 'lora'}-{cell.checkpoint:06d}" if cell.checkpoint else None
        path = run.folder / stream.stem / f"{fingerprint[:16]}.png"
        info = grid.png_text(cell, base=resolved.base.model, lora=name, lora_sha256=adapter or None)
        project.write_bytes(path, _png(Image.fromarray(picture.pixels), info))
        file = path.relative_to(run.folder).as_posix()
        return Generation(cell=cell, fingerprint=fingerprint, file=file, sha256=project.sha256(path), seconds=picture.seconds)

    with ThreadPoolExecutor(DRAWING_THREADS) as pool:
        for picture in drawn:
            waiting.append(pool.submit(write_one, picture))
            while waiting and (waiting[0].done() or len(waiting) > 4 * DRAWING_THREADS):
                yield _record(stream, waiting.pop(0))
        while waiting:
            yield _record(stream, waiting.pop(0))


def _record(stream: Path, written: "Future[Generation]") -> Generation:
    generation = written.result()
    project.append(stream, generation)
    return generation


def _png(picture: Image.Image, info: PngInfo | None = None) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def _write_sheet(path: Path, picture: Image.Image, count: int) -> Sheet:
    project.write_bytes(path, _png(picture))
    return Sheet(path, count)


def _to_start_from(picture: Image.Image, side_px: int) -> Image.Image:
    """The picture with its longer side at the training size, both sides multiples of 8 px."""
    scale = side_px / max(picture.size)
    width, height = (max(8, round(length * scale / 8) * 8) for length in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)
