"""Reads parquet files with embedded pictures and sends their rows to `parquets`, which starts this as a process of its own.

A picture is the `bytes` of a struct, as Hugging Face's Image feature writes it, or a binary column. A row with a path and no bytes keeps
its row and gets no picture: a path in a stranger's file could name any file of this machine, so none is opened. This is the one reader
that imports pyarrow.
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from decal.errors import DataError
from decal.metadata import leaves_folder
from decal.sources import MAX_RATIO, MIN_BOMB_BYTES, Item, Shard, Told, fit_name, hub
from decal.sources.parquets import MAX_MEMORY_BYTES

if TYPE_CHECKING:
    import pyarrow as pa

# A batch of photographs of 5 MB is 40 MB.
BATCH_ROWS = 8
# Rows without pictures are small.
PLAIN_ROWS = 500
BUFFER_BYTES = 2**20
# The description at the end of a file; 300,000 rows in groups of 100 need less than 10 MiB.
MAX_FOOTER_BYTES = 64 * 2**20
# In this order; `image` is what Hugging Face writes, the others come from converted tars and exports.
PICTURE_COLUMNS = ("image", "img", "picture", "photo", "jpg", "jpeg", "png", "webp", "image_bytes", "bytes", "content")
MASK_COLUMNS = ("mask", "masks")
NAME_COLUMNS = ("file_name", "filename", "__key__")


def main() -> None:
    """Read the order from standard input, and send a description and then every row, or an error, to standard output."""
    _limit_memory()
    order = json.load(sys.stdin)
    shards, where = [Shard(**shard) for shard in order["shards"]], str(order["where"])
    try:
        with hub.said(where) if any(shard.is_far for shard in shards) else nullcontext():
            (_send_all if order["has_pictures"] else _send_plain)(shards, where)
    except DataError as problem:
        _send({"error": str(problem)})
    except BrokenPipeError:
        # Whoever asked has enough.
        os._exit(0)
    except Exception as problem:
        _send({"error": str(_damaged(shards[0], problem))})


def _send_all(shards: Sequence[Shard], where: str) -> None:
    told = Told()
    with _reading(shards[0]) as file:
        first = file.metadata
        plan = _plan(file.schema_arrow, where, told)
        columns = [name for name in file.schema_arrow.names if name in plan.others]
        _send({"columns": columns, "licence": _licence(file.schema_arrow), "notes": told.notes})
    rows = (item for shard in shards for item in _rows(shard, plan, first if shard is shards[0] else None))
    for number, (item, is_unopened) in enumerate(rows, start=1):
        picture = item.picture if isinstance(item.picture, bytes) else None
        name = _name(item.file, picture, number)
        mask = item.mask if isinstance(item.mask, bytes) else None
        sizes = {"size": None if picture is None else len(picture), "mask_size": None if mask is None else len(mask)}
        _send({"file": name, "row": item.row, "is_unopened": is_unopened, **sizes}, (picture or b"") + (mask or b""))
    _send({"end": True})


def _send_plain(shards: Sequence[Shard], where: str) -> None:
    """A description of the plain columns, then their rows, many a line, then the end."""
    for place, shard in enumerate(shards):
        with _reading(shard) as file:
            columns = [field.name for field in file.schema_arrow if _is_plain(field.type)]
            if place == 0:
                _send({"columns": columns})
            for batch in file.iter_batches(batch_size=PLAIN_ROWS, columns=columns, use_threads=False):
                values = {name: _values(batch.column(name)) for name in columns}
                _send({"rows": [{name: column[row] for name, column in values.items()} for row in range(batch.num_rows)]})
    _send({"end": True})


def _send(head: dict[str, object], picture: bytes = b"") -> None:
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + picture)
    sys.stdout.buffer.flush()


def _limit_memory() -> None:
    """Keep a page that unpacks to gigabytes from taking the machine down; where the system knows no limit, there is none."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    except (ImportError, OSError, ValueError):
        return


@dataclass(frozen=True)
class _Plan:
    """Which columns are what. masks: of the column of masks; none, or one."""

    picture: str
    masks: tuple[str, ...]
    others: tuple[str, ...]


def _plan(schema: "pa.Schema", where: str, told: Told) -> _Plan:
    """Find the column of pictures, and the columns that a line of JSON can hold."""
    import pyarrow.types as types

    def is_binary(kind: "pa.DataType") -> bool:
        return bool(types.is_binary(kind) or types.is_large_binary(kind))

    def is_picture(kind: "pa.DataType") -> bool:
        return is_binary(kind) or (types.is_struct(kind) and any(field.name == "bytes" and is_binary(field.type) for field in kind))

    pictures = [field.name for field in schema if is_picture(field.type)]
    if not pictures:
        kinds = ", ".join(f"{field.name} ({str(field.type)[:30]})" for field in list(schema)[:20])
        raise DataError(
            f"{where} has no column of embedded pictures.\nIts columns are: {kinds}. Local paths in it are not opened; "
            "for a table of paths write a .csv or .jsonl beside the pictures."
        )
    others_first = sorted(pictures, key=lambda name: name in MASK_COLUMNS)
    chosen = next((name for name in PICTURE_COLUMNS if name in pictures), others_first[0])
    others = tuple(field.name for field in schema if field.name != chosen and _is_plain(field.type))
    masks = tuple(name for name in MASK_COLUMNS if name in pictures and name != chosen)[:1]
    left = [name for name in schema.names if name != chosen and name not in (*masks, *others)]
    if left:
        told.notes.append(f"pictures come from column {chosen}; left out, because a line cannot hold them: {', '.join(left[:8])}")
    return _Plan(chosen, masks, others)


def _is_plain(kind: "pa.DataType") -> bool:
    """Whether JSON can hold the values of a column."""
    import pyarrow.types as types

    if types.is_list(kind) or types.is_large_list(kind):
        return bool(types.is_string(kind.value_type) or types.is_large_string(kind.value_type))
    tests = (types.is_string, types.is_large_string, types.is_integer, types.is_floating, types.is_boolean, types.is_date)
    return any(test(kind) for test in (*tests, types.is_timestamp, types.is_null)) or (
        types.is_dictionary(kind) and _is_plain(kind.value_type)
    )


def _rows(shard: Shard, plan: _Plan, description: Any) -> Iterator[tuple[Item, bool]]:
    """The rows of a file, each with whether it has a local path in place of a picture."""
    with _reading(shard, description) as file:
        missing = [name for name in (plan.picture, *plan.masks, *plan.others) if name not in file.schema_arrow.names]
        if plan.picture in missing:
            raise DataError(f"{shard.name} has no column {plan.picture}, which the first file has.\nBring files of one kind in together.")
        columns = [name for name in (plan.picture, *plan.masks, *plan.others) if name not in missing]
        taken = 0
        limit = max(MIN_BOMB_BYTES, MAX_RATIO * shard.size)
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns, use_threads=False):
            cells = batch.column(plan.picture)
            values = {name: _values(batch.column(name)) for name in columns if name in plan.others}
            masks = next((batch.column(name) for name in plan.masks if name in columns), None)
            for place in range(batch.num_rows):
                item, is_unopened = _item(cells[place].as_py(), {name: column[place] for name, column in values.items()})
                item = replace(item, mask=None if masks is None else _bytes(masks[place].as_py()))
                taken += sum(len(data) for data in (item.picture, item.mask) if isinstance(data, bytes))
                if taken > limit:
                    raise DataError(f"{shard.name} unpacks to more than {MAX_RATIO} times its {shard.size:,} bytes.\nLeave it out.")
                yield item, is_unopened


def _values(column: Any) -> list[object]:
    """The values of a column as JSON has them; times become text."""
    import pyarrow as pa

    is_time = pa.types.is_temporal(column.type)
    values: list[object] = (column.cast(pa.string()) if is_time else column).to_pylist()
    return values


def _bytes(cell: Any) -> bytes | None:
    """What is embedded in a cell."""
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    return data if isinstance(data, bytes) else None


def _item(cell: Any, row: dict[str, Any]) -> tuple[Item, bool]:
    picture, path = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
    name = next((row.pop(key) for key in NAME_COLUMNS if isinstance(row.get(key), str)), None)
    name = path if isinstance(path, str) and path else name or ""
    return Item(name, picture, row=row), picture is None and isinstance(path, str) and bool(path)


def _name(file: str, picture: bytes | None, number: int) -> str:
    """The name for a picture; a path that no picture came with stays as it is, for `check` to report."""
    if leaves_folder(file) is None:
        return fit_name(file, picture, number)
    if picture is None:
        return file
    # An embedded picture often remembers the full path that it had at its maker's; only its last part is a name.
    return fit_name(PurePosixPath(file.replace("\\", "/")).name, picture, number)


def _licence(schema: "pa.Schema") -> str | None:
    """The licence in the description that `datasets` leaves in a file."""
    try:
        info = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]
        found = info.get("license")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return found.strip()[:120] or None if isinstance(found, str) else None


@contextmanager
def _reading(shard: Shard, description: Any = None) -> "Iterator[Any]":
    """An open parquet file whose declared sizes make sense; what goes wrong in it is told in one sentence.

    description: what stands at its end, where that has been read before.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with shard.open() as opened:
            file = pq.ParquetFile(
                opened,
                metadata=description,
                pre_buffer=False,
                buffer_size=BUFFER_BYTES,
                thrift_string_size_limit=MAX_FOOTER_BYTES,
                thrift_container_size_limit=MAX_FOOTER_BYTES // 64,
            )
            _refuse_bombs(file.metadata, shard)
            yield file
    except (pa.ArrowException, EOFError, MemoryError, ValueError, OverflowError, KeyError, NotImplementedError) as problem:
        raise _damaged(shard, problem) from problem
    except OSError as problem:
        # pyarrow's own has no number; what a disk or a network does wrong has one, or a kind of its own.
        if problem.errno is not None or type(problem) is not OSError:
            raise
        raise _damaged(shard, problem) from problem


def _damaged(shard: Shard, problem: BaseException) -> DataError:
    why = (str(problem).strip().splitlines() or [type(problem).__name__])[0][:200]
    return DataError(f"{shard.name} cannot be read as parquet ({why}).\nGet it again, or name a folder of pictures.")


def _refuse_bombs(metadata: Any, shard: Shard) -> None:
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for place in range(row_group.num_columns):
            column = row_group.column(place)
            packed, unpacked = column.total_compressed_size, column.total_uncompressed_size
            if packed < 0 or unpacked < 0 or packed > shard.size:
                raise ValueError(f"column {column.path_in_schema} declares {packed:,} bytes")
            if unpacked > max(MIN_BOMB_BYTES, MAX_RATIO * packed):
                raise DataError(
                    f"{shard.name}: column {column.path_in_schema} unpacks to {unpacked:,} bytes from {packed:,}, "
                    f"the limit is {MAX_RATIO} times.\nLeave it out."
                )


if __name__ == "__main__":
    main()
