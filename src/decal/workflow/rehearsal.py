"""A rehearsal of training: what it would do, how long it takes and whether it fits, measured on a few real steps.

Nothing is kept of it but encoded pictures in `cache/`. Where memory is short, the training itself does what makes it fit (`train.fitting`),
before its first step or within, and that is told.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

from decal import overview, pictures
from decal.events import Event, Progress, Stop, Told, stop_if
from decal.project import Project, Run
from decal.records import Record, Rung, Step
from decal.settings import Resolved, ResolvedTrain, Settings, resolve, written
from decal.wording import clock, counted
from decal.workflow.checking import check
from decal.workflow.training import records_to_train, told_of

STEPS = 4
"""The first also pays for what is set up once, so the others are measured."""


def rehearse(at: Project, settings: Settings, stop: Stop) -> Iterator[Event]:
    """Say what `train` would do, and measure a few steps of it in a folder that is thrown away.

    Raises DataError where the check finds errors, and MemoryFullError where nothing makes a step fit the device.
    """
    yield Progress("looking at the pictures")
    checked = check(at, settings)
    yield Told("\n".join(overview.findings(at, checked)))
    records = records_to_train(at, settings, checked)
    learnt = [record for record in records if record.split == "train"]
    resolved = resolve(settings, len(learnt))
    yield Told("\n".join(plan(resolved, records)))
    yield from told_of(resolved, learnt, checked)
    stop_if(stop, "nothing of a rehearsal is kept")
    yield Progress(f"{counted(STEPS, 'step')} of the training")
    measured = _measure(at, resolved, learnt, stop)
    yield from (Told(f"for want of memory, {rung.told()}") for rung in measured.rungs)
    yield Told("\n".join(_told(measured, resolved.train, len(records))))
    if measured.rungs:
        asked, fitted = (train.model_dump(include=CHANGED) for train in (resolved.train, measured.fitted))
        changes = " ".join(f"--set train.{key}={written(value)}" for key, value in fitted.items() if value != asked[key])
        yield Told(f"decal train does so by itself; to begin with it, add  {changes}")


CHANGED = {"batch", "accumulation", "gradient_checkpointing", "optimizer"}
"""Settings that want of memory changes."""


@dataclass(frozen=True)
class _Measured:
    """A few steps. picture_seconds: to encode one, 0 where all were encoded. fitted: the settings as memory allows them.

    cache_bytes: of all pictures that are learnt, where each is encoded in several ways; else 0. compiling: whether it pays, in words;
    empty where `train.compile` does not ask.
    """

    device: str
    steps: list[Step]
    rungs: list[Rung]
    fitted: ResolvedTrain
    picture_seconds: float
    peak_bytes: int
    cache_bytes: int
    compiling: str


def plan(resolved: Resolved, records: list[Record]) -> list[str]:
    """What the pictures become, and how often each is shown."""
    train, data = resolved.train, resolved.data
    learnt = [record for record in records if record.split == "train"]
    each = train.batch * train.accumulation
    lines = [
        f"{counted(train.steps, 'step')} of {each}: {train.steps * each / len(learnt):.1f} epochs of {counted(len(learnt), 'picture')}, "
        f"{len(records) - len(learnt)} held out"
    ]
    shapes = Counter(pictures.shape_for(one.width_px, one.height_px, data.resolution, data.fit) for one in learnt)
    for (width, height), count in shapes.most_common():
        lines.append(f"  {width:4} x {height:<4} px  {counted(count, 'picture')}")
    cropped = [share for one in learnt if (share := _cropped(one, resolved)) > 0.005]
    if cropped:
        lines.append(f"  {counted(len(cropped), 'picture')} cropped, by {max(cropped):.0%} at most")
    if data.variants > 1:
        lines.append(
            f"  {data.variants} variants of each that is cropped or transparent: up to {data.variants * len(learnt)} are encoded and kept"
        )
    small = sum(max(one.width_px, one.height_px) < data.resolution for one in learnt)
    if small:
        lines.append(f"  {counted(small, 'picture')} enlarged")
    return lines


def _cropped(record: Record, resolved: Resolved) -> float:
    """Share of a picture's area that is cut off."""
    if resolved.data.fit == "pad":
        return 0.0
    width, height = pictures.shape_for(record.width_px, record.height_px, resolved.data.resolution, resolved.data.fit)
    own, wanted = record.width_px / record.height_px, width / height
    return 1 - min(own, wanted) / max(own, wanted)


def _measure(at: Project, resolved: Resolved, learnt: list[Record], stop: Stop) -> _Measured:
    """Do a few steps in a folder that is thrown away. Raises MemoryFullError where nothing makes them fit."""
    from decal import train as training
    from decal.bases import load, told_when_full
    from decal.cache import Cache

    device = training.choose_device(resolved.train)
    base = load(resolved.taught, device=device, dtype=training.choose_dtype(resolved.train, device))
    some = learnt[: resolved.train.batch * resolved.train.accumulation]
    short = resolved.model_copy(update={"train": resolved.train.model_copy(update={"steps": STEPS, "checkpoint_every": 1})})
    remedy = 'Write train.fit_memory = "auto", halve train.batch and double train.accumulation, or lower data.resolution.'
    with tempfile.TemporaryDirectory() as folder, told_when_full("rehearsing", remedy):
        cache = Cache(at.cache, base, resolved.data)
        began, encoded = perf_counter(), max((event.all for event in cache.fill(at.dataset, some)), default=0)
        picture_seconds = (perf_counter() - began) / encoded if encoded else 0.0
        examples = cache.examples(some, budget=int(resolved.train.cache_gib * 2**30))
        nothing = cache.examples([], budget=0)
        base.release_encoders()
        # Pictures of the kind in general cost as much as the others, whichever they are.
        prior = examples if resolved.train.prior_prompt else None
        task = training.Task(Run(Path(folder) / "run"), short, examples, nothing, 1, None, stop, prior=prior)
        events = list(training.train(base, task))
    steps = [step for event in events if isinstance(event, list) for step in event]
    rungs = [event for event in events if isinstance(event, Rung)]
    fitted = training.lowered(resolved.train, [rung.kind for rung in rungs])
    cache_bytes = examples.size_bytes * len(learnt) // len(some) if resolved.data.variants > 1 and some else 0
    compiling = ""
    if resolved.train.compile == "auto" and device.type in task.compiler.devices:
        why_not = training.obstacle(resolved.train, device, examples.shapes)
        compiling = f"not compiled: {why_not}" if why_not else task.compiler.told(_a_step(steps), resolved.train.steps)
    return _Measured(str(device), steps, rungs, fitted, picture_seconds, training.peak_memory(device), cache_bytes, compiling)


def _a_step(steps: list[Step]) -> float:
    """Seconds of one, once all is set up."""
    return median(step.seconds for step in steps if step.step > 1)


def _told(measured: _Measured, train: ResolvedTrain, pictures_in_all: int) -> list[str]:
    """Seconds and memory of a few steps, in words."""
    seconds = [step.seconds for step in measured.steps if step.step > 1]
    a_step, a_picture = _a_step(measured.steps), measured.picture_seconds
    lines = [
        f"{a_step:.3g} s a step ({min(seconds):.3g} to {max(seconds):.3g}): {clock(a_step * train.steps)} for "
        f"{counted(train.steps, 'step')}, on {measured.device}; drawing and measuring between them come on top"
    ]
    if a_picture:
        lines.append(f"{a_picture:.3g} s to encode a picture: {clock(a_picture * pictures_in_all)} for {pictures_in_all}, once")
    if measured.cache_bytes:
        lines.append(f"{measured.cache_bytes / 2**20:.3g} MiB in the cache for all of them")
    if measured.compiling:
        lines.append(measured.compiling)
    if measured.peak_bytes:
        lines.append(f"{measured.peak_bytes / 2**30:.2f} GiB of memory at most")
    return lines
