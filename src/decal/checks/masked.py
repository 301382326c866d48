"""Checks of masks: whether each can be read, fits its picture, leaves something to learn, and is of a picture that is there."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from PIL import Image, ImageStat

from decal import masks, pictures
from decal.checks.saying import finding
from decal.dataset import Listing
from decal.pictures import Look, PictureError
from decal.records import Finding, Fit
from decal.wording import counted

NAMED = 3
# Of all families; what is fainter than its average over so many px can show counts for nothing.
LATENT_PX = 8


@dataclass(frozen=True)
class Mask:
    """A mask that can be used. path: relative to the folder that the data set lies in. share: of its picture that counts, 0..1."""

    path: str
    share: float


def masked(
    dataset: Path, looks: Mapping[str, Look], of: Mapping[str, str], *, side_px: int, fit: Fit
) -> Iterator[tuple[str, Mask | Finding]]:
    """By picture, its mask or why that cannot be used. of: mask of each picture, relative to the folder that `dataset` lies in."""
    for file, look in looks.items():
        if (mask := of.get(file)) is None:
            continue
        try:
            grey, picture = masks.load(dataset.parent / mask), (look.width_px, look.height_px)
            if not masks.fits(grey.size, picture):
                reason = f"its mask {mask} is {grey.width} x {grey.height} px, the picture {picture[0]} x {picture[1]} px"
                yield file, finding("error", "mask_shape", file, reason, "Make the mask anew from this picture, in the same proportions.")
            elif weighs_nothing(masks.sized(grey, picture), side_px, fit):
                reason = f"its mask {mask} is black wherever the picture is trained on, so nothing of it would count"
                yield file, finding("error", "mask_empty", file, reason, "Make white what should be learned, or leave the picture out.")
            else:
                yield file, Mask(mask, ImageStat.Stat(grey).mean[0] / 255)
        except PictureError as problem:
            yield file, finding("error", "mask_unreadable", file, f"its mask {mask}: {problem.reason}", problem.remedy)


def places(dataset: Path, folder: str, listing: Listing, of: Mapping[str, str]) -> Iterator[Finding]:
    """What is odd about where masks lie. folder: as `data.masks` names it; of: as for `masked`."""
    if not folder:
        if listing.masks:
            reason = f"{counted(len(listing.masks), 'mask')} beside the pictures ({listing.masks[0]}), and data.masks is empty"
            remedy = f'Write  masks = "{dataset.name}"  under [data] to use them, or take them away; they are no pictures either way.'
            yield finding("note", "masks_unused", None, reason, remedy)
        return
    if not of and listing.files:
        reason = f'data.masks = "{folder}" holds no mask of any picture'
        remedy = "A mask has the name of its picture, or that with -masklabel; put some there, or empty data.masks."
        yield finding("error", "no_masks", None, reason, remedy)
        return
    if strays := masks.strays(dataset, folder, of):
        named = ", ".join(strays[:NAMED]) + (", ..." if len(strays) > NAMED else "")
        reason = f"{counted(len(strays), 'mask')} of no picture that is there ({named})"
        yield finding("warning", "mask_without_picture", None, reason, "Give it the name of its picture, or take it away.")
    if bare := [file for file in listing.files if file not in of]:
        reason = f"{counted(len(bare), 'picture')} of {len(listing.files)} without a mask ({bare[0]}), all of which counts"
        yield finding("note", "mask_missing", None, reason, f"Nothing where that is meant; otherwise put a mask into {folder}/.")


def used(usable: Mapping[str, Mask], listing: Listing) -> Iterator[Finding]:
    """How many pictures have a mask that can be used, and how much of them counts."""
    if usable:
        reason = f"{len(usable)} of {counted(len(listing.files), 'picture')} with a mask, {mean_share(usable.values()):.0%} of which counts"
        yield finding("note", "masks_used", None, reason, "decal check --sheet  shows what counts.")


def mean_share(usable: Iterable[Mask]) -> float:
    """The share of some pictures that counts, on average, 0..1."""
    return fmean(mask.share for mask in usable)


def weighs_nothing(mask: Image.Image, side_px: int, fit: Fit) -> bool:
    """Whether nothing is left of a mask, in the size of its picture, once it is cropped, resized and averaged like that."""
    width, height = pictures.shape_for(*mask.size, side_px, fit)
    size = width // LATENT_PX, height // LATENT_PX
    return not masks.averaged(mask, size, side_px=side_px, fit=fit).any()
