"""What did well before for the account of a new post: its own posts of the bucket high, the most like it first.

Plans go in, plans come out. They hold words of ours or words that were held against their post already, so what strangers wrote does not
reach another post's picture: an account's past steers a choice among words, for its own new posts only.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from decal.grid import content_words
from decal.records import Post, PostPlace, PromptPlan

SHOWN = 3


@dataclass
class Exemplars:
    """The posts of some accounts that did well. accounts: whose posts are kept, in lower case."""

    accounts: frozenset[str]
    _found: dict[str, list[tuple[frozenset[str], PromptPlan]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, posts: Iterable[Post], places: Iterable[PostPlace], plans: Iterable[PromptPlan]) -> None:
        """More posts with their places and plans, in the same order; those that are kept out of training say nothing."""
        for post, place, plan in zip(posts, places, plans, strict=True):
            account = post.account.casefold()
            if account in self.accounts and place.engagement == "high" and place.side == "train" and plan.status == "planned":
                self._found[account].append((frozenset(_words(post)), plan))

    def of(self, post: Post) -> tuple[PromptPlan, ...]:
        """The plans of the posts that are most like a new one, by the words that they share; the latest of equals."""
        words = _words(post)
        there = self._found.get(post.account.casefold(), [])
        order = sorted(range(len(there)), key=lambda place: (-len(words & there[place][0]), -place))
        return tuple(there[place][1] for place in order[:SHOWN])


def setting(exemplars: Sequence[PromptPlan]) -> str:
    """Where the best of them are set; "" where they do not say."""
    return next((plan.setting for plan in exemplars if plan.setting), "")


def _words(post: Post) -> set[str]:
    return set(content_words(f"{post.text} {' '.join(post.hashtags)}"))
