"""Bulk edits of captions: words before and after, words replaced or taken out, the keyword moved.

Every line of `metadata.jsonl` is edited by itself and only where its caption changes; all other bytes stay. `preview` says what would
change without writing anything, `write_txt` gives the captions as `.txt` files beside the pictures. All of it can be undone.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from decal import undo
from decal.captions import metadata_bytes
from decal.dataset import scan
from decal.metadata import METADATA, Row, caption_cell, caption_key, further_keys, read_row
from decal.wording import counted


@dataclass(frozen=True)
class Edit:
    """What is done to each caption, in this order. keyword: where it goes; None leaves it where it is."""

    replace: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()
    prepend: str = ""
    append: str = ""
    keyword: Literal["first", "last"] | None = None

    def told(self) -> str:
        """The edit in words."""
        parts = [f"replace {old!r} by {new!r}" for old, new in self.replace] + [f"remove {word!r}" for word in self.remove]
        parts += [f"prepend {self.prepend!r}"] if self.prepend else []
        parts += [f"append {self.append!r}"] if self.append else []
        return ", ".join([*parts, *([f"keyword {self.keyword}"] if self.keyword else [])])


@dataclass(frozen=True)
class Changed:
    """One caption before and after. line: of metadata.jsonl, from 1."""

    file: str
    line: int
    before: str
    after: str


def edited(caption: str, edit: Edit, keyword: str) -> str:
    """A caption after an edit; the same text twice in front or behind is put there once.

    Words are replaced and removed as whole words; a caption that would be left empty stays as it is.
    """
    text = caption
    for old, new in edit.replace:
        text = re.sub(_whole(old), lambda _match, new=new: new, text)  # type: ignore[misc]
    for word in edit.remove:
        text = _tidy(re.sub(_whole(word), "", text, flags=re.IGNORECASE))
    if edit.keyword is not None:
        text = _moved(text, keyword, edit.keyword)
    if edit.prepend.strip() and not re.match(_whole(edit.prepend.strip()), text):
        text = _joined(edit.prepend, text)
    if edit.append.strip() and not re.search(_whole(edit.append.strip()) + r"\Z", text):
        text = _joined(text, edit.append)
    return text if text.strip() else caption


def preview(dataset: Path, edit: Edit, keyword: str) -> list[Changed]:
    """What an edit would change; nothing is written."""
    return _rewritten(metadata_bytes(dataset), lambda text: edited(text, edit, keyword))[1]


def apply(dataset: Path, edit: Edit, keyword: str) -> list[Changed]:
    """Edit every caption; what was changed."""
    data, changes = _rewritten(metadata_bytes(dataset), lambda text: edited(text, edit, keyword))
    if changes:
        undo.change(dataset.parent, {f"{dataset.name}/{METADATA}": data}, f"{edit.told()} in {counted(len(changes), 'caption')}")
    return changes


def replace_all(dataset: Path, texts: Mapping[str, str], told: str, *, is_dry: bool) -> list[Changed]:
    """Put other captions in the place of those given, wherever they stand; what was, or would be, changed. told: what is done, in words."""
    data, changes = _rewritten(metadata_bytes(dataset), lambda text: texts.get(text, text))
    if changes and not is_dry:
        undo.change(dataset.parent, {f"{dataset.name}/{METADATA}": data}, f"{told} {counted(len(changes), 'caption')}")
    return changes


def write_txt(dataset: Path) -> tuple[list[str], list[str]]:
    """Write each caption into the `.txt` file beside its picture, as kohya's trainers read it.

    Returns the files that were written, and the pictures left out because another one's caption belongs into the same file.
    """
    owners: dict[str, list[Row]] = defaultdict(list)
    for row in scan(dataset).rows:
        if row.caption and row.caption.strip():
            owners[PurePosixPath(row.file).with_suffix(".txt").as_posix()].append(row)
    files: dict[str, bytes] = {}
    shared: list[str] = []
    for name, rows in owners.items():
        if len({row.file for row in rows}) > 1:
            shared += [row.file for row in rows]
            continue
        data = "".join(f"{' '.join(text.split())}\n" for text in rows[0].captions).encode()
        path = dataset / name
        if not path.is_file() or path.read_bytes().strip() != data.strip():
            files[f"{dataset.name}/{name}"] = data
    if files:
        undo.change(dataset.parent, files, f"write {counted(len(files), '.txt file')}")
    return [name.removeprefix(f"{dataset.name}/") for name in files], shared


def _rewritten(data: bytes, change: Callable[[str], str]) -> tuple[bytes, list[Changed]]:
    """The metadata with every caption changed that a function changes."""
    lines = data.split(b"\n")
    changes: list[Changed] = []
    for index, line in enumerate(lines):
        bare = line.removeprefix(b"\xef\xbb\xbf").removesuffix(b"\r")
        row = read_row(bare, index + 1) if bare.strip() else None
        if not isinstance(row, Row):
            continue
        told = [(before, change(before) if before else before) for before in row.captions]
        changed = [Changed(row.file, index + 1, before, after) for before, after in told if before != after]
        if not changed:
            continue
        values = json.loads(bare)
        key, numbered = caption_key(values), set(further_keys(values))
        kept = {name: value for name, value in values.items() if name not in numbered}
        mark, ending = line[: len(line) - len(line.removeprefix(b"\xef\xbb\xbf"))], b"\r" if line.endswith(b"\r") else b""
        cell = caption_cell([after for _, after in told], key)
        lines[index] = mark + json.dumps(kept | cell, ensure_ascii=False).encode("utf-8", "backslashreplace") + ending
        changes += changed
    return b"\n".join(lines), changes


def _whole(words: str) -> str:
    """A pattern for words that stand alone: `cat` is not part of `category`."""
    before, after = (r"(?<!\w)" if words[:1].isalnum() else ""), (r"(?!\w)" if words[-1:].isalnum() else "")
    return before + re.escape(words) + after


def _moved(text: str, keyword: str, where: Literal["first", "last"]) -> str:
    """The keyword, with the word style behind it, at the beginning or the end of a caption."""
    pattern = rf"{_whole(keyword)}(?: style\b)?"
    match = re.search(pattern, text, flags=re.IGNORECASE)
    phrase = match.group(0) if match else f"{keyword} style"
    if (where == "first" and match and match.start() == 0) or (where == "last" and match and match.end() == len(text)):
        return text
    rest = _tidy(re.sub(pattern, "", text, flags=re.IGNORECASE))
    return f"{phrase}, {rest}" if where == "first" else f"{rest}, {phrase}"


def _joined(first: str, second: str) -> str:
    """Two texts with one space between them, or none before a mark."""
    first, second = first.strip(), second.strip()
    return f"{first}{'' if second[:1] in ',.;:' else ' '}{second}"


def _tidy(text: str) -> str:
    """A text without the gaps that words leave when they are taken out."""
    text = re.sub(r"\s+([,.;])", r"\1", " ".join(text.split()))
    return re.sub(r"([,;])(\s*[,;])+", r"\1", text).strip(" ,;")
