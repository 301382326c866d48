"""Checks of how a picture is made: sharpness, contrast and cut-out edges; what was measured in, findings out.

Every threshold was chosen on emoji of eight sets, clean and with planted faults (LOG.md, 2026-11-26). All are warnings: the picture can be
learned from, and what is wrong with it will be learned too.
"""

from collections.abc import Iterator, Mapping

from decal.checks.saying import finding
from decal.pictures import Look
from decal.records import Finding

# In px at the training size: 320 clean drawings have edges up to 2.4 wide; blurred by 1.5 px or enlarged four times, from 3.4 on.
BLURRED_EDGE_PX = 3.0
# In levels of 255: 99 % of 320 drawings on white span 92 and more; faded to a fifth, at most 51.
LOW_CONTRAST = 56
# Soft pixels for each corner of the outline; smooth outlines have 0.4 and more, cut ones none. Short outlines have too few to say.
JAGGED_SOFTNESS = 0.05
JAGGED_STEPS = 40
# In levels of 255: 0.5 % of 400 clean cut-outs reach it, and all those taken from a ground that differs from them.
FRINGE = 22
FRINGE_PIXELS = 64


def blurred(looks: Mapping[str, Look], resolution: int) -> Iterator[Finding]:
    """Pictures without one sharp edge at the size they are trained at."""
    for file, look in looks.items():
        scale = min(1.0, resolution / max(look.width_px, look.height_px))
        if look.edge_px is not None and look.edge_px * scale > BLURRED_EDGE_PX:
            reason = f"is blurred: its sharpest edges are {look.edge_px * scale:.0f} px wide at the training size, sharp ones 1 to 2"
            yield finding("warning", "blurred", file, reason, "Replace it by a sharp one, or leave it out; blur is learned like a style.")


def low_contrast(looks: Mapping[str, Look], ground: str) -> Iterator[Finding]:
    """Pictures that hardly stand out, which for transparent ones depends on the ground."""
    for file, look in looks.items():
        if look.contrast == 0 and not look.has_alpha:
            yield finding("warning", "low_contrast", file, "shows nothing but one colour", "Leave it out.")
        elif look.contrast < LOW_CONTRAST:
            where = f" on the ground {ground}" if look.has_alpha else ""
            reason = f"has hardly any contrast{where}: its levels span {look.contrast} of 255"
            remedy = "Choose another data.ground, or leave it out." if look.has_alpha else "Raise its contrast, or leave it out."
            yield finding("warning", "low_contrast", file, reason, remedy)


def jagged(looks: Mapping[str, Look]) -> Iterator[Finding]:
    """Cut-outs with a hard, stepped outline."""
    for file, look in looks.items():
        edge = look.cut_out
        if edge is not None and edge.steps >= JAGGED_STEPS and edge.soft < JAGGED_SOFTNESS * edge.steps:
            reason = f"has a jagged outline: {edge.steps:,} steps and {'no' if not edge.soft else edge.soft} soft pixels"
            yield finding("warning", "jagged", file, reason, "Cut it out anew with a smooth edge; pixel art is fine as it is.")


def haloed(looks: Mapping[str, Look]) -> Iterator[Finding]:
    """Cut-outs whose outline still holds the colour of the ground they were taken from."""
    for file, look in looks.items():
        edge = look.cut_out
        if edge is not None and edge.soft >= FRINGE_PIXELS and abs(edge.fringe) >= FRINGE:
            what = "light" if edge.fringe > 0 else "dark"
            reason = f"has a {what} halo: the edge is {abs(edge.fringe):.0f} levels {what}er than the object beside it"
            yield finding("warning", "haloed", file, reason, "Remove the fringe (defringe) or cut it out anew; a halo is learned too.")


def hidden_colour(looks: Mapping[str, Look]) -> Iterator[Finding]:
    """Pictures whose transparent pixels hold colours that tools without alpha would show."""
    for file, look in looks.items():
        if look.has_hidden_colour:
            reason = "has colours under fully transparent pixels; Decal covers them with data.ground, other tools may show them"
            yield finding("note", "hidden_colour", file, reason, "Nothing for Decal; flatten the picture before other tools use it.")
