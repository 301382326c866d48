"""Anything after `decal new --from` -> `dataset/` with `metadata.jsonl`.

Which kind of source it is decides one of the readers in `sources`; what they yield is written here as it comes. Everything is copied, never
moved; pictures keep their names and their order, and every row arrives, faulty ones too: content is no reason to refuse, `check` reports
it. The folder is filled under another name and renamed when it is whole.
"""

import difflib
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath

from decal import masks
from decal.errors import DataError, SettingsError
from decal.metadata import METADATA, TEXT_KEYS, Row, caption_key, leaves_folder, read_row
from decal.pictures import SUFFIXES
from decal.project import staged_folder, writing
from decal.records import Source
from decal.sources import (
    Item,
    Opened,
    concepts,
    folders,
    hub,
    licence_in,
    limited,
    parquets,
    shards_of,
    tables,
    tars,
    to_line,
    to_row,
    zips,
)
from decal.wording import counted, printable

# More different keys than this are no columns, but rows of different kinds.
MAX_COLUMNS = 200
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Brought:
    """What came into a project.

    masks: files beside the pictures that say what of one counts, by their name; not among `pictures`. rows: lines of metadata,
    faulty ones too. captions: rows with a caption. faulty: lines that cannot be used. ignored: files that are neither pictures nor
    captions. left_outside: links that leave the source, and names in an archive that lead out of it; none of them was followed.
    source: where it all comes from. notes: sentences about what was understood.
    """

    pictures: int
    rows: int
    captions: int
    faulty: int
    ignored: int
    left_outside: tuple[str, ...]
    source: Source
    notes: tuple[str, ...] = ()
    masks: int = 0

    def told(self) -> str:
        """All of it in one line, and a line for each note."""
        parts = [counted(self.pictures, "picture"), f"{self.captions:,} of {counted(self.rows, 'line')} with a caption"]
        parts += [f"{counted(self.faulty, 'line')} of {METADATA} cannot be used (decal check names them)"] if self.faulty else []
        parts += [f"{counted(self.masks, 'mask')} beside them"] if self.masks else []
        parts += [f"{counted(self.ignored, 'other file')} ignored"] if self.ignored else []
        if self.left_outside:
            some = ", ".join(printable(name) for name in self.left_outside[:3])
            parts.append(f"{counted(len(self.left_outside), 'link')} out of the source not followed ({some})")
        use = ['masks are used with  masks = "dataset"  under [data] of decal.toml'] if self.masks else []
        return "\n".join([", ".join(parts), *(f"  {printable(note)}" for note in (*self.notes, *use))])


def bring_in(source: Path | str, dataset: Path, *, caption_column: str | None = None, limit: int | None = None) -> Brought:
    """Copy pictures and captions into `dataset`, which becomes a whole imagefolder in one step.

    source: a folder, a picture, a zip, a table, parquet, tars, a concepts.json, or an address on the hub. caption_column: the key that
    holds the captions; None where it has one of the usual names. limit: rows to take; None for all.
    Raises SettingsError where the source is not there, and DataError where there is no picture, where an archive is damaged, encrypted
    or unpacks to too much, or where the hub does not give the data set; then nothing is left behind.
    """
    with _opened(str(source)) as opened:
        if caption_column is not None and opened.columns is not None and caption_column not in opened.columns:
            raise _no_column(opened.where, caption_column, opened.columns)
        with staged_folder(dataset) as staged:
            with (staged / METADATA).open("wb") as lines:
                writer = _Writer(staged, lines.write, caption_column)
                for item in islice(limited(opened.items, opened.where), limit):
                    writer.add(item)
            if caption_column is not None and not writer.is_column_there:
                raise _no_column(opened.where, caption_column, tuple(writer.columns))
            if not writer.stored:
                raise DataError(f"{opened.where} holds no picture ({', '.join(SUFFIXES)}).\nName another source after --from.")
    return _brought(opened, writer, caption_column)


@contextmanager
def set_out(source: Path | str, dataset: Path) -> Iterator[Brought]:
    """A data set as `bring_in` would bring it, but with links to the pictures that are files, which hold as long as this lasts.

    Raises DataError as `bring_in` does.
    """
    with _opened(str(source)) as opened:
        dataset.mkdir(parents=True)
        with (dataset / METADATA).open("wb") as lines:
            writer = _Writer(dataset, lines.write, None, _link)
            for item in limited(opened.items, opened.where):
                writer.add(item)
        if not writer.stored:
            raise DataError(f"{opened.where} holds no picture ({', '.join(SUFFIXES)}).\nName a folder of pictures, or another source.")
        yield _brought(opened, writer, None)


def _brought(opened: Opened, writer: "_Writer", caption_column: str | None) -> Brought:
    labels = masks.labels(writer.stored)
    return Brought(
        pictures=len(writer.stored) - len(labels),
        masks=len(labels),
        rows=writer.rows,
        captions=writer.captions,
        faulty=writer.faulty,
        ignored=opened.told.ignored,
        left_outside=tuple(opened.told.outside),
        source=Source(
            kind=opened.kind, where=opened.where, revision=opened.revision, licence=opened.licence, pictures=len(writer.stored - labels)
        ),
        notes=(*opened.told.notes, *_notes(opened, writer, caption_column)),
    )


class _Writer:
    """Writes items into a staged folder, one by one, and counts. write: appends to `metadata.jsonl`. store: keeps a picture."""

    def __init__(
        self,
        staged: Path,
        write: Callable[[bytes], object],
        caption_column: str | None,
        store: "Callable[[bytes | Path, Path], None] | None" = None,
    ):
        self._staged = staged
        self._store = store or _store
        self._write = write
        self._column = caption_column
        self.is_column_there = False
        self.columns: dict[str, None] = {}
        self.stored: set[str] = set()
        self._reserved: set[str] = set()
        # What the mask of each picture would be called, and what those that came are called.
        self._labels: set[str] = set()
        self._masked: set[str] = set()
        self._next: dict[str, int] = {}
        self.rows = self.captions = self.several = self.faulty = self.renamed = 0

    def add(self, item: Item) -> None:
        """Keep the picture of an item, if it has one that is not there yet, and its line."""
        file = self._keep(item)
        # Only beside a picture: the name of a row without one may lead out of the folder.
        if item.mask is not None and file in self.stored and (label := masks.beside(file)) not in self.stored:
            self._store(item.mask, self._staged / label)
            self.stored.add(label)
            self._masked.add(label)
        if item.line is not None:
            self._add_line(item.line)
        elif item.row is not None:
            self._add_line(to_line({"file_name": file, **item.row}))

    def _add_line(self, line: bytes) -> None:
        row = to_row(line.removeprefix(BYTE_ORDER_MARK))
        if row is not None:
            if len(self.columns) < MAX_COLUMNS:
                self.columns |= dict.fromkeys(row)
            if self._column is not None and self._column in row:
                self.is_column_there = True
                line = to_line(_with_captions(row, self._column))
        self._write(line + b"\n")
        if not line.strip():
            return
        self.rows += 1
        read = read_row(line.removeprefix(BYTE_ORDER_MARK).removesuffix(b"\r"), self.rows)
        if isinstance(read, Row):
            self.captions += bool((read.caption or "").strip())
            self.several += bool(read.others)
        else:
            self.faulty += 1

    def _keep(self, item: Item) -> str:
        """Store the picture of an item; the name that it has got."""
        if item.is_exact:
            if item.picture is not None and item.file not in self.stored:
                self._store(item.picture, self._staged / item.file)
                self.stored.add(item.file)
            return item.file
        if item.picture is None and leaves_folder(item.file) is not None:
            return item.file
        file = self._free(item.file, None if item.picture is None else item.mask)
        if item.picture is None:
            # No later picture may take this name, or it would get the caption of another row.
            self._reserved.add(file)
            return file
        try:
            self._store(item.picture, self._staged / file)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            # Where upper and lower case are one, or where a folder has the name of a picture.
            file = self._free(f"row-{self.rows + 1:06d}{PurePosixPath(file).suffix}", item.mask)
            self._store(item.picture, self._staged / file)
        self.stored.add(file)
        self._labels.add(masks.beside(file))
        return file

    def _free(self, file: str, mask: bytes | Path | None) -> str:
        """The name, or the name with the next number that none has; pictures that differ in their ending alone would share a mask."""
        path, free = PurePosixPath(file), file
        while free in self.stored or free in self._reserved or masks.beside(free) in (self._masked if mask is None else self._labels):
            number = self._next[file] = self._next.get(file, 1) + 1
            free = path.with_name(f"{path.stem}-{number}{path.suffix}").as_posix()
        self.renamed += free != file
        return free


def _store(picture: bytes | Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(picture, bytes):
        with target.open("xb") as file:
            file.write(picture)
        return
    try:
        with picture.open("rb") as given, target.open("xb") as file:
            shutil.copyfileobj(given, file, 2**20)
    except PermissionError as problem:
        if problem.filename != str(picture):
            raise
        raise DataError(f"{picture} cannot be read ({problem.strerror}).\nMake it readable, or take it out of the source.") from problem


def _link(picture: bytes | Path, target: Path) -> None:
    """As `_store`, without copying where the system has links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(picture, Path):
        try:
            target.symlink_to(picture.resolve())
            return
        except FileExistsError:
            raise
        except OSError:
            pass  # Windows lets only some users make links.
    _store(picture, target)


def _with_captions(row: Mapping[str, object], column: str) -> dict[str, object]:
    """The row with the captions of a column under the usual key; what stood there is kept under another."""
    key = TEXT_KEYS[0]
    before = {f"source_{key}": row[key]} if row.get(key) not in (None, row[column]) else {}
    return {name: value for name, value in row.items() if name != key} | before | {key: row[column]}


def _no_column(where: str, column: str, columns: tuple[str, ...]) -> DataError:
    there = [printable(name) for name in columns if name != "file_name"]
    near = difflib.get_close_matches(column, there, 1)
    meant = f" Did you mean {near[0]}?" if near else ""
    return DataError(f"{where} has no column {column!r} for --caption-column.{meant}\nThere are: {', '.join(there[:30]) or 'none'}.")


def _notes(opened: Opened, writer: _Writer, column: str | None) -> Iterator[str]:
    if writer.several:
        yield f"{counted(writer.several, 'picture')} with several captions; training draws one of them each time"
    if opened.told.unopened:
        yield f"{counted(opened.told.unopened, 'row')} with a local path in place of a picture; paths in a parquet file are never opened"
    if writer.renamed:
        yield f"{counted(writer.renamed, 'picture')} had the name of another and got a number"
    others = [name for name in writer.columns if name not in ("file_name", "repeats")]
    if column is None and not writer.captions and others and caption_key(writer.columns) not in writer.columns:
        shown = ", ".join(others[:12])
        yield f"no column is called {', '.join(TEXT_KEYS[:-1])} or {TEXT_KEYS[-1]}; there are {shown}: --caption-column NAME takes one"
    if opened.licence is not None:
        yield f"licence, as the source states it: {opened.licence}"
    elif opened.kind == "hub":
        yield "the data card states no licence"


@contextmanager
def _opened(source: str) -> Iterator[Opened]:
    """The source, ready to be read."""
    path = Path(source)
    name = path.name.lower()
    if source.startswith(hub.PREFIX) and not path.exists():
        yield hub.read(hub.parse(source))
    elif path.is_dir():
        yield _folder(path)
    elif not path.is_file():
        found = tars.matching(source)
        if not found:
            raise SettingsError(
                f"{source} is not there.\n"
                "Name a folder of pictures, a picture, a zip, a table, a parquet file, tars or hf:owner/name after --from."
            )
        yield tars.read(shards_of(found), source, folder=found[0].parent)
    elif name.endswith(".parquet"):
        yield parquets.read(shards_of([path]), source)
    elif name.endswith(tars.ENDINGS):
        yield tars.read(shards_of([path]), source, folder=path.parent)
    elif name.endswith(tables.ENDINGS):
        yield tables.read(path)
    elif name.endswith(".json"):
        yield concepts.read(path)
    elif name.endswith(SUFFIXES) or not (name.endswith(".zip") or zipfile.is_zipfile(path)):
        yield folders.read(path.parent, source, only=path.name)
    else:
        with tempfile.TemporaryDirectory(prefix="decal-") as unpacked:
            with writing(Path(unpacked)):
                outside = zips.unpack(path, Path(unpacked))
            yield replace(folders.read(Path(unpacked), source, outside=outside), kind="zip")


def _folder(path: Path) -> Opened:
    """A folder of pictures, or of nothing but parquet files or tars."""
    given = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    tables_there = [file for file in given if file.suffix.lower() == ".parquet" and file.name != "metadata.parquet"]
    archives = [file for file in given if file.name.lower().endswith(tars.ENDINGS)]
    has_pictures = any(file.suffix.lower() in SUFFIXES for file in given) or any(
        (path / name).is_file() for name in (METADATA, folders.CSV)
    )
    if tables_there and not has_pictures:
        return parquets.read(shards_of(tables_there), str(path), licence=licence_in(path))
    if archives and not has_pictures:
        return tars.read(shards_of(archives), str(path), folder=path)
    return folders.read(path, str(path))
