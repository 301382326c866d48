"""What is said of the verdict is computed rightly: the arithmetic of benchmarks/selection."""

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks" / "selection"))

import plan
import styles
from mini.styles import STYLES as SEEN_STYLES
from noise import noise
from oracle import nearness
from packs import DEVELOPMENT_PACK, PACKS
from regrets import given_away, mean_over_styles, regret


def _discs(*places: int) -> NDArray[np.uint8]:
    """A black disc on white, so far from the left edge."""
    down, across = np.mgrid[:128, :128]
    return (
        np.stack([np.where(np.hypot(down - 64, across - place) < 20, 0, 255) for place in places])[..., None].repeat(3, 3).astype(np.uint8)
    )


def test_regret_is_the_share_of_the_range_that_a_choice_loses() -> None:
    quality = np.array([0.2, 0.6, 0.5])  # the best .6, the worst .2, so a tenth is a quarter of the range
    assert [regret(quality, chosen) for chosen in range(3)] == pytest.approx([1.0, 0.0, 0.25])


def test_a_choice_among_equals_gives_next_to_nothing_away() -> None:
    quality = np.array([0.60, 0.61])  # the worse of two that are nearly equal: regret 1, a hundredth of the eleven that were gained
    assert (regret(quality, 0), given_away(quality, 0.5, 0)) == pytest.approx((1.0, 0.01 / 0.11))


def test_an_interval_over_styles_is_as_wide_as_styles_differ() -> None:
    # Trainings on a style lose the same: only which styles are drawn can move the mean, between the least and the most.
    mean = mean_over_styles({"one": [0.1] * 7, "two": [0.2] * 7, "three": [0.3] * 7})
    assert (mean.value, mean.low, mean.high) == pytest.approx((0.2, 0.1, 0.3))


def test_one_style_alone_still_has_the_spread_of_its_trainings() -> None:
    mean = mean_over_styles({"one": [0.0, 1.0] * 50})
    # The standard error of a mean of 100 zeros and ones is .05, and 95 % lie within 1.96 of them.
    assert (mean.low, mean.high) == pytest.approx((0.4, 0.6), abs=0.011)


def test_no_test_style_was_taught_seen_or_developed_on() -> None:
    known = {pack.name for pack in (*PACKS, *SEEN_STYLES, *styles.SEEN, DEVELOPMENT_PACK)}
    assert [(pack.name in known, len(plan.KNOWN & set(pack.renamed)) >= plan.SUBJECTS) for pack in styles.STYLES] == [(False, True)] * 3


def test_no_training_shows_what_its_checkpoints_are_asked_for() -> None:
    made = [training for pack in styles.STYLES for training in plan.trainings(pack.style, sorted(pack.renamed))]
    assert [(len(one.asked), len(one.learns) >= 20, set(one.asked) & set(one.learns)) for one in made] == [(32, True, set())] * 21


def test_quality_is_measured_on_pictures_that_no_verdict_sees() -> None:
    assert (set(plan.JUDGED_SEEDS) & set(plan.MEASURED_SEEDS), plan.JUDGED_SEEDS + plan.MEASURED_SEEDS) == (set(), plan.SEEDS)


def test_every_recipe_saves_ten_checkpoints() -> None:
    assert [(recipe.steps % plan.CHECKPOINTS, recipe.steps >= 300) for recipe in plan.RECIPES] == [(0, True)] * 7


def test_noise_costs_what_a_coin_toss_between_equals_would() -> None:
    # Two checkpoints of the same mean: seeds decide which looks better, and other seeds agree in half of the cases.
    quality = np.array([[[0.4, 0.6]] * 50, [[0.6, 0.4 + 1e-9]] * 50])
    assert (noise(quality, 2, 2).of_both, noise(quality, 2, 2).of_measuring) == pytest.approx((0.5, 0.5), abs=0.05)


def test_noise_costs_nothing_where_seeds_agree() -> None:
    quality = np.broadcast_to(np.array([0.2, 0.6, 0.5])[:, None, None], (3, 20, 3))
    of = noise(quality, 2, 1)
    assert (of.of_choice, of.of_both, of.of_measuring, of.spread) == pytest.approx((0.0, 0.0, 0.0, 0.4))


def test_a_picture_is_nearest_to_itself_wherever_it_lies() -> None:
    near = nearness(_discs(64, 72, 100), _discs(64, 64, 64))
    assert near[0] == pytest.approx(1)
    assert near[1] > 0.9
    assert near[2] < 0.5
