"""A CSV, TSV or JSONL table with a column of paths -> Items; the paths are relative to the table and must stay below its folder."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from decal.errors import DataError
from decal.metadata import leaves_folder, text_lines
from decal.pictures import SUFFIXES
from decal.sources import Item, Opened, Told, in_utf8, licence_in, to_line, to_row
from decal.sources.folders import csv_lines
from decal.wording import printable

ENDINGS = (".csv", ".tsv", ".jsonl")
# In this order; the first is imagefolder's.
PATH_COLUMNS = ("file_name", "filename", "file", "image_path", "file_path", "filepath", "image_file", "path", "image", "picture", "img")


def read(table: Path) -> Opened:
    """The rows of a table with the pictures that they name. Raises DataError where no column names files."""
    data = in_utf8(table.read_bytes())
    lines = text_lines(data) if table.suffix.lower() == ".jsonl" else csv_lines(data)
    rows = [(line, to_row(line)) for line in lines if line.strip()]
    columns = list(dict.fromkeys(key for _, row in rows[:1000] for key in row or {}))
    column = next((name for name in PATH_COLUMNS if name in columns), None)
    if column is None:
        there = ", ".join(printable(name) for name in columns[:20]) or "none"
        raise DataError(
            f"{table} has no column of file names ({', '.join(PATH_COLUMNS)}).\nIts columns are: {there}. "
            "Name one of them file_name, with paths relative to the table."
        )
    told = Told()
    return Opened("table", str(table), _items(table.parent, rows, column, told), told, licence=licence_in(table.parent))


def _items(folder: Path, rows: list[tuple[bytes, dict[str, object] | None]], column: str, told: Told) -> Iterator[Item]:
    root = folder.resolve()
    for line, row in rows:
        name = None if row is None else row.get(column)
        if row is None or not isinstance(name, str) or not name:
            yield Item("", line=line, is_exact=True)
            continue
        kept = line if column == "file_name" else to_line({"file_name": name} | {key: row[key] for key in row if key != column})
        file = PurePosixPath(name).as_posix()
        picture = None
        if leaves_folder(name) is None and "\0" not in name:
            path = folder / file
            if path.suffix.lower() in SUFFIXES and _is_file(path):
                if path.resolve().is_relative_to(root):
                    picture = path
                else:
                    told.outside.append(file)
        yield Item(file, picture, line=kept, is_exact=True)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
