"""How well a post did among those of its own account, in three words: low, medium, high.

Likes are an account's fingerprint first (on public tables of this kind its mean explained 87 % of their logarithm), so a post is only held
against its own account. An account with little history borrows: its level is drawn towards that of its company and of everybody, and the
spread around that level is everybody's. What counts is what may be trained on; nothing is learnt from posts that are kept out.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from decal.records import Engagement

# Percentiles of Measuring and Improving Engagement of T2I, ICLR 2025.
MEDIUM_FROM, HIGH_FROM = 0.6, 0.9
# From so many posts on an account is judged by its own alone; with fewer than the second nothing is said of it.
MIN_HISTORY, LEAST_HISTORY = 20, 5
# A company, and then everybody, counts as much as so many posts of the account.
BORROWED = 5.0

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Levels:
    """The usual likes of accounts, as log(1 + likes), drawn towards their company and towards everybody where there is little history."""

    everybody: float
    companies: dict[str, float]
    accounts: dict[str, float]

    @classmethod
    def of(cls, accounts: Sequence[str], companies: Sequence[str], likes: Numbers) -> "Levels":
        """From posts that may be trained on: the account and the company of each, and its log(1 + likes)."""
        everybody = float(likes.mean()) if len(likes) else 0.0
        by_company = _drawn(companies, likes, {}, everybody)
        priors = {account: by_company.get(company, everybody) for account, company in zip(accounts, companies, strict=True)}
        return cls(everybody, by_company, _drawn(accounts, likes, priors, everybody))

    def at(self, accounts: Sequence[str], companies: Sequence[str]) -> Numbers:
        """The level of each post's account; an unknown one has that of its company, or everybody's."""
        pairs = zip(accounts, companies, strict=True)
        return np.array([self.accounts.get(one, self.companies.get(company, self.everybody)) for one, company in pairs], np.float64)


def _drawn(names: Sequence[str], likes: Numbers, priors: dict[str, float], everybody: float) -> dict[str, float]:
    """The mean of each name, drawn towards its prior; a post without a name counts for nobody."""
    numbers: dict[str, int] = {}
    places = np.array([numbers.setdefault(name, len(numbers)) for name in names], np.intp)
    if not numbers:
        return {}
    counts, totals = np.bincount(places), np.bincount(places, weights=likes)
    found = {}
    for name, place in numbers.items():
        if name:
            found[name] = float((totals[place] + BORROWED * priors.get(name, everybody)) / (counts[place] + BORROWED))
    return found


def buckets(
    accounts: Sequence[str], companies: Sequence[str], likes: Sequence[int | None], is_history: Sequence[bool]
) -> list[Engagement | None]:
    """The bucket of each post; None where its likes are not known, or its account has too little history or
    only ever the same likes.

    is_history: whether a post may be trained on and says something; only those say what is usual.
    """
    known = np.array([one is not None for one in likes], bool)
    counts = np.log1p(np.array([0 if one is None else one for one in likes], np.float64))
    usual = np.flatnonzero(np.array(is_history, bool) & known & np.array([bool(account) for account in accounts], bool))
    own, brands = [[names[place] for place in usual.tolist()] for names in (accounts, companies)]
    levels = Levels.of(own, brands, counts[usual])
    spread = np.sort(counts[usual] - levels.at(own, brands))
    history = Counter(own)
    sorted_likes = {account: np.sort(values) for account, values in _grouped(own, counts[usual]).items()}
    found: list[Engagement | None] = []
    for place, account in enumerate(accounts):
        size = history.get(account, 0)
        # Among posts that all had the same likes, none did better than another.
        if not known[place] or size < LEAST_HISTORY or set(sorted_likes[account].tolist()) == {counts[place]}:
            found.append(None)
            continue
        share = _rank(sorted_likes[account], counts[place])
        if size < MIN_HISTORY:
            borrowed = _rank(spread, counts[place] - levels.accounts[account])
            share = (size * share + (MIN_HISTORY - size) * borrowed) / MIN_HISTORY
        found.append(_named(share))
    return found


def drawn_bucket(seed: int, number: int) -> Engagement:
    """A bucket by lot for a post, as often each as by percentiles; the control that real buckets must beat."""
    lot = int.from_bytes(hashlib.sha256(f"bucket {seed} {number}".encode()).digest()[:4], "big") / 2**32
    return _named(lot)


def _named(share: float) -> Engagement:
    return "high" if share >= HIGH_FROM else "medium" if share >= MEDIUM_FROM else "low"


def _rank(ordered: Numbers, value: float) -> float:
    """The middle of those that are as large."""
    return float(np.searchsorted(ordered, value, "left") + np.searchsorted(ordered, value, "right")) / 2 / len(ordered)


def _grouped(names: Sequence[str], values: Numbers) -> dict[str, Numbers]:
    groups: dict[str, list[float]] = {}
    for name, value in zip(names, values.tolist(), strict=True):
        groups.setdefault(name, []).append(value)
    return {name: np.array(group) for name, group in groups.items()}
