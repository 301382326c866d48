"""Real drawings of the same subjects in several styles, and what is seen in them: the material of simulated checkpoints.

Emoji sets from npm stand in for styles; a subject of one set is drawn again, slightly moved and tinted, for each seed. What was seen is
kept in a work folder, so that a second run only looks up. The three test styles of `benchmarks/mini/styles.py` are not used here.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter

sys.path.insert(0, str(Path(__file__).parents[2] / "recipes" / "mini"))

from concepts import CONCEPTS
from data import MARGIN, on_white, render
from packs import DEVELOPMENT_PACK, PACKS, fetch

from decal.scores.looks import Looks, join, look
from decal.vision import Embedder

SIDE_PX = 128
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, order=True)
class Drawing:
    """One picture: a subject in a style, moved as the seed says; seed -1 is the original.

    contrast: 1 as it is, above 1 burnt. half: a style that it lies half-way to. is_scrambled: its parts are out of place.
    """

    style: str
    subject: str
    seed: int = -1
    contrast: float = 1.0
    is_mirrored: bool = False
    is_blurred: bool = False
    half: str = ""
    is_scrambled: bool = False


def originals(work: Path) -> dict[tuple[str, str], Pixels]:
    """Every subject of every style, [128, 128, 3] on white; rendered once and kept."""
    kept = work / "originals.npz"
    if not kept.exists():
        packs = {pack.style: fetch(pack) for pack in (*PACKS, DEVELOPMENT_PACK)}
        found = {
            f"{style}/{concept.slug}": on_white(render(svg, 2 * SIDE_PX), SIDE_PX)
            for style, pack in packs.items()
            for concept in CONCEPTS
            if (svg := pack.svg(concept.slug, MARGIN)) is not None
        }
        work.mkdir(parents=True, exist_ok=True)
        part = work / "originals.part.npz"
        np.savez_compressed(part, allow_pickle=False, **found)
        part.replace(kept)
    with np.load(kept) as file:
        return {(name.split("/")[0], name.split("/")[1]): file[name] for name in file.files}


class Gallery:
    """All drawings that were ever asked for, as looks."""

    def __init__(self, work: Path) -> None:
        self.pictures = originals(work)
        self._kept = work / "looks.npz"
        self._embedder = Embedder.load(torch.device("cpu"))
        self._place: dict[str, int] = {}
        self._looks: Looks | None = None
        if self._kept.exists():
            with np.load(self._kept) as file:
                self._looks = Looks(*(file[name].astype(np.float64) for name in ("content", "style", "histogram", "tone")))
                self._place = {name: place for place, name in enumerate(file["names"].tolist())}

    def subjects(self, styles: Iterable[str]) -> list[str]:
        """The subjects that all of these styles have, in the order of `CONCEPTS`."""
        return [concept.slug for concept in CONCEPTS if all((style, concept.slug) in self.pictures for style in styles)]

    def looks(self, drawings: Sequence[Drawing]) -> Looks:
        """What is seen in the drawings, in their order."""
        missing = [drawing for drawing in sorted(set(drawings)) if repr(drawing) not in self._place]
        if missing:
            shown = [self.pixels(drawing) for drawing in missing]
            seen = self._embedder.embed(Image.fromarray(picture) for picture in shown)
            new = look(shown, seen.content, seen.style)
            self._place |= {repr(drawing): len(self._place) + place for place, drawing in enumerate(missing)}
            self._looks = new if self._looks is None else join(self._looks, new)
        assert self._looks is not None, "no drawing was asked for"
        return self._looks.rows(np.array([self._place[repr(drawing)] for drawing in drawings], np.intp))

    def keep(self) -> None:
        """Write what was seen to the work folder."""
        if self._looks is not None:
            looks = {name: getattr(self._looks, name).astype(np.float32) for name in ("content", "style", "histogram", "tone")}
            np.savez(self._kept.with_suffix(".part.npz"), names=np.array(list(self._place)), **looks)
            self._kept.with_suffix(".part.npz").replace(self._kept)

    def pixels(self, drawing: Drawing) -> Pixels:
        """The drawing itself, [128, 128, 3]."""
        picture = Image.fromarray(self.pictures[drawing.style, drawing.subject])
        if drawing.half:
            picture = Image.blend(picture, Image.fromarray(self.pictures[drawing.half, drawing.subject]), 0.5)
        if drawing.seed >= 0:
            picture = _moved(picture, np.random.default_rng([drawing.seed, *drawing.subject.encode()]))
        shown = np.asarray(picture)
        if drawing.is_scrambled:
            shown = _scrambled(shown, np.random.default_rng([7, drawing.seed, *drawing.subject.encode()]))
        if drawing.contrast != 1:
            shown = np.clip((shown.astype(np.float64) - 128) * drawing.contrast + 128, 0, 255).astype(np.uint8)
        if drawing.is_blurred:
            shown = np.asarray(Image.fromarray(shown).filter(ImageFilter.GaussianBlur(1.5)))
        return np.ascontiguousarray(shown[:, ::-1] if drawing.is_mirrored else shown)


def _moved(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Turned, scaled, shifted and tinted a little; the same for every style, as the same noise gives a like composition."""
    angle, scale = np.radians(rng.uniform(-12, 12)), rng.uniform(0.85, 1.15)
    shift = rng.uniform(-0.06, 0.06, 2) * SIDE_PX
    tint = rng.uniform(0.92, 1.08, 3)
    cosine, sine, middle = np.cos(angle) / scale, np.sin(angle) / scale, SIDE_PX / 2
    across = (cosine, sine, middle - cosine * (middle + shift[0]) - sine * (middle + shift[1]))
    down = (-sine, cosine, middle + sine * (middle + shift[0]) - cosine * (middle + shift[1]))
    turned = picture.transform(picture.size, Image.Transform.AFFINE, (*across, *down), Image.Resampling.BICUBIC, fillcolor="white")
    # The ground stays white: it is the paper, not the drawing.
    paper = 255 - np.asarray(turned).astype(np.float64)
    return Image.fromarray(np.clip(255 - paper * tint, 0, 255).astype(np.uint8))


def _scrambled(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """The same colours and strokes and no thing: sixteenths of the picture, shuffled."""
    side = SIDE_PX // 4
    parts = picture.reshape(4, side, 4, side, 3).swapaxes(1, 2).reshape(16, side, side, 3)
    return rng.permutation(parts).reshape(4, 4, side, side, 3).swapaxes(1, 2).reshape(picture.shape)
