"""Training: begin a run, or go on with one, and keep each record once its file is whole."""

import logging
import tempfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from decal import dataset, gallery, grid, masks, overview, project, runs, variants
from decal.batches import MAX_EPOCH, lowest_terms, share
from decal.checks import Checked
from decal.errors import DataError
from decal.events import Begun, Event, Progress, Stop, Told, stop_if
from decal.presets import base_preset
from decal.project import Project, Run
from decal.records import Cell, Checkpoint, Generation, Record, Rung, RungKind, Step
from decal.settings import Resolved, Settings, resolve
from decal.wording import counted
from decal.workflow import probing
from decal.workflow.checking import check
from decal.workflow.choice import Choice, run_to_train
from decal.workflow.following import assign
from decal.workflow.preserving import prior_pictures

if TYPE_CHECKING:
    from decal.bases import Base
    from decal.cache import Cache, Examples
    from decal.state import State
    from decal.train import Task

logger = logging.getLogger(__name__)

# Raised whenever the same base would be measured otherwise on the same held-out pictures, as by other timesteps or noise, or a step of the
# same settings would need more or less memory.
MEASURING = 2


def train(at: Project, settings: Settings, choice: Choice, stop: Stop) -> Iterator[Event]:
    """Train the LoRA, or go on where a run stopped; a run that is complete is left alone, without a look into the pictures.

    Yields what happens, each after its record is on disk. Raises DataError where the check found errors, ChangedError
    where a run is resumed with other settings, and StoppedError when `stop` said so; the run can then be resumed.
    """
    run = run_to_train(at, choice)
    settings = runs.with_start(run, settings)
    yield from _brought_to_its_end(at, settings, run, choice, stop)
    # Only here, where nothing of the training is held any more.
    yield from probe_few_steps(at, settings, run, stop)


def probe_few_steps(at: Project, settings: Settings, run: Run, stop: Stop) -> Iterator[Event]:
    """Whether the last checkpoint kept the few steps of its base; nothing where the base has none."""
    if not base_preset(settings.base.model).has_few_steps:
        return
    there = len(grid.read_prompts(at.compare_prompts)) if at.compare_prompts.exists() else 0
    if there < probing.MIN_PROMPTS:
        logger.warning("%s holds too few prompts to see whether the few steps of the base were kept", at.compare_prompts)
        return
    last = runs.checkpoints(run)[-1].step
    yield from probing.probe(at, settings, Choice(run.name), last, stop)


def _brought_to_its_end(at: Project, settings: Settings, run: Run, choice: Choice, stop: Stop) -> Iterator[Event]:
    """Train a run as far as its settings say."""
    if is_done(at, settings, run):
        yield _nothing_to_train(run, "settings and pictures are as they were")
        return
    yield Progress("looking at the pictures")
    checked = check(at, settings)
    yield Told("\n".join(overview.findings(at, checked)))
    yield from train_on(at, settings, checked, choice, stop)


def train_on(at: Project, settings: Settings, checked: Checked, choice: Choice, stop: Stop) -> Iterator[Event]:
    """Train as `train` does, on pictures that were looked at."""
    run = run_to_train(at, choice)
    settings = runs.with_start(run, settings)
    records = records_to_train(at, settings, checked)
    counts = {split: sum(record.split == split for record in records) for split in ("train", "holdout")}
    resolved = resolve(settings, counts["train"])
    prompts = _validation_prompts(at, resolved)
    going_on = "the same command without --new-run goes on" if choice.is_new else "the same command goes on"
    with project.lock(run.steps, "training"):
        if is_begun := run.about.exists():
            runs.require_same(run, resolved, records, accept_changes=choice.accept_changes)
            if runs.is_complete(run, resolved):
                yield _nothing_to_train(run, counted(resolved.train.steps, "step"))
                return
        yield Progress("loading the base")
        from decal import processes
        from decal import train as training
        from decal.bases import load, told_when_full
        from decal.cache import Cache

        training.require_trackers(resolved.train.trackers)
        share(0, processes.count(), batch=resolved.train.batch, accumulation=resolved.train.accumulation)
        device = training.choose_device(resolved.train)
        base = load(resolved.taught, device=device, dtype=training.choose_dtype(resolved.train, device))
        drawn_with = load(resolved.base.model, device=device, dtype=base.dtype)
        where = f"{str(base.dtype).removeprefix('torch.')} on {device}"
        if processes.count() > 1:
            where += f", shared by {processes.count()} processes"
        if is_begun:
            about = runs.about(run)
            gallery.same_base(drawn_with, about.base, run)
            gallery.same_base(base, about.taught or about.base, run)
            runs.go_on(run, resolved, records, device=where)
        else:
            taught = base.fingerprint() if resolved.base.teacher else None
            runs.begin(run, resolved, records, device=where, base=drawn_with.fingerprint(), taught=taught)
        resume, attempt = _resume(run)
        yield Begun(run, resolved.train.steps, overview.training(run, resolved, counts, where, 0 if resume is None else resume.step))
        yield from (Told(f"  {line}") for line in overview.cautions(resolved))
        yield from told_of(resolved, [record for record in records if record.split == "train"], checked)
        cache = Cache(at.cache, base, resolved.data)
        remedy = f"Lower compare.batch or data.resolution (now {resolved.data.resolution} px)."
        if resolved.train.fit_memory == "off":
            remedy += (
                ' Or write train.fit_memory = "auto", or halve train.batch and double train.accumulation '
                f"(now {resolved.train.batch} and {resolved.train.accumulation})."
            )
        with told_when_full("training", remedy):
            for encoded in cache.fill(at.dataset, records):
                yield encoded
                stop_if(stop, going_on)
            yield Progress("encoding captions")
            budget = int(resolved.train.cache_gib * 2**30)
            holdout = cache.examples([record for record in records if record.split == "holdout"], budget=budget)
            rest = budget - holdout.size_bytes if holdout.is_resident else budget
            learnt = cache.examples([record for record in records if record.split == "train"], budget=rest)
            prior = None
            if resolved.train.prior_prompt:
                kept = yield from prior_pictures(at, run, drawn_with if resolved.base.teacher else base, resolved, stop)
                yield from cache.fill(at.folder, kept)
                prior = cache.examples(kept, budget=max(0, rest - learnt.size_bytes))
            album = gallery.Album(run, run.validation)
            yield from _validate_missing(run, base, resolved, album, prompts)
            base.release_encoders()
            known = _untrained(at, base, resolved, holdout)
            task = training.Task(run, resolved, learnt, holdout, attempt, resume, stop, runs.start_factors(run), prior)
            task = replace(task, **_recorded(run), untrained=None if known is None else next(iter(project.read(known, Step)), None))
            task = replace(task, sample_bytes=_sample_bytes(at, base, resolved, learnt))
            yield Progress("training", 0 if resume is None else resume.step, resolved.train.steps)
            assign(task, at.cache)
            is_enough = yield from _learn(base, task, album, prompts, known, cache)
        if is_enough:
            yield Told(f"ended at step {runs.checkpoints(run)[-1].step}: the held-out loss was lowest three times as early")
        elif project.read_steps(run.steps)[-1].step < resolved.train.steps:
            stop_if(stop, going_on)


def _untrained(at: Project, base: "Base", resolved: Resolved, holdout: "Examples") -> Path | None:
    """Where it is kept what this base loses on these held-out pictures; None where there are none, or captions are read otherwise."""
    if not len(holdout) or resolved.train.changes_texts:
        return None
    key = project.fingerprint(*_measured_by(base), holdout.fingerprint())
    return at.cache / "untrained" / f"{key}.jsonl"


def _measured_by(base: "Base") -> list[object]:
    """What a measurement of the base depends on, besides what is measured."""
    made_by = [version(package) for package in ("torch", "diffusers", "transformers", "peft")]
    return [MEASURING, made_by, base.device.type, str(base.dtype), base.fingerprint()]


def _sample_bytes(at: Project, base: "Base", resolved: Resolved, learnt: "Examples") -> Callable[[Callable[[], int]], int]:
    """Measures what a sample needs, or knows it from a run with the same base, settings and size of pictures."""
    key = project.fingerprint(*_measured_by(base), resolved.train.model_dump(mode="json"), sorted(set(learnt.shapes)))
    path = at.cache / "needed" / f"{key}.txt"

    def known(measure: Callable[[], int]) -> int:
        if path.is_file() and (told := path.read_text("utf-8")).isdecimal():
            return int(told)
        found = measure()
        project.write_bytes(path, str(found).encode())
        return found

    return known


class _Recorded(TypedDict):
    """What earlier sittings tell a task."""

    rungs: tuple[RungKind, ...]
    compiled_after: int | None
    pace: float


def _recorded(run: Run) -> _Recorded:
    """What was done for want of memory and for speed, when it was compiled, and how many seconds a step took."""
    rungs, steps = project.read(run.rungs, Rung), project.read_steps(run.steps)
    compiled = next((rung.step for rung in rungs if rung.kind == "compiled"), None)
    return {"rungs": tuple(rung.kind for rung in rungs), "compiled_after": compiled, "pace": steps[-1].seconds if steps else 0.0}


def _learn(
    base: "Base", task: "Task", album: gallery.Album, prompts: list[str], untrained: Path | None, cache: "Cache"
) -> Generator[Event, None, bool]:
    """Train, and keep every record once its file is whole; whether it was ended because enough was seen.

    untrained: where to keep what the base loses on held-out pictures; None for nowhere.
    """
    from decal import train as training

    run, resolved, is_enough = task.run, task.settings, False
    ends_early = resolved.train.stop == "auto"
    if ends_early and not len(task.holdout):
        logger.warning('no picture is held out, so train.stop = "auto" cannot tell when to end; all steps are done')
    ending = replace(task, stop=lambda: is_enough or task.stop())
    for event in training.tracked(training.train(base, ending), run, resolved):
        if isinstance(event, Checkpoint):
            project.append(run.checkpoints, event)
            album.add(event)
            yield event
            if _is_drawn(resolved, event.step):
                yield from _validate(base, resolved, album, event.step, prompts, cache)
            is_enough = ends_early and runs.is_past_minimum(runs.checkpoints(run))
        elif isinstance(event, training.Pause):
            album.add_pause(event.step, event.factors_sha256)
            yield from _validate(base, resolved, album, event.step, prompts, cache)
        elif isinstance(event, Rung):
            project.append(run.rungs, event)
            yield event
        else:
            project.append_all(run.steps, event)
            if untrained is not None and event[0].step == 0 and event[0].holdout_loss is not None and task.untrained is None:
                project.write_lines(untrained, event[:1])
            yield event
    return is_enough


def records_to_train(at: Project, settings: Settings, checked: Checked) -> list[Record]:
    """The pictures to train on. Raises DataError where the check finds errors that are not to be left out."""
    errors = [finding for finding in checked.findings if finding.level == "error"]
    faulty = {finding.file for finding in errors if finding.file is not None}
    is_of_the_set = any(finding.file is None for finding in errors)
    if settings.data.faulty == "keep":
        faulty &= set(checked.listing.files) - checked.looks.keys()
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
    return masks.given(records, at.dataset, settings.data.masks)


def told_of(resolved: Resolved, learnt: list[Record], checked: Checked) -> Iterator[Told]:
    """How many of the pictures that are learnt have a mask, and on which grounds transparent ones are learnt, where there are several."""
    if masked := sum(bool(record.mask) for record in learnt):
        yield Told(f"  masks: {masked} of the {counted(len(learnt), 'picture')} that are learnt have one")
    shas = {record.file: record.sha256 for record in learnt if checked.looks[record.file].has_alpha}
    if resolved.data.variants > 1 and shas:
        yield Told(f"  {variants.told(resolved.data.variants, resolved.data.ground, shas)}")


def is_done(at: Project, settings: Settings, run: Run) -> bool:
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
    if masks.given(records, at.dataset, settings.data.masks) != records:
        return False
    resolved = resolve(settings, sum(record.split == "train" for record in records))
    return runs.is_complete(run, resolved) and not runs.changes(run, resolved, records)


def _nothing_to_train(run: Run, why: str) -> Told:
    return Told(f"{run.name} is complete: {why}. Nothing to train; --new-run begins another.")


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


def _validation_prompts(at: Project, resolved: Resolved) -> list[str]:
    given = resolved.train.validation_prompts
    if given is not None:
        return list(given)
    return grid.read_prompts(at.compare_prompts)[:2] if at.compare_prompts.exists() else []


def _validate(
    base: "Base", resolved: Resolved, album: gallery.Album, step: int, prompts: list[str], cache: "Cache"
) -> Iterator[Progress | Generation]:
    """Draw the validation prompts with the adapter as it stands in training."""
    from decal import lora
    from decal.generate import generate, generate_live

    cells = album.missing(_validation_cells(resolved, [step], prompts))
    if cells:
        yield Progress("drawing the validation prompts")
    if cells and resolved.base.teacher is not None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / lora.PORTABLE_FILE
            names, scale = lora.names_of(base.denoiser), resolved.train.scale
            lora.save(
                path,
                lora.attached(base, resolved.train),
                scale=scale,
                names=names,
                about={"modelspec.trigger_phrase": resolved.caption.keyword},
            )
            drawn = generate(_drawn_with(resolved, base), cells, adapters={step: path}, images={}, batch=resolved.compare.batch)
            yield from album.keep(drawn)
    elif cells:
        # Text encoders that are trained read the prompts anew each time.
        read = {text for cell in cells for text in (cell.prompt, cell.negative)} if not resolved.train.changes_texts else set()
        texts = cache.texts(sorted(read)) if read else {}
        base.release_encoders()
        with lora.multiplied_out(base.denoiser):
            yield from album.keep(generate_live(base, cells, texts=texts, batch=resolved.compare.batch))
    base.release_encoders()


def _validate_missing(
    run: Run, base: "Base", resolved: Resolved, album: gallery.Album, prompts: list[str]
) -> Iterator[Progress | Generation]:
    """Draw what an attempt that was killed left out."""
    from decal.generate import generate

    drawn = {step: one for step, one in album.checkpoints.items() if _is_drawn(resolved, step)}
    whole = {step: run.folder / one.file for step, one in drawn.items() if runs.is_whole(run, one)}
    cells = album.missing(_validation_cells(resolved, list(whole), prompts))
    if cells:
        yield Progress("drawing the validation prompts")
        drawn_with = base if resolved.base.teacher is None else _drawn_with(resolved, base)
        yield from album.keep(generate(drawn_with, cells, adapters=whole, images={}, batch=resolved.compare.batch))


def _drawn_with(resolved: Resolved, base: "Base") -> "Base":
    """The model that is drawn with, where it is not the one in training; loaded anew each time, so that it takes no memory in between."""
    from decal.bases import load

    return load(resolved.base.model, device=base.device, dtype=base.dtype)


def _is_drawn(resolved: Resolved, step: int) -> bool:
    """Whether the validation prompts are drawn at a checkpoint."""
    every = resolved.train.validate_every
    return every is None or step % every == 0 or step == resolved.train.steps


def _validation_cells(resolved: Resolved, steps: list[int], prompts: list[str]) -> list[Cell]:
    first = resolved.compare.seeds[0]
    drawing = resolved.compare.model_copy(update={"seeds": tuple(range(first, first + resolved.train.validation_images))})
    cells = grid.compare_cells(prompts, steps, drawing, resolved.data.resolution)
    return [cell for cell in cells if cell.checkpoint in steps]
