"""A small world of pictures made of numbers, in which it is known how good every checkpoint is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from decal.scores.evidence import Evidence, Planted, unit_rows
from decal.scores.looks import HISTOGRAM_WIDTH, Looks

Numbers = NDArray[np.float64]
CONTENT, STYLE = 24, 12


@dataclass(frozen=True)
class Made:
    """How a checkpoint was made: shares of its cells in the user's style, of another subject, and of copies, and what burn adds."""

    style: float = 0.0
    wrong: float = 0.0
    copies: float = 0.0
    burn: float = 0.0


def world(checkpoints: Mapping[int, Made], *, prompts: int = 32, seeds: int = 2, pictures: int = 24, seed: int = 0) -> Evidence:
    """Evidence of some checkpoints. pictures: the user's, of which six are held out."""
    rng = np.random.default_rng(seed)
    subjects, own = rng.normal(size=(prompts, CONTENT)), rng.normal(size=(pictures, CONTENT))
    place = (prompts, seeds)
    fate = {name: rng.permutation(prompts * seeds).reshape(place) / (prompts * seeds) for name in ("style", "wrong", "copies")}
    noise = rng.normal(size=(*place, CONTENT)) * 0.3
    touch, tones = rng.normal(size=(*place, STYLE)) * 0.5, rng.normal(size=(*place, 4)) * 0.1
    others = rng.normal(size=(*place, CONTENT))
    twins = rng.integers(pictures - 6, size=place)

    def drawn(made: Made) -> Looks:
        has_style = fate["style"] < made.style
        is_copy = fate["copies"] < made.copies
        content = np.where((fate["wrong"] < made.wrong)[..., None], others, subjects[:, None] + noise)
        content = np.where(is_copy[..., None], own[twins] + 0.02 * noise, content)
        return looks(content, touch + _style(has_style | is_copy), tones + made.burn)

    base = drawn(Made())
    mine = looks(own, rng.normal(size=(pictures, STYLE)) * 0.5 + _style(np.ones(pictures, bool)), rng.normal(size=(pictures, 4)) * 0.1)
    mirrored = looks(rng.normal(size=(pictures, CONTENT)), rng.normal(size=(pictures, STYLE)), np.zeros((pictures, 4)))
    copies = looks(own[:-6] + 0.1 * rng.normal(size=(pictures - 6, CONTENT)), np.ones((pictures - 6, STYLE)), np.zeros((pictures - 6, 4)))
    return Evidence(
        prompts=tuple(f"prompt {number}" for number in range(prompts)),
        seeds=tuple(range(seeds)),
        drawn={0: base} | {step: drawn(made) for step, made in checkpoints.items()},
        heldout=mine.rows(slice(pictures - 6, None)),
        training=mine.rows(slice(pictures - 6)),
        mirrored=mirrored.rows(slice(pictures - 6)),
        files=tuple(f"{number:02}.png" for number in range(pictures - 6)),
        planted=Planted(copies, looks(base.content, base.style, base.tone + 1), looks(base.content, base.style, base.tone - 1)),
    )


def looks(content: Numbers | Sequence[Sequence[float]], style: Numbers, tone: Numbers) -> Looks:
    """Looks of given vectors, brought to length 1; the histogram says the same as the style."""
    there = np.asarray(content, np.float64)
    histogram = np.zeros((*style.shape[:-1], HISTOGRAM_WIDTH))
    histogram[..., : style.shape[-1]] = style
    return Looks(unit_rows(there), unit_rows(style), unit_rows(histogram), tone)


def gone(seen: Looks, cells: NDArray[np.bool_]) -> Looks:
    """The looks with nothing in some cells, [P, S]."""
    return Looks(*(np.where(cells[..., None], np.nan, one) for one in (seen.content, seen.style, seen.histogram, seen.tone)))


def _style(has_style: NDArray[np.bool_]) -> Numbers:
    """The middle of the user's style, or of the base's."""
    return np.asarray(np.where(has_style[..., None], np.eye(STYLE)[0], np.eye(STYLE)[1]) * 2.0, np.float64)
