"""Where pictures come from: one file a kind of source, and here what they share.

A reader yields `Item`s, one a row, in the order of the source; `intake` writes them into a project as they come, so that no source need fit
into memory. What a reader cannot say with a row it adds to its `Told`. Faulty rows are passed on like all others. A reader raises DataError
where the source as a whole cannot be read or would fill the disk, and never follows a path that a stranger wrote.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from decal.errors import DataError
from decal.metadata import is_utf8, leaves_folder
from decal.pictures import SUFFIXES

# Three times the largest set that Decal is measured on; a table of tweets has 300,000 rows.
MAX_ROWS = 1_000_000
# Packed text reaches 20:1 and a flat bitmap about 200:1; a bomb begins at 1000:1. Small members cannot do harm.
MAX_RATIO = 300
MIN_BOMB_BYTES = 2**20
CHUNK_BYTES = 2**20
# Longer parts do not fit into a folder of most systems.
MAX_PART_BYTES = 200
# Rows of one group of 100 pictures are a few MiB; smaller blocks would mean more waiting, larger ones bytes that nobody asked for.
BLOCK_BYTES = 2**20
BLOCKS_KEPT = 48

MAGIC = {
    b"\x89PNG\r\n\x1a\n": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"GIF8": ".gif",
    b"BM": ".bmp",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
}


@dataclass(frozen=True)
class Item:
    """One row of a source.

    file: the name it should have below `dataset/`, with `/`; "" where the source has none. picture: its bytes or the file to copy; None
    where the row has none. row: its metadata without `file_name`; None for a picture that gets no line. line: a line to be kept to the
    byte, in place of row. is_exact: the name is that of a file below the source, so equal names are one picture; otherwise it is made
    unlike all others. mask: which places of the picture count, where the source has that elsewhere than beside the picture.
    """

    file: str
    picture: bytes | Path | None = None
    row: Mapping[str, object] | None = None
    line: bytes | None = None
    is_exact: bool = False
    mask: bytes | Path | None = None


@dataclass
class Told:
    """What a reader has to say besides its rows.

    ignored: files that are neither pictures nor captions. outside: links and names that lead out of the source and were not followed.
    unopened: rows with a local path in place of a picture. notes: sentences for the user.
    """

    ignored: int = 0
    outside: list[str] = field(default_factory=list)
    unopened: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Opened:
    """A source that is ready to be read: its kind and origin as `records.Source` has them, and its rows.

    columns: the keys that its rows will have, where that is known before they are read; None where it is not.
    """

    kind: str
    where: str
    items: Iterator[Item]
    told: Told
    revision: str | None = None
    licence: str | None = None
    columns: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Shard:
    """One file of a source. name: for messages. size: in bytes. path: here, or `hf://...` on the hub."""

    name: str
    size: int
    path: str

    @property
    def is_far(self) -> bool:
        return self.path.startswith("hf://")

    def open(self) -> BinaryIO:
        """The file from its beginning; from the hub, block by block as it is read."""
        if not self.is_far:
            return Path(self.path).open("rb")
        from huggingface_hub import HfFileSystem

        options = {"block_size": BLOCK_BYTES, "cache_type": "blockcache", "cache_options": {"maxblocks": BLOCKS_KEPT}}
        return cast(BinaryIO, HfFileSystem().open(self.path, "rb", **options))


def shards_of(paths: Iterable[Path]) -> list[Shard]:
    """Files here as shards."""
    return [Shard(str(path), path.stat().st_size, str(path)) for path in paths]


def fit_name(name: str, picture: bytes | None, number: int) -> str:
    """A name for a picture of a stream: its own where that can lie below a folder, else its number; with the ending of what it is.

    number: of the row, from 1.
    """
    parts = PurePosixPath(name).parts
    is_fit = (
        bool(parts)
        and is_utf8(name)
        and leaves_folder(name) is None
        and all(ord(letter) >= 32 and ord(letter) != 127 for letter in name)
        # Names like these are passed over when the project is read.
        and not any(part.startswith((".", "__")) or len(part.encode()) > MAX_PART_BYTES for part in parts)
    )
    fit = PurePosixPath(*parts) if is_fit else PurePosixPath(f"{number:06d}")
    if fit.suffix.lower() in SUFFIXES:
        return fit.as_posix()
    return f"{fit.as_posix()}{suffix_of(picture)}"


def suffix_of(picture: bytes | None) -> str:
    """The ending that fits the bytes of a picture; `.png` where they are no picture that Decal reads."""
    if picture is None:
        return ".png"
    if picture[:4] == b"RIFF" and picture[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for magic, suffix in MAGIC.items() if picture.startswith(magic)), ".png")


def to_line(row: Mapping[str, object]) -> bytes:
    """A row as a line of `metadata.jsonl`; numbers that JSON lacks become null."""
    finite = {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()}
    # Half surrogates cannot be written as UTF-8, but as the escapes that they came from.
    text = json.dumps(finite, ensure_ascii=False)
    return (text if is_utf8(text) else json.dumps(finite)).encode()


def to_row(line: bytes) -> dict[str, object] | None:
    """The JSON object in a line; None where there is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def in_utf8(data: bytes) -> bytes:
    """Text that Windows saved as UTF-16, as UTF-8; anything else as it is."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace").encode("utf-8", "replace")
    return data


def licence_in(folder: Path) -> str | None:
    """The licence that a folder states: that of its data card in `README.md`, or else the first line of its `LICENSE` file."""
    card, found = folder / "README.md", None
    if card.is_file() and not card.is_symlink():
        found = licence_of_card(_head(card))
    for name in ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "LICENCE.txt", "COPYING"):
        if found is None and (folder / name).is_file() and not (folder / name).is_symlink():
            lines = [" ".join(line.split()) for line in _head(folder / name).splitlines() if line.strip()]
            found = f"{name}: {lines[0][:120]}" if lines else None
    return found


def licence_of_card(text: str) -> str | None:
    """The `license:` of a data card's front matter, as the hub reads it; several are joined by commas."""
    matter = re.match(r"\A﻿?---\s*\n(.*?)\n---\s*(\n|\Z)", text, re.DOTALL)
    entry = matter and re.search(r"^license:[ \t]*(.*(?:\n[ \t]*-[ \t]+.*)*)", matter.group(1), re.MULTILINE)
    if not entry:
        return None
    names = re.findall(r"[\w][\w.+-]*", re.sub(r"#.*", "", entry.group(1)))
    return ", ".join(names) or None


def limited(items: Iterable[Item], where: str) -> Iterator[Item]:
    """The same items; raises DataError beyond `MAX_ROWS`."""
    for number, item in enumerate(items):
        if number >= MAX_ROWS:
            raise DataError(f"{where} has more than {MAX_ROWS:,} rows.\nTake a part of it with --limit {MAX_ROWS}, or divide it.")
        yield item


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(65536).decode("utf-8", "replace")
