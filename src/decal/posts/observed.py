"""What people made of variants that were published, against what was expected of them.

Only variants of one post are compared, because whoever posts, when and with which words is then the same: how often the one that was
expected to do better did, and how far the one that was shown first lies above the others. Only those of one drawing have ranks that
compare.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from decal.posts.engagement import RESAMPLES, interval
from decal.records import ObservedLikes, PostVariant
from decal.scores.statistic import Mean, Statistic, resampled

LEAST_POSTS = 8
"""Fewer posts agree too often by chance alone: two of two in a quarter of the cases, eight of eight in one of 256."""
Interval = tuple[float | None, float | None, float | None]


@dataclass(frozen=True)
class Observed:
    """agreement: share of pairs that came in the expected order; chance is a half. lead: of the first in log(1 + likes) above the rest.

    unexpected: variants of which nothing was expected, so that they can neither come as expected nor otherwise.
    """

    posts: int
    variants: int
    unexpected: int
    pairs: int
    agreement: Interval
    lead: Interval

    def lines(self) -> list[str]:
        """As sentences."""
        told = [
            f"{self.variants:,} variants of {self.posts:,} posts can be held against what was expected, in {self.pairs:,} pairs of one post"
        ]
        if self.unexpected:
            told.append(f"  of {self.unexpected:,} more nothing was expected when they were drawn, so their order is held against nothing")
        for name, (value, low, high), zero in (("agreement", self.agreement, 0.5), ("lead", self.lead, 0.0)):
            if value is None or low is None or high is None:
                told.append(f"  {name}: cannot be told yet, of fewer than {LEAST_POSTS} posts with several variants")
                continue
            sure = "surely better" if low > zero else "surely worse" if high < zero else "cannot be told from chance"
            what = "pairs in the expected order" if name == "agreement" else "the first above the others, in log(1 + likes)"
            told.append(f"  {what}: {value:.2f} (95 %: {low:.2f} to {high:.2f}), {sure}")
        return told


def taken_in(variants: Sequence[PostVariant], before: Sequence[ObservedLikes], likes: Mapping[str, int]) -> list[ObservedLikes]:
    """What is known with new likes. Of each post that was observed all variants are kept, with the ranks that they had then.

    variants: all there are, as they are ranked now.
    """
    known = {one.variant: one for one in before}
    posts = {group_of(one) for one in variants if one.variant in known or one.variant in likes}
    found = dict(known)
    for one in variants:
        if group_of(one) in posts:
            was = known.get(one.variant)
            count = likes.get(one.variant, None if was is None else was.likes)
            drawing, rank = (one.drawing, _expected(one)) if was is None else (was.drawing, was.rank)
            found[one.variant] = ObservedLikes(variant=one.variant, drawing=drawing, rank=rank, likes=count)
    return [found[name] for name in sorted(found)]


def _expected(variant: PostVariant) -> int | None:
    # Where an audience is not told, what a picture adds is known but orders nothing; then it has no bucket either.
    return None if variant.fit is None and variant.bucket is None else variant.rank


def group_of(variant: PostVariant) -> tuple[str, str]:
    """The account that a variant was drawn for, and the post, which only its drawing tells from others of that id."""
    return variant.account.casefold(), f"{variant.drawing} {variant.post}"


def score(variants: Sequence[PostVariant], known: Sequence[ObservedLikes]) -> Observed:
    """Expected before anything was observed against observed."""
    likes = {one.variant: one.likes for one in known if one.likes is not None}
    ranks = {one.variant: one.rank for one in known if one.rank is not None}
    drawn = {one.variant: one.drawing for one in known}
    groups: dict[tuple[str, str], dict[str, list[PostVariant]]] = {}
    for one in variants:
        if one.variant in likes and one.variant in ranks:
            groups.setdefault(group_of(one), {}).setdefault(drawn[one.variant], []).append(one)
    # A post that was drawn for twice is one post all the same, though each drawing has ranks of its own.
    rows = [np.sum([_held(group, likes, ranks) for group in drawings.values()], axis=0) for drawings in groups.values()]
    table = np.array(rows, np.float64).reshape(-1, 4)
    weights = resampled({"prompts": (len(table),)}, RESAMPLES, np.random.default_rng(0))

    def told(total: int, count: int) -> Interval:
        if (table[:, count] > 0).sum() < LEAST_POSTS:
            return None, None, None
        return interval(Statistic((Mean(table[:, total], table[:, count], ("prompts",)),)), weights, 0.95)

    size = sum(len(group) for drawings in groups.values() for group in drawings.values())
    unexpected = sum(one.variant in likes and one.variant not in ranks for one in variants)
    return Observed(len(groups), size, unexpected, int(table[:, 1].sum()), told(0, 1), told(2, 3))


def _held(group: Sequence[PostVariant], likes: Mapping[str, int], ranks: Mapping[str, int]) -> tuple[float, float, float, float]:
    """Of the variants of one drawing of a post: pairs in the expected order, pairs, the lead of the first, and 1 where it has one."""
    gained = {one.variant: float(np.log1p(likes[one.variant])) for one in group}
    pairs = [(one, other) for one, other in combinations(group, 2) if gained[one.variant] != gained[other.variant]]
    # A rank of 1 is the best, so the smaller one should have gained more.
    right = sum((ranks[one.variant] < ranks[other.variant]) == (gained[one.variant] > gained[other.variant]) for one, other in pairs)
    first = min(group, key=lambda one: ranks[one.variant])
    others = [gained[one.variant] for one in group if one is not first]
    return right, len(pairs), gained[first.variant] - float(np.mean(others)) if others else 0.0, float(bool(others))
