"""imagefolder and `metadata.jsonl` -> rows, and rows of decodable pictures -> Records with a hold-out that cannot leak.

`scan` only reads names and text; it never stops at a fault but reports each with its line, because `datasets` drops or trips over most of
them silently. How pictures come into a project in the first place is in `intake`. The hold-out is chosen by hashes and not by a random
generator, so that adding a picture moves few others, and pictures that look the same always land on one side.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from decal import duplicates, masks
from decal.intake import Brought, bring_in
from decal.metadata import METADATA, Row, fault, is_utf8, read_row, seem_named, text_lines
from decal.pictures import SUFFIXES, Look
from decal.records import Finding, Record, Split
from decal.sources.folders import sidecar

__all__ = ["METADATA", "Brought", "Listing", "Row", "bring_in", "records", "scan", "sidecar"]

# Fewer held-out pictures than this say nothing, and a set of fewer than twice as many cannot spare them.
MIN_HOLDOUT = 6
MAX_HOLDOUT = 200
"""Every checkpoint is measured on all of them, and more would say hardly more."""
MIN_PICTURES_FOR_HOLDOUT = 12


@dataclass(frozen=True)
class Listing:
    """What lies in `dataset/`.

    rows: those whose file is there, in the order of the metadata. files: every picture below `dataset/`, sorted, relative, with `/`.
    faults: what is wrong with the metadata, in the order of its lines, then files without a row.
    broken: pictures whose own line, as far as can be told, cannot be used, with its number; some may have a second one among the rows.
    masks: files that are no pictures but say what of one counts, by their name (`pear-masklabel.png`).
    """

    rows: tuple[Row, ...]
    files: tuple[str, ...]
    faults: tuple[Finding, ...]
    broken: Mapping[str, int]
    masks: tuple[str, ...] = ()

    @property
    def unnamed(self) -> list[str]:
        """The pictures that no line names, not even a broken one."""
        named = {row.file for row in self.rows}
        return [file for file in self.files if file not in named and file not in self.broken]


def scan(folder: Path, *, follows_links: bool = False) -> Listing:
    """The pictures and rows of an imagefolder, and everything wrong with its metadata.

    Captions are read from the first of `text`, `caption` and `prompt` that a row has: a text, or a list where there are several, which
    numbered keys such as `text_2` may hold too. Without `metadata.jsonl`, they come from `.txt` files beside the pictures, one a line.
    Pictures are not decoded. A folder that is not there is an empty one. follows_links: also out of the folder, for links of our own.
    """
    files, unusable = _walk(folder, follows_links=follows_links)
    labels = masks.labels(files)
    files = [file for file in files if file not in labels]
    if not (folder / METADATA).is_file():
        told = [(file, sidecar(folder / file)) for file in files]
        rows = tuple(Row(file, texts[0] if texts else None, None, texts[1:]) for file, texts in told)
        return Listing(rows, tuple(files), tuple(unusable + _other_metadata(folder)), {}, tuple(sorted(labels)))
    there = set(files)
    lines = [(number, line) for number, line in enumerate(text_lines((folder / METADATA).read_bytes()), start=1) if line.strip()]
    reads = [read_row(line, number) for number, line in lines]
    named = {read.file for read in reads}
    unnamed = {_without_ending(file): file for file in files if file not in named}
    unread = [line for line, read in zip(lines, reads, strict=True) if isinstance(read, Finding) and read.file == METADATA]
    broken = seem_named(unread, files)
    kept: list[Row] = []
    faults: list[Finding] = []
    for read in reads:
        if isinstance(read, Row) and read.file not in there:
            near = unnamed.get(_without_ending(read.file))
            read = _missing(folder, read, near) or read
            if isinstance(read, Finding) and near is not None:
                broken[near] = read.line or 0
        if isinstance(read, Row):
            kept += [read] if read.file not in labels else []
            continue
        faults.append(read)
        if read.file in there:
            broken[read.file] = read.line or 0
    # A link that a row names is told with the line of that row.
    faults = [found for found in unusable if found.file not in named] + faults
    faults += [_no_row(file, broken.get(file)) for file in files if file not in named]
    return Listing(tuple(kept), tuple(files), tuple(faults), broken, tuple(sorted(labels)))


def records(listing: Listing, looks: Mapping[str, Look], *, holdout_share: float, seed: int) -> list[Record]:
    """The rows whose picture was looked at, in their order, each in training or in the hold-out.

    Of n pictures with different pixels, round(holdout_share * n) are held out, at least 6 and at most 200, or as many as whole groups of
    alike pictures allow; none where n < 12 or the share is 0. A missing caption becomes the empty one.
    """
    held_out = _held_out({row.file: looks[row.file] for row in listing.rows if row.file in looks}, holdout_share, seed)
    splits: dict[bool, Split] = {True: "holdout", False: "train"}
    return [
        Record(
            file=row.file,
            sha256=looks[row.file].sha256,
            width_px=looks[row.file].width_px,
            height_px=looks[row.file].height_px,
            caption=row.caption or "",
            split=splits[row.file in held_out],
            other_captions=row.others,
            repeats=row.repeats,
        )
        for row in listing.rows
        if row.file in looks
    ]


def _held_out(looks: Mapping[str, Look], share: float, seed: int) -> set[str]:
    count = len({look.pixels_sha256 for look in looks.values()})
    if count < MIN_PICTURES_FOR_HOLDOUT or share == 0:
        return set()
    missing = min(max(MIN_HOLDOUT, round(share * count)), MAX_HOLDOUT)
    chosen: set[str] = set()
    drawn = []
    for group in duplicates.groups(looks):
        pixels = {looks[file].pixels_sha256 for file in group}
        drawn.append((hashlib.sha256(f"{seed} {min(pixels)}".encode()).hexdigest(), len(pixels), group))
    for _, size, group in sorted(drawn):
        if size <= missing:
            chosen.update(group)
            missing -= size
    return chosen


def _walk(folder: Path, *, follows_links: bool) -> tuple[list[str], list[Finding]]:
    """Every picture below the folder, and findings for links that leave it and names that no metadata can hold."""
    files: list[str] = []
    faults: list[Finding] = []
    root = folder.resolve()
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        for name in sorted(names):
            path = Path(parent, name)
            if name.startswith(".") or path.suffix.lower() not in SUFFIXES:
                continue
            file = path.relative_to(folder).as_posix()
            if not is_utf8(file):
                safe = file.encode("utf-8", "backslashreplace").decode()
                faults.append(fault("bad_name", safe, None, "the name is not UTF-8, so no metadata can name it", "Rename the file."))
            elif not follows_links and path.is_symlink() and not path.resolve().is_relative_to(root):
                faults.append(fault("outside", file, None, "is a link that leaves the folder", "Copy the picture itself into the folder."))
            else:
                files.append(file)
    return sorted(files), faults


def _no_row(file: str, broken: int | None) -> Finding:
    """What is wrong with a picture that no row names. broken: the number of a line that cannot be used and seems to be its."""
    reason, remedy = f"has no line in {METADATA}", "decal caption  gives it a line with a caption; or take the picture out."
    if broken is not None:
        reason, remedy = f"has no line in {METADATA} but line {broken}, which cannot be used", f"Mend line {broken}."
    return Finding(level="warning", check="no_row", file=file, reason=f"{reason}, so it is not trained on", remedy=remedy)


def _missing(folder: Path, row: Row, near: str | None) -> Finding | None:
    """What is wrong with a row whose file is not among the pictures; None where it is there behind a link inside the folder.

    near: a picture without a row whose name differs in case or ending.
    """
    path = folder / row.file
    if path.exists() and not path.resolve().is_relative_to(folder.resolve()):
        return fault("outside", row.file, row.line, "leads out of the folder through a link", "Copy the picture itself into the folder.")
    if path.is_file() and path.suffix.lower() in SUFFIXES:
        return None
    if path.is_file():
        return fault("not_a_picture", row.file, row.line, f"has the ending {path.suffix!r}", f"Use one of {', '.join(SUFFIXES)}.")
    reason = f"is named in line {row.line} of {METADATA} but is not there"
    if near is not None:
        return fault("missing_file", row.file, row.line, reason, f"There is {near}; write the name exactly so.")
    # No caption is lost with it, so training can go on: whoever takes a picture out need not edit metadata.
    return Finding(
        level="warning",
        check="missing_file",
        file=row.file,
        line=row.line,
        reason=f"{reason}; the line is not used",
        remedy="Nothing where the picture was taken out on purpose; otherwise put it back.",
    )


def _without_ending(file: str) -> str:
    return os.path.splitext(file)[0].casefold()


def _other_metadata(folder: Path) -> list[Finding]:
    others = [name for name in ("metadata.csv", "metadata.parquet") if (folder / name).is_file()]
    remedy = f"Bring the folder in with  decal new FOLDER --from {folder}  or write {METADATA}."
    return [fault("other_metadata", name, None, f"is not read; captions come from {METADATA} here", remedy) for name in others]
