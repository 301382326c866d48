"""WebDataset tars -> Items: files that follow each other and share a name up to the first dot are one sample.

`0001.png` is the picture, `0001.txt` holds its captions, one a line, `0001.json` the other keys of its row, `0001.mask.png` which places of
it count. Tars are read as streams, never
unpacked, so links and devices mean nothing here; what a header declares is believed only within limits, and the bytes that come out of a
packed tar are counted.
"""

import bz2
import glob
import gzip
import lzma
import re
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from decal.errors import DataError
from decal.metadata import caption_cell, leaves_folder, sidecar_captions
from decal.pictures import MAX_FILE_BYTES, SUFFIXES
from decal.sources import CHUNK_BYTES, MAX_RATIO, MIN_BOMB_BYTES, Item, Opened, Shard, Told, fit_name, licence_in, to_row
from decal.wording import counted

ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
# A sample of three files for each of a million rows.
MAX_MEMBERS = 3_000_000
# Captions and rows are short; more is not text.
MAX_TEXT_BYTES = 2**20
# Beyond the limit of a picture by one, so that `check` says that the file is too large.
MAX_PICTURE_BYTES = MAX_FILE_BYTES + 1
# As `decal export` and readers of WebDataset call a second picture of a sample.
MASK = ".mask.png"
BLOCK_BYTES = 512
MAX_NAMED = 1000


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def matching(pattern: str) -> list[Path]:
    """The tars that a pattern names: a path, with * or ?, or with {00..12} or {a,b} as shells write them; sorted within each part."""
    found: list[Path] = []
    for one in _braces(pattern):
        paths = [Path(one)] if Path(one).is_file() else [Path(name) for name in sorted(glob.glob(one))]
        found += [path for path in paths if path.is_file() and path.name.lower().endswith(ENDINGS)]
    return list(dict.fromkeys(found))


def read(shards: Sequence[Shard], where: str, *, folder: Path | None = None) -> Opened:
    """The samples of some tars. Raises DataError for one that is damaged or holds too much; so do the rows, as they are read."""
    told = Told()
    items = (item for shard in shards for item in _samples(shard, told))
    return Opened("webdataset", where, _numbered(items), told, licence=None if folder is None else licence_in(folder))


@dataclass
class _Sample:
    key: str
    picture: bytes | None = None
    suffix: str = ""
    mask: bytes | None = None
    captions: tuple[str, ...] = ()
    row: dict[str, object] = field(default_factory=dict)

    def item(self) -> Item:
        """The sample as a row: what its text file says is its caption; another one in its JSON is kept beside it."""
        row = {key: value for key, value in self.row.items() if key != "file_name"}
        if self.captions and row.get("text") not in (None, *self.captions):
            row["source_text"] = row.pop("text")
        return Item(self.key + self.suffix, self.picture, row=row | caption_cell(self.captions), mask=self.mask)


def _numbered(items: Iterator[Item]) -> Iterator[Item]:
    for number, item in enumerate(items, start=1):
        picture = item.picture if isinstance(item.picture, bytes) else None
        name = fit_name(item.file, picture, number)
        yield replace(item, file=name)


def _samples(shard: Shard, told: Told) -> Iterator[Item]:
    sample: _Sample | None = None
    for name, data in _members(shard, told):
        path = PurePosixPath(name)
        stem, _, ending = path.name.partition(".")
        key = (path.parent / stem).as_posix()
        suffix = "." + ending.lower()
        if sample is None or sample.key != key:
            if sample is not None:
                yield sample.item()
            sample = _Sample(key)
        if suffix == ".txt":
            sample.captions = sidecar_captions(data)
        elif suffix == ".json":
            sample.row = to_row(data) or {"json": data.decode("utf-8", "replace")}
        elif suffix == MASK:
            sample.mask = data
        elif sample.picture is None:
            sample.picture, sample.suffix = data, suffix
        else:
            told.ignored += 1
    if sample is not None:
        yield sample.item()


def _members(shard: Shard, told: Told) -> Iterator[tuple[str, bytes]]:
    """The names and contents of the ordinary files that are of use."""
    remedy = "Get it again, or unpack it yourself and name the folder after --from."
    try:
        with shard.open() as packed, tarfile.TarFile(fileobj=(stream := _Stream(packed, shard))) as archive:  # type: ignore[arg-type]
            for number, member in enumerate(iter(archive.next, None)):
                archive.members = []  # type: ignore[attr-defined]  # It would keep a header of every file.
                if number >= MAX_MEMBERS:
                    raise DataError(f"{shard.name} has more than {MAX_MEMBERS:,} members.\nDivide it, or name a folder of pictures.")
                limit = _limit_bytes(member, told)
                if limit is not None:
                    yield member.name, _content(archive, member, min(member.size, limit))
            # A header that makes no sense ends the reading without a word.
            if stream.block.strip(b"\0"):
                raise tarfile.ReadError(f"no header at byte {stream.tell() - len(stream.block):,}")
    # Header fields that are no numbers, codes that are no text, streams that break off: each means the same here.
    except (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, ValueError, OverflowError, struct.error) as problem:
        raise DataError(f"{shard.name} is damaged ({_first_line(problem)}).\n{remedy}") from problem
    except OSError as problem:
        # What the packing finds wrong has no number; what a disk or a network does wrong has one, or a kind of its own.
        if problem.errno is not None or type(problem) not in (OSError, gzip.BadGzipFile):
            raise
        raise DataError(f"{shard.name} is damaged ({_first_line(problem)}).\n{remedy}") from problem


def _limit_bytes(member: tarfile.TarInfo, told: Told) -> int | None:
    """How much to read of a member; None where it is of no use, or leads out."""
    path = PurePosixPath(member.name)
    suffix = "." + path.name.partition(".")[2].lower()
    if leaves_folder(member.name) is not None or member.issym() or member.islnk():
        told.outside += [member.name] if len(told.outside) < MAX_NAMED else []
        return None
    if member.isdir() or path.name.startswith("."):
        return None
    if member.isreg() and not member.issparse() and suffix in (*SUFFIXES, MASK, ".txt", ".json"):
        return MAX_PICTURE_BYTES if suffix in (*SUFFIXES, MASK) else MAX_TEXT_BYTES
    told.ignored += 1
    return None


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, size: int) -> bytes:
    content = archive.extractfile(member)
    assert content is not None, "an ordinary file has a content"
    data = content.read(size)
    if len(data) < size:
        raise tarfile.ReadError(f"{member.name[:80]!r} ends early")
    return data


class _Stream:
    """A tar, unpacked while it is read, as a file that goes only forwards and counts."""

    def __init__(self, packed: BinaryIO, shard: Shard):
        self._shard = shard
        self._position = 0
        self.block = b""
        self._limit = max(MIN_BOMB_BYTES, MAX_RATIO * shard.size)
        head = packed.read(6)
        packed.seek(0)
        openers: dict[bytes, Callable[[BinaryIO], _Readable]] = {
            b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
            b"BZh": bz2.BZ2File,
            b"\xfd7zXZ\0": lzma.LZMAFile,
        }
        self._file = next((opened(packed) for magic, opened in openers.items() if head.startswith(magic)), packed)

    def read(self, size: int) -> bytes:
        # A name or an extended header is read at once, however long it says it is.
        if size > MAX_PICTURE_BYTES + BLOCK_BYTES:
            raise tarfile.ReadError(f"a header declares {size:,} bytes")
        is_block, parts = size == BLOCK_BYTES, []
        while size > 0 and (part := self._file.read(min(size, CHUNK_BYTES))):
            parts.append(part)
            size -= len(part)
            self._position += len(part)
            if self._position > self._limit:
                raise DataError(
                    f"{self._shard.name} unpacks to more than {MAX_RATIO} times its {self._shard.size:,} bytes.\n"
                    "Unpack it yourself where that is meant, and name the folder after --from."
                )
        data = b"".join(parts)
        self.block = data if is_block else self.block
        return data

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> int:
        """Skip forwards; there is no way back."""
        if position < self._position:
            raise tarfile.ReadError("its headers lead backwards")
        while self._position < position and self.read(min(CHUNK_BYTES, position - self._position)):
            pass
        return self._position


def _braces(pattern: str) -> Iterator[str]:
    match = re.search(r"\{(?:(\d+)\.\.(\d+)|([^{}]*,[^{}]*))\}", pattern)
    if match is None:
        yield pattern
        return
    if match.group(3) is not None:
        choices: Sequence[str] = match.group(3).split(",")
    else:
        first, last = match.group(1), match.group(2)
        if int(last) - int(first) > 1_000_000:
            raise DataError(f"{pattern} names {counted(int(last) - int(first) + 1, 'file')}.\nName fewer at once.")
        choices = [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
    for choice in choices:
        yield from _braces(pattern[: match.start()] + choice + pattern[match.end() :])


def _first_line(problem: BaseException) -> str:
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0][:200]
