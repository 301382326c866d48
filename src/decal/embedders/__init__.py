"""Networks that look at pictures, behind one protocol: the one that comes with Decal, and others by folder or hub id.

Pictures go in, `Embeddings` come out: what is in a picture, and how it is drawn. The small one is always there; larger ones see more, and
their weights are the user's to bring. torch is imported once something is loaded, so that naming an embedder stays instant.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from PIL import Image

from decal.embedders.where import DEFAULT

if TYPE_CHECKING:
    from decal.vision import Embeddings


class Embedder(Protocol):
    """Something that looks at pictures."""

    def embed(self, pictures: Sequence[Image.Image]) -> "Embeddings":
        """What is seen in RGB pictures; a row does not depend on the others."""
        ...


def load(name: str, device: str) -> Embedder:
    """The embedder of that name, folder or hub id. Raises BaseModelError where it cannot be had.

    device: auto takes a GPU where there is one.
    """
    import torch

    from decal import vision
    from decal.embedders.foreign import Foreign

    where = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    return vision.Embedder.load(where) if name == DEFAULT else Foreign.load(name, where)
