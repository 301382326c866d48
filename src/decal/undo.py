"""Changes to files of a project that can be taken back, the newest first, to the byte.

Before files are written, what they held is put into `undo/NNNN/` with the hash of what they are about to hold. So taking a change back
never loses what somebody else wrote since: where a file is neither of the two, it is left alone and said.
"""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from decal import project
from decal.errors import ProjectError
from decal.metadata import leaves_folder
from decal.records import Line

FOLDER, ABOUT = "undo", "undo.json"
KEPT = 50


class _File(Line):
    """file: relative to the project. before: name of the copy, None where there was no file. Hashes are of its bytes then and after."""

    file: str
    before: str | None
    before_sha256: str | None
    after_sha256: str


class _Move(Line):
    """A file that was put elsewhere, by its old and its new name, relative to the project."""

    old: str
    new: str


class _Change(Line):
    told: str
    files: tuple[_File, ...]
    moves: tuple[_Move, ...] = ()


def change(folder: Path, files: Mapping[str, bytes], told: str, moves: Mapping[str, str] | None = None) -> None:
    """Write files of a project, given by their names relative to it, so that `undo` can take it back.

    told: what is done, in words. moves: files that are put elsewhere once the others are written; their bytes are not copied.
    """
    moved = tuple(_Move(old=old, new=new) for old, new in (moves or {}).items())
    assert len({one.new for one in moved}) == len(moved), "two files are moved to one place"
    changes = _changes(folder)
    place = folder / FOLDER / f"{int(changes[-1].name) + 1 if changes else 1:04d}"
    before = {file: _read(folder / file) for file in files}
    with project.staged_folder(place) as staged:
        kept = []
        for number, (file, data) in enumerate(files.items()):
            old = before[file]
            if old is not None:
                (staged / str(number)).write_bytes(old)
            kept.append(
                _File(
                    file=file,
                    before=None if old is None else str(number),
                    before_sha256=None if old is None else _sha256(old),
                    after_sha256=_sha256(data),
                )
            )
        (staged / ABOUT).write_text(project.to_json(_Change(told=told, files=tuple(kept), moves=moved)) + "\n", "utf-8")
    for file, data in files.items():
        project.write_bytes(folder / file, data)
    for one in moved:
        _move(folder / one.old, folder / one.new)
    for old_change in changes[: max(0, len(changes) + 1 - KEPT)]:
        shutil.rmtree(old_change, ignore_errors=True)


def undo(folder: Path) -> str:
    """Take the newest change back; what it was, in words.

    Raises ProjectError where there is none, or where a file was changed since by something else; then nothing is written.
    """
    changes = [path for path in _changes(folder) if (path / ABOUT).is_file()]
    if not changes:
        raise ProjectError(f"There is nothing to undo in {folder}.\nEdits of captions are kept in {folder / FOLDER} as they are made.")
    newest = changes[-1]
    try:
        about = _Change.model_validate_json((newest / ABOUT).read_text("utf-8"))
    except (OSError, ValidationError) as problem:
        raise ProjectError(f"{newest / ABOUT} cannot be read.\nMove {newest} away to undo the change before it.") from problem
    restored: dict[Path, bytes | None] = {}
    for one in about.files:
        if leaves_folder(one.file) is not None:
            raise ProjectError(f"{newest / ABOUT} names {one.file}, which is outside of the project.\nMove {newest} away.")
        now, old = _read(folder / one.file), None if one.before is None else _read(newest / Path(one.before).name)
        if (None if old is None else _sha256(old)) != one.before_sha256:
            raise ProjectError(f"{newest} is damaged.\nMove it away to undo the change before it.")
        if now is not None and _sha256(now) not in (one.after_sha256, one.before_sha256):
            raise ProjectError(
                f"{folder / one.file} was changed after the last edit ({about.told}), so it is left alone.\n"
                f"Undo would lose that change. What the file held before is {newest / (one.before or 'nothing')}."
            )
        restored[folder / one.file] = old
    back = _way_back(folder, newest, about)
    for place, home in back:
        _move(place, home)
    for path, data in restored.items():
        if data is None:
            path.unlink(missing_ok=True)
        else:
            project.write_bytes(path, data)
    # First, so that a folder whose removal is stopped half-way is no change any more.
    (newest / ABOUT).unlink()
    shutil.rmtree(newest)
    return about.told


def _changes(folder: Path) -> list[Path]:
    """The folders of all changes, oldest first; those that somebody gave another name are left alone."""
    return sorted(path for path in (folder / FOLDER).glob("[0-9]*") if path.name.isdecimal() and path.is_dir())


def _way_back(folder: Path, newest: Path, about: _Change) -> list[tuple[Path, Path]]:
    """Where each file that was moved is, and where it was. Raises ProjectError where one is gone or a name leads out of the project."""
    back = []
    for move in about.moves:
        place, home = folder / move.new, folder / move.old
        if leaves_folder(move.new) is not None or leaves_folder(move.old) is not None:
            raise ProjectError(f"{newest / ABOUT} names {move.old}, which is outside of the project.\nMove {newest} away.")
        # A file at home was never moved, or is back already.
        if not home.exists():
            if not place.is_file():
                raise ProjectError(f"{place} is not there any more, so {home} cannot be put back.\nPut it there, or move {newest} away.")
            back.append((place, home))
    return back


def _move(old: Path, new: Path) -> None:
    with project.writing(new):
        new.parent.mkdir(parents=True, exist_ok=True)
        old.rename(new)


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
