"""Measuring: `decal train` as a whole program, beside diffusers' script where one is named, in rounds that take turns."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from decal import bench, dataset
from decal.errors import DataError, SettingsError
from decal.events import Stop, stop_if
from decal.project import Project
from decal.settings import resolve
from decal.wording import counted
from decal.workflow.beginning import SAMPLE, SAMPLE_KEYWORD, Order, new
from decal.workflow.choice import settings_of


@dataclass(frozen=True)
class BenchWish:
    """What is measured. steps: lengths of a run. rounds: warm ones, after a cold one. script: diffusers' own; None for ours alone."""

    base: str = "mini"
    source: Path = SAMPLE
    steps: tuple[int, ...] = (100,)
    rounds: int = 3
    batch: int = 4
    threads: int = 1
    script: Path | None = None
    python: Path | None = None


def measure_training(wish: BenchWish, stop: Stop) -> Iterator[str | bench.Measured]:
    """Yields what is said and every run's figures; everything is trained in a folder that is thrown away.

    Raises SettingsError for a script that is not there and DataError for fewer pictures than a batch.
    """
    with TemporaryDirectory(prefix="decal-bench-") as apart:
        work = _work(wish, Path(apart) / "project")
        contenders = [bench.ours(work, is_equal=True), bench.ours(work, is_equal=False)]
        if wish.script is not None:
            python = wish.python or Path(sys.executable)
            contenders.insert(1, bench.diffusers_script(work, python=python, script=wish.script))
        pictures = len(dataset.scan(Project(work.project).dataset).files)
        yield f"{pictures} pictures of {work.resolution} px, batch {wish.batch}, {counted(wish.threads, 'thread')} each, base {wish.base}"
        for contender in contenders:
            yield f"  {contender.name}: {contender.said}"
        if wish.script is None:
            yield "  diffusers script: not measured, because --peer-script names none"
        if (load := _load()) > 0.5:
            yield f"The load of this machine is {load:.1f}: others work on it, so trust CPU seconds and ratios, not the clock."
        measured = []
        for place, steps in enumerate(wish.steps):
            # Each contender's first run is its cold one.
            for turn in range(wish.rounds + (place == 0)):
                for contender in contenders:
                    stop_if(stop, "nothing of a measurement is kept")
                    folder = Path(apart) / contender.name.replace(", ", "-").replace(" ", "-")
                    one = bench.measure(contender, folder, steps=steps, round=turn, batch=wish.batch, threads=wish.threads)
                    measured.append(one)
                    yield one
        yield "\n".join(bench.table(measured))
        for mine in contenders:
            if mine.program == "decal" and wish.script is not None:
                yield "\n".join(bench.compared(measured, mine.name, "diffusers script"))


def _work(wish: BenchWish, folder: Path) -> bench.Work:
    """A project of as many pictures as fill whole batches, so that every program sees the same number of samples."""
    from decal.bases.places import locate

    # Captions that were written for another purpose share no keyword, and what is measured needs none.
    keyword = SAMPLE_KEYWORD if wish.source == SAMPLE else ""
    listed = len(dataset.scan(wish.source).files)
    whole = listed - listed % wish.batch
    if not whole:
        raise DataError(
            f"{wish.source} has {listed} pictures, fewer than a batch of {wish.batch}.\nName more pictures, or a smaller --batch."
        )
    new(folder, Order(wish.source, keyword, wish.base, "stickers", limit=whole))
    resolved = resolve(settings_of(Project(folder), []), whole)
    if not wish.steps or min(wish.steps) < 4:
        raise SettingsError("--steps must be at least 4, or there is nothing to measure once the first steps are left out.")
    return bench.Work(locate(wish.base), folder, resolved.data.resolution, wish.batch)


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
