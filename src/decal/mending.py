"""What `decal check --fix` mends: only what needs no judgement, and nothing that cannot be taken back.

A data set and what its check found go in; out comes a plan that can be shown before it is done. Captions are tidied, names in the metadata
spelt as the files are, lines of one picture joined, lines without a picture taken out. A picture that cannot be used, or is there twice, is
moved to `left_out/` with its lines, so that nothing is lost even when the undo is used up. No picture is ever changed.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from decal import undo
from decal.captions import metadata_bytes
from decal.checks import Checked
from decal.checks.english import tidied, unscrambled
from decal.metadata import METADATA, Row, caption_cell, caption_key, further_keys, read_row
from decal.wording import counted

LEFT_OUT = "left_out"
# Checks whose pictures can never be trained on.
USELESS = ("unreadable", "truncated", "huge", "extreme_ratio")
# How file managers name a second picture: `Copy of fox`, `fox - Kopie`, `fox (1)`, `fox copy 2`.
COPIED = re.compile(r"\b(copy|kopie|copie|copia|cópia|kopia|копия)\b|\(\d+\)$|副本|コピー", re.IGNORECASE)


@dataclass(frozen=True)
class Mend:
    """One thing that is mended. before, after: the caption or the name, where one changes."""

    file: str
    what: str
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True)
class Plan:
    """All that is mended: files of the project with their new bytes, and files that are moved, by their names relative to it."""

    mends: tuple[Mend, ...]
    files: Mapping[str, bytes]
    moves: Mapping[str, str]

    def told(self) -> str:
        """The plan in words."""
        return f"mend {counted(len(self.mends), 'thing')} that the check found"


@dataclass
class _Line:
    """A line of the metadata. row: its JSON object; None where it is left as it is, whatever it holds."""

    data: bytes
    row: dict[str, object] | None
    is_dropped: bool = False
    captions: list[str] = field(default_factory=list)

    @property
    def file(self) -> str:
        return "" if self.row is None else PurePosixPath(str(self.row["file_name"])).as_posix()


def plan(dataset: Path, checked: Checked) -> Plan:
    """What can be mended in a data set without asking; nothing is written."""
    before = metadata_bytes(dataset)
    lines = [_read(line, number) for number, line in enumerate(before.split(b"\n"), start=1)]
    leave = _to_leave_out(checked)
    kept = {file for file in checked.listing.broken if file in leave}
    leave = {file: why for file, why in leave.items() if file not in kept}
    mends = [
        *_names(lines, dataset, checked.listing.files),
        *_captions(lines),
        *_joined(lines, leave),
        *(Mend(file, f"left out: {why[0]}") for file, why in leave.items()),
    ]
    after = b"\n".join(line.data for line in lines if not line.is_dropped)
    files = {f"{dataset.name}/{METADATA}": after} if after != before else {}
    free = _free(dataset.parent / LEFT_OUT, leave)
    moves = {f"{dataset.name}/{file}": f"{LEFT_OUT}/{name}" for file, name in free.items()}
    for line in lines:
        if line.is_dropped and free.get(line.file, line.file) != line.file:
            _rewrite(line, {"file_name": free[line.file]})
    dropped = [line.data.removeprefix(b"\xef\xbb\xbf").strip() for line in lines if line.is_dropped]
    if dropped:
        there = dataset.parent / LEFT_OUT / METADATA
        files[f"{LEFT_OUT}/{METADATA}"] = (there.read_bytes() if there.is_file() else b"") + b"\n".join(dropped) + b"\n"
    return Plan(tuple(mends), files, moves)


def apply(folder: Path, planned: Plan) -> None:
    """Do what is planned in a project, so that `undo` can take it back."""
    if planned.mends:
        undo.change(folder, planned.files, planned.told(), moves=planned.moves)


def _to_leave_out(checked: Checked) -> dict[str, tuple[str, str | None]]:
    """Pictures that are of no use, by file, with the reason and the picture that stands for them, if there is one."""
    useless = {one.file: (one.reason, None) for one in checked.findings if one.check in USELESS and one.file is not None}
    captioned = {row.file for row in checked.listing.rows if row.caption and row.caption.strip()}
    groups: dict[str, list[str]] = {}
    for file, look in checked.looks.items():
        groups.setdefault(look.pixels_sha256, []).append(file)
    same: dict[str, tuple[str, str | None]] = {}
    for files in groups.values():
        # The one with a caption stays, then one that is not called a copy, then the one of the shorter name.
        kept, *others = sorted(
            files, key=lambda file: (file not in captioned, bool(COPIED.search(PurePosixPath(file).stem)), len(file), file)
        )
        same |= dict.fromkeys(others, (f"the same picture as {kept}", kept))
    return dict(sorted({**useless, **same}.items()))


def _names(lines: Iterable[_Line], dataset: Path, files: Iterable[str]) -> list[Mend]:
    """Names in other case, with another ending or with backslashes, as the files are called; lines of pictures that are not there."""
    there = set(files)
    lines = list(lines)
    unnamed = there - {line.file for line in lines}
    near: dict[str, list[str]] = {}
    for file in sorted(unnamed):
        near.setdefault(_loosely(file), []).append(file)
    mends = []
    for line in lines:
        if line.row is None or line.file in there:
            continue
        meant = near.get(_loosely(str(line.row["file_name"])), [])
        if len(meant) == 1:
            mends.append(Mend(meant[0], "named as the file is", str(line.row["file_name"]), meant[0]))
            _rewrite(line, {"file_name": meant[0]})
        # A file that is there but is no picture, such as an AVIF, may become one; its line waits for that.
        elif isinstance(read_row(line.data, 0), Row) and not (dataset / line.file).exists():
            line.is_dropped = True
            mends.append(Mend(line.file, f"its line was taken out, there is no such picture{_with(line)}"))
    return mends


def _captions(lines: Iterable[_Line]) -> list[Mend]:
    mends = []
    for line in lines:
        if line.row is None or line.is_dropped:
            continue
        mended = [tidied(unscrambled(text) or text) for text in line.captions]
        changed = [Mend(line.file, "caption", old, new) for old, new in zip(line.captions, mended, strict=True) if old != new and new]
        if changed:
            mends += changed
            _put(line, [new or old for old, new in zip(line.captions, mended, strict=True)])
    return mends


def _joined(lines: Iterable[_Line], leave: Mapping[str, tuple[str, str | None]]) -> list[Mend]:
    """One line for each picture, with the captions of all its lines and of pictures that are the same."""
    mends: list[Mend] = []
    first: dict[str, _Line] = {}
    adopted: list[_Line] = []
    # Lines of pictures that stay come before those of their copies, which else would take their place.
    for line in sorted(lines, key=lambda line: line.file in leave):
        if line.row is None or line.is_dropped:
            continue
        stands_for = leave.get(line.file)
        if stands_for is not None and stands_for[1] is None:
            line.is_dropped = True
            continue
        file = line.file if stands_for is None else str(stands_for[1])
        if file not in first:
            first[file] = line
            if stands_for is not None:
                # The picture that stays has no line of its own yet.
                adopted.append(line)
                _rewrite(line, {"file_name": file})
            continue
        known = first[file]
        line.is_dropped = True
        new = [text for text in line.captions if text not in known.captions and text.strip()]
        if new:
            _put(known, [*(text for text in known.captions if text.strip()), *new])
        # Of a copy that is left out, that is what is told.
        if stands_for is None and known not in adopted:
            mends.append(Mend(file, "its lines were joined" + (f", now with {counted(len(known.captions), 'caption')}" if new else "")))
    return mends


def _read(line: bytes, number: int) -> _Line:
    """A line with its object, where it has a name and, once its name is right, could be a row."""
    try:
        row = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError):
        return _Line(line, None)
    if not isinstance(row, dict) or not isinstance(row.get("file_name"), str) or not row["file_name"]:
        return _Line(line, None)
    read = read_row(json.dumps(row | {"file_name": "a.png"}).encode(), number)
    return _Line(line, row, captions=list(read.captions)) if isinstance(read, Row) else _Line(line, None)


def _put(line: _Line, captions: list[str]) -> None:
    assert line.row is not None, "only rows have captions"
    key, numbered = caption_key(line.row), set(further_keys(line.row))
    line.row = {name: value for name, value in line.row.items() if name not in numbered}
    line.captions = captions
    _rewrite(line, caption_cell(captions, key))


def _rewrite(line: _Line, cells: Mapping[str, object]) -> None:
    """The line with other values in some of its keys; its mark and ending stay."""
    assert line.row is not None, "only rows are written anew"
    line.row = {**line.row, **cells}
    mark, ending = b"\xef\xbb\xbf" * line.data.startswith(b"\xef\xbb\xbf"), b"\r" * line.data.endswith(b"\r")
    line.data = mark + json.dumps(line.row, ensure_ascii=False).encode("utf-8", "backslashreplace") + ending


def _loosely(name: str) -> str:
    """A name without what people and systems get wrong: case, slashes and ending."""
    return PurePosixPath(name.replace("\\", "/")).with_suffix("").as_posix().casefold()


def _with(line: _Line) -> str:
    return f": {line.captions[0]!r}" if line.captions else ""


def _free(folder: Path, files: Iterable[str]) -> dict[str, str]:
    """Each name, or the name with a number where it is taken by what was left out before or by another of these."""
    found: dict[str, str] = {}
    # Case is nothing to some file systems.
    taken: set[str] = set()
    for file in files:
        path, number, name = PurePosixPath(file), 1, file
        while name.casefold() in taken or (folder / name).exists():
            number += 1
            name = path.with_name(f"{path.stem}-{number}{path.suffix}").as_posix()
        taken.add(name.casefold())
        found[file] = name
    return found
