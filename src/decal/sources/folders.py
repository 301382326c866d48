"""A folder, one picture, or kohya's `10_name` folders -> Items.

Pictures keep their names and sub-folders. Captions come from `metadata.jsonl`, `metadata.csv` or `.txt` files, at the top or beside nested
pictures. Where all pictures lie in folders that kohya's trainer would read, the number is how often it shows them an epoch, and the words
are the caption of pictures without a file of their own. Grey pictures in a folder `masks/` that have the names of others are their masks.
"""

import csv
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from decal import masks
from decal.errors import DataError
from decal.metadata import (
    MAX_REPEATS,
    METADATA,
    TEXT_KEYS,
    caption_cell,
    is_utf8,
    leaves_folder,
    read_row,
    seem_named,
    sidecar_captions,
    text_lines,
    text_of,
)
from decal.pictures import SUFFIXES
from decal.records import Finding
from decal.sources import Item, Opened, Told, apart, in_utf8, licence_in, to_line, to_row
from decal.wording import counted, printable

CSV = "metadata.csv"
# kohya's trainer looks for .caption where it is not told otherwise; everyone else writes .txt.
SIDECARS = (".txt", ".caption")
# How sd-scripts reads the name of a folder: `<repeats>_<class words>`.
# Pictures that people have and Decal cannot read; to pass over them in silence would lose half of a phone's.
FOREIGN = (".heic", ".heif", ".avif", ".jxl", ".svg", ".psd", ".raw", ".dng", ".cr2", ".nef", ".arw")
KOHYA = re.compile(r"(\d{1,4})_(.+)")


def read(folder: Path, where: str, *, only: str | None = None, outside: Sequence[str] = ()) -> Opened:
    """The pictures of a folder, or the one of that name.

    outside: names that an archive kept for itself. Raises DataError where there is no picture.
    """
    found = _Found(folder, only)
    if not found.pictures:
        what = "holds no picture" if only is None else "is no picture"
        raise DataError(f"{where} {what} ({', '.join(SUFFIXES)}).\nName a folder of pictures, a picture or an archive after --from.")
    told = Told(ignored=found.ignored, outside=[*outside, *found.outside])
    if found.foreign:
        some = ", ".join(printable(file) for file in found.foreign[:3]) + (", ..." if len(found.foreign) > 3 else "")
        told.notes.append(f"{counted(len(found.foreign), 'picture')} that Decal cannot read left out ({some}); save them as JPEG or PNG")
    kind = "folder" if only is None else "picture"
    of = _masks(folder, found, told)
    if only is None and not found.metadata and (sets := _kohya_sets(found.pictures)):
        return Opened("kohya", where, _kohya_items(folder, found.pictures, sets, told, of), told, licence=licence_in(folder))
    return Opened(kind, where, _items(folder, found, of), told, licence=licence_in(folder) if only is None else None)


def sidecar(picture: Path) -> tuple[str, ...]:
    """The captions in the `.txt` file beside a picture, one a line; none where it cannot be read. Links are not followed."""
    for suffix in SIDECARS:
        beside = picture.with_suffix(suffix)
        if beside.is_symlink():
            continue
        try:
            return sidecar_captions(beside.read_bytes())
        except OSError:
            continue
    return ()


def csv_lines(data: bytes) -> Iterator[bytes]:
    """The rows of a table as JSON lines with all their columns; the delimiter is the commonest of , ; and tab in the first line."""
    text = text_of(data).replace("\0", "\ufffd")
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        columns = [name.strip() for name in next(table, [])]
        for cells in table:
            if cells:
                cells_named = dict(zip(columns, cells, strict=False))
                yield to_line({name: cell for name, cell in cells_named.items() if cell or name not in TEXT_KEYS})
    except csv.Error as problem:
        yield f"{CSV}, line {table.line_num}: {problem}".encode()


class _Found:
    """The files of a source by what they are; names relative to it, sorted."""

    def __init__(self, folder: Path, only: str | None):
        self.pictures: list[str] = []
        self.metadata: list[str] = []
        self.outside: list[str] = []
        self.ignored = 0
        self.foreign: list[str] = []
        root = folder.resolve()
        for parent, folders, names in os.walk(folder) if only is None else [(str(folder), [], [only])]:
            hidden = {name for name in folders if name.startswith(".") or name == "__MACOSX"}
            links = {name for name in folders if Path(parent, name).is_symlink()}
            self.outside += [Path(parent, name).relative_to(folder).as_posix() for name in sorted(links - hidden)]
            folders[:] = sorted(set(folders) - hidden - links)
            there = set(names)
            for name in sorted(names):
                if not name.startswith(".") and is_utf8(name):
                    self._add(Path(parent, name), folder, root, there)

    def _add(self, path: Path, folder: Path, root: Path, there: set[str]) -> None:
        file = path.relative_to(folder).as_posix()
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            self.outside.append(file)
        elif not path.is_file():
            self.ignored += 1
        elif path.suffix.lower() in SUFFIXES:
            self.pictures.append(file)
        elif path.name == METADATA or (path.name == CSV and not path.with_name(METADATA).is_file()):
            self.metadata.append(file)
        elif path.suffix.lower() in FOREIGN:
            self.foreign.append(file)
            self.ignored += 1
        elif path.suffix.lower() not in SIDECARS or not _has_picture(path, there):
            self.ignored += 1


def _has_picture(beside: Path, there: set[str]) -> bool:
    """Whether a picture lies beside a text file that describes it. there: the names in its folder."""
    return any(beside.stem + suffix in there or beside.stem + suffix.upper() in there for suffix in SUFFIXES)


def _masks(folder: Path, found: _Found, told: Told) -> dict[str, Path]:
    """The masks that lie in folders of their own, by their pictures; none of them is among the pictures of `found` then."""
    if not (there := apart.candidates(found.pictures)):
        return {}
    named = {row.get("file_name") for line in _lines(folder, found) if (row := to_row(line.removeprefix(b"\xef\xbb\xbf"))) is not None}
    grey = [file for file in there if file not in named and not sidecar(folder / file) and masks.is_grey(folder / file)]
    of = apart.pictures_of(grey, [file for file in found.pictures if file not in there])
    if not of:
        return {}
    found.pictures[:] = [file for file in found.pictures if file not in grey]
    if strays := [file for file in grey if file not in of]:
        told.notes.append(f"{counted(len(strays), 'mask')} left out whose picture is not there: {', '.join(map(printable, strays[:3]))}")
    # As kohya's trainer wants one of every picture, most say nothing.
    telling = {mask: picture for mask, picture in of.items() if not masks.stands_for_none(folder / mask)}
    if len(telling) < len(of):
        told.notes.append(f"{counted(len(of) - len(telling), 'mask')} left out that let all of their picture count, which changes nothing")
    return {picture: folder / mask for mask, picture in telling.items()}


def _items(folder: Path, found: _Found, of: Mapping[str, Path]) -> Iterator[Item]:
    """The source's own `metadata.jsonl` first, verbatim, then what other files say, then pictures that none of them names."""
    pictures = set(found.pictures)
    named: set[str] = set()
    faulty: list[tuple[int, bytes]] = []
    for line in _lines(folder, found):
        row = to_row(line.removeprefix(b"\xef\xbb\xbf"))
        name = None if row is None else row.get("file_name")
        file = PurePosixPath(name).as_posix() if isinstance(name, str) and name else ""
        named.add(file)
        if line.strip() and isinstance(read_row(line.removeprefix(b"\xef\xbb\xbf").removesuffix(b"\r"), 0), Finding):
            faulty.append((0, line))
        yield Item(file, folder / file if file in pictures else None, line=line, is_exact=True, mask=of.get(file))
    # A picture whose own line cannot be used must not get a second one.
    lost = seem_named(faulty, found.pictures)
    labels = masks.labels(found.pictures)
    for file in found.pictures:
        if file not in named:
            row = None if file in lost or file in labels else caption_cell(sidecar(folder / file))
            yield Item(file, folder / file, row=row, is_exact=True, mask=of.get(file))


def _lines(folder: Path, found: _Found) -> Iterator[bytes]:
    """The lines of all metadata files, without their line feeds, the one at the top first."""
    if METADATA in found.metadata:
        own = in_utf8((folder / METADATA).read_bytes())
        yield from (own.removesuffix(b"\n").split(b"\n") if own else [])
    for file in found.metadata:
        if file != METADATA:
            yield from _prefixed(folder / file, PurePosixPath(file).parent)


def _prefixed(path: Path, parent: PurePosixPath) -> Iterator[bytes]:
    """The rows of a metadata file as JSON lines with names from the top; lines that cannot be read come as they are."""
    data = in_utf8(path.read_bytes())
    for line in text_lines(data) if path.name == METADATA else csv_lines(data):
        row = to_row(line)
        name = None if row is None else row.get("file_name")
        if row is None or not isinstance(name, str) or leaves_folder(name) is not None:
            yield from [line] if line.strip() else []
        elif parent == PurePosixPath("."):
            yield line
        else:
            yield to_line(row | {"file_name": (parent / name).as_posix()})


def _kohya_sets(pictures: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Repeats and words of each `10_name` folder, where every picture lies directly in one; none otherwise."""
    sets: dict[str, tuple[int, str]] = {}
    for file in pictures:
        parent = PurePosixPath(file).parent
        match = KOHYA.fullmatch(parent.name)
        if match is None or not 1 <= int(match.group(1)) <= MAX_REPEATS:
            return {}
        sets[parent.as_posix()] = int(match.group(1)), " ".join(match.group(2).split())
    return sets


def _kohya_items(
    folder: Path, pictures: Sequence[str], sets: dict[str, tuple[int, str]], told: Told, of: Mapping[str, Path]
) -> Iterator[Item]:
    # Beside img/, kohya's GUI keeps pictures of the class in reg/ for a loss of their own, which Decal has not; learnt like the others,
    # they would wash the style out.
    tops = {PurePosixPath(file).parts[0] for file in pictures}
    left = {name for name in sets if PurePosixPath(name).parts[0] == "reg"} if "img" in tops else set()
    kept = {name: found for name, found in sets.items() if name not in left}
    counts = {repeats for repeats, _ in kept.values()}
    worded = 0
    labels = masks.labels(pictures)
    for file in pictures:
        name = PurePosixPath(file).parent.as_posix()
        if name not in kept:
            continue
        if file in labels:
            yield Item(file, folder / file, is_exact=True)
            continue
        repeats, words = kept[name]
        captions, picture = sidecar(folder / file), folder / file
        if not captions and not any(picture.with_suffix(suffix).exists() for suffix in SIDECARS):
            captions, worded = (words,), worded + 1
        row = caption_cell(captions) | ({"repeats": repeats} if len(counts) > 1 else {})
        yield Item(file, picture, row=row, is_exact=True, mask=of.get(file))
    listed = ", ".join(f"{printable(name)} ({repeats})" for name, (repeats, _) in sorted(kept.items())[:5])
    listed += ", ..." if len(kept) > 5 else ""
    if len(counts) > 1:
        told.notes.append(f'kohya folders, with their repeats: {listed}; kept as "repeats" of each row, only their ratio counts')
    else:
        told.notes.append(
            f"kohya folders, all with {counted(counts.pop(), 'repeat')}: {listed}; equal repeats change nothing, because Decal counts "
            "steps and not epochs"
        )
    if worded:
        told.notes.append(f"{counted(worded, 'picture')} without a caption file have the words of their folder as caption")
    if left:
        told.notes.append(f"left out as regularisation pictures, which Decal does not use: {', '.join(sorted(left))}")
