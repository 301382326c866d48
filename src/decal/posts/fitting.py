"""Clauses and conditions -> a prompt within the tokens of every text encoder of a base.

The content stands first, because CLIP listens most to what comes first. Where there are too many tokens, clauses go from the last one on,
then the words of the first clause; the conditions at the end always stay. So nothing is ever cut by the encoder, silently.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from decal.captions import Tokenizer

SEPARATOR = ", "


@dataclass(frozen=True)
class Draft:
    """A prompt to be.

    clauses: what is to be seen, the most important first. conditions: what every encoder must see. opening: what stands before all of it,
    outside the template.
    """

    clauses: tuple[str, ...]
    conditions: tuple[str, ...] = ()
    opening: str = ""

    def text(self) -> str:
        """All of it."""
        return SEPARATOR.join([*self.clauses, *self.conditions])

    def opened(self, text: str) -> str:
        """A text with the opening before it."""
        return f"{self.opening}{SEPARATOR}{text}" if self.opening else text


@dataclass(frozen=True)
class Fitted:
    """A prompt that fits. subject: for the template. cut: the clauses and words that had to go. tokens: of the longest wrapping."""

    subject: str
    cut: tuple[str, ...]
    tokens: int


def fit(drafts: Sequence[Draft], wrappings: Sequence[Callable[[str], str]], tokenizers: Sequence[Tokenizer]) -> list[Fitted]:
    """Each draft within the limit of every tokenizer, in every wrapping (the caption and the prompt of a template).

    Where the conditions alone do not fit, which only endless ones do not, what is left is one word.
    """

    def counts(drafts: Sequence[Draft]) -> list[int]:
        """By how much the worst of all is above its limit; 0 or less where it fits."""
        wrapped = dict.fromkeys(tuple(one.opened(wrap(one.text())) for one in drafts) for wrap in wrappings)
        over = [[count - one.limit for count in one.counts(column)] for column in wrapped for one in tokenizers]
        return [max(column) for column in zip(*over, strict=True)]

    over = counts(drafts) if drafts else []
    limit = min(one.limit for one in tokenizers)
    fitted = []
    for draft, by in zip(drafts, over, strict=True):
        cut: list[str] = []
        while by > 0 and len(draft.clauses) > 1:
            cut.append(draft.clauses[-1])
            draft = replace(draft, clauses=draft.clauses[:-1])
            by = counts([draft])[0]
        while by > 0 and " " in draft.clauses[0]:
            # A word has at least one token, so this many words can go at once.
            words = draft.clauses[0].split()
            kept = max(1, len(words) - max(1, by // 4))
            cut.append(" ".join(words[kept:]))
            draft = replace(draft, clauses=(" ".join(words[:kept]),))
            by = counts([draft])[0]
        fitted.append(Fitted(draft.text(), tuple(cut), limit + by))
    return fitted
