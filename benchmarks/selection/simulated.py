"""How well the verdict names the checkpoint to keep, on simulated trainings whose best checkpoint is known.

    python benchmarks/selection/simulated.py WORK [--runs 10]

A training is ten checkpoints between two styles of emoji. At each, every cell of the suite shows the base's drawing, or with a growing
chance something half-way to the user's style, then the same subject in it; later some show a training picture instead, or another subject,
or scrap, and contrast rises. When each begins is drawn at random for each training, so no rule can know beforehand where the best lies. The
quality of a checkpoint is what a person would accept: the chance of the right subject in the right style, not copied, less what contrast
spoils; half a style counts half.
regret = (best - chosen) / (best - worst) over the ten; a choice is acceptable up to .05.

Drawings: seven sets of `recipes/mini/packs.py` and its development pack, fetched by npm; needs resvg-py. Some minutes on one core.
"""

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from drawings import Drawing, Gallery
from numpy.typing import NDArray
from regrets import ACCEPTABLE, mean_cosine, regret

from decal.compare.racing import ROUNDS, Race
from decal.compare.racing import race as run_race
from decal.compare.verdict import judge
from decal.scores.evidence import Evidence, Planted
from decal.scores.looks import Looks, lay_out

PAIRS = (
    ("noto", "twemoji"),
    ("noto", "openmoji"),
    ("twemoji", "blob"),
    ("flat", "firefox"),
    ("emojione", "glossy"),
    ("glossy", "flat"),
)
"""The base's style, and the user's."""
CHECKPOINTS = 10
HELD_OUT = 6
"""What `dataset.records` holds out of 20 to 60 pictures."""
BASE_SEEDS = 4
CONTRASTS = (1.0, 1.2, 1.4)
SUBJECTS = 130
"""Things of each pair of styles that prompts and pictures are taken from; few, so that what was seen once serves many trainings."""
FAILS = 0.1
"""Share of cells in which base and LoRA alike draw another subject than was asked for."""
SHARED = 0.5
"""How much of what decides a cell is its prompt's and not its seed's: some prompts are hard at every seed."""


@dataclass(frozen=True)
class Course:
    """How a training goes: by checkpoint, the chances of what a cell shows, and the contrast, [10] each."""

    style: NDArray[np.float64]
    half: NDArray[np.float64]
    copy: NDArray[np.float64]
    other: NDArray[np.float64]
    scrap: NDArray[np.float64]
    contrast: NDArray[np.float64]

    @property
    def quality(self) -> NDArray[np.float64]:
        """What a person would accept of each checkpoint, [10]."""
        right = (self.style * (1 - self.scrap) + self.half / 2) * (1 - self.copy) * (1 - self.other)
        return np.asarray(right * (2 - self.contrast), np.float64)


def course(rng: np.random.Generator) -> Course:
    """A random training: the style comes at first, and goes bad in one way or another, or not at all."""
    step = np.arange(1, CHECKPOINTS + 1)
    most, pace = rng.uniform(0.85, 0.98), rng.uniform(0.8, 3)
    style = most * (1 - np.exp(-step / pace))
    half = most * (1 - np.exp(-(step + 1) / pace)) - style
    copy = np.clip((step - rng.uniform(2, 10)) * rng.uniform(0.03, 0.10), 0, 1)
    other = np.clip((step - rng.uniform(2, 10)) * rng.uniform(0.0, 0.06), 0, 1)
    scrap = np.clip((step - rng.uniform(2, 10)) * rng.uniform(0.0, 0.06), 0, 1)
    burn = 1 + np.clip((step - rng.uniform(3, 11)) * rng.uniform(0.03, 0.10), 0, 0.45)
    contrast = np.array(CONTRASTS)[np.abs(burn[:, None] - np.array(CONTRASTS)).argmin(axis=1)]
    return Course(style, half, copy, other, scrap, contrast)


@dataclass(frozen=True)
class Trained:
    """A simulated training: what it shows, and how good each checkpoint truly is, [10]."""

    evidence: Evidence
    quality: NDArray[np.float64]


def simulate(gallery: Gallery, pair: tuple[str, str], pictures: int, table: tuple[int, int], rng: np.random.Generator) -> Trained:
    """One training on some pictures, drawn on a table of prompts x seeds. pictures: all of the user's, those held out included."""
    base, user = pair
    prompts, seeds = table
    subjects = [str(subject) for subject in rng.permutation(gallery.subjects(pair)[:SUBJECTS])]
    asked, own, others = subjects[:prompts], subjects[prompts : prompts + pictures], subjects[prompts + pictures :]
    learnt, kept = own[HELD_OUT:], own[:HELD_OUT]
    how = course(rng)
    places = list(product(range(prompts), range(seeds)))
    # One draw a cell and fate for all checkpoints: a cell that has turned stays so, as pictures from one noise do.
    chance = {fate: _chances(prompts, seeds, rng) for fate in ("style", "copy", "other", "scrap")}
    meant = [[asked[p] if rng.random() >= FAILS else str(rng.choice(others)) for _ in range(BASE_SEEDS)] for p in range(prompts)]
    twins = rng.integers(len(learnt), size=(prompts, seeds))
    strangers = rng.integers(len(others), size=(prompts, seeds))

    def shown(checkpoint: int, prompt: int, seed: int) -> Drawing:
        place, contrast = (prompt, seed), float(how.contrast[checkpoint])
        if chance["copy"][place] < how.copy[checkpoint]:
            return Drawing(user, learnt[twins[place]], seed, contrast)
        what = others[strangers[place]] if chance["other"][place] < how.other[checkpoint] else meant[prompt][seed]
        if chance["style"][place] < how.style[checkpoint]:
            return Drawing(user, what, seed, contrast, is_scrambled=bool(chance["scrap"][place] < how.scrap[checkpoint]))
        if chance["style"][place] < how.style[checkpoint] + how.half[checkpoint]:
            return Drawing(base, what, seed, contrast, half=user)
        return Drawing(base, meant[prompt][seed], seed, contrast)

    columns = max(seeds, BASE_SEEDS)
    base_places = list(product(range(prompts), range(columns)))
    drawn = {0: lay_out(gallery.looks([Drawing(base, meant[p][s], s) for p, s in base_places]), base_places, prompts, columns)}
    for checkpoint in range(CHECKPOINTS):
        looks = gallery.looks([shown(checkpoint, p, s) for p, s in places])
        drawn[checkpoint + 1] = lay_out(looks, places, prompts, columns)

    def spoilt(contrast: float, is_blurred: bool) -> Looks:
        pictures = [Drawing(base, meant[p][s], s, contrast, is_blurred=is_blurred) for p, s in places]
        return lay_out(gallery.looks(pictures), places, prompts, columns)

    evidence = Evidence(
        prompts=tuple(asked),
        seeds=tuple(range(columns)),
        drawn=drawn,
        heldout=gallery.looks([Drawing(user, subject) for subject in kept]),
        training=gallery.looks([Drawing(user, subject) for subject in learnt]),
        mirrored=gallery.looks([Drawing(user, subject, is_mirrored=True) for subject in learnt]),
        files=tuple(f"{subject}.png" for subject in learnt),
        planted=Planted(
            copies=gallery.looks([Drawing(user, subject, seed=9) for subject in learnt]),
            burnt=spoilt(1.4, is_blurred=False),
            blurred=spoilt(1.0, is_blurred=True),
        ),
    )
    return Trained(evidence, how.quality)


TABLES = ((8, 2), (16, 1), (32, 1), (32, 2))
SIZES = (20, 30, 50)


def choices(trained: Trained, table: tuple[int, int]) -> dict[str, tuple[float, str]]:
    """By rule, the regret of its choice and what it said, on the first prompts and seeds."""
    drawn = {0: trained.evidence.base}
    drawn |= {step: _first(trained.evidence.drawn[step], table) for step in trained.evidence.checkpoints}
    evidence = replace(trained.evidence, drawn=drawn)
    steps = evidence.checkpoints
    verdict = judge(evidence, Race(steps, (), (), ()))
    found = {
        "last": (CHECKPOINTS - 1, ""),
        "mean cosine, training pictures": (mean_cosine(evidence, evidence.training, steps), ""),
        "mean cosine, held-out pictures": (mean_cosine(evidence, evidence.heldout, steps), ""),
        "verdict": (None if verdict.checkpoint is None else verdict.checkpoint - 1, verdict.outcome),
        "verdict, earliest tied": (None if verdict.earliest is None else verdict.earliest - 1, verdict.outcome),
    }
    best = int(np.argmax(trained.quality)) + 1
    places = {standing.checkpoint: standing.place for standing in verdict.standings}
    said = {rule: (1.0 if choice is None else regret(trained.quality, choice), outcome) for rule, (choice, outcome) in found.items()}
    return said | {"the best is not beaten": (float(places[best] not in ("chosen", "tied", "open")), places[best])}


def _first(looks: Looks, table: tuple[int, int]) -> Looks:
    """The looks with nothing but the first prompts and seeds."""
    keep = np.zeros(looks.is_there.shape, bool)
    keep[: table[0], : table[1]] = True
    fields = (looks.content, looks.style, looks.histogram, looks.tone)
    return Looks(*(np.where(keep[..., None], field, np.nan) for field in fields))


def raced(trained: Trained) -> tuple[float, float]:
    """The regret of a choice by racing, and the share of the adapters' pictures that it needed."""
    race = run_race(trained.evidence, resamples=500)
    verdict = judge(trained.evidence, race)
    survivors = len(race.survivors)
    drawn = sum(loser.pictures for loser in race.dropped) + survivors * ROUNDS[-1].prompts * ROUNDS[-1].seeds
    whole = CHECKPOINTS * ROUNDS[-1].prompts * ROUNDS[-1].seeds
    return 1.0 if verdict.checkpoint is None else regret(trained.quality, verdict.checkpoint - 1), drawn / whole


def main() -> None:
    """Simulate, choose, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="folder that keeps what was drawn and seen")
    parser.add_argument("--runs", type=int, default=10, help="trainings for each pair of styles and number of pictures")
    given = parser.parse_args()
    gallery, began = Gallery(given.work), time.process_time()
    for size in SIZES:
        results: dict[tuple[tuple[int, int], str], list[tuple[float, str]]] = {}
        races: list[tuple[float, float]] = []
        for run, (number, pair) in product(range(given.runs), enumerate(PAIRS)):
            trained = simulate(gallery, pair, size, (32, 2), np.random.default_rng([run, number, size]))
            for table in TABLES if size == 30 else TABLES[-1:]:
                for rule, choice in choices(trained, table).items():
                    results.setdefault((table, rule), []).append(choice)
            races.append(raced(trained))
        gallery.keep()
        for (table, rule), told in results.items():
            outcomes = " ".join(f"{name} {count}" for name, count in Counter(outcome for _, outcome in told if outcome).most_common())
            print(f"{size} pictures  {table[0]:2} x {table[1]}  {rule:30}  {_summed([lost for lost, _ in told])}  {outcomes}", flush=True)
        share = np.mean([share for _, share in races])
        print(f"{size} pictures  32 x 2  {'verdict after a race':30}  {_summed([lost for lost, _ in races])}  {share:.0%} of the pictures")
    print(f"{time.process_time() - began:.0f} CPU seconds")


def _summed(regrets: Sequence[float]) -> str:
    """Share of acceptable choices, mean regret with its standard error, and the worst tenth."""
    lost = np.array(regrets)
    error = lost.std(ddof=1) / np.sqrt(len(lost)) if len(lost) > 1 else 0.0
    return f"{(lost <= ACCEPTABLE).mean():.2f}  {lost.mean():.3f} +- {error:.3f}  {np.quantile(lost, 0.9):.2f}"


def _chances(prompts: int, seeds: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Uniform in 0..1, [P, S], alike within a prompt."""
    normal = np.sqrt(SHARED) * rng.normal(size=(prompts, 1)) + np.sqrt(1 - SHARED) * rng.normal(size=(prompts, seeds))
    ranks = np.sort(rng.normal(size=100_000))
    return np.asarray(np.searchsorted(ranks, normal) / len(ranks), np.float64)


if __name__ == "__main__":
    main()
