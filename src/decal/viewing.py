"""What is seen in pictures, kept by the hash of their bytes: no picture is ever looked at twice by the same embedder.

Files go in, `Looks` come out. An embedder is loaded only where something was not looked at before. Numbers are kept in single precision in
`cache/looks/`, a few files of many pictures each; a damaged one is thrown away and its pictures are looked at again.
"""

import hashlib
import logging
import zipfile
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

from decal import pictures, project, reading
from decal.errors import DataError
from decal.events import Progress
from decal.records import Fit, Line
from decal.scores.looks import HISTOGRAM_WIDTH, TONES, Looks, look

if TYPE_CHECKING:
    from decal.embedders import Embedder

logger = logging.getLogger(__name__)

Change = Literal["none", "mirrored", "burnt", "blurred", "cropped", "moved", "tinted", "smaller"]
COPIES: tuple[Change, ...] = ("cropped", "moved", "tinted", "smaller")
"""What copies that are planted have been through."""
PICTURES_A_FILE = 128
PICTURES_AT_ONCE = 16
"""As many as an embedder takes at once; between them a stop is heard."""
# Raised whenever what is seen in the same bytes becomes something else.
VERSION = 1


@dataclass(frozen=True)
class Square:
    """How a picture of any shape becomes one of the size that is drawn."""

    side_px: int
    fit: Fit
    ground: str


@dataclass(frozen=True)
class Shown:
    """A picture to look at. sha256: of the file's bytes. square: None where it has the right size already. change: what is done to it."""

    path: Path
    sha256: str
    square: Square | None = None
    change: Change = "none"

    @property
    def key(self) -> str:
        """Equal for what must look equal."""
        return project.fingerprint(self.sha256, None if self.square is None else vars(self.square), self.change)

    def open(self) -> Image.Image | None:
        """The picture as RGB; None where it cannot be read."""
        try:
            picture = pictures.load(self.path, "white" if self.square is None else self.square.ground)
        except DataError:
            return None
        if self.square is not None:
            picture = pictures.square(picture, self.square.side_px, self.square.fit, self.square.ground)[0]
        return changed(picture, self.change)


def changed(picture: Image.Image, change: Change) -> Image.Image:
    """An RGB picture after something was done to it: spoilt as training spoils pictures, or copied badly."""
    side = max(picture.size)
    match change:
        case "mirrored":
            return ImageOps.mirror(picture)
        case "burnt":
            return ImageEnhance.Color(ImageEnhance.Contrast(picture).enhance(1.5)).enhance(1.3).filter(ImageFilter.UnsharpMask(1, 100, 0))
        case "blurred":
            return picture.filter(ImageFilter.GaussianBlur(side / 85))
        case "cropped":
            edge = round(0.06 * side)
            return ImageOps.crop(picture, edge).resize(picture.size, Image.Resampling.BILINEAR)
        case "moved":
            return ImageChops.offset(picture, round(0.05 * side), round(-0.04 * side))
        case "tinted":
            return ImageEnhance.Color(ImageEnhance.Brightness(picture).enhance(1.12)).enhance(0.75)
        case "smaller":
            small = picture.resize((max(1, picture.width // 2), max(1, picture.height // 2)), Image.Resampling.BILINEAR)
            return small.resize(picture.size, Image.Resampling.BILINEAR)
    return picture


def identify(embedder: str) -> str:
    """An embedder by its name, folder or hub id, with the hash of its weights. Raises BaseModelError where it cannot be had."""
    from decal.embedders.where import weights_of

    hashes = hashlib.sha256()
    for path in weights_of(embedder):
        hashes.update(path.name.encode() + bytes.fromhex(project.sha256(path)))
    name = Path(embedder).name if Path(embedder).is_dir() else embedder
    return f"{name}@{hashes.hexdigest()[:16]}"


class Viewer:
    """Looks at pictures, or remembers what was seen in them.

    folder: where that is kept. embedder: as a person names it. device: to look with.
    """

    def __init__(self, folder: Path, embedder: str, device: str = "auto") -> None:
        self.id = identify(embedder)
        self._name, self._device = embedder, device
        self._folder = folder / "looks" / f"{self.id.replace('/', '-')}-{VERSION}"
        self._known: dict[str, NDArray[np.float32] | None] = {}
        self._widths = (0, 0)
        for path in sorted(self._folder.glob("*.npz")):
            self._remember(path)

    def fill(self, shown: Iterable[Shown]) -> Generator[Progress, None, None]:
        """Look at the pictures that were not looked at before; what was seen is kept as it goes on."""
        missing = list({one.key: one for one in shown if one.key not in self._known}.values())
        seen: dict[str, NDArray[np.float32]] = {}
        try:
            for done in range(0, len(missing), PICTURES_AT_ONCE):
                yield Progress("looking at pictures", done, len(missing))
                seen |= self._look(missing[done : done + PICTURES_AT_ONCE])
                if len(seen) >= PICTURES_A_FILE:
                    self._keep(seen)
                    seen = {}
        finally:
            self._keep(seen)
        if missing:
            yield Progress("looking at pictures", len(missing), len(missing))

    def looks(self, shown: Sequence[Shown | None]) -> Looks:
        """What is seen in the pictures, [N, ...]; a row of NaN for None and for a picture that cannot be used."""
        for _ in self.fill(one for one in shown if one is not None):
            pass
        content, style = self._widths
        ends = np.cumsum([0, content, style, HISTOGRAM_WIDTH, len(TONES)]).tolist()
        rows = np.full((len(shown), ends[-1]), np.nan)
        for place, one in enumerate(shown):
            seen = None if one is None else self._known[one.key]
            if seen is not None:
                rows[place] = seen
        parts = [rows[:, first:last] for first, last in pairwise(ends)]
        return Looks(*parts)

    @cached_property
    def _embedder(self) -> "Embedder":
        from decal.embedders import load

        return load(self._name, self._device)

    def _look(self, shown: Sequence[Shown]) -> dict[str, NDArray[np.float32]]:
        """What is to be kept of these pictures, by key: rows of those that can be used."""
        opened = [one.open() for one in shown]
        there = [picture for picture in opened if picture is not None]
        seen = self._embedder.embed(there) if there else None
        rows: list[NDArray[np.float32] | None] = [None] * len(shown)
        if seen is not None:
            self._widths = (seen.content.shape[1], seen.style.shape[1])
            looks = look([np.asarray(picture) for picture in there], seen.content, seen.style)
            table = np.concatenate([looks.content, looks.style, looks.histogram, looks.tone], axis=1).astype(np.float32)
            is_good = [bool(np.isfinite(row).all()) for row in table]
            places = (place for place, picture in enumerate(opened) if picture is not None)
            for place, row, good in zip(places, table, is_good, strict=True):
                rows[place] = row if good else None
        self._known |= {one.key: row for one, row in zip(shown, rows, strict=True)}
        return {one.key: row for one, row in zip(shown, rows, strict=True) if row is not None}

    def _keep(self, seen: Mapping[str, NDArray[np.float32]]) -> None:
        if seen:
            buffer = BytesIO()
            keys, table = np.array(list(seen)), np.array(list(seen.values()))
            np.savez(buffer, keys=keys, rows=table, widths=np.array(self._widths))
            project.write_bytes(self._folder / f"{project.fingerprint(keys.tolist())[:16]}.npz", buffer.getvalue())

    def _remember(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as file:
                keys, rows, widths = file["keys"].tolist(), file["rows"], file["widths"].tolist()
            if rows.shape != (len(keys), sum(widths) + HISTOGRAM_WIDTH + len(TONES)) or not np.isfinite(rows).all():
                raise ValueError("its tables do not fit together")
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as problem:
            logger.warning("%s is damaged (%s); its pictures are looked at again", path, problem)
            path.unlink(missing_ok=True)
            return
        self._widths = (int(widths[0]), int(widths[1]))
        self._known |= dict(zip(keys, rows, strict=True))


class Reader:
    """Holds pictures against text: a `Viewer` for the pictures, and vectors of texts that are comparable with theirs, kept likewise."""

    def __init__(self, folder: Path, model: str, device: str = "auto") -> None:
        self.viewer = Viewer(folder, model, device)
        self._name, self._device = model, device
        self._folder = folder / "looks" / f"{self.viewer.id.replace('/', '-')}-texts"

    def texts(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Vectors of texts, [N, C], length 1."""
        path = self._folder / f"{project.fingerprint(list(texts))[:32]}.npy"
        if path.exists():
            try:
                return np.asarray(np.load(path, allow_pickle=False), np.float64)
            except (OSError, ValueError, EOFError) as problem:
                logger.warning("%s is damaged (%s); it is made again", path, problem)
        from decal.embedders.foreign import encode_texts

        buffer, vectors = BytesIO(), encode_texts(self._name, texts, self._device)
        np.save(buffer, vectors)
        project.write_bytes(path, buffer.getvalue())
        return np.asarray(vectors, np.float64)


class _Found(Line):
    key: str
    lines: int


class Proofreader:
    """Counts the lines of text on pictures, or remembers how many there were. Needs rapidocr for what was not read before."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"texts-{reading.VERSION}.jsonl"
        self._known = {found.key: found.lines for found in project.read(self._path, _Found)}

    def fill(self, shown: Iterable[Shown]) -> Iterator[Progress]:
        """Read the pictures that were not read before."""
        missing = list({one.key: one for one in shown if one.key not in self._known}.values())
        reader = reading.Reader() if missing else None
        for done, one in enumerate(missing):
            yield Progress("reading text on pictures", done, len(missing))
            picture = one.open()
            count = 0 if picture is None or reader is None else len(reader.text(picture))
            self._known[one.key] = count
            project.append(self._path, _Found(key=one.key, lines=count))
        if missing:
            yield Progress("reading text on pictures", len(missing), len(missing))

    def lines(self, shown: Sequence[Shown | None]) -> NDArray[np.float64]:
        """How many lines of text each picture holds, [N]; NaN where there is none to read."""
        return np.array([np.nan if one is None else self._known.get(one.key, np.nan) for one in shown])
