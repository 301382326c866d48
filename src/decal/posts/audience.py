"""Posts with their likes, their pictures and what else is known of them, as arrays.

A post's picture comes as an embedder sees it, its text as counts of hashed words, its time as parts of day and week. Nothing here knows the
account but by its name: what is usual for an account is a level of its own, so that no feature can pass for it.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from decal.posts.scenes import stem, words_of
from decal.posts.sides import known_company
from decal.records import Post, Side
from decal.scores.looks import Looks

Numbers = NDArray[np.float64]
WORDS = 96
KINDS = ("photo", "video", "gif")


@dataclass(frozen=True)
class Audience:
    """Posts that people liked more or less. likes: log(1 + likes). picture: [N, P], rows of NaN where it cannot be seen. rest: [N, R]."""

    accounts: tuple[str, ...]
    companies: tuple[str, ...]
    sides: tuple[Side, ...]
    likes: Numbers
    picture: Looks
    rest: Numbers

    @classmethod
    def of(cls, posts: Sequence[Post], sides: Sequence[Side], picture: Looks) -> "Audience":
        """From posts whose likes are known, and what is seen in the picture of each."""
        return cls(
            tuple(post.account.casefold() for post in posts),
            tuple(known_company(post) for post in posts),
            tuple(sides),
            np.log1p(np.array([post.likes or 0 for post in posts], np.float64)),
            picture,
            np.array([features(post) for post in posts], np.float64).reshape(len(posts), -1),
        )

    def rows(self, keep: NDArray[np.intp]) -> "Audience":
        """Some of the posts."""
        names, companies, sides = ([told[place] for place in keep] for told in (self.accounts, self.companies, self.sides))
        return Audience(tuple(names), tuple(companies), tuple(sides), self.likes[keep], self.picture.rows(keep), self.rest[keep])


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
