"""The data doctor: one small function a check; rows and looks in, findings out.

A finding says what was measured and what to do. An error is what would spoil training or silently lose a caption, a warning what most
people would want to mend, a note what is good to know. Pictures are decoded in full by a few threads, because only that finds the broken
ones; everything else is arithmetic on what was seen.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from decal import duplicates, pictures
from decal.captions import Tokenizer, holds
from decal.dataset import METADATA, MIN_PICTURES_FOR_HOLDOUT, Listing, scan, sidecar
from decal.metadata import Row
from decal.pictures import Look, PictureError
from decal.presets import base_preset
from decal.records import Finding, Level
from decal.settings import CaptionSettings, Settings
from decal.wording import counted, printable

LEVELS: tuple[Level, ...] = ("error", "warning", "note")
# Pillow decodes outside Python's lock, so threads use several cores without copies of the process.
THREADS = 2
# More of the same are folded into one line on a terminal; the file has them all.
MAX_LINES = 8
MAX_FILE_COLUMN = 40


@dataclass(frozen=True)
class Checked:
    """What a check found: errors first, then by file. looks: by file, of every picture that could be decoded."""

    findings: tuple[Finding, ...]
    looks: dict[str, Look]
    listing: Listing


def run(folder: Path, settings: Settings, *, workers: int = THREADS) -> Checked:
    """Look at every picture and caption below `dataset/`. Raises BaseModelError where the base's tokenizer cannot be read."""
    listing = scan(folder)
    found = list(listing.faults)
    looks: dict[str, Look] = {}

    def look(file: str) -> Look | Finding:
        try:
            return pictures.look(folder / file)
        except PictureError as problem:
            return Finding(level="error", check=problem.fault, file=file, reason=problem.reason, remedy=problem.remedy)

    with ThreadPoolExecutor(workers) as pool:
        for file, seen in zip(listing.files, pool.map(look, listing.files), strict=True):
            if isinstance(seen, Look):
                looks[file] = seen
            else:
                found.append(seen)
    resolution = settings.data.resolution or base_preset(settings.base.model).resolution
    found += tiny(looks, resolution, settings.data.fit)
    for check in PICTURE_CHECKS:
        found += check(looks)
    told = each_caption(listing.rows)
    for row_check in ROW_CHECKS:
        found += row_check(told, settings.caption)
    found += sidecars(folder, listing)
    found += too_long(told, settings.base.model)
    found += set_size(listing.files, settings)
    return Checked(tuple(sorted(found, key=_place)), looks, listing)


def summary(findings: Sequence[Finding]) -> list[str]:
    """The findings as aligned lines for a terminal, the remedy under each kind; more than 8 of a kind are folded into one line."""
    kinds: dict[tuple[int, str], list[Finding]] = defaultdict(list)
    for finding in sorted(findings, key=_place):
        kinds[LEVELS.index(finding.level), finding.check].append(finding)
    shown = [finding for kind in kinds.values() for finding in kind[:MAX_LINES]]
    column = min(MAX_FILE_COLUMN, max((len(_name(finding)) for finding in shown), default=0))
    indent = " " * (2 + 9)
    lines: list[str] = []
    for kind in (kinds[key] for key in sorted(kinds, key=lambda key: key[0])):
        for remedy, same in groupby(kind[:MAX_LINES], key=lambda finding: finding.remedy):
            lines += [f"  {finding.level:8} {_name(finding):{column}}  {printable(finding.reason)}".rstrip() for finding in same]
            lines.append(f"{indent}-> {printable(remedy)}")
        if len(kind) > MAX_LINES:
            lines.append(f"{indent}... and {len(kind) - MAX_LINES:,} more like this")
    return lines


def tiny(looks: Mapping[str, Look], resolution: int, fit: str) -> Iterator[Finding]:
    """Pictures that must be enlarged; below half of the training size, where three of four pixels would be invented, it is an error."""
    decides = max if fit == "pad" else min
    sides = {file: decides(look.width_px, look.height_px) for file, look in looks.items()}
    too_small = {file: side for file, side in sides.items() if side < resolution}
    # One tiny picture is no reason to train all the others on fewer pixels.
    are_many = 3 * len(too_small) >= len(looks)
    for file, side in too_small.items():
        lower = side // 8 * 8
        remedy = f"Replace it, or lower data.resolution to {lower}." if are_many and lower >= 16 else "Replace it or leave it out."
        measured = f"{looks[file].width_px} x {looks[file].height_px} px, "
        if 2 * side < resolution:
            yield _finding("error", "tiny", file, f"{measured}less than half the training size {resolution} x {resolution} px", remedy)
        else:
            reason = f"{measured}smaller than the training size {resolution} x {resolution} px, so it is enlarged"
            yield _finding("warning", "small", file, reason, remedy)


def animated(looks: Mapping[str, Look]) -> Iterator[Finding]:
    """Pictures of several frames or pages."""
    for file, look in looks.items():
        if look.frames > 1:
            remedy = "Nothing, or save the frame you want as a picture of its own."
            yield _finding("warning", "animated", file, f"has {look.frames} frames; the first is used", remedy)


def hidden_colour(looks: Mapping[str, Look]) -> Iterator[Finding]:
    """Pictures whose transparent pixels hold colours that tools without alpha would show."""
    for file, look in looks.items():
        if look.has_hidden_colour:
            reason = "has colours under fully transparent pixels; Decal covers them with data.ground, other tools may show them"
            yield _finding("note", "hidden_colour", file, reason, "Nothing for Decal; flatten the picture before other tools use it.")


def alike(looks: Mapping[str, Look]) -> Iterator[Finding]:
    """Pictures with equal pixels, and pictures that look the same, also when mirrored."""
    for pair in duplicates.pairs(looks):
        if pair.is_exact:
            reason = f"the same picture as {pair.first}"
            yield _finding("warning", "duplicate", pair.second, reason, "Keep one of them, or it counts double.")
        else:
            how = "is the mirror image of" if pair.is_mirrored else "looks the same as"
            reason = f"{how} {pair.first} ({pair.bits} of 64 bits differ)"
            yield _finding("warning", "near_duplicate", pair.second, reason, "Keep one of them, unless the difference is meant.")


def caption_there(rows: Sequence[Row], settings: CaptionSettings) -> Iterator[Finding]:
    """Rows without a caption, or with an empty one."""
    del settings
    remedy = "decal caption  takes captions from .txt files and file names; or add one by hand."
    for row in rows:
        if row.caption is None:
            yield _finding("error", "no_caption", row.file, "has no caption", remedy, row.line)
        elif not row.caption.strip():
            yield _finding("error", "empty_caption", row.file, "has an empty caption", remedy, row.line)


def each_caption(rows: Iterable[Row]) -> list[Row]:
    """The rows with one caption each: where a picture has several, one row for each that is different."""
    return [Row(row.file, caption, row.line, repeats=row.repeats) for row in rows for caption in dict.fromkeys((row.caption, *row.others))]


def sidecars(folder: Path, listing: Listing) -> Iterator[Finding]:
    """`.txt` files beside pictures that say what `metadata.jsonl` does not; only the latter is trained on."""
    if not (folder / METADATA).is_file():
        return
    captions = {row.file: " ".join(" ".join(row.captions).split()) for row in listing.rows}
    for file in listing.files:
        texts, caption = sidecar(folder / file), captions.get(file, "")
        if all(text in caption for text in texts):
            continue
        name = Path(file).with_suffix(".txt").name
        if caption:
            reason = (
                f"{name} says {_short(' / '.join(texts))}, but its line in {METADATA} says {_short(caption)}, which is what is trained on"
            )
            yield _finding("warning", "sidecar", file, reason, "Write it into the line, or delete the .txt file.")
        else:
            reason = f"{name} is not trained on, only captions in {METADATA} are"
            yield _finding("warning", "sidecar", file, reason, "decal caption  takes it up.")


def caption_repeated(rows: Sequence[Row], settings: CaptionSettings) -> Iterator[Finding]:
    """Captions that several rows share, one finding a caption."""
    del settings
    files: dict[str, list[Row]] = defaultdict(list)
    for row in _captioned(rows):
        files[" ".join((row.caption or "").casefold().split())].append(row)
    for same in files.values():
        if len(same) > 1:
            others = ", ".join(row.file for row in same[1:4]) + (f" and {len(same) - 4:,} more" if len(same) > 4 else "")
            reason = f"has the same caption as {others}: {_short(same[0].caption)}"
            yield _finding("warning", "repeated_caption", same[0].file, reason, "Say what is different in each picture.", same[0].line)


def caption_words(rows: Sequence[Row], settings: CaptionSettings) -> Iterator[Finding]:
    """Captions without the keyword, without a word for the kind or the style of picture, or with too few words."""
    keyword = settings.keyword.strip()
    kinds, styles = settings.kind_words, settings.style_words or ("style", *([keyword] if keyword else []))
    for row in _captioned(rows):
        text = row.caption or ""
        if keyword and not holds(text, (keyword,), ending=""):
            reason = f"the keyword {keyword} is not in {_short(text)}"
            yield _finding(
                "error",
                "no_keyword",
                row.file,
                reason,
                f"Add {keyword} to the caption; `decal caption --add-keyword` puts it before all that lack it.",
                row.line,
            )
        if kinds and not holds(text, kinds):
            reason = f"no kind of picture ({', '.join(kinds)}) in {_short(text)}"
            yield _finding("warning", "no_kind_word", row.file, reason, "Add one of caption.kind_words, or change that list.", row.line)
        # Without style words the keyword is one, and its absence has been told.
        if not holds(text, styles) and (settings.style_words or not keyword):
            level: Level = "warning" if settings.style_words else "note"
            reason = f"no word for the style ({', '.join(styles)}) in {_short(text)}"
            yield _finding(level, "no_style_word", row.file, reason, "Add one, or set caption.style_words.", row.line)
        if len(text.split()) < settings.min_words:
            reason = f"has {counted(len(text.split()), 'word')}, fewer than {settings.min_words}: {_short(text)}"
            yield _finding(
                "warning", "short_caption", row.file, reason, "Say what is in the picture, or lower caption.min_words.", row.line
            )


def too_long(rows: Sequence[Row], model: str) -> Iterator[Finding]:
    """Captions of more tokens than the base's text encoder sees, with the words it would lose."""
    captioned = _captioned(rows)
    if not captioned:
        return
    tokenizer = Tokenizer.of_base(model)
    for row, count in zip(captioned, tokenizer.counts([row.caption or "" for row in captioned]), strict=True):
        if count > tokenizer.limit:
            lost = _short(tokenizer.cut(row.caption or "", tokenizer.limit))
            reason = f"the caption has {count} tokens, the limit of {model} is {tokenizer.limit}; lost would be {lost}"
            yield _finding("error", "long_caption", row.file, reason, "Shorten it, or move what matters to the front.", row.line)


def set_size(files: Sequence[str], settings: Settings) -> Iterator[Finding]:
    """What is wrong with the set as a whole: too few pictures, no keyword."""
    if not files:
        remedy = (
            f"Put pictures into dataset/ with a line each in {METADATA}, begin with  decal new FOLDER --from PICTURES, "
            "or have some made from descriptions:  decal describe"
        )
        yield _finding("error", "no_pictures", None, "there are no pictures", remedy)
        return
    if len(files) == 1:
        reason = "there is one picture; the model will copy it instead of learning a style"
        yield _finding("warning", "one_picture", None, reason, "Add pictures; 20 to 50 are a good set.")
    if len(files) < MIN_PICTURES_FOR_HOLDOUT and settings.data.holdout_share > 0:
        reason = f"fewer than {MIN_PICTURES_FOR_HOLDOUT} pictures ({len(files)}), so none is held out and no hold-out loss is measured"
        yield _finding("note", "no_holdout", None, reason, "Add pictures, or set data.holdout_share = 0 to say that this is meant.")
    if not settings.caption.keyword.strip():
        reason = "caption.keyword is not set, so no word calls the style and captions are not checked for it"
        yield _finding("note", "keyword_not_set", None, reason, "Set caption.keyword to a word that means nothing yet.")


PICTURE_CHECKS: tuple[Callable[[Mapping[str, Look]], Iterable[Finding]], ...] = (animated, hidden_colour, alike)
ROW_CHECKS: tuple[Callable[[Sequence[Row], CaptionSettings], Iterable[Finding]], ...] = (caption_there, caption_repeated, caption_words)


def _captioned(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.caption is not None and row.caption.strip()]


def _finding(level: Level, check: str, file: str | None, reason: str, remedy: str, line: int | None = None) -> Finding:
    return Finding(level=level, check=check, file=file, line=line, reason=reason, remedy=remedy)


def _place(finding: Finding) -> tuple[int, str, int, str]:
    return LEVELS.index(finding.level), finding.file or "", finding.line or 0, finding.check


def _name(finding: Finding) -> str:
    """The file in its column, cut from the left, whose end tells more."""
    name = printable(finding.file or "")
    return name if len(name) <= MAX_FILE_COLUMN else "..." + name[-(MAX_FILE_COLUMN - 3) :]


def _short(text: str | None) -> str:
    words = text or ""
    return repr(words if len(words) <= 60 else words[:57] + "...")
