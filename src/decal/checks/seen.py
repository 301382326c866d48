"""Checks that need a closer look than arithmetic: text on pictures, crops of other pictures, other styles, captions of other pictures.

Vectors and texts in, findings out; who looks (a network, a reader) is not known here, so that a quick check stays quick.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from decal import crops
from decal.checks.saying import finding, short
from decal.crops import Pixels
from decal.records import Finding

# All of these were chosen on emoji of development sets; LOG.md, 2026-11-26.
NEIGHBOURS = 4
# How near the nearest must be, as a share of the distance of the usual neighbours (the third to the seventh).
USUAL = slice(2, 7)
NEAR_RATIO = 0.95
# In a smaller set no style is usual.
FEW = 12
STYLE_DEVIATIONS = 4.2
# A set drawn in one go is so much alike that its own spread is no measure.
LEAST_SPREAD = 0.04
# Simulated: with a model whose own captions stand 3 deviations above others, 0.0 % of 30 and 0.7 % of 100 right captions are named, and 76
# and 71 % of swapped ones; at 4 deviations none, and 94 and 90 %. A model that tells less is not asked.
SWAP_DEVIATIONS = 2.0
TELLS_APART = 0.98


def text_on(texts: Mapping[str, str]) -> Iterator[Finding]:
    """Pictures that show text. texts: by file, what was read; "" for none."""
    for file, text in texts.items():
        if text:
            remedy = "Remove the text or leave the picture out, or say it in the caption and set data.flip = false."
            yield finding("warning", "text", file, f"shows text: {short(text)}", remedy)


def cropped(
    files: Sequence[str], content: NDArray[np.float64], pixels: Callable[[str], Pixels], known: set[frozenset[str]]
) -> Iterator[Finding]:
    """Pictures that are a part of another. content: [N, C], rows of length 1. known: pairs that were told already."""
    if len(files) < 3:
        return
    near = content @ content.T
    np.fill_diagonal(near, -np.inf)
    opened: dict[str, Pixels] = {}
    told: set[str] = set()
    for pair in sorted(_likely(near), key=lambda pair: (pair[1], pair[0])):
        first, second = (files[number] for number in pair)
        if frozenset((first, second)) in known or second in told:
            continue
        for file in (first, second):
            if file not in opened:
                opened[file] = pixels(file)
        if crops.is_part(opened[first], opened[second]):
            told.add(second)
            reason = f"seems to show a part of {first}, or the same moved"
            yield finding("warning", "near_duplicate", second, reason, "Keep one of them, unless the difference is meant.")


def _likely(near: NDArray[np.float64]) -> set[tuple[int, int]]:
    """Pairs of which one is among the nearest of the other, and much nearer than neighbours usually are."""
    distances = np.sqrt(np.maximum(0, 2 - 2 * near))
    pairs = set()
    for number, row in enumerate(distances):
        order = np.argsort(row, kind="stable")
        usual = float(np.median(row[order][USUAL])) if len(row) > USUAL.stop else float("inf")
        pairs |= {(min(number, other), max(number, other)) for other in order[:NEIGHBOURS].tolist() if row[other] <= NEAR_RATIO * usual}
    return pairs


def other_style(files: Sequence[str], style: NDArray[np.float64]) -> Iterator[Finding]:
    """Pictures that are drawn unlike all the others, by the spread of the set itself. style: [N, S], rows of length 1."""
    if len(files) < FEW:
        return
    middle = style.mean(axis=0)
    distances = np.sqrt(np.maximum(0, 2 - 2 * style @ (middle / np.linalg.norm(middle))))
    usual = float(np.median(distances))
    spread = 1.4826 * float(np.median(np.abs(distances - usual)))
    for file, distance in zip(files, distances.tolist(), strict=True):
        if distance > usual + STYLE_DEVIATIONS * max(spread, LEAST_SPREAD):
            reason = f"is drawn unlike the others: {distance:.2f} from the middle of the set, which they are {usual:.2f} from on average"
            yield finding("warning", "other_style", file, reason, "Leave it out, unless the style is to hold such pictures too.")


def swapped(files: Sequence[str], fits: NDArray[np.float64]) -> Iterator[Finding]:
    """Captions that fit another picture better, which they fit better than its own caption does. fits: [N pictures, N captions], cosines.

    Nothing is said where the model cannot tell the captions of this set apart.
    """
    if len(files) < FEW:
        return
    # What fits every picture, or every caption, says nothing of one.
    own = fits - fits.mean(axis=0, keepdims=True) - fits.mean(axis=1, keepdims=True)
    right, others = np.diag(own), own[~np.eye(len(files), dtype=bool)]
    spread = 1.4826 * float(np.median(np.abs(others - np.median(others))))
    beaten = (own < right[None, :]).sum(axis=0) / (len(files) - 1)
    if np.median(beaten) < TELLS_APART:
        return
    for number, file in enumerate(files):
        better = int(own[:, number].argmax())
        if own[better, number] > right[number] + SWAP_DEVIATIONS * spread and own[better, number] > right[better]:
            reason = f"its caption fits {files[better]} better"
            yield finding("warning", "other_caption", file, reason, "Look at both, and give each the caption of its own.")
