"""Which posts may be trained on.

What is kept out is chosen so that nothing leaks: whole accounts, by a hash of their name; of the other accounts everything after a day;
and what nearly repeats a post that is kept out stays out of training as well, apart from both.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from decal.posts.alike import Alikes
from decal.posts.buckets import buckets
from decal.records import Post, PostPlace, Side
from decal.wording import counted

ACCOUNTS_SHARE, TIME_SHARE = 0.05, 0.05
# Fewer accounts or posts than this cannot spare any.
MIN_ACCOUNTS, MIN_POSTS = 10, 40
# Fewer posts that are kept out say nothing of what is drawn for them.
MIN_REPORTED = 8


@dataclass
class Sides:
    """Posts are added in their order; `places` then says where each stands."""

    seed: int
    _alikes: Alikes = field(default_factory=Alikes)
    _posts: list[tuple[int, str, str | None, int | None, bool, str]] = field(default_factory=list)
    _names: dict[str, str] = field(default_factory=dict)

    def add(self, posts: Iterable[Post]) -> None:
        """More posts."""
        for post in posts:
            self._alikes.add(post)
            account, company = (self._names.setdefault(name, name) for name in (post.account.casefold(), known_company(post)))
            self._posts.append((post.number, account, post.date, post.likes, post.status == "kept", company))

    def places(self) -> list[PostPlace]:
        """Where each post stands, in their order."""
        firsts = self._alikes.firsts()
        kept_out_accounts = self._kept_out_accounts()
        last_day = self._last_day(kept_out_accounts)
        sides: dict[int, Side] = {}
        groups: set[int] = set()
        for number, account, date, *_ in self._posts:
            side: Side = "unseen account" if account in kept_out_accounts else "train"
            if side == "train" and last_day is not None and date is not None and date > last_day:
                side = "unseen time"
            sides[number] = side
            if side != "train":
                groups.add(firsts[number])
        for number in sides:
            if sides[number] == "train" and firsts[number] in groups:
                sides[number] = "apart"
        engagement = buckets(
            [account for _, account, *_ in self._posts],
            [company for *_, company in self._posts],
            [likes for _, _, _, likes, *_ in self._posts],
            [is_kept and sides[number] == "train" for number, _, _, _, is_kept, _ in self._posts],
        )
        pairs = zip(sides.items(), engagement, strict=True)
        return [PostPlace(number=number, side=side, alike=firsts[number], engagement=level) for (number, side), level in pairs]

    def _kept_out_accounts(self) -> set[str]:
        named = sorted({account for _, account, *_ in self._posts if account})
        if len(named) < MIN_ACCOUNTS or len(self._posts) < MIN_POSTS:
            return set()
        drawn = sorted(named, key=lambda account: hashlib.sha256(f"{self.seed} {account}".encode()).hexdigest())
        return set(drawn[: max(1, round(ACCOUNTS_SHARE * len(named)))])

    def _last_day(self, kept_out: set[str]) -> str | None:
        """The last moment that may be trained on."""
        dates = sorted(date for _, account, date, *_ in self._posts if date is not None and account not in kept_out)
        if len(dates) < MIN_POSTS:
            return None
        return dates[int((1 - TIME_SHARE) * (len(dates) - 1))]


def too_few(kept_out: int) -> str:
    """That so many posts that are kept out are too few for a report, and how many it takes; "" where they are not."""
    if kept_out >= MIN_REPORTED:
        return ""
    dated = round(MIN_REPORTED / TIME_SHARE)
    return f"{counted(kept_out, 'post')} kept out; decal posts report  needs {MIN_REPORTED}, as a table of some {dated} dated posts has"


def known_company(post: Post) -> str:
    """The company of a post in lower case; "" where it is doubtful."""
    return "" if post.is_company_doubtful else post.company.casefold()
