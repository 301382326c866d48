"""Text on pictures: what can be read on them, by the models that come inside the wheel of rapidocr (extra `ocr`).

A picture goes in, lines of text come out. Drawings hold marks that look like letters, so only a line of three or more letters or digits
that the model is half sure of counts, and where it is no more than that, only what is read again in two other views of the picture. Whoever
asks does without where rapidocr is not installed; `is_installed` says so.
"""

import importlib.util
import logging
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from decal import extras
from decal.errors import DecalError

# Raw, 22 of 60 stickers without text gave single letters (an 8 ball, strokes of a drawing); with this rule none did. LOG.md, 2026-11-26.
MIN_LETTERS = 3
MIN_SCORE = 0.5
# Of 1,215 emoji of development sets, marks on 12 are read as text. Ten of them score less than this or say one letter again and again, and
# none of these ten is read again in other views; of 76 planted words that were read, 73 are (LOG.md, 2026-11-26).
SURE_SCORE = 0.8
# What it looked like from elsewhere: a share of its size, and a white margin of so much of its longer side.
SMALLER = 0.75
MARGIN = 1 / 14
# Raised whenever something else is read in the same picture.
VERSION = 2
# What cannot be read at this size is not learnt as text at any training size, and a photograph of 12 megapixels would take seconds.
MAX_SIDE_PX = 1024
MOST_THREADS = 4


@dataclass(frozen=True)
class TextLine:
    """One line that was read. score: how sure the model is of it, 0..1."""

    text: str
    score: float

    @property
    def counts(self) -> bool:
        """Whether it is text rather than a stroke that looks like a letter."""
        return self.score >= MIN_SCORE and len(self.letters) >= MIN_LETTERS

    @property
    def is_sure(self) -> bool:
        """Whether that needs no second reading: chains are read as 888 with a high score."""
        return self.score >= SURE_SCORE and len(set(self.letters)) > 1

    @property
    def letters(self) -> str:
        """Its letters and digits, in lower case."""
        return "".join(filter(str.isalnum, self.text)).casefold()


def is_installed() -> bool:
    """Whether there is anything to read with; imports nothing."""
    return all(importlib.util.find_spec(name) is not None for name in ("rapidocr", "onnxruntime"))


class Reader:
    """Reads pictures one after the other; loading takes a second. Raises DecalError where rapidocr is missing or does not start."""

    def __init__(self) -> None:
        try:
            from rapidocr import RapidOCR
        except ImportError as problem:
            raise DecalError(f"Text on pictures needs rapidocr and onnxruntime ({problem}).\n{extras.add('ocr')}") from problem
        asked = os.environ.get("OMP_NUM_THREADS", "")
        threads = int(asked) if asked.isdigit() and int(asked) else min(MOST_THREADS, os.cpu_count() or 1)
        # rapidocr sets up a logger of its own that prints; what it has to say is of no use to anybody here.
        settings = {f"EngineConfig.onnxruntime.{part}_op_num_threads": threads if part == "intra" else 1 for part in ("intra", "inter")}
        self._engine: Any = RapidOCR(params={"Global.log_level": "critical", **settings})
        logging.getLogger("RapidOCR").disabled = True

    def text(self, picture: Image.Image) -> tuple[TextLine, ...]:
        """The lines on an RGB picture that count, from top to bottom; those that are not sure only where they are read again."""
        picture = _limited(picture)
        found = tuple(line for line in self.read(picture) if line.counts)
        if all(line.is_sure for line in found):
            return found
        smaller = picture.resize(
            (max(1, round(SMALLER * picture.width)), max(1, round(SMALLER * picture.height))), Image.Resampling.LANCZOS
        )
        wider = ImageOps.expand(picture, round(MARGIN * max(picture.size)), "white")
        again = [{line.letters for line in self.read(view)} for view in (smaller, wider)]
        return tuple(line for line in found if line.is_sure or all(line.letters in read for read in again))

    def read(self, picture: Image.Image) -> tuple[TextLine, ...]:
        """Every line on an RGB picture, from top to bottom, those that do not count too."""
        assert picture.mode == "RGB", f"a picture to read must be RGB, this is {picture.mode}"
        picture = _limited(picture)
        # Blue first, as OpenCV gives pictures. The engine remembers these three from call to call, so each call says them.
        read = self._engine(np.ascontiguousarray(np.asarray(picture)[:, :, ::-1]), use_det=True, use_cls=True, use_rec=True)
        return tuple(TextLine(str(text), float(score)) for text, score in zip(read.txts or (), read.scores or (), strict=True))


def _limited(picture: Image.Image) -> Image.Image:
    if max(picture.size) <= MAX_SIDE_PX:
        return picture
    smaller = picture.copy()
    smaller.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
    return smaller


def words(lines: tuple[TextLine, ...]) -> str:
    """What counts as text, its lines joined by ` / `; "" where nothing does."""
    return " / ".join(line.text for line in lines if line.counts)
