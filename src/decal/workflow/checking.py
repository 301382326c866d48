"""The data set under the doctor: checked, looked at more closely, mended, shown on sheets; in a project, or wherever it lies."""

import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from pydantic import ConfigDict

from decal import checks, contact, crops, dataset, duplicates, extras, gallery, intake, mending, pictures, project, reading
from decal.captions import RememberingTokenizer
from decal.checks import Checked, seen
from decal.events import Event, Progress, Sheet, Stop, Told, stop_if
from decal.intake import Brought
from decal.mending import Plan
from decal.pictures import Look
from decal.presets import base_preset
from decal.project import Project
from decal.records import Finding, Line, Source
from decal.settings import Settings, parse

if TYPE_CHECKING:
    from decal.viewing import Shown

# So many pictures are looked at closely without being asked; it takes about half a second each.
LOOKED_AT_UNASKED = 200
SHEET = "check.png"
# What to do about a finding where there are no settings, no --fix and no captions to make; how Decal itself would train is no fault of
# a set that others train on.
GUEST_REMEDIES = {
    **dict.fromkeys(("no_caption", "empty_caption"), "Write one into a .txt file beside it; a project has  decal caption  for that."),
    "no_row": "Give it a line, or take it out.",
    "sidecar": "Write it into the metadata, or delete the .txt file.",
    "repeated_row": "Join the lines.",
    "scrambled_caption": "Save it anew as UTF-8.",
    "untidy_caption": "Take them out.",
    "not_english": "Write it anew in English.",
    "short_caption": "Say what is in the picture.",
    **dict.fromkeys(("tiny", "small"), "Replace it or leave it out."),
    "low_contrast": "Raise its contrast, or leave it out.",
    "duplicate": "Keep one of them, or it counts double.",
    "text": "Remove the text, leave the picture out, or say it in the caption and do not mirror pictures.",
    "masks_unused": "Nothing; they are not taken for pictures.",
    "unknown_licence": "Nothing where they are yours; otherwise find out.",
    "no_pictures": "Put pictures there.",
    "other_metadata": "Write metadata.jsonl.",
}
OF_PROJECTS = ("keyword_not_set", "no_holdout", "shown_rarely", "shown_often")
# Raised whenever a closer look finds something else in the same pictures.
VERSION = 3
# Raised whenever `pictures.look` tells something else of the same bytes.
SEEN_VERSION = 1


def check(at: Project, settings: Settings) -> Checked:
    """Look at every picture and caption, and write what there is to say to `findings.jsonl`; nothing is looked at closely here."""
    seen, tokenizer = Seen(at.cache), RememberingTokenizer(settings.base.model, at.cache)
    memory = checks.Memory(seen.look, tokenizer)
    checked = checks.run(at.dataset, settings, sources=project.read(at.sources, Source), memory=memory)
    seen.keep()
    tokenizer.keep()
    return complete(at, settings, checked)


def complete(at: Project, settings: Settings, checked: Checked) -> Checked:
    """The same with what a closer look found in the very same pictures, written to `findings.jsonl`."""
    checked = replace(checked, findings=checks.in_order([*checked.findings, *(_remembered(at, settings, checked) or [])]))
    with project.lock(at.findings, "checking"):
        project.write_lines(at.findings, list(checked.findings))
    return checked


def was_looked_at(at: Project, settings: Settings, checked: Checked) -> bool:
    """Whether these pictures have had a closer look, or there is none to look at."""
    return not checked.looks or _remembered(at, settings, checked) is not None


def look_closer(at: Project, settings: Settings, checked: Checked, stop: Stop) -> Iterator[Event]:
    """Look for text, crops, other styles and captions of other pictures; what is found is kept for `complete` and for later checks."""
    files = [file for file in checked.listing.files if file in checked.looks]
    found: list[Finding] = []
    if reading.is_installed():
        texts = Texts(at.cache, settings.data.ground)
        for number, file in enumerate(files):
            stop_if(stop, "what was read by then is kept, and the same command goes on")
            yield Progress("reading text on pictures", number, len(files))
            texts.read(at.dataset / file, checked.looks[file].sha256)
        found += seen.text_on({file: texts.known[checked.looks[file].sha256] for file in files})
    else:
        yield Told(f"text on pictures is not looked for; {extras.add('ocr')}  adds that")
    found += yield from _seen_by_networks(at, settings, checked, files)
    project.write_lines(_memory(at, settings, checked), found)


@dataclass(frozen=True)
class Guest:
    """A data set that is no project: a project for the time of the check, what came of reading it, and what the check found."""

    at: Project
    brought: Brought
    checked: Checked


@contextmanager
def check_in_place(source: str, settings: Settings) -> Iterator[Guest]:
    """Check a folder or data set that another tool made, as `decal new` would understand it; nothing is written there."""
    with tempfile.TemporaryDirectory(prefix="decal-") as name:
        at = Project(Path(name))
        with intake.set_out(source, at.dataset) as brought:
            listing = dataset.scan(at.dataset, follows_links=True)
            yield Guest(at, brought, checks.run(at.dataset, settings, listing=listing, sources=[brought.source]))


def guest_settings(changes: Sequence[str]) -> Settings:
    """The settings for a data set that is no project: no kind of picture is expected, and a base that others train too; then `--set`."""
    return parse({"base": {"model": "sd1.5"}, "caption": {"kind_words": []}}, changes, where="--set")


def for_guests(checked: Checked) -> Checked:
    """The same with advice that can be followed where there is no project, and without findings that only a project can have."""
    kept = [one for one in checked.findings if one.check not in OF_PROJECTS]
    advised = [one.model_copy(update={"remedy": GUEST_REMEDIES.get(one.check, one.remedy)}) for one in kept]
    return replace(checked, findings=tuple(advised))


def draw_findings(folder: Path, checked: Checked, target: Path, title: str) -> Iterator[Sheet]:
    """Draw every picture with its caption and what was found, on as many sheets as it takes; yields each as it is written."""
    pages = list(contact.pages(checked.listing.files, checked.findings))
    for number, files in enumerate(pages, start=1):
        path = target if len(pages) == 1 else target.with_name(f"{target.stem}-{number}{target.suffix}")
        head = title if len(pages) == 1 else f"{title}, page {number} of {len(pages)}"
        picture = contact.sheet(folder, files, checked, head, is_first=number == 1)
        yield gallery.write_sheet(path, picture, len(files))


def fix(at: Project, settings: Settings, *, is_dry: bool) -> Plan:
    """Mend what needs no judgement, or say what would be mended."""
    with project.lock(at.folder / "metadata", "mending"):
        planned = mending.plan(at.dataset, checks.run(at.dataset, settings))
        if not is_dry:
            mending.apply(at.folder, planned)
    return planned


def _seen_by_networks(at: Project, settings: Settings, checked: Checked, files: list[str]) -> Generator[Event, None, list[Finding]]:
    """What the embedder, and the model that reads captions where there is one, make of the pictures."""
    from decal.viewing import Shown, Square, Viewer

    side, data = settings.data.resolution or base_preset(settings.base.model).resolution, settings.data
    shown = [Shown(at.dataset / file, checked.looks[file].sha256, Square(side, data.fit, data.ground)) for file in files]
    viewer = Viewer(at.cache, settings.compare.embedder, settings.train.device)
    yield from viewer.fill(shown)
    looks = viewer.looks(shown)

    def pixels(file: str) -> crops.Pixels:
        picture = pictures.load(at.dataset / file, data.ground).resize((crops.SIDE_PX, crops.SIDE_PX), Image.Resampling.BOX)
        return np.asarray(picture, np.float32)

    known = {frozenset((pair.first, pair.second)) for pair in duplicates.pairs(checked.looks, duplicates.close_ups(at.dataset))}
    yield Progress("comparing pictures")
    found = [*seen.cropped(files, looks.content, pixels, known), *seen.other_style(files, looks.style)]
    return [*found, *(yield from _held_against_captions(at, settings, checked, shown))]


def _held_against_captions(
    at: Project, settings: Settings, checked: Checked, shown: Sequence["Shown"]
) -> Generator[Event, None, list[Finding]]:
    """What the model of `compare.reader` says of each caption and each picture; nothing where none is set."""
    if not settings.compare.reader:
        return []
    from decal.viewing import Reader

    captions = {row.file: row.caption for row in checked.listing.rows if row.caption and row.caption.strip()}
    pairs = [(file, one) for one in shown if (file := one.path.relative_to(at.dataset).as_posix()) in captions]
    reader = Reader(at.cache, settings.compare.reader, settings.train.device)
    yield from reader.viewer.fill(one for _, one in pairs)
    if not pairs:
        return []
    texts = reader.texts([captions[file] or "" for file, _ in pairs])
    fits = reader.viewer.looks([one for _, one in pairs]).content @ texts.T
    return list(seen.swapped([file for file, _ in pairs], fits))


class _Seen(Line):
    """What decoding a picture told, on a ground. `look` holds the hash of its bytes."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    ground: str
    look: Look


class Seen:
    """Decodes pictures, or remembers what that told by the hash of their bytes: `cache/seen-N.jsonl`."""

    def __init__(self, cache: Path) -> None:
        self._path = cache / f"seen-{SEEN_VERSION}.jsonl"
        self.known = {(one.look.sha256, one.ground): one.look for one in project.read(self._path, _Seen)}
        self._new: list[_Seen] = []

    def look(self, path: Path, ground: str) -> Look:
        """As `pictures.look`; may be called by several threads."""
        try:
            is_usable = path.is_file() and path.stat().st_size <= pictures.MAX_FILE_BYTES
            known = self.known.get((project.sha256(path), ground)) if is_usable else None
        except OSError:
            known = None  # Looking at it says what is wrong.
        if known is not None:
            return known
        seen = pictures.look(path, ground)
        self._new.append(_Seen(ground=ground, look=seen))
        return seen

    def keep(self) -> None:
        """Write what was decoded since the beginning."""
        if self._new:
            project.append_all(self._path, self._new)


class _Read(Line):
    """What was read on a picture, by the hash of its bytes and the ground it stood on; "" for nothing."""

    sha256: str
    ground: str
    text: str


class Texts:
    """Reads text on pictures, or remembers it: `cache/read-N.jsonl`."""

    def __init__(self, cache: Path, ground: str) -> None:
        self._path, self._ground = cache / f"read-{reading.VERSION}.jsonl", ground
        self.known = {one.sha256: one.text for one in project.read(self._path, _Read) if one.ground == ground}
        self._reader: reading.Reader | None = None

    def read(self, path: Path, sha256: str) -> None:
        """Read what is on a picture, unless its bytes are known."""
        if sha256 in self.known:
            return
        self._reader = self._reader or reading.Reader()
        text = reading.words(self._reader.text(pictures.load(path, self._ground)))
        project.append(self._path, _Read(sha256=sha256, ground=self._ground, text=text))
        self.known[sha256] = text


def _memory(at: Project, settings: Settings, checked: Checked) -> Path:
    """Where the findings of a closer look at these very pictures are kept."""
    shas = sorted((file, look.sha256) for file, look in checked.looks.items())
    data, compare = settings.data, settings.compare
    captions = [(row.file, row.caption) for row in checked.listing.rows] if compare.reader else []
    how = (data.ground, data.fit, data.resolution, compare.embedder, compare.reader, reading.is_installed())
    return at.cache / "closer" / f"{project.fingerprint(VERSION, shas, how, captions)[:32]}.jsonl"


def _remembered(at: Project, settings: Settings, checked: Checked) -> list[Finding] | None:
    path = _memory(at, settings, checked)
    return project.read(path, Finding) if path.is_file() else None
