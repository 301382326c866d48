"""Which pairs of pictures people are asked about, in which order, and which picture is on which side.

The pictures of candidates come in, `Ballot`s go out. Each round holds, for every pair of candidates, the cell on which its two pictures
differ most among those not yet asked; so whoever stops early has said most. How much pictures differ is taken from their pixels and not
from the measures, which are to be held against the votes. Order and sides follow from one seed.
"""

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from decal import pictures
from decal.errors import DataError
from decal.project import fingerprint

SIDE_PX = 32
"""Pictures are made this small to tell how much they differ: what is drawn counts, and not the last pixel of an edge."""
ID_LENGTH = 16


@dataclass(frozen=True)
class Shown:
    """A drawn picture of a candidate. file: its full path. sha256: of its bytes."""

    checkpoint: int
    prompt: str
    seed: int
    file: Path
    sha256: str


@dataclass(frozen=True)
class Ballot:
    """One question: which of two pictures of the same prompt and seed is better. id: the same whichever side they are on."""

    id: str
    left: Shown
    right: Shown


def ballots(shown: Sequence[Shown], *, shuffle: int) -> list[Ballot]:
    """All questions about some pictures in the order in which they are asked; pairs that are the same to the byte are left out.

    shuffle: seed of the order within a round, and of the sides.
    """
    seen = {one: small for one in shown if (small := _small(one.file)) is not None}
    cells: dict[tuple[str, int], list[Shown]] = {}
    for one in seen:
        cells.setdefault((one.prompt, one.seed), []).append(one)
    pairs: dict[tuple[int, int], list[tuple[float, Ballot]]] = {}
    for there in cells.values():
        for first, second in itertools.combinations(sorted(there, key=lambda one: one.checkpoint), 2):
            if first.sha256 != second.sha256:
                differing = float(np.abs(seen[first] - seen[second]).mean())
                pairs.setdefault((first.checkpoint, second.checkpoint), []).append((differing, _ballot(first, second, shuffle)))
    return list(_in_rounds(pairs, shuffle))


def _in_rounds(pairs: Mapping[tuple[int, int], Sequence[tuple[float, Ballot]]], shuffle: int) -> list[Ballot]:
    ranked = [[ballot for _, ballot in sorted(pairs[pair], key=lambda asked: (-asked[0], asked[1].id))] for pair in sorted(pairs)]
    order = random.Random(shuffle)
    asked = []
    for together in itertools.zip_longest(*ranked):
        once = [ballot for ballot in together if ballot is not None]
        order.shuffle(once)
        asked += once
    return asked


def _ballot(first: Shown, second: Shown, shuffle: int) -> Ballot:
    named = fingerprint(first.prompt, first.seed, first.checkpoint, first.sha256, second.checkpoint, second.sha256)[:ID_LENGTH]
    # Each ballot draws its sides for itself, so that they stay when cells are added.
    left, right = (first, second) if random.Random(f"{shuffle} {named}").random() < 0.5 else (second, first)
    return Ballot(named, left, right)


def _small(file: Path) -> NDArray[np.float64] | None:
    """A picture as a few numbers, [32, 32, 3], 0..1; None where it cannot be read."""
    try:
        image = pictures.load(file, "white")
    except (DataError, OSError):
        return None
    return np.asarray(image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX), np.float64) / 255
