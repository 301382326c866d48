"""What people made of published variants: their likes into the project, against what was expected."""

import csv
from collections.abc import Iterator
from pathlib import Path

from decal import project
from decal.errors import DataError
from decal.events import Event, Told
from decal.posts import observed
from decal.project import Project
from decal.records import ObservedLikes, PostVariant
from decal.wording import counted, printable


def observe_posts(at: Project, table: Path) -> Iterator[Event]:
    """Take in a CSV file with the columns variant and likes; a later figure of a variant takes the place of an earlier one.

    Raises DataError that names the columns that are missing, or where no line names a variant of this project.
    """
    known = {one.variant: one for one in variants_of(at)}
    if not known:
        raise DataError(f"{at.folder} has no variants yet.\nDraw some with  decal posts draw NEW_POSTS {at.folder}")
    likes = {one.variant: one.likes for one in project.read(at.posts / "observed.jsonl", ObservedLikes)}
    before, unknown, faulty = dict(likes), 0, 0
    for variant, told in _lines(table):
        name = variant.strip().removeprefix("decal-")
        if name not in known:
            unknown += 1
        elif not told.strip().isdecimal():
            faulty += 1
        else:
            likes[name] = int(told)
    if not likes:
        raise DataError(f"{table} names no variant of {at.folder}.\nIts column variant must hold ids of variants.csv.")
    if likes != before:
        with project.lock(at.posts / "observed.jsonl", "taking in likes"):
            project.write_lines(at.posts / "observed.jsonl", [ObservedLikes(variant=name, likes=likes[name]) for name in sorted(likes)])
    new = sum(before.get(name) != count for name, count in likes.items())
    yield Told(f"{counted(new, 'figure')} new, {unknown} of unknown variants, {faulty} without a whole number of likes")
    yield from (Told(line) for line in observed.score(list(known.values()), likes).lines())
    yield Told("shown by  decal posts report  too; what ranks candidates learns from tables of posts alone (decal posts import, learn)")


def variants_of(at: Project) -> list[PostVariant]:
    """Every variant that was drawn; of one that was drawn for several tables, the latest."""
    paths = sorted((at.posts / "new").glob("*/variants.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    found = {one.variant: one for path in paths for one in project.read(path, PostVariant)}
    return list(found.values())


def observed_of(at: Project) -> observed.Observed | None:
    """What was observed so far; None where nothing was."""
    likes = {one.variant: one.likes for one in project.read(at.posts / "observed.jsonl", ObservedLikes)}
    return observed.score(variants_of(at), likes) if likes else None


def _lines(table: Path) -> Iterator[tuple[str, str]]:
    if not table.is_file():
        raise DataError(f"{table} is not a file.\nName a CSV file with the columns variant and likes.")
    with table.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = csv.DictReader(file)
        names = {name.strip().casefold(): name for name in rows.fieldnames or []}
        variant = names.get("variant") or names.get("utm_content")
        if variant is None or "likes" not in names:
            there = ", ".join(printable(name) for name in names) or "none"
            raise DataError(f"{table} has no columns variant and likes.\nIts columns are: {there}.")
        for row in rows:
            yield row.get(variant) or "", row.get(names["likes"]) or ""
