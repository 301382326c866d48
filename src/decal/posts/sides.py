"""Which posts may be trained on, and how well each did among those of its own account.

What is kept out is chosen so that nothing leaks: whole accounts, by a hash of their name; of the other accounts everything after a day;
and what nearly repeats a post that is kept out stays out of training as well, apart from both. Likes are an account's fingerprint (on
public tables of this kind its mean explained 87 % of their logarithm), so they are only compared within an account, with posts that are
trained on.
"""

import bisect
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from decal.posts.alike import Alikes
from decal.records import Engagement, Post, PostPlace, Side

ACCOUNTS_SHARE, TIME_SHARE = 0.05, 0.05
# Fewer accounts or posts than this cannot spare any.
MIN_ACCOUNTS, MIN_POSTS = 10, 40
# Buckets of Measuring and Improving Engagement of T2I, ICLR 2025: below the 60th and above the 90th percentile of the account.
MEDIUM_FROM, HIGH_FROM, MIN_HISTORY = 0.6, 0.9, 20


@dataclass
class Sides:
    """Posts are added in their order; `places` then says where each stands."""

    seed: int
    _alikes: Alikes = field(default_factory=Alikes)
    _posts: list[tuple[int, str, str | None, int | None, bool]] = field(default_factory=list)
    _accounts: dict[str, str] = field(default_factory=dict)

    def add(self, posts: Iterable[Post]) -> None:
        """More posts."""
        for post in posts:
            self._alikes.add(post)
            account = self._accounts.setdefault(post.account.casefold(), post.account.casefold())
            self._posts.append((post.number, account, post.date, post.likes, post.status == "kept"))

    def places(self) -> list[PostPlace]:
        """Where each post stands, in their order."""
        firsts = self._alikes.firsts()
        kept_out_accounts = self._kept_out_accounts()
        last_day = self._last_day(kept_out_accounts)
        sides: dict[int, Side] = {}
        groups: set[int] = set()
        for number, account, date, _, _ in self._posts:
            side: Side = "unseen account" if account in kept_out_accounts else "train"
            if side == "train" and last_day is not None and date is not None and date > last_day:
                side = "unseen time"
            sides[number] = side
            if side != "train":
                groups.add(firsts[number])
        for number in sides:
            if sides[number] == "train" and firsts[number] in groups:
                sides[number] = "apart"
        levels = self._levels(sides)
        return [PostPlace(number=number, side=side, alike=firsts[number], engagement=levels.get(number)) for number, side in sides.items()]

    def _kept_out_accounts(self) -> set[str]:
        named = sorted({account for _, account, *_ in self._posts if account})
        if len(named) < MIN_ACCOUNTS or len(self._posts) < MIN_POSTS:
            return set()
        drawn = sorted(named, key=lambda account: hashlib.sha256(f"{self.seed} {account}".encode()).hexdigest())
        return set(drawn[: max(1, round(ACCOUNTS_SHARE * len(named)))])

    def _last_day(self, kept_out: set[str]) -> str | None:
        """The last moment that may be trained on."""
        dates = sorted(date for _, account, date, _, _ in self._posts if date is not None and account not in kept_out)
        if len(dates) < MIN_POSTS:
            return None
        return dates[int((1 - TIME_SHARE) * (len(dates) - 1))]

    def _levels(self, sides: Mapping[int, Side]) -> dict[int, Engagement]:
        history: dict[str, list[int]] = defaultdict(list)
        for number, account, _, likes, is_kept in self._posts:
            if likes is not None and account and is_kept and sides[number] == "train":
                bisect.insort(history[account], likes)
        levels: dict[int, Engagement] = {}
        for number, account, _, likes, _ in self._posts:
            there = history.get(account, [])
            if likes is None or len(there) < MIN_HISTORY:
                continue
            # The middle of those with as many likes, so that an account of zeros is neither low nor high.
            rank = (bisect.bisect_left(there, likes) + bisect.bisect_right(there, likes)) / 2 / len(there)
            levels[number] = "high" if rank >= HIGH_FROM else "medium" if rank >= MEDIUM_FROM else "low"
        return levels
