"""The folder: where things lie, and how they are written so that nothing half-done is ever taken for whole.

A file is written under a temporary name, flushed to disk and renamed; a record is appended only after its artefact is in place. Readers
drop a torn last line. Every stream of records has its own lock, so looking or drawing does not wait for training.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from decal.errors import ProjectError
from decal.records import Step

Any_Line = TypeVar("Any_Line", bound=BaseModel)

SETTINGS_FILE = "decal.toml"
STAGING_PREFIX = ".staging-"
# A checkpoint has a handful of files; a data set may have any number.
MANY_FILES = 64


@dataclass(frozen=True)
class Run:
    """One training and what was drawn with it: `runs/<name>/`."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def about(self) -> Path:
        return self.folder / "run.json"

    @property
    def is_control(self) -> bool:
        """Whether it was trained on buckets by lot, to hold another run against it; no run that was not begun is one."""
        return _tells_of_control(self.about)

    @property
    def dataset(self) -> Path:
        return self.folder / "dataset.jsonl"

    @property
    def prior(self) -> Path:
        """Pictures of the kind in general that were learnt beside the data set, if any: `Record` lines."""
        return self.folder / "prior.jsonl"

    @property
    def steps(self) -> Path:
        return self.folder / "steps.jsonl"

    @property
    def rungs(self) -> Path:
        """What the training did for want of memory, if anything: `Rung` records."""
        return self.folder / "rungs.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints.jsonl"

    @property
    def generations(self) -> Path:
        return self.folder / "generations.jsonl"

    @property
    def validation(self) -> Path:
        return self.folder / "validation.jsonl"

    @property
    def suite(self) -> Path:
        """What checkpoints are compared on: a `Suite`."""
        return self.folder / "suite.json"

    @property
    def scores(self) -> Path:
        """What every measure says of every picture: `Score` records."""
        return self.folder / "scores.jsonl"

    @property
    def probe(self) -> Path:
        """Whether the few steps of a few-step base were kept: a `Probe`."""
        return self.folder / "probe.json"

    @property
    def verdict(self) -> Path:
        """Which checkpoint to keep: a `Verdict`."""
        return self.folder / "verdict.json"

    @property
    def report(self) -> Path:
        """The page that says which checkpoint to keep."""
        return self.folder / "report.html"

    @property
    def votes(self) -> Path:
        """What people said of pairs of pictures: `Vote` records."""
        return self.folder / "votes.jsonl"

    @property
    def start(self) -> Path:
        """What the run begins with where that is no new LoRA: the record; the factors lie beside it."""
        return self.folder / "start.json"

    @property
    def start_factors(self) -> Path:
        return self.folder / "start.safetensors"

    @property
    def stop_state(self) -> Path:
        """The file to go on from after a stop between checkpoints."""
        return self.folder / "stopped" / "state.safetensors"

    @property
    def sheets(self) -> Path:
        return self.folder / "sheets"

    def checkpoint(self, step: int) -> Path:
        """The folder of the checkpoint at that step."""
        return self.folder / "checkpoints" / f"step-{step:06d}"


@dataclass(frozen=True)
class Project:
    """A folder that a person can read: pictures, settings, and what was made of them."""

    folder: Path

    @property
    def settings(self) -> Path:
        return self.folder / SETTINGS_FILE

    @property
    def dataset(self) -> Path:
        return self.folder / "dataset"

    @property
    def sources(self) -> Path:
        return self.folder / "sources.jsonl"

    @property
    def findings(self) -> Path:
        return self.folder / "findings.jsonl"

    @property
    def prompts(self) -> Path:
        return self.folder / "prompts.txt"

    @property
    def compare_prompts(self) -> Path:
        return self.folder / "compare_prompts.txt"

    @property
    def descriptions(self) -> Path:
        return self.folder / "descriptions.jsonl"

    @property
    def candidates(self) -> Path:
        """The records of the candidates; their pictures lie in the folder of the same name."""
        return self.folder / "candidates.jsonl"

    @property
    def picks(self) -> Path:
        return self.folder / "picks.jsonl"

    @property
    def posts(self) -> Path:
        """What was made of a table of posts, in shards; not there in other projects."""
        return self.folder / "posts"

    @property
    def built(self) -> Path:
        """What the data set was made of where `decal posts build` made it."""
        return self.posts / "built.json"

    @property
    def is_control(self) -> bool:
        """Whether the data set has buckets by lot, so that what is trained on it is a control."""
        return _tells_of_control(self.built)

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    def run(self, name: str) -> Run:
        """The run of that name. Raises ProjectError where the name would leave the folder."""
        if not re.fullmatch(r"[\w][\w .-]*", name):
            raise ProjectError(f"{name!r} cannot be the name of a run.\nUse letters, digits, dots, dashes and underscores.")
        return Run(self.folder / "runs" / name)

    def runs(self) -> list[Run]:
        """The runs that were begun, oldest first."""
        folders = [path.parent for path in self.folder.glob("runs/*/run.json")]
        return [
            Run(folder)
            for folder in sorted(folders, key=lambda folder: (str(read_json(folder / "run.json").get("begun", "")), folder.name))
        ]

    def waiting(self) -> list[Run]:
        """The runs that have a LoRA to begin with and were not begun."""
        return [Run(path.parent) for path in sorted(self.folder.glob("runs/*/start.json")) if not path.with_name("run.json").exists()]


def open_project(folder: Path) -> Project:
    """The project in a folder. Raises ProjectError where there is none."""
    project = Project(folder)
    if not project.settings.is_file():
        what = "is not a folder" if not folder.is_dir() else f"has no {SETTINGS_FILE}"
        raise ProjectError(f"{folder} {what}, so it is not a project.\nMake one with  decal new {folder} --from PICTURES --keyword WORD")
    return project


def append(path: Path, line: BaseModel) -> None:
    """Append one record and flush it to disk; a torn last line left by a crash is cut off first."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            _cut_torn_tail(file.fileno())
            file.write(to_json(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def append_all(path: Path, lines: list[Any_Line]) -> None:
    """Append several records with one flush."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            _cut_torn_tail(file.fileno())
            file.write(b"".join(to_json(line).encode() + b"\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())


def read(path: Path, kind: type[Any_Line]) -> list[Any_Line]:
    """The records of a file, without a torn last line; none where there is no file.

    Raises ProjectError that names the line which cannot be read.
    """
    if not path.exists():
        return []
    whole, _, _torn = path.read_bytes().rpartition(b"\n")
    lines = []
    for number, text in enumerate(whole.split(b"\n") if whole else [], start=1):
        try:
            lines.append(kind.model_validate_json(text))
        except ValidationError as problem:
            raise ProjectError(
                f"{path}, line {number} is not a {kind.__name__} record ({problem.errors()[0]['msg']}).\n"
                "It was edited or written by another version of decal; mend the line, or move the file away to make it anew."
            ) from problem
    return lines


def read_steps(path: Path) -> list[Step]:
    """The steps of a training that count: where an attempt resumed, the older attempts' lines beyond that point are dropped."""
    steps: list[Step] = []
    for line in read(path, Step):
        if steps and line.attempt > steps[-1].attempt:
            while steps and steps[-1].step >= line.step:
                steps.pop()
        steps.append(line)
    return steps


def write_text(path: Path, text: str) -> None:
    """Write a text file so that it is the old one or the new one, never a part."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that it is the old one or the new one, never a part."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f"{STAGING_PREFIX}{path.name}-{secrets.token_hex(4)}")
        try:
            with staged.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            staged.replace(path)
        finally:
            staged.unlink(missing_ok=True)
        sync_folder(path.parent)


def write_lines(path: Path, lines: list[Any_Line]) -> None:
    """Write a whole `.jsonl` file at once, replacing what was there."""
    write_bytes(path, b"".join(to_json(line).encode() + b"\n" for line in lines))


@contextlib.contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `target` in one rename when the block ends well; an orphan of a crash in its place is replaced."""
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        for orphan in target.parent.glob(f"{STAGING_PREFIX}*"):
            shutil.rmtree(orphan, ignore_errors=True)
        staged = target.with_name(f"{STAGING_PREFIX}{target.name}-{secrets.token_hex(4)}")
        staged.mkdir()
        try:
            yield staged
            sync_all([*staged.rglob("*"), staged])
            if target.exists():
                shutil.rmtree(target)
            staged.rename(target)
            sync_folder(target.parent)
        finally:
            shutil.rmtree(staged, ignore_errors=True)


@contextlib.contextmanager
def lock(path: Path, doing: str) -> Iterator[None]:
    """Hold the only right to write a stream, for instance `steps.jsonl`.

    Raises ProjectError at once where another process holds it. The lock goes with the process, however it ends; so does the folder of the
    stream, where it was made for this and nothing was written there.
    """
    is_new = not path.parent.exists()
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(path.with_name(f".{path.name}.lock"))
        try:
            held.acquire(timeout=0)
        except Timeout as problem:
            raise ProjectError(
                f"{path} is being written by another process, which is {doing} here.\nWait for it, or stop it, and call again."
            ) from problem
    try:
        yield
    finally:
        if is_new and [one.name for one in path.parent.iterdir()] == [Path(held.lock_file).name]:
            with contextlib.suppress(OSError):  # Some systems keep a file that is open.
                Path(held.lock_file).unlink()
                path.parent.rmdir()
        held.release()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a full or read-only disk into one sentence that names the file."""
    try:
        yield
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            remedy = "The disk is full. Free some space and call again; what was whole before is still whole."
        elif problem.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            remedy = "It may not be written. Make the folder writable, or copy the project to one that is."
        else:
            raise
        raise ProjectError(f"{path}: {problem.strerror}.\n{remedy}") from problem


def sha256(path: Path) -> str:
    """Hash of a file's bytes, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def changed(folder: Path) -> tuple[tuple[str, int], ...]:
    """The files of a folder and when each was last changed, ns: what is kept in memory of a folder holds while this is the same."""
    return tuple(sorted((path.name, path.stat().st_mtime_ns) for path in folder.glob("*")))


def fingerprint(*parts: object) -> str:
    """Hash of values that JSON can write, hex: equal parts give equal fingerprints on every machine."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def to_json(line: BaseModel) -> str:
    """One line of JSON with sorted keys."""
    return json.dumps(line.model_dump(mode="json"), sort_keys=True, ensure_ascii=False, allow_nan=False)


def _tells_of_control(path: Path) -> bool:
    return path.is_file() and read_json(path).get("is_control") is True


def read_json(path: Path) -> dict[str, object]:
    """A JSON object from a file. Raises ProjectError where it is damaged."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as problem:
        raise ProjectError(f"{path} cannot be read ({problem}).\nMove its folder away to begin anew.") from problem
    assert isinstance(value, dict), f"{path} holds one JSON object"
    return value


def read_record(path: Path, kind: type[Any_Line]) -> Any_Line | None:
    """The one record of a JSON file; None where there is no file. Raises ProjectError where it cannot be read."""
    if not path.exists():
        return None
    try:
        return kind.model_validate(read_json(path), strict=False)
    except ValidationError as problem:
        raise ProjectError(
            f"{path} is not a {kind.__name__} record ({problem.errors()[0]['msg']}).\n"
            "It was edited or written by another version of decal; move it away, and it is made anew."
        ) from problem


def write_record(path: Path, record: BaseModel) -> None:
    """Write one record as a JSON file that a person can read, unless the same bytes are there already."""
    data = (json.dumps(record.model_dump(mode="json"), sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode()
    if not path.exists() or path.read_bytes() != data:
        write_bytes(path, data)


def to_json_object(table: Mapping[str, object]) -> str:
    """A JSON object on one line with sorted keys."""
    return json.dumps(table, sort_keys=True, ensure_ascii=False, allow_nan=False)


def sync(path: Path) -> None:
    """Flush a file or a folder to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_all(paths: list[Path]) -> None:
    """Flush files and folders to disk: each, or, where they are many and the system waits for it, all that is unwritten at once."""
    # A file takes 0.4 to 2 ms, which is ten minutes for 300,000.
    if len(paths) > MANY_FILES and sys.platform == "linux":
        os.sync()
        return
    for path in paths:
        sync(path)


def sync_folder(path: Path) -> None:
    """Flush a folder's names to disk, where the system can."""
    if os.name == "posix":
        sync(path)


def _cut_torn_tail(handle: int) -> None:
    size = os.fstat(handle).st_size
    position = size
    while position > 0:
        start = max(0, position - 4096)
        chunk = os.pread(handle, position - start, start)
        newline = chunk.rfind(b"\n")
        if newline >= 0:
            position = start + newline + 1
            break
        position = start
    if position < size:
        os.ftruncate(handle, position)
