"""Pictures to vectors, by `decal.vision`: what is on them (content) and how they are drawn (style). Vectors are kept in the work folder."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from decal import project, vision
from decal.vision import Embedder
from mini.drawn import keep

Vectors = NDArray[np.float32]


class Looks:
    """Content and style vectors, rows of length 1 in the order of the pictures."""

    def __init__(self, folder: Path, device: str) -> None:
        self._embedder = Embedder.load(torch.device(device))
        # Vectors of another embedder, or of another way to feed it, are never mixed in.
        self._folder = folder / f"{project.sha256(vision.WEIGHTS)[:8]}-{project.sha256(Path(vision.__file__))[:8]}"
        self._folder.mkdir(parents=True, exist_ok=True)

    def content(self, pixels: NDArray[np.uint8]) -> Vectors:
        """What is on each picture. pixels: [N, S, S, 3]; returns [N, D]."""
        return self._kept(pixels, "content")

    def style(self, pixels: NDArray[np.uint8]) -> Vectors:
        """How each picture is drawn."""
        return self._kept(pixels, "style")

    def _kept(self, pixels: NDArray[np.uint8], what: str) -> Vectors:
        known = hashlib.sha256(pixels.tobytes()).hexdigest()[:16]
        paths = {kind: self._folder / f"{known}-{kind}.npy" for kind in ("content", "style")}
        if not all(path.exists() for path in paths.values()):
            seen = self._embedder.embed(Image.fromarray(one) for one in pixels)
            keep(paths["content"], seen.content)
            keep(paths["style"], seen.style)
        return np.asarray(np.load(paths[what]))
