"""Where the shapes of social networks lie in a picture: the window with the most detail, at full height or width.

A picture comes into the data set cut to the nearest of the three, so that training takes it in one of three buckets (`data.fit`). The
windows of all three stand beside it in its line, for whoever cuts pictures for a feed.
"""

import numpy as np
from PIL import Image

# Square posts, wide cards (1200 x 675), upright posts.
SHAPES = {"1:1": 1.0, "16:9": 16 / 9, "4:5": 4 / 5}
LOOKED_AT_PX = 128
# What is this near to a shape is left as it is, to the byte: encoding it again would cost more than the strip does.
NEAR = 0.02

Box = tuple[int, int, int, int]


def nearest_shape(width_px: int, height_px: int) -> str:
    """The shape that a picture loses least in."""
    return min(SHAPES, key=lambda name: abs(np.log(width_px / height_px / SHAPES[name])))


def cut(picture: Image.Image) -> Box | None:
    """The window of the nearest shape; None where the picture has that shape already."""
    shape = SHAPES[nearest_shape(*picture.size)]
    if abs(np.log(picture.width / picture.height / shape)) <= NEAR:
        return None
    return crops(picture)[nearest_shape(*picture.size)]


def crops(picture: Image.Image) -> dict[str, Box]:
    """For each shape, left, top, right and bottom of its window in px."""
    small = np.asarray(picture.convert("L").resize((LOOKED_AT_PX, LOOKED_AT_PX)), np.float64)
    across, down = np.abs(np.diff(small, axis=1)), np.abs(np.diff(small, axis=0))
    columns, rows = across.sum(axis=0) + 1e-3, down.sum(axis=1) + 1e-3
    width, height = picture.size
    found: dict[str, Box] = {}
    for name, shape in SHAPES.items():
        if width / height > shape:
            wide = max(1, round(height * shape))
            left = _best(columns, wide / width, width - wide)
            found[name] = (left, 0, left + wide, height)
        else:
            high = max(1, round(width / shape))
            top = _best(rows, high / height, height - high)
            found[name] = (0, top, width, top + high)
    return found


def _best(detail: "np.ndarray[tuple[int], np.dtype[np.float64]]", share: float, room_px: int) -> int:
    """Where a window of that share of the length begins that holds most of the detail, the middle one of several as good."""
    length = max(1, round(share * len(detail)))
    sums = np.convolve(detail, np.ones(length), "valid")
    best = np.flatnonzero(sums >= 0.995 * sums.max())
    place = best[np.argmin(np.abs(best - (len(sums) - 1) / 2))]
    return round(room_px * (int(place) / max(1, len(sums) - 1))) if len(sums) > 1 else room_px // 2
