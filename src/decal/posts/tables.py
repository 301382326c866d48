"""A table of posts, or of likes -> raw rows, one after another: CSV, TSV, XLSX, JSON lines or parquet.

No row is lost: what cannot be read arrives as a row with a fault. Of a CSV file with a quote that is never closed, only the line where it
opens is faulty, because what follows is read again. Bytes that are no UTF-8 are read as Windows wrote them, and the row says so.
"""

import contextlib
import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, cast

from decal import extras
from decal.errors import DataError, SettingsError
from decal.sources import parquets, shards_of
from decal.wording import printable

ENDINGS = (".csv", ".tsv", ".jsonl", ".xlsx", ".parquet")
# What each column may be called, the reference schema's name first; then in German, French, Spanish, Italian, Portuguese and Dutch.
_NAMES = """
id: id, post_id, tweet_id, status_id, beitrags-id, post-id
date: date, created_at, timestamp, datetime, published, time, datum, zeitpunkt, veröffentlicht, erstellt, fecha, publié le, data
likes: likes, like_count, likes_count, favorite_count, favourites, favorites, gefällt mir, gefällt-mir-angaben, j'aime, me gusta
likes: mi piace, curtidas, gostos, vind-ik-leuks
content: content, text, tweet, post, message, body, caption, beitrag, inhalt, nachricht, texte, contenu, texto, contenido, mensaje
content: testo, messaggio, conteúdo, mensagem, legenda, tekst, inhoud, bericht
username: username, user, account, author, handle, screen_name, konto, benutzername, nutzername, profil, compte, cuenta, usuario, perfil
username: utente, nome utente, profilo, usuário, conta, gebruiker, gebruikersnaam, profiel
media: media, media_urls, media_url, images, image, photos, photo, bild, bilder, medien, foto, fotos, médias, imagen, imágenes
media: immagine, immagini, imagem, imagens, afbeelding, afbeeldingen
company: inferred company, inferred_company, company, brand, marke, firma, unternehmen, marque, entreprise, marca, empresa
company: azienda, marchio, bedrijf, merk
"""
COLUMNS: dict[str, tuple[str, ...]] = {}
for _column, _, _names in (line.partition(":") for line in _NAMES.strip().splitlines()):
    COLUMNS[_column] = (*COLUMNS.get(_column, ()), *(name.strip() for name in _names.split(",")))
MAX_LINE_BYTES = 64 * 2**20
# How far a row of a CSV file may reach over lines; half of it after each row that turned out to have no end, so that damage stays cheap.
MAX_ROW_BYTES, MIN_ROW_BYTES = 16 * 2**20, 64 * 2**10
FAULTY_CHARACTERS = 300


@dataclass(frozen=True)
class Schema:
    """What a table is to hold. columns: what each may be called, the usual name first. needs: those that must be there, and what of."""

    columns: Mapping[str, tuple[str, ...]]
    needs: Mapping[str, str]


POSTS = Schema(COLUMNS, {"content": "texts"})
VARIANTS = Schema(
    {"variant": ("variant", "utm_content", "variante"), "likes": COLUMNS["likes"]}, {"variant": "ids of variants", "likes": "likes"}
)


@dataclass(frozen=True)
class Raw:
    """One row as it stands. number: from 1. cells: by their names in the schema. fault: why there are none. text: what is there then."""

    number: int
    cells: Mapping[str, object]
    notes: tuple[str, ...] = ()
    fault: str = ""
    text: str = ""


@dataclass(frozen=True)
class Table:
    """A table that is ready to be read.

    columns: the name in the table of each of the schema that it has. unused: what else the table has.
    """

    kind: str
    columns: Mapping[str, str]
    rows: Iterator[Raw]
    unused: tuple[str, ...] = ()


def read(path: Path, named: Mapping[str, str], schema: Schema = POSTS, *, earlier: Mapping[str, str] | None = None) -> Table:
    """The rows of a table.

    named: columns that are called otherwise, `{"content": "tweet_text"}`. earlier: what they were called in a table before this one, which
    goes before the usual names where it is there. Raises SettingsError where there is no table, or no column
    of a name in `named`, and DataError where a column is missing that must be there; so do the rows where a file turns out to be damaged
    as a whole.
    """
    unknown = [name for name in named if name not in schema.columns]
    if unknown:
        first = next(iter(schema.needs))
        raise SettingsError(
            f"--column {unknown[0]}=... names no column that is read.\n"
            f"There are: {', '.join(schema.columns)}; write for instance  --column {first}=NAME"
        )
    if not path.is_file():
        raise SettingsError(f"{path} is not a file.\nName a table: {', '.join(ENDINGS)}.")
    kind = path.suffix.lower().removeprefix(".")
    readers: dict[str, Callable[[Path, Find], Table]] = {
        "csv": _csv,
        "tsv": _csv,
        "jsonl": _jsonl,
        "ndjson": _jsonl,
        "xlsx": _xlsx,
        "parquet": _parquet,
    }
    if kind not in readers:
        raise SettingsError(f"{path} is no table that Decal reads.\nSave it as one of {', '.join(ENDINGS)}.")
    names: list[str] = []

    def find(there: Iterable[str]) -> dict[str, str]:
        names.extend(there)
        return _columns(path, names, named, schema, earlier or {})

    table = readers[kind](path, find)
    return replace(table, unused=tuple(name for name in names if name.strip() and name not in table.columns.values()))


Find = Callable[[Iterable[str]], dict[str, str]]
"""The columns of a table -> its own name of each of the schema."""


def _columns(path: Path, there: Iterable[str], named: Mapping[str, str], schema: Schema, earlier: Mapping[str, str]) -> dict[str, str]:
    """The table's own name of each column. Raises as `read` does."""
    by_name = {_plain(name): name for name in there}
    found: dict[str, str] = {}
    for column, names in schema.columns.items():
        wanted = [named[column]] if column in named else [earlier.get(column, ""), *names]
        name = next((by_name[_plain(name)] for name in wanted if name and _plain(name) in by_name), None)
        if name is None and column in named:
            raise SettingsError(f"{path} has no column {named[column]!r}.\nIts columns are: {_listed(by_name.values())}.")
        if name is not None:
            found[column] = name
    for column, what in schema.needs.items():
        if column not in found:
            raise DataError(
                f"{path} has no column of {what} ({', '.join(schema.columns[column][:7])}, ...).\n"
                f"Its columns are: {_listed(by_name.values())}. Name it with  --column {column}=NAME"
            )
    return found


def _plain(name: str) -> str:
    """The name of a column as it is compared."""
    return " ".join(name.split()).casefold().replace("’", "'")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(printable(name)[:40] for name in list(names)[:20]) or "none"


def _csv(path: Path, find: Find) -> Table:
    file, decode = _opened(path)
    lines = _Lines(file, decode)
    with contextlib.ExitStack() as stack:
        stack.enter_context(file)
        head = lines.peek()
        delimiter = max("\t,;|" if path.suffix.lower() == ".tsv" else ",;\t|", key=head.count)
        csv.field_size_limit(MAX_LINE_BYTES)
        header = next(csv.reader([head], delimiter=delimiter), [])
        columns = find(header)
        stack.pop_all()
    next(lines, None)
    return Table("csv", columns, _csv_rows(lines, header, columns, delimiter))


def _csv_rows(lines: "_Lines", header: list[str], columns: Mapping[str, str], delimiter: str) -> Iterator[Raw]:
    places = {column: header.index(name) for column, name in columns.items()}
    width, number = len(header), 0
    reader = csv.reader(lines, delimiter=delimiter)
    with lines.file:
        while True:
            lines.begin()
            fault = ""
            try:
                row = next(reader)
            except StopIteration:
                return
            except (_NoEnd, csv.Error) as problem:
                row, fault = [], "a quote is not closed" if isinstance(problem, _NoEnd) else f"not readable as CSV ({problem})"
            if len(lines.taken) > 1 and len(row) != width:
                # A quote that is not closed swallows the rows after it: only its own line is at fault.
                fault = "a quote is not closed"
                lines.give_back()
                reader = csv.reader(lines, delimiter=delimiter)
            if not row and not fault:
                continue
            number += 1
            if not fault and len(row) > width:
                fault = f"{len(row)} columns instead of {width}"
            if fault:
                yield Raw(number, {}, lines.notes(), fault, lines.taken[0].strip()[:FAULTY_CHARACTERS] if lines.taken else "")
                continue
            notes = lines.notes() if len(row) == width else (*lines.notes(), "row: columns are missing at its end")
            yield Raw(number, {column: row[place] for column, place in places.items() if place < len(row)}, notes)


class _NoEnd(Exception):
    """A row reaches over more lines than any post would."""


class _Lines:
    """The lines of a text file, with those of the row under way kept so that they can be read again."""

    def __init__(self, file: IO[bytes], decode: "Decode") -> None:
        self.file = file
        self.taken: list[str] = []
        self._decode = decode
        self._waiting: list[str] = []
        self._bytes = 0
        self._limit = MAX_ROW_BYTES
        self._is_odd = False

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._waiting.pop() if self._waiting else self._read()
        if not line:
            raise StopIteration
        self.taken.append(line)
        self._bytes += len(line)
        if self._bytes > self._limit and len(self.taken) > 1:
            raise _NoEnd
        return line

    def peek(self) -> str:
        """The first line, which is read again as the next one."""
        line = self._read()
        self._waiting.append(line)
        return line

    def begin(self) -> None:
        """A new row begins."""
        self.taken, self._bytes, self._is_odd = [], 0, False

    def give_back(self) -> None:
        """All lines of this row but the first are to be read again."""
        self._waiting += reversed(self.taken[1:])
        self.taken = self.taken[:1]
        self._limit = max(MIN_ROW_BYTES, self._limit // 2)

    def notes(self) -> tuple[str, ...]:
        """What is odd about the lines of this row."""
        return ("text: bytes that are not UTF-8",) if self._is_odd else ()

    def _read(self) -> str:
        data = self.file.readline(MAX_LINE_BYTES)
        text, is_odd = self._decode(data)
        self._is_odd = self._is_odd or is_odd
        return text


Decode = Callable[[bytes], tuple[str, bool]]


def _opened(path: Path) -> tuple[IO[bytes], Decode]:
    """The file behind its byte order mark, and how its lines are decoded: text, and whether bytes were odd."""
    file = path.open("rb")
    mark = file.read(4)
    if mark[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16-le" if mark[:2] == b"\xff\xfe" else "utf-16-be"
        file.close()
        return cast(IO[bytes], _Recoded(path, encoding)), _from_utf8
    file.seek(3 if mark[:3] == b"\xef\xbb\xbf" else 0)
    return file, _from_utf8


class _Recoded:
    """A UTF-16 file, read as UTF-8 lines."""

    def __init__(self, path: Path, encoding: str) -> None:
        self._file = path.open(encoding=encoding, errors="replace", newline="")
        self._file.read(1)

    def readline(self, limit: int) -> bytes:
        return self._file.readline(limit).encode("utf-8", "replace")

    def __enter__(self) -> "_Recoded":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _from_utf8(data: bytes) -> tuple[str, bool]:
    try:
        return data.decode("utf-8"), False
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace"), True


def _jsonl(path: Path, find: Find) -> Table:
    file, decode = _opened(path)
    with file:
        heads = [_object(decode(line)[0]) for _, line in zip(range(1000), iter(lambda: file.readline(MAX_LINE_BYTES), b""), strict=False)]
    there = dict.fromkeys(name for head in heads if isinstance(head, dict) for name in head)
    columns = find(there)
    return Table("jsonl", columns, _jsonl_rows(path, columns))


def _jsonl_rows(path: Path, columns: Mapping[str, str]) -> Iterator[Raw]:
    file, decode = _opened(path)
    number = 0
    with file:
        while line := file.readline(MAX_LINE_BYTES):
            text, is_odd = decode(line)
            if not text.strip():
                continue
            number += 1
            row, notes = _object(text), ("text: bytes that are not UTF-8",) if is_odd else ()
            if isinstance(row, str):
                yield Raw(number, {}, notes, row, text.strip()[:FAULTY_CHARACTERS])
            else:
                yield Raw(number, {column: row[name] for column, name in columns.items() if name in row}, notes)


def _object(text: str) -> dict[str, object] | str:
    """The JSON object in a line, or why there is none."""
    try:
        row = json.loads(text)
    except json.JSONDecodeError as problem:
        return f"not JSON ({problem.msg}, column {problem.colno})"
    except (ValueError, RecursionError):
        return "not JSON (numbers or nesting beyond all measure)"
    return row if isinstance(row, dict) else "not a JSON object"


def _xlsx(path: Path, find: Find) -> Table:
    try:
        import openpyxl
    except ImportError as problem:
        raise DataError(
            f"XLSX needs openpyxl, which is not installed ({problem}).\nInstall it with  {extras.add('posts')}  or save a CSV."
        ) from problem
    try:
        _refuse_bomb(path)
        # Only ever read: formulas give their stored values, and links to other files are not followed.
        book: Any = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
        rows = book.worksheets[0].iter_rows(values_only=True)
        header = ["" if cell is None else str(cell) for cell in next(rows, ())]
    except DataError:
        raise
    except Exception as problem:  # A damaged archive fails in a dozen ways.
        raise _damaged(path, problem) from problem
    columns = find([name for name in header if name])
    return Table("xlsx", columns, _xlsx_rows(path, rows, {column: header.index(name) for column, name in columns.items()}))


def _xlsx_rows(path: Path, rows: Iterator[tuple[object, ...]], places: Mapping[str, int]) -> Iterator[Raw]:
    number = 0
    while True:
        try:
            row = next(rows, None)
        except Exception as problem:
            raise _damaged(path, problem) from problem
        if row is None:
            return
        if any(cell is not None for cell in row):
            number += 1
            yield Raw(number, {column: row[place] for column, place in places.items() if place < len(row)})


def _refuse_bomb(path: Path) -> None:
    """Raise DataError where a workbook unpacks to more than any table of posts would."""
    import zipfile

    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > max(2**30, 50 * path.stat().st_size) or unpacked > 16 * 2**30:
        raise DataError(f"{path} unpacks to {unpacked:,} bytes, which no table of posts needs.\nSave it as CSV.")


def _damaged(path: Path, problem: Exception) -> DataError:
    why = (str(problem).strip().splitlines() or [type(problem).__name__])[0][:200]
    return DataError(f"{path} cannot be read as a workbook ({why}).\nSave it again, or as CSV.")


def _parquet(path: Path, find: Find) -> Table:
    names, rows = parquets.read_rows(shards_of([path]), str(path))
    try:
        columns = find(names)
    except DataError:
        cast(Any, rows).close()
        raise
    return Table("parquet", columns, _parquet_rows(rows, columns))


def _parquet_rows(rows: Iterator[dict[str, object]], columns: Mapping[str, str]) -> Iterator[Raw]:
    with closing(cast(Any, rows)):
        for number, row in enumerate(rows, start=1):
            yield Raw(number, {column: row.get(name) for column, name in columns.items()})
