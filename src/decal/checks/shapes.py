"""Checks of sizes, frames and orientation: one function a check, looks in, findings out."""

import math
from collections.abc import Iterator, Mapping
from statistics import median

from decal import variants
from decal.checks.saying import finding
from decal.pictures import BUCKET_RATIO, Look
from decal.records import Finding, Fit

# In a smaller set nothing is usual.
FEW = 8
# Sides that differ less from the usual ones cost less than two fifths of the square to padding or cropping.
UNUSUAL_RATIO = 1.7
# Deviations, estimated from the median one, beyond which a side is an outlier rather than one of several usual shapes.
UNUSUAL_DEVIATIONS = 4.0


def tiny(looks: Mapping[str, Look], resolution: int, fit: str) -> Iterator[Finding]:
    """Pictures that must be enlarged; below half of the training size, where three of four pixels would be invented, it is an error."""
    decides = max if fit == "pad" else min
    sides = {file: decides(look.width_px, look.height_px) for file, look in looks.items()}
    too_small = {file: side for file, side in sides.items() if side < resolution}
    # One tiny picture is no reason to train all the others on fewer pixels.
    are_many = 3 * len(too_small) >= len(looks)
    for file, side in too_small.items():
        lower = side // 8 * 8
        remedy = f"Replace it, or lower data.resolution to {lower}." if are_many and lower >= 16 else "Replace it or leave it out."
        measured = f"{looks[file].width_px} x {looks[file].height_px} px, "
        if 2 * side < resolution:
            yield finding("error", "tiny", file, f"{measured}less than half the training size {resolution} x {resolution} px", remedy)
        else:
            reason = f"{measured}smaller than the training size {resolution} x {resolution} px, so it is enlarged"
            yield finding("warning", "small", file, reason, remedy)


def unusual_ratio(looks: Mapping[str, Look], fit: str) -> Iterator[Finding]:
    """Pictures much wider or higher than the others, of which a square, or the widest bucket, keeps little."""
    if len(looks) < FEW:
        return
    ratios = {file: math.log(look.width_px / look.height_px) for file, look in looks.items()}
    usual = median(ratios.values())
    # 1.4826 makes the median deviation of a normal distribution its standard deviation.
    spread = 1.4826 * median(abs(ratio - usual) for ratio in ratios.values())
    for file, ratio in ratios.items():
        if abs(ratio - usual) > max(math.log(UNUSUAL_RATIO), UNUSUAL_DEVIATIONS * spread):
            look = looks[file]
            # A bucket is as wide as the picture as far as there is one.
            widest = BUCKET_RATIO if fit == "bucket" else 1.0
            lost = round(100 * (1 - widest * min(look.width_px, look.height_px) / max(look.width_px, look.height_px)))
            if lost <= 0:
                continue
            what = f"{lost} % of its square is padding" if fit == "pad" else f"{lost} % of it is cropped away"
            reason = f"{look.width_px} x {look.height_px} px, unlike the others; {what}"
            yield finding("warning", "unusual_ratio", file, reason, "Crop it to what should be learned, or leave it out.")


def same_variants(looks: Mapping[str, Look], count: int, resolution: int, fit: Fit) -> Iterator[Finding]:
    """So many variants of each picture, of which none would differ from another."""
    if count == 1 or not looks:
        return
    if not any(variants.varies((one.width_px, one.height_px), resolution, fit, has_alpha=one.has_alpha) for one in looks.values()):
        why = "none is transparent" if fit == "pad" else "none is transparent or cropped"
        reason = f"data.variants = {count} would encode every picture {count} times the same: {why}"
        remedy = 'Leave it out, or write data.fit = "crop".' if fit == "pad" else "Leave it out."
        yield finding("error", "same_variants", None, reason, remedy)


def animated(looks: Mapping[str, Look]) -> Iterator[Finding]:
    """Pictures of several frames or pages."""
    for file, look in looks.items():
        if look.frames > 1:
            remedy = "Nothing, or save the frame you want as a picture of its own."
            yield finding("warning", "animated", file, f"has {look.frames} frames; the first is used", remedy)


def rotated(looks: Mapping[str, Look]) -> Iterator[Finding]:
    """Pictures that are stored lying or mirrored, with the way up in their EXIF."""
    for file, look in looks.items():
        if look.orientation != 1:
            reason = f"is stored turned (EXIF orientation {look.orientation}); Decal turns it upright, not every tool does"
            yield finding("note", "rotated", file, reason, "Nothing for Decal; save it upright before other tools use it.")
