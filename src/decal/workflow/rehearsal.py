"""A rehearsal of training: what it would do, how long it takes and whether it fits, measured on a few real steps.

Nothing is kept of it but encoded pictures in `cache/`. Where the device is too small, it tries what would fit, in the order of what costs
least: parts of the forward pass computed twice, then smaller batches whose gradients are added up, which teach the same.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

from decal import overview, pictures
from decal.errors import MemoryFullError
from decal.events import Event, Progress, Stop, Told, stop_if
from decal.project import Project, Run
from decal.records import Record, Step
from decal.settings import Resolved, ResolvedTrain, Settings, resolve
from decal.wording import clock, counted
from decal.workflow.checking import check
from decal.workflow.training import records_to_train

STEPS = 4
"""The first also pays for what is set up once, so the others are measured."""


def rehearse(at: Project, settings: Settings, stop: Stop) -> Iterator[Event]:
    """Say what `train` would do, and measure a few steps of it in a folder that is thrown away.

    Raises DataError where the check finds errors, and MemoryFullError where not even one picture at a time fits the device.
    """
    yield Progress("looking at the pictures")
    checked = check(at, settings)
    yield Told("\n".join(overview.findings(at, checked)))
    records = records_to_train(at, settings, checked)
    learnt = [record for record in records if record.split == "train"]
    resolved = resolve(settings, len(learnt))
    yield Told("\n".join(plan(resolved, records)))
    for tried in ladder(resolved.train):
        stop_if(stop, "nothing of a rehearsal is kept")
        yield Progress(f"{counted(STEPS, 'step')} with batch {tried.batch}")
        try:
            told = _measured(at, resolved.model_copy(update={"train": tried}), learnt, len(records), stop)
        except MemoryFullError:
            yield Told(f"does not fit: {_how(tried)}")
            continue
        yield Told("\n".join(told))
        if tried != resolved.train:
            changes = " ".join(f"--set train.{key}={str(getattr(tried, key)).lower()}" for key in CHANGED)
            yield Told(f"this fits:  decal train {at.folder} {changes}")
        return
    raise MemoryFullError(
        f"Not even one picture of {resolved.data.resolution} px at a time fits the device.\nLower data.resolution, or train.rank."
    )


CHANGED = ("batch", "accumulation", "gradient_checkpointing")


def ladder(train: ResolvedTrain) -> Iterator[ResolvedTrain]:
    """These settings, and then those that need less and less memory for the same samples a step."""
    yield train
    train = train.model_copy(update={"gradient_checkpointing": True})
    yield train
    while train.batch > 1:
        # Only a divisor keeps the samples of a step the same.
        smaller = max(size for size in range(1, train.batch // 2 + 1) if train.batch % size == 0)
        train = train.model_copy(update={"batch": smaller, "accumulation": train.accumulation * (train.batch // smaller)})
        yield train


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


def _how(train: ResolvedTrain) -> str:
    again = ", parts computed twice" if train.gradient_checkpointing else ""
    return f"batch {train.batch}, accumulation {train.accumulation}{again}"


def _measured(at: Project, resolved: Resolved, learnt: list[Record], pictures_in_all: int, stop: Stop) -> list[str]:
    """Seconds and memory of a few steps, in words."""
    from decal import train as training
    from decal.bases import load, told_when_full
    from decal.cache import Cache

    device = training.choose_device(resolved.train)
    base = load(resolved.taught, device=device, dtype=training.choose_dtype(resolved.train, device))
    some = learnt[: resolved.train.batch * resolved.train.accumulation]
    short = resolved.model_copy(update={"train": resolved.train.model_copy(update={"steps": STEPS, "checkpoint_every": 1})})
    with tempfile.TemporaryDirectory() as folder, told_when_full("rehearsing", ""):
        cache = Cache(at.cache, base, resolved.data)
        began, encoded = perf_counter(), max((event.all for event in cache.fill(at.dataset, some)), default=0)
        a_picture = (perf_counter() - began) / encoded if encoded else 0.0
        examples = cache.examples(some, budget=int(resolved.train.cache_gib * 2**30))
        nothing = cache.examples([], budget=0)
        base.release_encoders()
        # Pictures of the kind in general cost as much as the others, whichever they are.
        prior = examples if resolved.train.prior_prompt else None
        task = training.Task(Run(Path(folder) / "run"), short, examples, nothing, 1, None, stop, prior=prior)
        events = [event for event in training.train(base, task) if isinstance(event, list)]
    seconds = [step.seconds for event in events for step in event if isinstance(step, Step) and step.step > 1]
    a_step = median(seconds)
    lines = [
        f"{a_step:.3g} s a step ({min(seconds):.3g} to {max(seconds):.3g}): {clock(a_step * resolved.train.steps)} for "
        f"{counted(resolved.train.steps, 'step')}, on {device}; drawing and measuring between them come on top"
    ]
    if a_picture:
        lines.append(f"{a_picture:.3g} s to encode a picture: {clock(a_picture * pictures_in_all)} for {pictures_in_all}, once")
    if resolved.data.variants > 1 and some:
        lines.append(f"{examples.size_bytes / len(some) * len(learnt) / 2**20:.3g} MiB in the cache for {counted(len(learnt), 'picture')}")
    if peak_bytes := training.peak_memory(device):
        lines.append(f"{peak_bytes / 2**30:.2f} GiB of memory at most")
    return lines
