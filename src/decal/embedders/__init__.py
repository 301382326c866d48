"""Networks that look at pictures, behind one protocol: the one that comes with Decal, and others by folder or hub id.

Pictures go in, `Embeddings` come out: what is in a picture, and how it is drawn. The small one is always there; larger ones see more, and
their weights are the user's to bring.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from PIL import Image

from decal.embedders.where import DEFAULT
from decal.vision import Embedder as SqueezeNetEmbedder
from decal.vision import Embeddings


class Embedder(Protocol):
    """Something that looks at pictures."""

    def embed(self, pictures: Sequence[Image.Image]) -> Embeddings:
        """What is seen in RGB pictures; a row does not depend on the others."""
        ...


def load(name: str, device: str) -> Embedder:
    """The embedder of that name, folder or hub id. Raises BaseModelError where it cannot be had.

    device: auto takes a GPU where there is one.
    """
    where = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    if name == DEFAULT:
        return SqueezeNetEmbedder.load(where)
    from decal.embedders.foreign import Foreign

    return Foreign.load(name, where)
