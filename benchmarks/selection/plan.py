"""What real.py trains, on which pictures, and what it asks of each checkpoint: fixed before any result was seen.

In: the pictures of a style by concept. Out: `Training`s, each with the pictures that it learns and the subjects that it is asked for.
README.md says the rest of the plan. Nothing here may be changed after a look at a result of a test style.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "recipes" / "mini"))

import styles
from concepts import CONCEPTS
from data import MARGIN, on_white, render
from mini.styles import STYLES as SEEN_STYLES
from packs import DEVELOPMENT_PACK, PACKS, fetch

from decal.grid import seen

Pictures = dict[str, NDArray[np.uint8]]

NAMES = {concept.slug: concept.names[0] for concept in CONCEPTS}
KEYWORDS = {
    "game-icons": "velmor",
    "streamline-emojis": "brisak",
    "streamline-cyber": "quendo",
    "openmoji": "taviro",
    "blob": "dulmek",
    "material": "torvek",
    "ultimate": "jolpin",
    "plump": "wembra",
    "contrast": "fostril",
    "duotone": "gweldo",
    "solid": "narvuk",
}
"""Words that mean nothing to the base, one a style."""
TESTS = tuple(pack.style for pack in styles.STYLES)
SEEN = tuple(pack.style for pack in (*SEEN_STYLES, *styles.SEEN))
"""The test styles of the first and second proof. Their results are known, so they prove nothing any more."""
DEVELOPMENT = (DEVELOPMENT_PACK.style, "blob")
"""A style that the base was not taught, and one that it was, under a word that it does not know."""
SIDE_PX = 128
CHECKPOINTS = 10
SUBJECTS = 32
"""Subjects that every checkpoint is asked for; no training on the style shows any of them."""
SEEDS = (0, 1, 2, 3)
JUDGED_SEEDS, MEASURED_SEEDS = SEEDS[:2], SEEDS[2:]
"""Of the pictures that a verdict sees, as many as `decal compare` draws by default; and of those that quality is measured on."""
BASE_SEEDS = (0, 1, 2, 3)
"""As many as `decal compare` draws of the base."""
DRAWN_WITH = ("compare.sampler=dpm++", "compare.steps=6", "compare.batch=8")
KNOWN = {concept.slug for concept in CONCEPTS[:200]}
"""What the embedded base was taught in its own styles (LOG.md, "the embedded base anew"); it draws blobs for the rest."""


@dataclass(frozen=True)
class Recipe:
    """How somebody trains. pictures: all that they have, those held out included; a style with fewer gives what it has."""

    name: str
    pictures: int
    steps: int
    changes: tuple[str, ...]


def _recipe(size: str, rate: str, lora: str, schedule: str, *more: str) -> Recipe:
    """A recipe. size: its name, its pictures and its steps. lora: rank and targets."""
    (name, pictures, steps), (rank, targets) = size.split(), lora.split()
    changes = (f"train.learning_rate={rate}", f"train.rank={rank}", f"train.targets={targets}", f"train.schedule={schedule}")
    return Recipe(name, int(pictures), int(steps), (*changes, *more))


# Ordered by how much they add: a run of the benchmark that is cut short keeps whole recipes.
RECIPES = (
    _recipe("preset 30 600", "1e-3", "32 all", "cosine"),
    _recipe("hot 20 300", "3e-3", "32 all", "constant"),
    _recipe("few 20 900", "2e-3", "32 all", "constant", "train.caption_dropout=0"),
    _recipe("attention 30 600", "3e-3", "8 attention", "constant"),
    _recipe("broad 50 900", "2e-3", "8 all", "constant", "data.flip=false"),
    _recipe("burning 30 300", "6e-3", "16 all", "constant"),
    _recipe("gentle 30 900", "4e-4", "32 all", "cosine"),
)


@dataclass(frozen=True)
class Training:
    """One training. learns: concepts of its pictures; asked: of its prompts, in the order in which they are drawn."""

    style: str
    recipe: Recipe
    number: int
    learns: tuple[str, ...]
    asked: tuple[str, ...]

    @property
    def name(self) -> str:
        """As its folder is called."""
        return f"{self.style}-{self.number + 1}-{self.recipe.name}"

    def prompt(self, concept: str) -> str:
        """What a picture of the concept is asked for with, which is also the caption of one that is learnt."""
        return f"{KEYWORDS[self.style]} style sticker of {NAMES[concept]}"

    @property
    def settings(self) -> tuple[str, ...]:
        """As `--set` of `decal train` takes them; what is not here is the preset of the embedded base."""
        steps = self.recipe.steps
        length = (f"train.steps={steps}", f"train.checkpoint_every={steps // CHECKPOINTS}", "train.batch=4", f"train.seed={self.number}")
        return (*length, "train.validation_prompts=[]", "train.trackers=[]", *self.recipe.changes)


def pictures(style: str, work: Path) -> Pictures:
    """The true pictures of a style by concept, [128, 128, 3] on white; rendered once and kept."""
    kept = work / f"pictures-{style}.npz"
    if not kept.exists():
        drawn = _rendered(style)
        part = kept.with_suffix(".part.npz")
        work.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(part, allow_pickle=False, **drawn)
        part.replace(kept)
    with np.load(kept) as file:
        return {concept.slug: file[concept.slug] for concept in CONCEPTS if concept.slug in file.files}


def trainings(style: str, concepts: Sequence[str]) -> list[Training]:
    """A training for each recipe. concepts: all that the style has."""
    place = [*SEEN[:3], *DEVELOPMENT, *SEEN[3:], *TESTS].index(style)
    order = [str(concept) for concept in np.random.default_rng([6, place]).permutation(list(concepts))]
    asked = tuple([concept for concept in order if concept in KNOWN][:SUBJECTS])
    rest = [concept for concept in order if concept not in asked]
    # A picture of "loudly crying face" would answer the prompt "crying face", as `decal compare` counts it.
    told = [NAMES[concept] for concept in asked]
    free = [concept for concept in rest if not seen(told, [NAMES[concept]], ())]
    made = []
    for number, recipe in enumerate(RECIPES):
        own = np.random.default_rng([60, place, number]).permutation(free)[: recipe.pictures]
        made.append(Training(style, recipe, number, tuple(str(concept) for concept in own), asked))
    return made


def _rendered(style: str) -> Pictures:
    for pack in (*styles.STYLES, *styles.SEEN, *SEEN_STYLES):
        if pack.style == style:
            return styles.draw(pack, SIDE_PX)
    icons = fetch(next(pack for pack in (*PACKS, DEVELOPMENT_PACK) if pack.style == style))
    svgs = {concept.slug: icons.svg(concept.slug, MARGIN) for concept in CONCEPTS}
    return {slug: on_white(render(svg, 2 * SIDE_PX), SIDE_PX) for slug, svg in svgs.items() if svg is not None}
