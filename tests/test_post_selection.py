"""Which candidate is best: what is out and why, what orders the rest, and what is not claimed."""

import math

import numpy as np
import pytest

from decal.posts.exemplars import Exemplars
from decal.posts.observed import score, taken_in
from decal.posts.selection import Order, Seen, fits
from decal.records import Post, PostPlace, PostVariant, PromptPlan

GOOD = Seen(fit=0.9, adds=0.1, lines=0, unsafe=0.01, contrast=0.2)


def like(**changes: float) -> Seen:
    return Seen(**{**vars(GOOD), **changes})


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (like(contrast=0.001), "out: blank"),
        (like(unsafe=0.95), "out: not safe for work (95% sure)"),
        (like(lines=2.0), "out: lettering on it (2 lines)"),
        (like(fit=0.5), "out: does not show what was asked for (nearer than 50% of other prompts, chance 50%)"),
    ],
)
def test_what_is_out_says_why_and_is_never_best(seen: Seen, reason: str) -> None:
    (placed,) = Order(True, 0.2, 0.4).place([seen])
    assert (placed.standing, placed.reason) == ("out", reason)


def test_the_audience_orders_what_passes() -> None:
    candidates = [like(adds=0.1), like(adds=0.5), like(adds=0.9, fit=0.2), like(adds=0.3)]
    placed = Order(True, 0.2, 0.4).place(candidates)
    assert [(one.rank, one.standing, one.bucket) for one in placed] == [
        (3, "good", "low"), (1, "best", "high"), (4, "out", "high"), (2, "good", "medium")
    ]  # fmt: skip
    assert placed[1].reason.startswith("likes x 1.65 of the usual, as pictures go; first of 3 that pass")


def test_without_a_taste_that_can_be_told_fit_orders_and_nothing_is_promised() -> None:
    placed = Order(False).place([like(adds=9.0, fit=0.8), like(adds=-9.0, fit=0.95)])
    assert [(one.rank, one.bucket) for one in placed] == [(2, None), (1, None)]
    assert placed[1].reason == "first of 2 that pass, by fit alone; shows what was asked for (nearer than 95% of other prompts)"


def test_what_could_not_be_looked_at_vetoes_nothing() -> None:
    (placed,) = Order(False).place([Seen(math.nan, math.nan, math.nan, math.nan, 0.3)])
    assert (placed.standing, placed.reason) == ("best", "first drawn of 1 that pass: of so few prompts, none can be told to fit better")


def test_fit_is_the_share_of_other_prompts_that_are_farther() -> None:
    anchors = np.eye(5)
    assert fits(np.array([[1.0, 0, 0, 0, 0], [0.0, 0.9, 0.1, 0, 0]]), [0, 2], anchors).tolist() == [1.0, 0.75]
    assert np.isnan(fits(np.eye(2), [0, 1], np.eye(2))).all()


def test_exemplars_are_the_accounts_own_posts_that_did_well_and_are_trained_on() -> None:
    def post(number: int, account: str, text: str = "a cake") -> Post:
        return Post(number=number, id=str(number), status="kept", notes=(), original=text, text=text, account=account)

    posts = [post(1, "Shop"), post(2, "Shop", "a red boat"), post(3, "Shop"), post(4, "Other"), post(5, "shop")]
    sides = ["train", "train", "unseen time", "train", "train"]
    levels = ["high", "high", "high", "high", "low"]
    places = [
        PostPlace.model_validate({"number": one.number, "side": side, "alike": 0, "engagement": level})
        for one, side, level in zip(posts, sides, levels, strict=True)
    ]
    plans = [PromptPlan(number=one.number, status="planned", setting=f"place {one.number}") for one in posts]
    found = Exemplars(frozenset({"shop"}))
    found.add(posts, places, plans)
    assert [plan.number for plan in found.of(post(9, "shop", "another red boat"))] == [2, 1]
    assert found.of(post(9, "other")) == ()


def variant(post: str, rank: int) -> PostVariant:
    told = {"post": post, "account": "shop", "number": rank, "file": "", "sha256": "", "prompt": "", "seed": 0, "checkpoint": 0, "fit": 1.0}
    return PostVariant.model_validate(
        {**told, "variant": f"{post}-{rank}", "drawing": "a", "adds": 0.0, "rank": rank, "standing": "good", "bucket": None, "reason": ""}
    )


def test_observed_likes_are_held_against_the_order_within_a_post() -> None:
    variants = [variant(f"post {post}", rank) for post in range(20) for rank in (1, 2, 3)]
    # Posts differ a thousandfold; within each, the first has twice and the last half the likes of the second.
    likes = {one.variant: int(100 * 1.4 ** int(one.post[5:]) * 2 ** (2 - one.rank)) for one in variants}
    right = score(variants, taken_in(variants, [], likes))
    assert (right.posts, right.variants, right.pairs, right.agreement) == (20, 60, 60, (1.0, 1.0, 1.0))
    wrong = score(variants, taken_in(variants, [], {one.variant: 100 * one.rank for one in variants}))
    assert (wrong.agreement[0], wrong.lines()[2].endswith("surely worse")) == (0.0, True)


def test_few_posts_in_the_expected_order_are_no_proof() -> None:
    variants = [variant(f"post {number}", rank) for number in range(7) for rank in (1, 2)]
    found = score(variants, taken_in(variants, [], {one.variant: 100 - one.rank for one in variants}))
    assert (found.pairs, found.agreement, found.lead) == (7, (None, None, None), (None, None, None))
    assert all("cannot be told yet, of fewer than 8 posts" in line for line in found.lines()[1:])


def test_what_was_expected_before_stays_when_candidates_are_ordered_anew() -> None:
    variants = [variant(f"post {post}", rank) for post in range(8) for rank in (1, 2, 3)]
    first = taken_in(variants, [], {one.variant: 1 for one in variants if one.rank == 1})
    # Whoever learnt that the first did badly now ranks them the other way round.
    anew = [one.model_copy(update={"rank": 4 - one.rank}) for one in variants]
    found = taken_in(anew, first, {f"post {post}-2": 9 for post in range(8)})
    assert [(one.rank, one.likes) for one in found[:3]] == [(1, 1), (2, 9), (3, None)]
    assert score(anew, found).agreement == (0.0, 0.0, 0.0)


def test_where_nothing_was_expected_no_order_is_held_against_likes() -> None:
    variants = [variant(f"post {post}", rank) for post in range(20) for rank in (1, 2)]
    untold = [one.model_copy(update={"fit": None}) for one in variants]
    found = score(untold, taken_in(untold, [], {one.variant: 100 - one.rank for one in untold}))
    assert (found.posts, found.pairs, found.unexpected, found.agreement) == (0, 0, 40, (None, None, None))
    liked = [one.model_copy(update={"bucket": "high"}) for one in untold]
    assert score(liked, taken_in(liked, [], {one.variant: 100 - one.rank for one in liked})).pairs == 20


def test_posts_of_two_tables_that_are_called_the_same_are_not_compared() -> None:
    first = [variant("row-1", rank) for rank in (1, 2)]
    variants = [*first, *(one.model_copy(update={"drawing": "b", "variant": f"b-{one.rank}"}) for one in first)]
    found = score(variants, taken_in(variants, [], {one.variant: 9 - number for number, one in enumerate(variants)}))
    assert (found.posts, found.variants, found.pairs) == (2, 4, 2)


def test_candidates_that_are_added_to_an_observed_post_are_compared_with_each_other_alone() -> None:
    first = [variant("row-1", rank) for rank in (1, 2)]
    known = taken_in(first, [], {"row-1-1": 5, "row-1-2": 3})
    more = [variant("row-1", rank).model_copy(update={"drawing": "b"}) for rank in (3, 4, 1, 2)]
    anew = [one.model_copy(update={"variant": f"row-1-{number}"}) for number, one in enumerate(more, 1)]
    found = taken_in(anew, known, {"row-1-3": 8, "row-1-4": 2})
    assert [(one.drawing, one.rank) for one in found] == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    told = score(anew, found)
    assert (told.posts, told.pairs) == (1, 2)
