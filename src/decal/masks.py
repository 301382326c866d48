"""Which places of a picture count: a grey picture of the same name, white where they count in full and black where they do not at all.

Masks lie in a folder of their own with the names of their pictures, as sd-scripts and ai-toolkit have them, or beside the pictures as
`pear-masklabel.png`, as OneTrainer has them. Names are found here and pixels are read here; what counts is decided in `cache`.
Sources of the names: sd-scripts docs/masked_loss_README.md; OneTrainer docs; ai-toolkit `mask_path`.
"""

import io
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from decal import pictures, project
from decal.pictures import MIDDLE, SUFFIXES, PictureError
from decal.records import Fit, Record

LABEL = "-masklabel"
# So far the channels of a grey picture may lie apart; JPEG changes them by a level or two.
GREY_LEVELS = 8
OWN_KEY, OWN = "decal", "a mask of its own"


def labels(files: Iterable[str]) -> set[str]:
    """Those of some files that are masks by OneTrainer's name, `pear-masklabel.png`, whether or not their picture is there."""
    return {file for file in files if _stem(file).endswith(LABEL)}


def beside(file: str) -> str:
    """What the mask of a picture is called beside it, as OneTrainer has it."""
    return f"{_stem(file)}{LABEL}.png"


def is_grey(path: Path) -> bool:
    """Whether a file may be a mask: a picture that can be read, without colours."""
    try:
        levels = np.array(pictures.load(path, "black"), np.int16)
    except PictureError:
        return False
    return bool(np.ptp(levels, axis=-1).max() <= GREY_LEVELS)


def stands_for_none(path: Path) -> bool:
    """Whether a mask lets all of its picture count and is not known as somebody's own; kohya's trainer wants one of every picture."""
    with Image.open(path) as opened:
        is_own = opened.info.get(OWN_KEY) == OWN
    return not is_own and load(path).getextrema() == (255, 255)


def to_png(grey: Image.Image, *, is_own: bool) -> bytes:
    """A mask as a PNG file. is_own: a white one says in its text that it does not stand for none, so that it comes back."""
    made, about = io.BytesIO(), PngInfo()
    if is_own and grey.getextrema() == (255, 255):
        about.add_text(OWN_KEY, OWN)
    grey.save(made, "PNG", pnginfo=about)
    return made.getvalue()


def found(dataset: Path, folder: str, files: Collection[str]) -> dict[str, str]:
    """The mask of each picture that has one, relative to the folder that `dataset` lies in.

    folder: where masks are, relative to that too; "" for none. files: pictures, relative to `dataset`.
    """
    there = _there(dataset.parent, folder) if folder else {}
    is_beside = folder == dataset.name
    masks = {}
    for file in files:
        names = [_stem(file) + LABEL] if is_beside else [_stem(file), _stem(file) + LABEL]
        if mask := next((there[name] for name in names if name in there), None):
            masks[file] = mask
    return masks


def strays(dataset: Path, folder: str, masks: Mapping[str, str]) -> list[str]:
    """Files in the folder of masks that are of no picture, relative to the folder that `dataset` lies in. masks: as `found` gives them."""
    used = set(masks.values())
    return [
        path
        for stem, path in sorted(_there(dataset.parent, folder).items())
        if path not in used and (folder != dataset.name or stem.endswith(LABEL))
    ]


def given(records: Sequence[Record], dataset: Path, folder: str) -> list[Record]:
    """The same records with the masks that their pictures have now. folder: as for `found`."""
    of = found(dataset, folder, [record.file for record in records])
    hashes = {mask: project.sha256(dataset.parent / mask) for mask in set(of.values())}
    return [
        record.model_copy(update={"mask": of.get(record.file, ""), "mask_sha256": hashes.get(of.get(record.file, ""), "")})
        for record in records
    ]


def load(path: Path) -> Image.Image:
    """A mask as "L"; what is transparent in it counts as black. Raises PictureError as `pictures.look` does."""
    return pictures.load(path, "black").convert("L")


def sized(mask: Image.Image, picture: tuple[int, int]) -> Image.Image:
    """A mask in the size of its picture, in px."""
    return mask if mask.size == picture else mask.resize(picture, Image.Resampling.BILINEAR)


def averaged(grey: Image.Image, size: tuple[int, int], *, side_px: int, fit: Fit, at: tuple[float, float] = MIDDLE) -> NDArray[np.float32]:
    """A picture "L" cropped and resized like the one that it belongs to, averaged to the size of latents, [h, w], 0..1.

    size: width and height of the latents. side_px, fit, at: as for `pictures.fitted`.
    """
    fitted, _ = pictures.fitted(Image.merge("RGB", [grey] * 3), side_px, fit, "black", at)
    levels = np.array(fitted.getchannel(0).resize(size, Image.Resampling.BOX), dtype=np.float32)
    levels /= 255
    return levels


def fits(mask: tuple[int, int], picture: tuple[int, int]) -> bool:
    """Whether a mask of this size has the proportions of its picture, give or take a pixel of the smaller."""
    scale = min(mask[0] / picture[0], mask[1] / picture[1])
    return all(abs(one - scale * other) <= max(1.0, scale) for one, other in zip(mask, picture, strict=True))


def _there(project: Path, folder: str) -> dict[str, str]:
    """The pictures below a folder by their names in it without ending, relative to the project; of two, the first in order."""
    there: dict[str, str] = {}
    for parent, folders, names in os.walk(project / folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        for name in sorted(names):
            path = Path(parent, name)
            if path.suffix.lower() in SUFFIXES and not name.startswith("."):
                there.setdefault(_stem(path.relative_to(project / folder).as_posix()), path.relative_to(project).as_posix())
    return there


def _stem(file: str) -> str:
    return os.path.splitext(file)[0]
