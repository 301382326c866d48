"""The data set: captioned, edited and given away."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from decal import captions, dataset, edits, export, masks, project, translating, undo
from decal.dataset import Row
from decal.errors import SettingsError, StoppedError
from decal.events import Stop
from decal.export import Exported
from decal.language import Client
from decal.project import Project
from decal.settings import Settings
from decal.workflow.choice import settings_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Captioned:
    """What `caption` did. written: the captions of each file. without: pictures that still have none, because their names say nothing."""

    written: dict[str, tuple[str, ...]]
    without: list[str]


def caption(at: Project, settings: Settings, *, adds_keyword: bool, stop: Stop) -> Captioned:
    """Give pictures without caption the one of the `.txt` file beside them, or one made from their name or by the captioner.

    A picture whose own line of the metadata cannot be used is left alone, with a warning: a second line would hide the first.
    Raises StoppedError where `stop` said so; the captions that were made by then are written.
    adds_keyword: also put the keyword in front of captions that lack it.
    """
    keyword = settings.caption.keyword
    if adds_keyword and not keyword:
        raise SettingsError(f"There is no keyword to add.\nWrite caption.keyword in {at.settings}.")
    listing = dataset.scan(at.dataset)
    there = {row.file: row.captions for row in listing.rows if row.caption and row.caption.strip()}
    rows = [row for row in listing.rows if not (row.caption or "").strip() and row.file not in listing.broken]
    bare = [*rows, *(Row(file, None, None) for file in listing.unnamed)]
    beside = {row.file: texts for row in bare if (texts := dataset.sidecar(at.dataset / row.file))}
    nothing_beside = [row for row in bare if row.file not in beside]
    columns, subjects, stopped = captions.columns(at.dataset), None, None
    if settings.caption.captioner != "names" and nothing_beside:
        subjects, stopped = _subjects(at, settings, nothing_beside, stop)
    made = {row.file: (text,) for row, text in captions.fill(nothing_beside, settings.caption, columns, subjects)}
    written = beside | made
    if adds_keyword:
        for file, texts in (there | beside).items():
            called = tuple(text if captions.holds(text, [keyword], ending="") else f"{keyword} style, {text}" for text in texts)
            written |= {file: called} if called != texts else {}
    if written:
        with project.lock(at.folder / "metadata", "captioning"):
            captions.write(at.dataset, written)
    left = [f"{file} (line {line})" for file, line in listing.broken.items() if file not in there]
    if stopped is not None:
        raise stopped
    if left:
        logger.warning("left without caption, because the line of their own cannot be used; decal check says why: %s", ", ".join(left))
    return Captioned(written, [row.file for row in bare if row.file not in written])


def edit(at: Project, settings: Settings, change: edits.Edit, *, is_dry: bool) -> list[edits.Changed]:
    """Edit every caption; what was changed, or what would be."""
    if change.keyword is not None and not settings.caption.keyword:
        raise SettingsError(f"There is no keyword to move.\nWrite caption.keyword in {at.settings}.")
    if is_dry:
        return edits.preview(at.dataset, change, settings.caption.keyword)
    with project.lock(at.folder / "metadata", "captioning"):
        return edits.apply(at.dataset, change, settings.caption.keyword)


def translate(at: Project, settings: Settings, stop: Stop, *, is_dry: bool) -> tuple[list[edits.Changed], dict[str, str]]:
    """Put English in the place of captions in other languages; what was, or would be, changed, and why what stayed did.

    Raises StoppedError where `stop` said so; what was translated by then is kept for the next call.
    """
    asked = translating.foreign([text for row in dataset.scan(at.dataset).rows for text in row.captions])
    if not asked:
        return [], {}
    client, found, left = Client(settings.language, at.cache), dict[str, str](), dict[str, str]()
    for text, answer in translating.translated(client, asked, settings.caption.keyword, api=settings.language.api, stop=stop):
        if isinstance(answer, str):
            found[text] = answer
        else:
            left[text] = answer.reason
    with project.lock(at.folder / "metadata", "translating"):
        return edits.replace_all(at.dataset, found, "translate", is_dry=is_dry), left


def undo_edit(at: Project) -> str:
    """Take back the newest change of captions; what it was, in words."""
    with project.lock(at.folder / "metadata", "captioning"):
        return undo.undo(at.folder)


def write_txt(at: Project) -> tuple[list[str], list[str]]:
    """Write each caption into a `.txt` file beside its picture; those files, and the pictures that two of one name keep without."""
    with project.lock(at.folder / "metadata", "captioning"):
        return edits.write_txt(at.dataset)


def export_dataset(at: Project, target: Path, kind: str) -> Exported:
    """Write the pictures, captions and masks of a project into a new folder, as other tools want them."""
    settings, listing = settings_of(at, []), dataset.scan(at.dataset)
    found = masks.found(at.dataset, settings.data.masks, listing.files)
    given = {file: at.folder / mask for file, mask in found.items()}
    return export.write(listing, at.dataset, target, kind=kind, keyword=settings.caption.keyword, masks=given)


def _subjects(at: Project, settings: Settings, rows: Sequence[Row], stop: Stop) -> tuple[dict[str, str], StoppedError | None]:
    """What the captioner sees in each picture, as far as it came before it was stopped."""
    from decal import captioners

    files = {at.dataset / row.file: row.file for row in rows}
    found: dict[str, str] = {}
    try:
        for path, text in captioners.load(settings, at.cache).look(list(files), stop):
            found[files[path]] = text
    except StoppedError as problem:
        return found, problem
    return found, None
