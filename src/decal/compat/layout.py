"""The folder that the scripts leave, made from a run: `checkpoint-N/`, the LoRA at the top, validation pictures, the trackers' logs.

Files are linked to those of the run where the disk allows, so the layout costs nothing, and each folder appears whole or not at all. It is
made from the records alone, so a call after a crash makes what is missing. Folders that something else wrote are left alone.
"""

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from decal import project, runs
from decal.project import Run
from decal.records import Checkpoint, Generation

WEIGHTS = "pytorch_lora_weights.safetensors"
STATE = "state.safetensors"
# A folder with this file is ours, and may be taken away again.
MARK = "decal.json"
FOLDER = re.compile(r"checkpoint-(\d+)")


@dataclass(frozen=True)
class Laid:
    """What lies in the folder of the scripts. added, removed: names of checkpoint folders. is_whole: the LoRA of the end is at the top."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    is_whole: bool


def lay_out(run: Run, output: Path, *, every: int, limit: int | None, steps: int) -> Laid:
    """Make the folder of the scripts what the run is now.

    every: steps between two `checkpoint-N`. limit: how many of them stay; None for all. steps: of the whole training.
    """
    output.mkdir(parents=True, exist_ok=True)
    known = [one for one in runs.checkpoints(run) if runs.is_whole(run, one)]
    wanted = [one for one in known if one.step % every == 0]
    kept = wanted if limit is None else wanted[-limit:]
    added = [name for one in kept if (name := _add(run, output, one)) is not None]
    removed = [] if limit is None else _remove_oldest(output, limit)
    _show_pictures(run, output)
    is_whole = bool(known) and known[-1].step >= steps
    if is_whole:
        _put(run.folder / known[-1].file, output / WEIGHTS)
    return Laid(tuple(added), tuple(removed), is_whole)


def link_logs(run: Run, output: Path, logging_dir: str) -> Path:
    """A link under the name of --logging_dir to what the trackers write; gives where the logs are to be looked for."""
    logs = run.folder / "trackers"
    link = output / logging_dir
    if link.is_symlink() and link.resolve() == logs.resolve():
        return link
    if os.path.lexists(link) and not link.is_symlink():
        return logs
    try:
        logs.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(logs.resolve(), link.parent.resolve()), target_is_directory=True)
    except OSError:
        return logs  # Windows lets only some users make links.
    return link


def folders(output: Path) -> dict[int, Path]:
    """The `checkpoint-N` folders by N, whoever made them."""
    found = {int(match[1]): path for path in output.glob("checkpoint-*") if (match := FOLDER.fullmatch(path.name))}
    return dict(sorted(found.items()))


def _add(run: Run, output: Path, one: Checkpoint) -> str | None:
    """Make the folder of a checkpoint; its name, or None where it is there."""
    target = output / f"checkpoint-{one.step}"
    if (target / MARK).is_file() and (target / WEIGHTS).is_file() and project.sha256(target / WEIGHTS) == one.sha256:
        return None
    if target.exists() and not (target / MARK).is_file():
        target.rename(_free(target.with_name(f"{target.name}-before")))
    state = run.checkpoint(one.step) / "state" / STATE
    with project.staged_folder(target) as staged:
        _put(run.folder / one.file, staged / WEIGHTS)
        if state.is_file():
            _put(state, staged / STATE)
        (staged / MARK).write_text(project.to_json(one) + "\n", "utf-8")
    return target.name


def _remove_oldest(output: Path, limit: int) -> list[str]:
    """Take away the oldest of our folders, so that so many stay; their names."""
    ours = [path for path in folders(output).values() if (path / MARK).is_file()]
    gone = ours[: max(0, len(ours) - limit)]
    for path in gone:
        shutil.rmtree(path)
    return [path.name for path in gone]


def _show_pictures(run: Run, output: Path) -> None:
    """Link the validation pictures under names that sort by step."""
    drawn = runs.drawn(run, run.validation).values()
    for number, one in _numbered(list(drawn)):
        target = output / "validation" / f"step-{one.cell.checkpoint:06d}-{number}.png"
        if not target.exists() or not _is_same(run.folder / one.file, target):
            _put(run.folder / one.file, target)


def _numbered(drawn: Sequence[Generation]) -> list[tuple[int, Generation]]:
    """The newest picture of each step and seed, with the place of the seed."""
    newest = {(one.cell.checkpoint, one.cell.seed): one for one in drawn if one.cell.checkpoint}
    seeds = sorted({seed for _, seed in newest})
    return [(seeds.index(seed), one) for (_, seed), one in sorted(newest.items())]


def _is_same(source: Path, target: Path) -> bool:
    return os.path.samefile(source, target) or project.sha256(source) == project.sha256(target)


def _put(source: Path, target: Path) -> None:
    """The file under another name: a link to the same bytes, or a copy where the disk has no links; it is there whole or not at all."""
    with project.writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = target.with_name(f"{project.STAGING_PREFIX}{target.name}")
        staged.unlink(missing_ok=True)
        try:
            os.link(source, staged)
        except OSError:
            shutil.copyfile(source, staged)
        staged.replace(target)
        # Two names of one file are left as they are by a rename.
        staged.unlink(missing_ok=True)


def _free(path: Path) -> Path:
    number = 1
    while path.with_name(f"{path.name}-{number}").exists():
        number += 1
    return path.with_name(f"{path.name}-{number}")
