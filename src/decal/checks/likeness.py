"""Checks of pictures against each other, from their pixels: the same, and nearly the same."""

from collections.abc import Callable, Iterator, Mapping

from decal import duplicates
from decal.checks.saying import finding
from decal.pictures import Look
from decal.records import Finding


def alike(looks: Mapping[str, Look], close_up: Callable[[str], duplicates.CloseUp]) -> Iterator[Finding]:
    """Pictures with equal pixels, and pictures that look the same, also when mirrored. close_up: a picture by its file."""
    for pair in duplicates.pairs(looks, close_up):
        if pair.is_exact:
            reason = f"the same picture as {pair.first}"
            yield finding("warning", "duplicate", pair.second, reason, "Keep one of them, or it counts double; decal check --fix  does it.")
        else:
            how = "is the mirror image of" if pair.is_mirrored else "looks the same as"
            reason = f"{how} {pair.first} ({pair.bits} of 64 bits differ)"
            yield finding("warning", "near_duplicate", pair.second, reason, "Keep one of them, unless the difference is meant.")
