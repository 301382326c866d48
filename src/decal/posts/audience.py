"""Posts with their likes, their pictures and what else is known of them, as arrays.

A post's picture comes as an embedder sees it, its text as counts of hashed words, its time as parts of day and week. Nothing here knows the
account but by its name: what is usual for an account is a level of its own, so that no feature can pass for it. Variants that were
published and observed stand behind the posts; they are only ever learnt from, and only held against each other.
"""

import functools
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from decal.posts.scenes import stem, words_of
from decal.posts.sides import known_company
from decal.records import Post, Side
from decal.scores.looks import Looks

Numbers = NDArray[np.float64]
WORDS = 96
KINDS = ("photo", "video", "gif")
Part = Side | Literal["published"]


@dataclass(frozen=True)
class Published:
    """A variant that was published, and what came of it.

    account: in lower case. company: its own, "" where it is not known for sure. post: the id of what it was drawn for.
    """

    account: str
    company: str
    post: str
    likes: int


@dataclass(frozen=True)
class Audience:
    """Posts that people liked more or less.

    groups: what the likes of each are held against: its account's, or those of other variants of the same post. likes: log(1 + likes).
    picture: [N, P], rows of NaN where it cannot be seen. rest: [N, R].
    """

    accounts: tuple[str, ...]
    companies: tuple[str, ...]
    groups: tuple[str, ...]
    sides: tuple[Part, ...]
    likes: Numbers
    picture: Looks
    rest: Numbers

    @classmethod
    def of(cls, posts: Sequence[Post], sides: Sequence[Side], picture: Looks, published: Sequence[Published] = ()) -> "Audience":
        """From posts whose likes are known, then variants, and what is seen in the picture of each."""
        accounts = [*(post.account.casefold() for post in posts), *(one.account for one in published)]
        companies = {post.account.casefold(): known_company(post) for post in posts}
        several = Counter((one.account, one.post) for one in published)
        # One variant of a post is held against others of its account; none of them against the table, which is older.
        groups = [f"{one.account} published" + (f" {one.post}" if several[one.account, one.post] > 1 else "") for one in published]
        behind: list[Part] = ["published"] * len(published)
        rest = np.array([features(post) for post in posts], np.float64).reshape(len(posts), -1)
        return cls(
            tuple(accounts),
            (*(known_company(post) for post in posts), *(companies.get(one.account, one.company) for one in published)),
            (*accounts[: len(posts)], *groups),
            (*sides, *behind),
            np.log1p(np.array([*(post.likes or 0 for post in posts), *(one.likes for one in published)], np.float64)),
            picture,
            # Variants of a post share its words, so they say nothing more of words.
            np.concatenate([rest, np.broadcast_to(rest.mean(axis=0), (len(published), rest.shape[1]))]) if published else rest,
        )

    @functools.cached_property
    def is_post(self) -> NDArray[np.bool_]:
        """Which rows are of the table, [N]; the others are variants that were published."""
        return np.array([side != "published" for side in self.sides], bool)

    def rows(self, keep: NDArray[np.intp]) -> "Audience":
        """Some of the posts."""
        names, companies, groups = ([told[place] for place in keep] for told in (self.accounts, self.companies, self.groups))
        sides = tuple(self.sides[place] for place in keep)
        return Audience(tuple(names), tuple(companies), tuple(groups), sides, self.likes[keep], self.picture.rows(keep), self.rest[keep])


def features(post: Post) -> list[float]:
    """What is known of a post besides its account, its picture and its likes."""
    words = np.zeros(WORDS)
    for word in words_of(f"{post.text} {' '.join(post.hashtags)}"):
        hashed = zlib.crc32(stem(word).encode())
        words[hashed % WORDS] += 1 if hashed & 2**20 else -1
    moment = datetime.fromisoformat(post.date) if post.date else None
    hour = 0.0 if moment is None else (moment.hour + moment.minute / 60) / 24 * 2 * np.pi
    week = [float(moment is not None and moment.weekday() == day) for day in range(7)]
    kind = post.media[0].kind if post.media else ""
    media = [float(kind == one) for one in KINDS] + [float(len(post.media))]
    length = float(np.log1p(len(post.text)))
    marks = [length, float(len(post.hashtags)), float(len(post.emoji)), float("?" in post.text), float("!" in post.text)]
    return [*np.sign(words) * np.sqrt(np.abs(words)), *marks, float(np.sin(hour)), float(np.cos(hour)), *week, *media]
