"""A folder, a picture or a zip -> `dataset/` with `metadata.jsonl`, for `decal new --from`.

Everything is copied, never moved; pictures keep their names and sub-folders. Captions come from `metadata.jsonl`, `metadata.csv` or `.txt`
files, at the top or beside nested pictures, and every row arrives, faulty ones too: content is no reason to refuse, `check` reports it.
What is refused is an archive that would fill the disk. The folder is filled under another name and renamed when it is whole.
"""

import csv
import errno
import io
import json
import lzma
import os
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from decal.errors import DataError
from decal.metadata import (
    METADATA,
    TEXT_KEYS,
    Row,
    caption_cell,
    is_utf8,
    leaves_folder,
    read_row,
    seem_named,
    sidecar_captions,
    text_lines,
)
from decal.pictures import SUFFIXES
from decal.project import staged_folder, writing
from decal.records import Finding
from decal.wording import counted, printable

CSV = "metadata.csv"
# A hundred times the largest sets people train a LoRA on.
MAX_ZIP_MEMBERS = 100_000
MAX_ZIP_BYTES = 8 * 2**30
# Packed text reaches 20:1 and a flat bitmap about 200:1; a bomb begins at 1000:1. Small members cannot do harm.
MAX_ZIP_RATIO = 300
MIN_BOMB_BYTES = 2**20
CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Brought:
    """What came into a project.

    rows: lines of metadata, faulty ones too. captions: rows with a caption. faulty: lines that cannot be used.
    ignored: files that are neither pictures nor captions.
    left_outside: links that leave the source, and names in an archive that lead out of it; none of them was followed.
    """

    pictures: int
    rows: int
    captions: int
    faulty: int
    ignored: int
    left_outside: tuple[str, ...]

    def told(self) -> str:
        """All of it in one line."""
        parts = [counted(self.pictures, "picture"), f"{self.captions} of {counted(self.rows, 'line')} with a caption"]
        parts += [f"{counted(self.faulty, 'line')} of {METADATA} cannot be used (decal check names them)"] if self.faulty else []
        parts += [f"{counted(self.ignored, 'other file')} ignored"] if self.ignored else []
        if self.left_outside:
            some = ", ".join(printable(name) for name in self.left_outside[:3])
            parts.append(f"{counted(len(self.left_outside), 'link')} out of the source not followed ({some})")
        return ", ".join(parts)


def bring_in(source: Path, dataset: Path) -> Brought:
    """Copy pictures and captions into `dataset`, which becomes a whole imagefolder in one step.

    source: a folder, one picture, or a zip. Raises DataError where it is missing, holds no picture, or is an archive that is damaged,
    encrypted or unpacks to too much; then nothing is left behind.
    """
    with _opened(source) as (folder, only, outside):
        found = _Found(folder, only)
        if not found.pictures:
            what = f"{source} holds no picture" if folder != source.parent else f"{source} is no picture"
            raise DataError(f"{what} ({', '.join(SUFFIXES)}).\nName a folder of pictures, a picture or a zip after --from.")
        rows = _rows(folder, found)
        with staged_folder(dataset) as staged:
            for file in found.pictures:
                target = staged / file
                target.parent.mkdir(parents=True, exist_ok=True)
                _copy(folder / file, target)
            (staged / METADATA).write_bytes(rows)
    reads = [read_row(line, number) for number, line in enumerate(text_lines(rows), start=1) if line.strip()]
    return Brought(
        pictures=len(found.pictures),
        rows=len(reads),
        captions=sum(isinstance(read, Row) and bool((read.caption or "").strip()) for read in reads),
        faulty=sum(isinstance(read, Finding) for read in reads),
        ignored=found.ignored,
        left_outside=(*outside, *found.outside),
    )


def _copy(picture: Path, target: Path) -> None:
    try:
        shutil.copyfile(picture, target)
    except PermissionError as problem:
        if problem.filename != str(picture):
            raise
        raise DataError(f"{picture} cannot be read ({problem.strerror}).\nMake it readable, or take it out of the source.") from problem


class _Found:
    """The files of a source by what they are; names relative to it, sorted."""

    def __init__(self, folder: Path, only: str | None):
        self.pictures: list[str] = []
        self.metadata: list[str] = []
        self.outside: list[str] = []
        self.ignored = 0
        root = folder.resolve()
        for parent, folders, names in os.walk(folder) if only is None else [(str(folder), [], [only])]:
            hidden = {name for name in folders if name.startswith(".") or name == "__MACOSX"}
            links = {name for name in folders if Path(parent, name).is_symlink()}
            self.outside += [Path(parent, name).relative_to(folder).as_posix() for name in sorted(links - hidden)]
            folders[:] = sorted(set(folders) - hidden - links)
            for name in sorted(names):
                if not name.startswith(".") and is_utf8(name):
                    self._add(Path(parent, name), folder, root)

    def _add(self, path: Path, folder: Path, root: Path) -> None:
        file = path.relative_to(folder).as_posix()
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            self.outside.append(file)
        elif not path.is_file():
            self.ignored += 1
        elif path.suffix.lower() in SUFFIXES:
            self.pictures.append(file)
        elif path.name == METADATA or (path.name == CSV and not path.with_name(METADATA).is_file()):
            self.metadata.append(file)
        elif path.suffix.lower() != ".txt" or _picture_of(path) is None:
            self.ignored += 1


def _rows(folder: Path, found: _Found) -> bytes:
    """The whole `metadata.jsonl`: the source's own first, verbatim, then what other files say, then pictures that none of them names."""
    own = _utf8((folder / METADATA).read_bytes()) if METADATA in found.metadata else b""
    if own and not own.endswith(b"\n"):
        own += b"\n"
    rows = [line for file in found.metadata if file != METADATA for line in _prefixed(folder / file, PurePosixPath(file).parent)]
    lines = [*text_lines(own), *rows]
    named = {name for line in lines if (name := _file_name(line)) is not None}
    # A picture whose own line cannot be used must not get a second one.
    faulty = [(0, line) for line in lines if line.strip() and isinstance(read_row(line, 0), Finding)]
    named |= seem_named(faulty, found.pictures).keys()
    for file in found.pictures:
        if file not in named:
            rows.append(_line({"file_name": file} | caption_cell(sidecar(folder / file))))
    return own + b"".join(row + b"\n" for row in rows)


def _prefixed(path: Path, parent: PurePosixPath) -> Iterator[bytes]:
    """The rows of a metadata file as JSON lines with names from the top; lines that cannot be read come as they are."""
    data = _utf8(path.read_bytes())
    for line in text_lines(data) if path.name == METADATA else _csv_lines(data):
        row = _object(line)
        name = None if row is None else row.get("file_name")
        if row is None or not isinstance(name, str) or leaves_folder(name) is not None:
            yield from [line] if line.strip() else []
        elif parent == PurePosixPath("."):
            yield line
        else:
            yield _line(row | {"file_name": (parent / name).as_posix()})


def _csv_lines(data: bytes) -> Iterator[bytes]:
    """The rows of a table as JSON lines with all their columns; the delimiter is the commonest of , ; and tab in the first line."""
    text = data.decode("utf-8-sig", "replace").replace("\0", "\ufffd")
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        columns = [name.strip() for name in next(table, [])]
        for cells in table:
            if cells:
                cells_named = dict(zip(columns, cells, strict=False))
                yield _line({name: cell for name, cell in cells_named.items() if cell or name not in TEXT_KEYS})
    except csv.Error as problem:
        yield f"{CSV}, line {table.line_num}: {problem}".encode()


@contextmanager
def _opened(source: Path) -> Iterator[tuple[Path, str | None, list[str]]]:
    """The folder to copy from, the one file of it where only that is meant, and names that were not followed."""
    if source.is_dir():
        yield source, None, []
    elif not source.exists():
        raise DataError(f"{source} is not there.\nName a folder of pictures, a picture or a zip after --from.")
    elif source.suffix.lower() != ".zip" and (source.suffix.lower() in SUFFIXES or not zipfile.is_zipfile(source)):
        yield source.parent, source.name, []
    else:
        with tempfile.TemporaryDirectory(prefix="decal-") as name:
            with writing(Path(name)):
                outside = _unpack(source, Path(name))
            yield Path(name), None, outside


def _unpack(source: Path, folder: Path) -> list[str]:
    """Unpack what may be of use; the names that lead out of the archive, which are left there. Raises DataError."""
    outside: list[str] = []
    left = MAX_ZIP_BYTES
    try:
        with zipfile.ZipFile(source) as archive:
            members = archive.infolist()
            if len(members) > MAX_ZIP_MEMBERS:
                raise DataError(
                    f"{source} has {counted(len(members), 'member')}, the limit is {MAX_ZIP_MEMBERS:,}.\nUnpack it, and name the folder."
                )
            for member in members:
                name = member.filename
                if leaves_folder(name) is not None or stat.S_ISLNK(member.external_attr >> 16):
                    outside.append(name)
                elif _is_of_use(name):
                    left -= _unpack_one(archive, member, folder, left)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, ValueError, OverflowError, OSError) as problem:
        # An offset or a stream that makes no sense; any other OSError is about the disk.
        if isinstance(problem, OSError) and problem.errno not in (None, errno.EINVAL):
            raise
        raise DataError(f"{source} is damaged ({problem}).\nGet it again, or name a folder of pictures.") from problem
    except (RuntimeError, NotImplementedError) as problem:  # encrypted, or packed in a way that Python does not know
        raise DataError(f"{source} cannot be unpacked ({problem}).\nUnpack it yourself, and name the folder after --from.") from problem
    return outside


def _is_of_use(name: str) -> bool:
    parts = PurePosixPath(name).parts
    is_hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return bool(parts) and not is_hidden and not name.endswith("/") and is_utf8(name) and all(ord(letter) >= 32 for letter in name)


def _unpack_one(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, left_bytes: int) -> int:
    """Unpack one member while counting its bytes, because the size that an archive declares may be a lie. Returns the count."""
    allowed = min(left_bytes, max(MIN_BOMB_BYTES, MAX_ZIP_RATIO * member.compress_size))
    target = folder / PurePosixPath(member.filename)
    written = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(member) as packed, target.open("xb") as file:
            while chunk := packed.read(CHUNK_BYTES):
                written += len(chunk)
                if written > allowed or member.file_size > allowed:
                    limit = f"{MAX_ZIP_BYTES / 2**30:.0f} GiB in all" if allowed == left_bytes else f"{MAX_ZIP_RATIO} times its packed size"
                    size = f"{max(written, member.file_size):,} bytes or more from {member.compress_size:,}"
                    raise DataError(
                        f"{archive.filename}: {member.filename!r} unpacks to {size}, the limit is {limit}.\n"
                        "Take it out of the archive, or unpack it yourself and name the folder after --from."
                    )
                file.write(chunk)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as problem:
        raise DataError(
            f"{archive.filename}: {member.filename!r} is there twice, or its name differs from another only in upper and lower case.\n"
            "Rename one of them, and pack it again."
        ) from problem
    return written


def _picture_of(sidecar: Path) -> Path | None:
    """The picture beside a `.txt` file that it describes."""
    for suffix in SUFFIXES:
        for picture in (sidecar.with_suffix(suffix), sidecar.with_suffix(suffix.upper())):
            if picture.is_file():
                return picture
    return None


def sidecar(picture: Path) -> tuple[str, ...]:
    """The captions in the `.txt` file beside a picture, one a line; none where it cannot be read. Links are not followed."""
    beside = picture.with_suffix(".txt")
    if beside.is_symlink():
        return ()
    try:
        return sidecar_captions(beside.read_bytes())
    except OSError:
        return ()


def _utf8(data: bytes) -> bytes:
    """Text that Windows saved as UTF-16, as UTF-8; anything else as it is."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace").encode("utf-8", "replace")
    return data


def _object(line: bytes) -> dict[str, object] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _file_name(line: bytes) -> str | None:
    name = (_object(line) or {}).get("file_name")
    return PurePosixPath(name).as_posix() if isinstance(name, str) else None


def _line(row: dict[str, object]) -> bytes:
    # Half surrogates cannot be written as UTF-8, but as the escapes that they came from.
    text = json.dumps(row, ensure_ascii=False)
    return (text if is_utf8(text) else json.dumps(row)).encode()
