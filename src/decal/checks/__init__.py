"""The data doctor: one small function a check; rows and looks in, findings out.

A finding says what was measured and what to do. An error is what would spoil training or silently lose a caption, a warning what most
people would want to mend, a note what is good to know. Pictures are decoded in full by a few threads, because only that finds the broken
ones; everything else is arithmetic on what was seen.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from decal import duplicates, masks, pictures
from decal.captions import Tokenizer
from decal.checks import captions, craft, likeness, masked, shapes, whole
from decal.checks.masked import Mask
from decal.checks.saying import LEVELS, MAX_LINES, by_picture, place, summary
from decal.dataset import Listing, scan
from decal.pictures import Look, PictureError
from decal.presets import base_preset
from decal.records import Finding, Source
from decal.settings import Settings

__all__ = ["LEVELS", "MAX_LINES", "Checked", "Mask", "by_picture", "in_order", "run", "summary"]

# Pillow decodes outside Python's lock, so threads use several cores without copies of the process.
THREADS = 2


@dataclass(frozen=True)
class Checked:
    """What a check found: errors first, then by file.

    looks: by file, of every picture that could be decoded. masks: by file, of every picture whose mask can be used.
    """

    findings: tuple[Finding, ...]
    looks: dict[str, Look]
    listing: Listing
    masks: Mapping[str, Mask] = field(default_factory=dict)


@dataclass(frozen=True)
class Memory:
    """What may remember. look: looks at a file on a ground, or knows it by its bytes. tokenizer: the base's."""

    look: Callable[[Path, str], Look]
    tokenizer: Tokenizer


def run(
    folder: Path,
    settings: Settings,
    *,
    listing: Listing | None = None,
    sources: Sequence[Source] = (),
    workers: int = THREADS,
    memory: Memory | None = None,
) -> Checked:
    """Look at every picture and caption below `dataset/`. Raises BaseModelError where the base's tokenizer cannot be read.

    listing: of that folder, where it was scanned already. sources: what `sources.jsonl` says. memory: remembers what was seen
    and counted; without one, all of it is looked at anew.
    """
    listing, memory = listing or scan(folder), memory or Memory(pictures.look, Tokenizer.of_base(settings.base.model))
    found = list(listing.faults)
    looks: dict[str, Look] = {}

    def look(file: str) -> Look | Finding:
        try:
            return memory.look(folder / file, settings.data.ground)
        except PictureError as problem:
            return Finding(level="error", check=problem.fault, file=file, reason=problem.reason, remedy=problem.remedy)

    with ThreadPoolExecutor(workers) as pool:
        for file, seen in zip(listing.files, pool.map(look, listing.files), strict=True):
            if isinstance(seen, Look):
                looks[file] = seen
            else:
                found.append(seen)
    found += _of_pictures(folder, looks, settings)
    of_masks, usable = _of_masks(folder, listing, looks, settings)
    found += of_masks
    is_of_posts = any(source.kind == "posts" for source in sources)
    found += _of_captions(folder, listing, settings, memory.tokenizer, is_of_posts=is_of_posts)
    found += whole.set_size(listing.files, settings)
    found += whole.shown(len({row.file for row in listing.rows}), settings)
    found += whole.licences(sources)
    return Checked(in_order(found), looks, listing, usable)


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings as they are told: errors first, then by file."""
    return tuple(sorted(findings, key=place))


def _of_pictures(folder: Path, looks: dict[str, Look], settings: Settings) -> list[Finding]:
    data = settings.data
    resolution = data.resolution or base_preset(settings.base.model).resolution
    return [
        *shapes.tiny(looks, resolution, data.fit),
        *shapes.unusual_ratio(looks, data.fit),
        *shapes.same_variants(looks, data.variants, resolution, data.fit),
        *shapes.animated(looks),
        *shapes.rotated(looks),
        *craft.blurred(looks, resolution),
        *craft.low_contrast(looks, data.ground),
        *craft.jagged(looks),
        *craft.haloed(looks),
        *craft.hidden_colour(looks),
        *likeness.alike(looks, duplicates.close_ups(folder)),
    ]


def _of_masks(folder: Path, listing: Listing, looks: dict[str, Look], settings: Settings) -> tuple[list[Finding], dict[str, Mask]]:
    data = settings.data
    of = masks.found(folder, data.masks, listing.files)
    side_px = data.resolution or base_preset(settings.base.model).resolution
    seen = dict(masked.masked(folder, looks, of, side_px=side_px, fit=data.fit))
    usable = {file: one for file, one in seen.items() if isinstance(one, Mask)}
    faults = [one for one in seen.values() if isinstance(one, Finding)]
    return [*masked.places(folder, data.masks, listing, of), *faults, *masked.used(usable, listing)], usable


def _of_captions(folder: Path, listing: Listing, settings: Settings, tokenizer: Tokenizer, *, is_of_posts: bool) -> list[Finding]:
    rows = captions.each_caption(listing.rows)
    return [
        *captions.repeated_row(listing.rows),
        *captions.caption_there(rows),
        *captions.sidecars(folder, listing),
        *(captions.shared_by_posts(rows) if is_of_posts else captions.repeated(rows)),
        *([] if is_of_posts else captions.nearly_repeated(rows, settings.caption)),
        *captions.words_there(rows, settings.caption),
        *captions.tidy(rows),
        *captions.in_english(rows, tokenizer),
        *captions.too_long(captions.spelt(rows, whole.own_tokens(settings, tokenizer)), tokenizer, settings.base.model),
        *whole.keyword(settings, tokenizer),
        *whole.own_embeddings(rows, settings, tokenizer),
    ]
