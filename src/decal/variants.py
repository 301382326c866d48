"""The ways in which one picture is cropped and grounded, where it is encoded more than once (`data.variants`).

What is drawn anew each epoch cannot be cached; a few fixed ways can. They follow from the picture's bytes and a number, not from the seed
of a run, so every run finds them encoded. Number 0 is the picture as it is without variants, and the only one it is measured with.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from decal import pictures
from decal.pictures import MIDDLE
from decal.records import Fit
from decal.wording import counted

GROUNDS_NAMED = 3
PALEST, DARKEST = 256, 160
"""Levels of red, green and blue between which a ground is drawn: pale enough for any drawing to stand out."""


@dataclass(frozen=True)
class Variant:
    """One way. at: where the crop lies in what sticks out, as in `pictures.fitted`. ground: what stands behind transparent pixels."""

    at: tuple[float, float]
    ground: str


def variant(sha256: str, number: int, ground: str, attempt: int = 0) -> Variant:
    """The variant of a picture by its number. ground: that of number 0. attempt: another crop where the one before is of no use."""
    if number == 0:
        return Variant(MIDDLE, ground)
    dice = np.random.default_rng([int(sha256[:16], 16), number, attempt])
    across, down = dice.random(2)
    red, green, blue = dice.integers(DARKEST, PALEST, 3)
    return Variant((float(across), float(down)), f"#{red:02x}{green:02x}{blue:02x}")


def told(count: int, ground: str, shas: Mapping[str, str]) -> str:
    """On which grounds transparent pictures are learnt. shas: hash of each by its file, not empty."""
    file, sha256 = next(iter(shas.items()))
    own = [variant(sha256, number, ground).ground for number in range(1, count)]
    some = ", ".join(own[:GROUNDS_NAMED]) + (", ..." if len(own) > GROUNDS_NAMED else "")
    return (
        f"{counted(len(shas), 'transparent picture')}, each on {ground} and {counted(len(own), 'pale colour')} of its own; {file}: {some}"
    )


def varies(size: tuple[int, int], side_px: int, fit: Fit, *, has_alpha: bool) -> bool:
    """Whether the variants of a picture differ: its ground can be seen, or a whole pixel or more of it is cropped. size: in px."""
    if has_alpha:
        return True
    if fit == "pad":
        return False
    width, height = pictures.shape_for(*size, side_px, fit)
    scale = min(size[0] / width, size[1] / height)
    return max(size[0] / scale - width, size[1] / scale - height) >= 1
