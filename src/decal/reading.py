"""Text on pictures: what can be read on them, by the models that come inside the wheel of rapidocr (extra `ocr`).

A picture goes in, lines of text come out. Drawings hold marks that look like single letters, so only a line of three or more letters or
digits that the model is half sure of counts as text. Whoever asks does without where rapidocr is not installed; `is_installed` says so.
"""

import importlib.util
import logging
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from decal.errors import DecalError

MISSING = 'pip install "decal[ocr]"'
# Raw, 22 of 60 stickers without text gave single letters (an 8 ball, strokes of a drawing); with this rule none did. LOG.md, 2026-11-26.
MIN_LETTERS = 3
MIN_SCORE = 0.5
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
        return self.score >= MIN_SCORE and sum(map(str.isalnum, self.text)) >= MIN_LETTERS


def is_installed() -> bool:
    """Whether there is anything to read with; imports nothing."""
    return all(importlib.util.find_spec(name) is not None for name in ("rapidocr", "onnxruntime"))


class Reader:
    """Reads pictures one after the other; loading takes a second. Raises DecalError where rapidocr is missing or does not start."""

    def __init__(self) -> None:
        try:
            from rapidocr import RapidOCR
        except ImportError as problem:
            raise DecalError(f"Text on pictures needs rapidocr and onnxruntime ({problem}).\n{MISSING}") from problem
        asked = os.environ.get("OMP_NUM_THREADS", "")
        threads = int(asked) if asked.isdigit() and int(asked) else min(MOST_THREADS, os.cpu_count() or 1)
        # rapidocr sets up a logger of its own that prints; what it has to say is of no use to anybody here.
        settings = {f"EngineConfig.onnxruntime.{part}_op_num_threads": threads if part == "intra" else 1 for part in ("intra", "inter")}
        self._engine: Any = RapidOCR(params={"Global.log_level": "critical", **settings})
        logging.getLogger("RapidOCR").disabled = True

    def read(self, picture: Image.Image) -> tuple[TextLine, ...]:
        """Every line on an RGB picture, from top to bottom, those that do not count too."""
        assert picture.mode == "RGB", f"a picture to read must be RGB, this is {picture.mode}"
        if max(picture.size) > MAX_SIDE_PX:
            picture = picture.copy()
            picture.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
        # Blue first, as OpenCV gives pictures. The engine remembers these three from call to call, so each call says them.
        read = self._engine(np.ascontiguousarray(np.asarray(picture)[:, :, ::-1]), use_det=True, use_cls=True, use_rec=True)
        return tuple(TextLine(str(text), float(score)) for text, score in zip(read.txts or (), read.scores or (), strict=True))


def words(lines: tuple[TextLine, ...]) -> str:
    """What counts as text, its lines joined by ` / `; "" where nothing does."""
    return " / ".join(line.text for line in lines if line.counts)
