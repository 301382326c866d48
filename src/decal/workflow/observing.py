"""What people made of published variants: their likes into the project, against what was expected, and into what ranks the next ones."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from decal import project
from decal.errors import DataError, ProjectError
from decal.events import Event, Stop, Told
from decal.posts import observed, reading, tables
from decal.project import Project
from decal.settings import Settings
from decal.wording import counted, printable
from decal.workflow.learning import engagement_of, learn_posts
from decal.workflow.published import likes_of, variants_of

# So many rows are named for each thing that is wrong.
NAMED = 5


def observe_posts(at: Project, settings: Settings, table: Path, columns: Mapping[str, str], stop: Stop) -> Iterator[Event]:
    """Take in a table with the columns variant and likes; a later figure of a variant takes the place of an earlier one.

    columns: those that are called otherwise.
    Where an audience was learnt, it is learnt anew with them. Raises DataError that names the column that is missing, or where no line
    has a variant of this project and its likes.
    """
    variants = variants_of(at)
    names = {one.variant for one in variants}
    if not names:
        raise ProjectError(f"{at.folder} has no variants yet.\nDraw some with  decal posts draw NEW_POSTS {at.folder}")
    likes: dict[str, int] = {}
    unknown: list[str] = []
    faulty: list[str] = []
    for raw in tables.read(table, columns, tables.VARIANTS).rows:
        name = reading.name_of(raw.cells.get("variant")).removeprefix("decal-")
        notes: list[str] = []
        count = reading.likes_of(raw.cells.get("likes"), notes)
        if name not in names:
            unknown.append(f"row {raw.number}: {raw.fault or repr(printable(name)[:40])}")
        elif count is None:
            faulty.append(f"row {raw.number}: {notes[0].partition(': ')[2]}")
        else:
            likes[name] = count
    before = likes_of(at)
    if faulty and not likes and not before:
        raise DataError(
            f"{table} names variants of {at.folder}, but none with a number of likes.\nIts column likes must hold numbers, such as 1200."
        )
    if not likes and not before:
        raise DataError(f"{table} names no variant of {at.folder}.\nIts column variant must hold ids of variants.csv.")
    found = observed.taken_in(variants, before, likes)
    if found != before:
        with project.lock(at.posts / "observed.jsonl", "taking in likes"):
            project.write_lines(at.posts / "observed.jsonl", found)
    was = {one.variant: one.likes for one in before}
    new = sum(was.get(name) != count for name, count in likes.items())
    yield Told(
        f"{counted(new, 'figure')} new, {len(unknown)} of unknown variants{_some(unknown)}, "
        f"{len(faulty)} without a number of likes{_some(faulty)}"
    )
    yield from (Told(line) for line in observed.score(variants, found).lines())
    if engagement_of(at) is None:
        yield Told("nothing was learnt of the audience yet; decal posts learn  learns from these too")
        return
    yield Told("what ranks candidates is learnt anew with them:")
    yield from learn_posts(at, settings, stop)
    learnt = engagement_of(at)
    if learnt is not None and learnt.is_told:
        yield Told("from the next  decal posts draw  and  report  on, candidates are ordered and judged by it")


def _some(rows: Sequence[str]) -> str:
    """The first of the rows, to be looked at; "" where there are none."""
    return f" ({'; '.join(rows[:NAMED])}{'; ...' * (len(rows) > NAMED)})" if rows else ""
