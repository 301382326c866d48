"""Words with embeddings of their own, learnt beside a LoRA: their tokens, and the table of a text encoder with them.

The names of the tokens and the way a prompt is spelt are those of diffusers' `load_textual_inversion`, so that a stock pipeline reads a
prompt as we do. The table of the model itself is never written to; the new rows stand beside it.
Sources: Gal et al. 2022, arXiv:2208.01618 (textual inversion); Roich et al. 2021, arXiv:2106.05744 (pivotal tuning).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Words:
    """Words and their embeddings.

    rows: by word, of each text encoder by its name in diffusers, [N, width]; N is that of the word, the same in all encoders. No word is
    part of another.
    """

    rows: Mapping[str, Mapping[str, Tensor]]

    @property
    def tokens(self) -> list[str]:
        """What the new tokens are called, word by word."""
        return [token for word in self.rows for token in self._tokens(word)]

    def table(self, part: str) -> Tensor:
        """The embeddings of all tokens in a text encoder, [tokens, width]."""
        return torch.cat([rows[part] for rows in self.rows.values()])

    def spelt(self, prompt: str) -> str:
        """The prompt with all tokens of a word where it stands."""
        for word in self.rows:
            prompt = prompt.replace(word, " ".join(self._tokens(word)))
        return prompt

    def _tokens(self, word: str) -> list[str]:
        count = len(next(iter(self.rows[word].values())))
        return [word, *(f"{word}_{number}" for number in range(1, count))]


class Vocabulary(nn.Module):
    """The table of a text encoder with new rows after it. first: the number of the first new token."""

    def __init__(self, table: nn.Module, rows: Tensor, first: int) -> None:
        super().__init__()
        self._table, self._rows, self._first = table, rows, first

    def forward(self, tokens: Tensor) -> Tensor:
        """Embeddings [B, L, width] of tokens [B, L]."""
        known: Tensor = self._table(tokens.clamp(max=self._first - 1))
        learnt = self._rows[(tokens - self._first).clamp(min=0)].to(known.dtype)
        return torch.where((tokens < self._first)[..., None], known, learnt)
