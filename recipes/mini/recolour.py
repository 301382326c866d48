"""Give a drawing another colour, where one hue clearly dominates it, and say which colour it has then.

Pixels near the dominant hue are brought to what people call by the colour's word; the rest, white eyes or a blue tear, keep theirs.
The word is then measured on the result, and a drawing that does not come out as meant is refused.
"""

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]

# A typical hue in degrees, saturation and value for each word, and the hues around it that still bear the word.
TARGETS: dict[str, tuple[float, float, float]] = {
    "red": (357, 0.80, 0.88),
    "orange": (27, 0.85, 0.96),
    "yellow": (48, 0.72, 1.0),
    "green": (125, 0.65, 0.70),
    "blue": (213, 0.75, 0.88),
    "purple": (275, 0.60, 0.75),
    "pink": (332, 0.45, 0.98),
}
# Below these an eye sees grey or black rather than a colour.
LEAST_SATURATION, LEAST_VALUE = 0.25, 0.25
# Of the coloured pixels, how many must be within the window of the dominant hue; and how much of all that is drawn must be coloured.
DOMINANT_SHARE, COLOURED_SHARE = 0.72, 0.6
# Within WINDOW degrees of the dominant hue a pixel is turned fully, from there to FADE less and less.
WINDOW, FADE = 42.0, 62.0


@dataclass(frozen=True)
class Recoloured:
    """A drawing on a transparent ground and the word for its colour."""

    drawing: Image.Image
    colour: str


@dataclass(frozen=True)
class Dominant:
    """The typical colour of the pixels of the dominant hue. hue: degrees; saturation, value: 0..1."""

    hue: float
    saturation: float
    value: float


def recoloured(drawing: Image.Image, rng: random.Random) -> Recoloured | None:
    """The drawing in a colour drawn at random, perhaps its own, or None where no hue dominates or the colour does not suit it."""
    pixels = (np.asarray(drawing) / 255).astype(np.float32)
    hue, saturation, value = to_hsv(pixels[..., :3])
    before = dominant(hue, saturation, value, pixels[..., 3])
    if before is None:
        return None
    for colour in rng.sample(list(TARGETS), len(TARGETS)):
        if colour == word(before):
            return Recoloured(drawing, colour)
        changed = turned(hue, saturation, value, before=before, colour=colour)
        after = dominant(*changed, pixels[..., 3])
        if after is not None and word(after) == colour:
            rgba = np.dstack([to_rgb(*changed), pixels[..., 3]])
            return Recoloured(Image.fromarray(np.round(rgba * 255).astype(np.uint8), "RGBA"), colour)
    return None


def turned(hue: Floats, saturation: Floats, value: Floats, *, before: Dominant, colour: str) -> tuple[Floats, Floats, Floats]:
    """Hue, saturation and value with the dominant hue brought to a colour. Shading stays."""
    target_hue, target_saturation, target_value = TARGETS[colour]
    near = np.clip((FADE - apart(hue, before.hue)) / (FADE - WINDOW), 0, 1) * np.clip((saturation - 0.05) / 0.1, 0, 1)
    gain = np.clip(target_saturation / before.saturation, 0.5, 1.6)
    # Darker by a factor, lighter by a curve, so that nothing is cut off at white.
    factor = min(1.0, target_value / before.value)
    bend = np.clip(np.log(target_value) / np.log(before.value), 0.3, 1.0) if before.value < target_value else 1.0
    # Hues lie closer together around yellow than an eye thinks; half the spread keeps a shaded yellow from becoming two colours.
    spread = ((hue - before.hue + 180) % 360 - 180) * 0.6
    turned_hue = np.where(near > 0, (hue + near * (target_hue + spread - hue)), hue) % 360
    turned_saturation = np.clip(saturation * (1 + near * (gain - 1)), 0, 1)
    turned_value = value * (1 - near) + near * factor * value**bend
    return turned_hue.astype(np.float32), turned_saturation.astype(np.float32), turned_value.astype(np.float32)


def dominant(hue: Floats, saturation: Floats, value: Floats, alpha: Floats) -> Dominant | None:
    """The typical colour of the hue that most of a drawing has, or None where there is no such hue."""
    drawn = alpha > 0.5
    tinted = drawn & (saturation > LEAST_SATURATION) & (value > LEAST_VALUE)
    if not drawn.any() or tinted.sum() < COLOURED_SHARE * drawn.sum():
        return None
    counts = np.bincount(hue[tinted].astype(int) % 360, minlength=360)
    around = np.convolve(np.tile(counts, 3), np.ones(41), "same")[360:720]
    middle = float(np.argmax(around))
    inside = tinted & (apart(hue, middle) <= 25)
    if inside.sum() < DOMINANT_SHARE * tinted.sum():
        return None
    offset = (hue[inside] - middle + 180) % 360 - 180
    return Dominant(float(middle + np.median(offset)) % 360, float(np.median(saturation[inside])), float(np.median(value[inside])))


def word(colour: Dominant) -> str | None:
    """What people call this colour, or None where they would not agree."""
    hue, saturation, value = colour.hue, colour.saturation, colour.value
    if value < 0.45 or saturation < 0.3:
        return None
    if hue >= 348 or hue < 12:
        return "red" if saturation > 0.55 else "pink" if value > 0.85 and hue >= 340 else None
    if 18 <= hue < 37:
        # Dark or dull orange is brown.
        return "orange" if value > 0.85 and saturation > 0.6 else None
    if 42 <= hue < 62:
        return "yellow" if value > 0.85 else None
    if 80 <= hue < 165:
        return "green"
    if 190 <= hue < 245:
        return "blue"
    if 258 <= hue < 295:
        return "purple"
    if 312 <= hue < 348:
        return "pink" if value > 0.75 else None
    return None


def apart(hue: Floats, other: float) -> Floats:
    """How far two hues are from each other, in degrees, 0..180."""
    distance: Floats = np.abs((hue - other + 180) % 360 - 180).astype(np.float32)
    return distance


def to_hsv(rgb: Floats) -> tuple[Floats, Floats, Floats]:
    """Hue in degrees, saturation and value. rgb: [H, W, 3], 0..1."""
    highest, lowest = rgb.max(-1), rgb.min(-1)
    range_ = highest - lowest
    safe = np.where(range_ > 0, range_, 1)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    sixth = np.where(
        highest == red,
        (green - blue) / safe,
        np.where(highest == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    hue = np.where(range_ > 0, sixth * 60 % 360, 0)
    saturation = np.where(highest > 0, range_ / np.where(highest > 0, highest, 1), 0)
    return hue.astype(np.float32), saturation.astype(np.float32), highest


def to_rgb(hue: Floats, saturation: Floats, value: Floats) -> Floats:
    """Red, green and blue, [H, W, 3], 0..1."""
    shift = np.array([5, 3, 1], np.float32)
    sixth = (shift + hue[..., None] / 60) % 6
    part = np.clip(np.minimum(sixth, 4 - sixth), 0, 1)
    rgb: Floats = (value[..., None] * (1 - saturation[..., None] * part)).astype(np.float32)
    return rgb
