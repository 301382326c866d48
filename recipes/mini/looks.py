"""Draw a picture in a look of its own: with a thick outline, in two tones, or both; the captions say so.

Without these every picture of a style has the colours and edges of that style, and the base takes them for the thing itself: a LoRA then
has to unlearn them from thirty pictures. How a picture looks is drawn from the seed.
"""

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from recolour import TARGETS, to_rgb

Floats = NDArray[np.float32]

OUTLINED, TWO_TONED, BOTH = LOOKS = ("outlined", "two-toned", "two-toned and outlined")
# Half the width of an outline, in shares of the picture's side; it reaches as far out as in.
OUTLINE = (0.012, 0.03)
OUTLINE_VALUE = 0.15
# What differs from the main tone by so much lightness has the other tone in full.
FEATURE = 0.3


@dataclass(frozen=True)
class Looked:
    """A drawing on a transparent ground. colour: of its main tone, where it has two; other: "white" or "black", its second tone."""

    drawing: Image.Image
    colour: str | None
    other: str | None


def looked(drawing: Image.Image, look: str, rng: random.Random) -> Looked:
    """A drawing in one of LOOKS. drawing: RGBA, square."""
    colour = other = None
    if look != OUTLINED:
        colour, other = rng.choice(list(TARGETS)), rng.choice(("white", "black"))
        drawing = two_toned(drawing, colour, other)
    if look != TWO_TONED:
        drawing = outlined(drawing, rng.uniform(*OUTLINE), rng.uniform(0, OUTLINE_VALUE))
    return Looked(drawing, colour, other)


def outlined(drawing: Image.Image, reach: float, value: float) -> Image.Image:
    """A line along the edge of what is drawn. reach: half its width in sides of the picture; value: its grey, 0 black."""
    alpha = drawing.getchannel("A").point(lambda level: 255 if level > 127 else 0)
    side = 2 * round(reach * drawing.width) + 1
    # Squares of the filter made round: smoothed and cut at the middle again.
    out, into = (
        alpha.filter(kind(side)).filter(ImageFilter.GaussianBlur(side / 4)) for kind in (ImageFilter.MaxFilter, ImageFilter.MinFilter)
    )
    line = np.asarray(out) / 255 * (1 - np.asarray(into) / 255)
    pixels = (np.asarray(drawing) / 255).astype(np.float32)
    share = np.clip((line - 0.35) / 0.3, 0, 1)[..., None]
    rgb = pixels[..., :3] * (1 - share) + value * share
    together = np.dstack([rgb, np.maximum(pixels[..., 3:], share)])
    return Image.fromarray(np.round(together * 255).astype(np.uint8), "RGBA")


def two_toned(drawing: Image.Image, colour: str, other: str) -> Image.Image:
    """The most common tone of a drawing in a colour of TARGETS, and what is lighter or darker than it in white or black."""
    pixels = (np.asarray(drawing) / 255).astype(np.float32)
    lightness = pixels[..., :3] @ np.array([0.3, 0.59, 0.11], np.float32)
    drawn = pixels[..., 3] > 0.5
    middle = float(np.median(lightness[drawn])) if drawn.any() else 0.5
    share = np.clip(np.abs(lightness - middle) / FEATURE, 0, 1)[..., None]
    hue, saturation, value = (np.full((1, 1), level, np.float32) for level in TARGETS[colour])
    second = 1.0 if other == "white" else 0.1
    rgb = to_rgb(hue, saturation, value) * (1 - share) + second * share
    return Image.fromarray(np.round(np.dstack([rgb, pixels[..., 3]]) * 255).astype(np.uint8), "RGBA")
