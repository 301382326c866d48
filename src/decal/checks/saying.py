"""How a check says what it found: a finding in one call, long texts shortened, and all of them as lines for a terminal."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby

from decal.records import Finding, Level
from decal.wording import printable

LEVELS: tuple[Level, ...] = ("error", "warning", "note")
# More of the same are folded into one line where not all are asked for.
MAX_LINES = 8
MAX_FILE_COLUMN = 40


def finding(level: Level, check: str, file: str | None, reason: str, remedy: str, line: int | None = None) -> Finding:
    """A finding of the check of that name."""
    return Finding(level=level, check=check, file=file, line=line, reason=reason, remedy=remedy)


def place(found: Finding) -> tuple[int, str, int, str]:
    """What findings are sorted by: errors first, then by file."""
    return LEVELS.index(found.level), found.file or "", found.line or 0, found.check


def short(text: str | None) -> str:
    """A text in quotes, cut to 60 characters."""
    words = text or ""
    return repr(words if len(words) <= 60 else words[:57] + "...")


def summary(findings: Sequence[Finding]) -> list[str]:
    """The findings as aligned lines for a terminal, the remedy under each kind; what is more of a kind is folded into one line."""
    kinds: dict[tuple[int, str], list[Finding]] = defaultdict(list)
    for one in sorted(findings, key=place):
        kinds[LEVELS.index(one.level), one.check].append(one)
    shown = [one for kind in kinds.values() for one in kind[:MAX_LINES]]
    column = min(MAX_FILE_COLUMN, max((len(_name(one)) for one in shown), default=0))
    indent = " " * (2 + 9)
    lines: list[str] = []
    for kind in (kinds[key] for key in sorted(kinds, key=lambda key: key[0])):
        for remedy, same in groupby(kind[:MAX_LINES], key=lambda one: one.remedy):
            lines += [_line(one, column) for one in same]
            lines.append(f"{indent}-> {printable(remedy)}")
        if len(kind) > MAX_LINES:
            lines.append(f"{indent}... and {len(kind) - MAX_LINES:,} more like this; decal check --all  lists them")
    return lines


def by_picture(findings: Sequence[Finding]) -> list[str]:
    """Every finding as aligned lines, those of one picture together, the worst pictures first; a remedy under the first of its kind."""
    files: dict[str, list[Finding]] = defaultdict(list)
    for one in sorted(findings, key=place):
        files[one.file or ""].append(one)
    column = min(MAX_FILE_COLUMN, max((len(_name(one)) for one in findings), default=0))
    lines: list[str] = []
    told: set[tuple[str, str]] = set()
    for same in files.values():
        for one in same:
            lines.append(_line(one, column))
            if (one.check, one.remedy) not in told:
                lines.append(f"{' ' * (2 + 9)}-> {printable(one.remedy)}")
            told.add((one.check, one.remedy))
    return lines


def _line(one: Finding, column: int) -> str:
    """A finding as a line; one of the whole set has no column for a file."""
    where = f"{_name(one):{column}}  " if one.file else ""
    return f"  {one.level:8} {where}{printable(one.reason)}".rstrip()


def _name(one: Finding) -> str:
    """The file in its column, cut from the left, whose end tells more."""
    name = printable(one.file or "")
    return name if len(name) <= MAX_FILE_COLUMN else "..." + name[-(MAX_FILE_COLUMN - 3) :]
