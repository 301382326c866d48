"""A keyword with embeddings of its own, learnt beside a LoRA: its tokens, and the table of a text encoder with them.

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
    """A keyword and its embeddings. rows: of each text encoder by its name in diffusers, [N, width]; N is the same in all."""

    keyword: str
    rows: Mapping[str, Tensor]

    @property
    def tokens(self) -> list[str]:
        """What the new tokens are called, the keyword first."""
        count = len(next(iter(self.rows.values())))
        return [self.keyword, *(f"{self.keyword}_{number}" for number in range(1, count))]

    def spelt(self, prompt: str) -> str:
        """The prompt with all tokens where the keyword stands."""
        return prompt.replace(self.keyword, " ".join(self.tokens))


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
