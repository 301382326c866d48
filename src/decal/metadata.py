"""One line of `metadata.jsonl` -> a row, or what is wrong with it.

The format is that of Hugging Face's imagefolder: a JSON object a line, `file_name` and a caption. Nothing here looks at the disk; a name
that could lead out of its folder is refused as text already.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from decal.records import Finding

METADATA = "metadata.jsonl"
# `text` is what imagefolder and the diffusers scripts read; the others are common in exports.
TEXT_KEYS = ("text", "caption", "prompt")
# More than this of one picture would crowd out all others; larger numbers in folder names are years.
MAX_REPEATS = 1000


@dataclass(frozen=True)
class Row:
    """One picture file as the metadata names it.

    caption: None where there is none. line: of metadata.jsonl, from 1. others: the captions after the first, where there are several.
    repeats: how often the picture is shown while others are shown once, 1..1000.
    """

    file: str
    caption: str | None
    line: int | None
    others: tuple[str, ...] = ()
    repeats: int = 1

    @property
    def captions(self) -> tuple[str, ...]:
        return () if self.caption is None else (self.caption, *self.others)


def text_lines(data: bytes) -> Iterator[bytes]:
    """The lines of a metadata file without their endings, the byte order mark left out; blank lines are kept so that numbers are right."""
    for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        yield line.removesuffix(b"\r")


def caption_key(row: Mapping[str, object]) -> str:
    """The key that holds the caption of a row: the first with a value, else the first that is there, alone or numbered, else `text`."""
    there = [key for key in TEXT_KEYS if key in row]
    if not there:
        numbered = (key for key in TEXT_KEYS if any(re.fullmatch(rf"{key}_?\d{{1,3}}", name) for name in row))
        return next(numbered, TEXT_KEYS[0])
    return next((key for key in there if row[key] is not None), there[0])


def read_row(line: bytes, number: int) -> Row | Finding:
    """A row, or what is wrong with the line. number: of the line, from 1."""

    def bad(reason: str, remedy: str, check: str = "bad_line") -> Finding:
        return fault(check, METADATA, number, f"line {number}: {reason}", remedy)

    row = _parse(line)
    if isinstance(row, _Unfit):
        return bad(row.reason, row.remedy)
    name = row.get("file_name")
    if not isinstance(name, str) or not name:
        return bad("has no file_name", 'Add "file_name", the path of the picture below the folder.')
    if not is_utf8(name) or any(ord(letter) < 32 for letter in name):
        return bad(f"file_name {name!a} holds characters that no file name should", "Rename the picture and the line.")
    if (why := leaves_folder(name)) is not None:
        return bad(f"file_name {name!r} {why}", "Copy the picture into the folder and name it from there.", "outside")
    file = PurePosixPath(name).as_posix()
    repeats = row.get("repeats", 1)
    if not isinstance(repeats, int) or isinstance(repeats, bool) or not 1 <= repeats <= MAX_REPEATS:
        reason = f"repeats is {json.dumps(repeats)[:40]}, not a whole number from 1 to {MAX_REPEATS}"
        return fault("bad_repeats", file, number, reason, "Write such a number, or take the key out.")
    texts = captions_of(row)
    for text in texts:
        if not isinstance(text, str):
            return fault("bad_caption", file, number, f"the caption is {json.dumps(text)[:40]}, not text", "Put it in quotation marks.")
        if not is_utf8(text) or "\0" in text:
            return fault("bad_caption", file, number, f"the caption {text[:40]!a} holds characters that no text should", "Write it anew.")
    captions = [text for text in texts if isinstance(text, str)]
    captions = [text for text in captions if text.strip()] or captions[:1]
    return Row(file, captions[0] if captions else None, number, tuple(captions[1:]), repeats)


def captions_of(row: Mapping[str, object]) -> list[object]:
    """All captions of a row as they stand: the text, or each of a list, then those of `text_2` and the like; none where it is null."""
    key = caption_key(row)
    found = [row.get(key), *(row[other] for other in further_keys(row))]
    flat = [one for value in found for one in (value if isinstance(value, list) else [value])]
    return [text for text in flat if text is not None]


def further_keys(row: Mapping[str, object]) -> list[str]:
    """The keys of captions after the first, such as `text_2`, `text3` or `caption_0`, by their numbers."""
    key = caption_key(row)
    numbered = [match for name in row if (match := re.fullmatch(rf"{key}_?(\d{{1,3}})", name))]
    return [match.group(0) for match in sorted(numbered, key=lambda match: int(match.group(1)))]


def caption_cell(captions: Sequence[str], key: str = TEXT_KEYS[0]) -> dict[str, object]:
    """The key of a row that holds these captions: a text, or a list where there are several, as the diffusers scripts read them too."""
    return {key: captions[0] if len(captions) == 1 else list(captions)} if captions else {}


def text_of(data: bytes) -> str:
    """What a text file says: UTF-8, or UTF-16 or Windows-1252 as Windows saves it, the latter told line by line."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    return "\n".join(_line_of(line) for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"))


def _line_of(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace")


def sidecar_captions(data: bytes) -> tuple[str, ...]:
    """The captions in the bytes of a `.txt` file: one a line, as kohya's wildcard mode and OneTrainer read it; blank lines are left out."""
    return tuple(" ".join(line.split()) for line in text_of(data).splitlines() if line.strip())


def seem_named(lines: Iterable[tuple[int, bytes]], files: Sequence[str]) -> dict[str, int]:
    """The files that lines which cannot be read seem to be about, with the line's number: by the whole path, or else by the last part."""
    there = set(files)
    by_name: dict[str, list[str]] = defaultdict(list)
    for file in files:
        by_name[PurePosixPath(file).name].append(file)
    named: dict[str, int] = {}
    for number, line in lines:
        pieces = _pieces(line)
        meant = pieces & there or {file for piece in pieces for file in by_name.get(piece.rpartition("/")[2], ())}
        named |= dict.fromkeys(sorted(meant), number)
    return named


def _pieces(line: bytes) -> set[str]:
    """All that may be a path in a line that cannot be read: what stands between quotes, and single words."""
    data = line.replace(b"\0", b"")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda escape: chr(int(escape.group(1), 16)), text).replace("\\", "/")
    return {*text.split('"'), *text.split("'"), *re.split(r"[\s\"'{}:,]+", text)}


@dataclass(frozen=True)
class _Unfit:
    """Why a line is not a JSON object."""

    reason: str
    remedy: str


def _parse(line: bytes) -> dict[str, object] | _Unfit:
    if b"\0" in line:
        return _Unfit("holds a NUL byte", "Save the file as UTF-8 text; the line is damaged, or the file is UTF-16.")
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as problem:
        return _Unfit(f"is not UTF-8 (byte {problem.start + 1})", "Save the file as UTF-8.")
    except json.JSONDecodeError as problem:
        return _Unfit(f"is not JSON ({problem.msg}, column {problem.colno})", 'Write it as {"file_name": "...", "text": "..."}.')
    except (ValueError, RecursionError) as problem:  # Numbers and nesting beyond what Python reads.
        return _Unfit(f"cannot be read ({problem})", 'Write it as {"file_name": "...", "text": "..."}.')
    return row if isinstance(row, dict) else _Unfit("is not a JSON object", 'Write it as {"file_name": "...", "text": "..."}.')


def leaves_folder(name: str) -> str | None:
    """Why a relative name could lead out of its folder; None where it cannot."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://|file:|data:", name):
        return "is an address, not a path below the folder"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "is an absolute path"
    if "\\" in name:
        return "has backslashes; write / instead"
    return "leads out of the folder" if ".." in name.split("/") else None


def is_utf8(text: str) -> bool:
    """Whether the text can be written; half surrogates from escapes and undecodable file names cannot."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def fault(check: str, file: str, line: int | None, reason: str, remedy: str) -> Finding:
    """A finding of level error about a file."""
    return Finding(level="error", check=check, file=file, line=line, reason=reason, remedy=remedy)
