"""Parquet files with embedded pictures -> Items, read by a process of their own.

pyarrow ends the whole process on some damaged files, and a page may say that it unpacks to 2 GB. So `arrow` reads in a child with a limit
on its memory and sends rows through a pipe; whatever becomes of it, here it is one sentence.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import IO, Any

from decal import extras
from decal.errors import DataError
from decal.sources import Item, Opened, Shard, Told

# Of address space. pyarrow and numpy reserve half a GB; a page of 100 photographs of 4 MB takes 1 GB.
MAX_MEMORY_BYTES = 2 * 2**30


def read(shards: Sequence[Shard], where: str, *, licence: str | None = None) -> Opened:
    """The rows of some parquet files of one kind. Raises DataError where pyarrow is missing or a file is damaged; so do the rows."""
    require()
    told = Told()
    frames = _frames(shards, where)
    head, _ = next(frames)
    told.notes += [str(note) for note in head["notes"]]
    items = _items(frames, told)
    return Opened("parquet", where, items, told, licence=licence or head["licence"], columns=tuple(head["columns"]))


def read_rows(shards: Sequence[Shard], where: str) -> tuple[tuple[str, ...], Iterator[dict[str, object]]]:
    """The names of the plain columns, and every row of them, without pictures. Raises DataError as `read` does."""
    require()
    frames = _frames(shards, where, has_pictures=False)
    head, _ = next(frames)

    def rows() -> Iterator[dict[str, object]]:
        with contextlib.closing(frames):  # type: ignore[type-var]
            for frame, _ in frames:
                yield from frame["rows"]

    return tuple(head["columns"]), rows()


def require() -> None:
    """Raise DataError where pyarrow is not installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError as problem:
        raise DataError(
            f"Parquet needs pyarrow, which is not installed ({problem}).\nInstall it with  {extras.add('parquet')}"
        ) from problem


def _items(frames: Iterator["Frame"], told: Told) -> Iterator[Item]:
    with contextlib.closing(frames):  # type: ignore[type-var]
        for head, (picture, mask) in frames:
            told.unopened += int(head["is_unopened"])
            yield Item(head["file"], picture, row=head["row"], mask=mask)


def _frames(shards: Sequence[Shard], where: str, *, has_pictures: bool = True) -> Iterator["Frame"]:
    """What the child sends: a description of the source, then a row at a time with picture and mask. Raises DataError where it fails."""
    command = [sys.executable, "-m", "decal.sources.arrow"]
    order = {"where": where, "shards": [asdict(shard) for shard in shards], "has_pictures": has_pictures}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        try:
            assert child.stdin is not None, "it is a pipe"
            assert child.stdout is not None, "it is a pipe"
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(json.dumps(order).encode())
                child.stdin.close()
            while (frame := _frame(child.stdout)) is not None and "end" not in frame[0]:
                if "error" in frame[0]:
                    raise DataError(frame[0]["error"])
                yield frame
            if frame is None:
                limit = f"more than {MAX_MEMORY_BYTES / 2**30:.0f} GiB of memory needed"
                why = f"pyarrow broke off with code {child.wait()}: damage, or {limit}"
                raise DataError(f"{where} cannot be read as parquet ({why}).\nGet it again, or name a folder of pictures.")
        finally:
            child.kill()


Frame = tuple[dict[str, Any], tuple[bytes | None, bytes | None]]
"""A head with the bytes that follow it: of the picture and of its mask."""


def _frame(pipe: IO[bytes]) -> Frame | None:
    """The next head with its picture and its mask; None where the child broke off."""
    try:
        head = json.loads(pipe.readline())
    except ValueError:
        return None
    sizes = head.get("size"), head.get("mask_size")
    picture, mask = (None if size is None else pipe.read(size) for size in sizes)
    is_whole = all(data is None or len(data) == size for data, size in zip((picture, mask), sizes, strict=True))
    return (head, (picture, mask)) if is_whole else None
