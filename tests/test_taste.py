"""The synthetic audience of benchmarks/engagement, small: its taste comes back, and where there is none, none is told."""

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from decal.posts.audience import Audience
from decal.posts.engagement import Learnt, learn
from decal.scores.looks import Looks, look

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from engagement.audience import Followers, taste, tinted, warmth
from engagement.run import post

SIZE, ACCOUNTS, POSTS = 120, 24, 720


@pytest.fixture(scope="module")
def pictures() -> list[NDArray[np.uint8]]:
    """Discs of any colour on white, in three lights."""
    dice, across = np.random.default_rng(0), np.hypot(*np.mgrid[-16:16, -16:16])
    shown = []
    for number in range(SIZE):
        picture = np.full((32, 32, 3), 255, np.uint8)
        picture[across < dice.uniform(6, 14)] = dice.integers(0, 200, 3)
        shown.append(tinted(picture, number % 3))
    return shown


def seen(pictures: list[NDArray[np.uint8]]) -> Looks:
    """What is counted in the pixels; of the network, nothing but noise."""
    content = np.random.default_rng(1).normal(size=(len(pictures), 16))
    return look(pictures, content, content)


def learnt(pictures: list[NDArray[np.uint8]], seed: int, strength: float) -> Learnt:
    dice = np.random.default_rng(seed)
    warm = np.array([warmth(one) for one in pictures])
    liked = taste(warm, np.full(len(warm), 0.5), (float(warm.mean()), float(warm.std())))
    owner, shown = dice.integers(0, ACCOUNTS, POSTS), dice.integers(0, len(pictures), POSTS)
    likes = Followers.of(ACCOUNTS, dice).likes(owner, strength * liked[shown], dice)
    rows = [post(number, int(owner[number]), "a disc", int(likes[number])) for number in range(POSTS)]
    found = learn(Audience.of(rows, ["train"] * POSTS, seen(pictures).rows(shown.astype(np.intp))), "none", "")
    assert found is not None
    return found


def test_the_taste_comes_back_and_the_best_of_four_is_truly_liked_more(pictures: list[NDArray[np.uint8]]) -> None:
    found = learnt(pictures, 0, 1.5)
    scores, warm = found.ranker.scores(seen(pictures)), np.array([warmth(one) for one in pictures])
    assert found.report.is_told
    assert np.corrcoef(scores, warm)[0, 1] > 0.7
    fours = np.random.default_rng(2).permutation(SIZE).reshape(-1, 4)
    leads = warm[fours[np.arange(len(fours)), scores[fours].argmax(axis=1)]] - warm[fours].mean(axis=1)
    assert leads.mean() > 3 * leads.std() / np.sqrt(len(leads))


@pytest.mark.slow
def test_an_audience_without_taste_cannot_be_told_in_ten_of_ten(pictures: list[NDArray[np.uint8]]) -> None:
    assert [learnt(pictures, 100 + seed, 0.0).report.is_told for seed in range(10)] == [False] * 10
