"""Decode anything hostile or odd safely, and make it a square of pixels.

A file goes in; out comes either what is known of it (`look`), its colours on a chosen ground (`load`), or a `PictureError` with one reason
and one remedy. Every limit is checked on the header, before a pixel is decoded, and a picture is always decoded in full: a header alone
proves nothing. Originals are never changed; transparency, odd modes and sizes are dealt with here, at load.
"""

import hashlib
import math
import warnings
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import GifImagePlugin, Image, ImageCms, ImageColor, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin

from decal import quality
from decal.errors import DataError
from decal.quality import CutOut
from decal.records import Fit

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
# Without this list Pillow would also try formats that start other programs, such as Ghostscript for EPS.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
# A 9.9 kB PNG can open as 81 megapixels; 50 are more than most cameras give and cost 150 MB as RGB.
MAX_PIXELS = 50_000_000
# Keeps a strip of 1 x 50,000,000 px out; no base is trained above 2048 px.
MAX_SIDE_PX = 16_384
# A 50 megapixel photograph is about 25 MiB as JPEG.
MAX_FILE_BYTES = 64 * 2**20
# At 20:1 a picture padded to 512 px is 26 px high; beyond that there is nothing left to learn.
MAX_RATIO = 20

# Twice the 9 x 8 cells of a difference hash, so that the hash is taken from the same small picture.
THUMBNAIL_PX = (18, 16)
# Grey levels a cell must be darker than its right neighbour to set a bit; noise of JPEG on a flat ground stays below.
HASH_STEP = 3
ORIENTATION = 0x0112
ROTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Fault = Literal["unreadable", "truncated", "huge", "extreme_ratio"]

# Pillow prints to stderr about damaged tags and about sizes below its own, higher limit; what matters of it becomes a reason here.
warnings.filterwarnings("ignore", module=r"PIL\.")

# Nothing longer: bases draw such shapes badly, and few data sets have enough pictures of one.
BUCKET_RATIO = 2.5

MIDDLE = (0.5, 0.5)
"""Where a crop lies in what sticks out, across and down: 0 keeps the beginning, 1 the end."""


class PictureError(DataError):
    """A file that cannot be used as a picture.

    fault: which check it fails. reason: what is wrong, without the file's name. remedy: what to do.
    """

    def __init__(self, path: Path, fault: Fault, reason: str, remedy: str):
        super().__init__(f"{path}: {reason}.\n{remedy}")
        self.fault = fault
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True)
class Look:
    """What one full decoding tells of a picture.

    sha256: of the file's bytes. pixels_sha256: of the visible colours and the alpha after the EXIF rotation; equal for the same picture in
    two files. Sizes are after that rotation. mode: as Pillow names it. frames: more than 1 where the file is animated or has pages.
    has_alpha: some pixel is not opaque. has_hidden_colour: fully transparent pixels hold several colours, which dropping the alpha reveals.
    orientation: of the EXIF, 1 for upright. edge_px, contrast: see `quality`; the latter on the ground that was asked for. cut_out: None
    without alpha. dhash: 64 bits, one for each cell that is darker than its right neighbour. thumbnail: RGB on white, 18 x 16 px, row by
    row.
    """

    sha256: str
    pixels_sha256: str
    width_px: int
    height_px: int
    mode: str
    frames: int
    has_alpha: bool
    has_hidden_colour: bool
    orientation: int
    edge_px: float | None
    contrast: int
    cut_out: CutOut | None
    dhash: int
    thumbnail: bytes


def look(path: Path, ground: str = "white") -> Look:
    """What is known of a picture file after decoding all of its first frame. Raises PictureError.

    ground: what it will stand on; the thumbnail stands on white all the same, so that the hold-out does not change with it.
    """
    data = _read(path)
    image = _decode(path, data)
    orientation = _orientation(image)
    rgb, alpha = _split(path, _upright(image))
    seen = _composite(rgb, alpha, (255, 255, 255))
    pixels = hashlib.sha256(f"{seen.width} {seen.height} ".encode() + seen.tobytes())
    if alpha is not None:
        pixels.update(alpha.tobytes())
    thumbnail = np.asarray(seen.resize(THUMBNAIL_PX, Image.Resampling.BOX))
    return Look(
        sha256=hashlib.sha256(data).hexdigest(),
        pixels_sha256=pixels.hexdigest(),
        width_px=seen.width,
        height_px=seen.height,
        mode=image.mode,
        # Last, because counting frames moves through the file.
        frames=_frames(image),
        has_alpha=alpha is not None,
        has_hidden_colour=alpha is not None and _hides_colour(rgb, alpha),
        orientation=orientation,
        edge_px=quality.edge_px(seen),
        contrast=quality.contrast(seen if alpha is None or ground == "white" else _composite(rgb, alpha, colour(ground))),
        cut_out=None if alpha is None else quality.cut_out(rgb, alpha),
        dhash=dhash(thumbnail),
        thumbnail=thumbnail.tobytes(),
    )


def load(path: Path, ground: str) -> Image.Image:
    """The picture as RGB: first frame, upright, transparent pixels on the ground. Raises PictureError as `look` does.

    ground: white, black, grey or #rrggbb.
    """
    rgb, alpha = _split(path, _upright(_decode(path, _read(path))))
    return _composite(rgb, alpha, colour(ground))


def opacity(path: Path) -> Image.Image:
    """How opaque each pixel is, as "L": 255 where nothing shines through; upright. Raises PictureError as `look` does."""
    rgb, alpha = _split(path, _upright(_decode(path, _read(path))))
    return Image.new("L", rgb.size, 255) if alpha is None else alpha


def shape_for(width_px: int, height_px: int, side_px: int, fit: Fit) -> tuple[int, int]:
    """Width and height in px that a picture of this size is trained at: the square, or for `bucket` the nearest shape of its area.

    Shapes have sides of whole steps, an eighth of the square's side but at most 64 px, and no more area than the square.
    Source of the idea: aspect ratio bucketing, NovelAI 2022, github.com/NovelAI/novelai-aspect-ratio-bucketing.
    """
    if fit != "bucket":
        return side_px, side_px
    return min(_shapes(side_px), key=lambda shape: (abs(math.log(shape[0] * height_px / (shape[1] * width_px))), shape))


@dataclass(frozen=True)
class Frame:
    """Where a training picture comes from in its original, as (height, width) or (top, left) in px.

    original: the size before anything was done to it. corner: of the part that was kept, in the whole picture at the scale of training.
    size: of the training picture.
    """

    original: tuple[int, int]
    corner: tuple[int, int]
    size: tuple[int, int]

    @classmethod
    def whole(cls, width_px: int, height_px: int) -> "Frame":
        """That of a picture that was neither resized nor cropped."""
        return cls((height_px, width_px), (0, 0), (height_px, width_px))


def frame_for(width_px: int, height_px: int, side_px: int, fit: Fit, at: tuple[float, float] = MIDDLE) -> Frame:
    """How `fitted` makes a training picture of one of this size.

    A padded picture counts as a square original with its ground, so nothing of it was cropped. A crop from the middle has the same frame
    when it is mirrored.
    """
    width, height = shape_for(width_px, height_px, side_px, fit)
    if fit == "pad":
        return Frame((max(width_px, height_px),) * 2, (0, 0), (height, width))
    scale = min(width_px / width, height_px / height)
    corner = round((height_px / scale - height) * at[1]), round((width_px / scale - width) * at[0])
    return Frame((height_px, width_px), corner, (height, width))


def fitted(image: Image.Image, side_px: int, fit: Fit, ground: str, at: tuple[float, float] = MIDDLE) -> tuple[Image.Image, Image.Image]:
    """The RGB picture as it is trained on, and its mask "L": 255 where the picture is, 0 where it was padded.

    bucket: in the shape that `shape_for` gives; what sticks out of it, at most half a step, is cropped. Others: as `square`. at: where the
    part that is kept lies in what sticks out, across and down, 0..1.
    """
    if fit == "pad":
        return square(image, side_px, fit, ground)
    size = shape_for(*image.size, side_px, fit)
    return _cropped(image, size, at), Image.new("L", size, 255)


def square(image: Image.Image, size_px: int, fit: Fit, ground: str) -> tuple[Image.Image, Image.Image]:
    """The RGB picture as a square, and its mask "L": 255 where the picture is, 0 where it was padded.

    Small pictures are enlarged. crop keeps the largest square in the middle; the others keep the whole picture in the middle of the ground.
    """
    width, height = image.size
    if fit == "crop":
        return _cropped(image, (size_px, size_px), MIDDLE), Image.new("L", (size_px, size_px), 255)
    scale = size_px / max(width, height)
    scaled = (max(1, round(width * scale)), max(1, round(height * scale)))
    corner = ((size_px - scaled[0]) // 2, (size_px - scaled[1]) // 2)
    padded = Image.new("RGB", (size_px, size_px), colour(ground))
    padded.paste(image.resize(scaled, Image.Resampling.LANCZOS), corner)
    mask = Image.new("L", (size_px, size_px), 0)
    mask.paste(255, (*corner, corner[0] + scaled[0], corner[1] + scaled[1]))
    return padded, mask


def _cropped(image: Image.Image, size: tuple[int, int], at: tuple[float, float]) -> Image.Image:
    """The largest part of these proportions, resized to them. at: as for `fitted`."""
    scale = min(image.width / size[0], image.height / size[1])
    left, top = (image.width - size[0] * scale) * at[0], (image.height - size[1] * scale) * at[1]
    # Rounding may put the end a hair outside.
    box = (left, top, min(left + size[0] * scale, image.width), min(top + size[1] * scale, image.height))
    return image.resize(size, Image.Resampling.LANCZOS, box=box)


@cache
def _shapes(side_px: int) -> tuple[tuple[int, int], ...]:
    step = min(64, max(8, side_px // 64 * 8))
    wide = [(width, side_px * side_px // width // step * step) for width in range(side_px, 2 * side_px + 1, step)]
    wide = [(width, height) for width, height in wide if height and width <= BUCKET_RATIO * height]
    return tuple(dict.fromkeys([(side_px, side_px), *wide, *((height, width) for width, height in wide)]))


def colour(ground: str) -> tuple[int, int, int]:
    """The ground as red, green and blue, 0..255: white, black, grey or #rrggbb."""
    red, green, blue = ImageColor.getrgb(ground)[:3]
    return red, green, blue


def dhash(thumbnail: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> int:
    """The difference hash of an RGB thumbnail [16, 18, 3]: 64 bits, the first cell in the highest."""
    # Rec. 601 luma, as Pillow's own conversion to grey.
    grey = thumbnail.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    cells = grey.reshape(8, 2, 9, 2).mean(axis=(1, 3))
    bits = cells[:, 1:] - cells[:, :-1] >= HASH_STEP
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise PictureError(path, "unreadable", "there is no such file", "Put the picture there, or take its line out of metadata.jsonl.")
    try:
        size_bytes = path.stat().st_size
        if size_bytes > MAX_FILE_BYTES:
            limit = f"the limit is {MAX_FILE_BYTES / 2**20:.0f} MiB"
            raise PictureError(
                path, "huge", f"the file is {size_bytes / 2**20:.1f} MiB, {limit}", "Save it smaller, for instance as JPEG or PNG."
            )
        data = path.read_bytes()
    except OSError as problem:
        raise PictureError(
            path, "unreadable", f"cannot be read ({problem.strerror})", "Make the file readable, or take it out."
        ) from problem
    if not data:
        raise PictureError(path, "unreadable", "the file is empty (0 bytes)", "Get the picture again, or take it out.")
    return data


def _decode(path: Path, data: bytes) -> Image.Image:
    """The first frame, decoded in full. Limits are checked on the header first."""
    # Pillow raises errors of many kinds on damaged files (SyntaxError, struct.error, ...); each means the same here.
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as problem:
        names = ", ".join(FORMATS)
        raise PictureError(path, "unreadable", f"not a picture Decal can read ({names})", "Save it as PNG, or take it out.") from problem
    except Image.DecompressionBombError as problem:
        reason = f"more than {MAX_PIXELS / 1e6:.0f} megapixels in {len(data):,} bytes"
        raise PictureError(path, "huge", reason, "Save it smaller; training needs no more than 2048 px a side.") from problem
    except Exception as problem:
        raise PictureError(path, "unreadable", f"damaged ({problem})", "Get the picture again, or take it out.") from problem
    _check_size(path, image.size, len(data))
    try:
        image.load()
    except Exception as problem:
        fault: Fault = "truncated" if _is_cut_short(problem) else "unreadable"
        reason = "the file ends before the picture does" if fault == "truncated" else f"damaged ({problem})"
        raise PictureError(path, fault, reason, "Get the picture again, or take it out.") from problem
    return image


def _orientation(image: Image.Image) -> int:
    """How the EXIF says that the picture is stored, 1 for upright; damaged EXIF is no reason to lose the picture."""
    try:
        orientation = int(image.getexif().get(ORIENTATION, 1))
    except Exception:
        return 1
    return orientation if orientation in ROTATIONS else 1


def _upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF says."""
    rotation = ROTATIONS.get(_orientation(image))
    if rotation is None:
        return image
    upright = image.transpose(rotation)
    upright.info = image.info  # holds the transparency of palettes and the colour profile
    return upright


def _check_size(path: Path, size: tuple[int, int], size_bytes: int) -> None:
    width, height = size
    remedy = "Save it smaller; training needs no more than 2048 px a side."
    if width < 1 or height < 1:
        raise PictureError(path, "unreadable", f"{width} x {height} px, so it has no pixels", "Get the picture again, or take it out.")
    if width * height > MAX_PIXELS:
        reason = f"{width} x {height} px in {size_bytes:,} bytes, the limit is {MAX_PIXELS / 1e6:.0f} megapixels"
        raise PictureError(path, "huge", reason, remedy)
    if max(size) > MAX_SIDE_PX:
        raise PictureError(path, "huge", f"{width} x {height} px, the limit is {MAX_SIDE_PX} px a side", remedy)
    if max(size) > MAX_RATIO * min(size):
        reason = f"{width} x {height} px, sides {max(size) / min(size):.0f}:1, the limit is {MAX_RATIO}:1"
        raise PictureError(path, "extreme_ratio", reason, "Crop it to what should be learned, or take it out.")


def _is_cut_short(problem: Exception) -> bool:
    """Whether Pillow's error is about missing bytes; it has words for that, and no kind of its own."""
    words = str(problem).lower()
    return isinstance(problem, EOFError) or any(word in words for word in ("truncat", "end of file", "not enough"))


def _frames(image: Image.Image) -> int:
    """Frames or pages; 1 for phone pictures (MPO), whose second frame is a depth map or a gain map."""
    try:
        if isinstance(image, GifImagePlugin.GifImageFile | TiffImagePlugin.TiffImageFile):
            return int(image.n_frames)
        if isinstance(image, PngImagePlugin.PngImageFile | WebPImagePlugin.WebPImageFile):
            return max(1, int(image.n_frames)) if image.is_animated else 1
    except Exception:  # Later frames may be damaged where the first, the only one used, is not.
        return 2
    return 1


def _split(path: Path, image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The colours as RGB, and the alpha as L where some pixel is not opaque."""
    try:
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            return _to_eight_bit(image).convert("RGB"), None
        if image.mode == "CMYK":
            return _from_cmyk(image), None
        if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
            rgba = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
            alpha = rgba.getchannel("A")
            is_opaque = alpha.getextrema()[0] == 255
            return rgba.convert("RGB"), None if is_opaque else alpha
        return image.convert("RGB"), None
    except (ValueError, OSError) as problem:
        raise PictureError(
            path, "unreadable", f"colours of mode {image.mode} cannot be read ({problem})", "Save it as an RGB PNG."
        ) from problem


def _to_eight_bit(image: Image.Image) -> Image.Image:
    """Deep grey pictures on 0..255 by the range of their format, so that bright scans are not clipped to white.

    16 bit integers span 0..65535. Floats and 32 bit integers have no fixed range: the smallest of 1, 255 and 65535 that holds them, or
    else from their darkest to their brightest pixel.
    """
    values = np.nan_to_num(np.asarray(image).astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if image.mode.startswith("I;16"):
        low, high = 0.0, 65535.0
    elif low >= 0 and high <= 65535:
        ranges = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        low, high = 0.0, next(top for top in ranges if high <= top)
    return Image.fromarray(np.rint((values - low) / max(high - low, 1e-12) * 255).astype(np.uint8), "L")


def _from_cmyk(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if profile:
        try:
            converted = ImageCms.profileToProfile(image, BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            converted = None  # A damaged profile, or one for other colours: Pillow's plain conversion is the best guess left.
        if converted is not None:
            return converted
    return image.convert("RGB")


def _composite(rgb: Image.Image, alpha: Image.Image | None, ground: tuple[int, int, int]) -> Image.Image:
    if alpha is None:
        return rgb
    return Image.composite(rgb, Image.new("RGB", rgb.size, ground), alpha)


def _hides_colour(rgb: Image.Image, alpha: Image.Image) -> bool:
    counts = rgb.histogram(alpha.point([255] + [0] * 255))
    return any(sum(count > 0 for count in counts[start : start + 256]) > 1 for start in (0, 256, 512))
