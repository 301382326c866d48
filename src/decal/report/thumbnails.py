"""Pictures as small files inside the page.

A path goes in, an `img` comes out whose bytes stand in the page itself. Pictures are decoded within the limits of `pictures`, whoever made
them, and one that cannot be read becomes a box that says so.
"""

import base64
from io import BytesIO
from pathlib import Path

from PIL import Image

from decal import pictures
from decal.errors import DataError
from decal.report.markup import Markup, element

QUALITY = 82
LARGE_PX = 224
"""Side of a drawn picture: twice what it takes on the page, for fine screens."""
SMALL_PX = 128


def thumbnail(path: Path | None, alt: str, side_px: int = LARGE_PX) -> Markup:
    """The picture of a file with its description; an empty frame that says so where there is none.

    side_px: the longer side, which smaller pictures keep as it is.
    """
    data = None if path is None else _webp(path, side_px)
    if data is None:
        return element("span", "no picture", class_="gap", role="img", aria_label=f"No picture: {alt}")
    image, encoded = data
    return element(
        "img",
        src=f"data:image/webp;base64,{base64.b64encode(encoded).decode()}",
        alt=alt,
        width=str(image.width),
        height=str(image.height),
        loading="lazy",
    )


def _webp(path: Path, side_px: int) -> tuple[Image.Image, bytes] | None:
    try:
        image = pictures.load(path, "white")
    except (DataError, OSError):
        return None
    image.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    image.save(buffer, "WEBP", quality=QUALITY, method=4)
    return image, buffer.getvalue()
