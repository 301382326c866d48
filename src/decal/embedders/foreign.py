"""Embedders that the user brings: the towers of CLIP, SigLIP and DINOv2 that see, as transformers saves them.

What is in a picture is the vector that the model was trained to compare pictures by. How it is drawn is the mean and the deviation over all
patches of the layer a quarter of the way up, where textures and edges are still to be found. Neither was tuned for any of these models.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from decal.embedders.where import folder_of
from decal.errors import BaseModelError
from decal.vision import Embeddings

BATCH = 16
DEPTH = 0.25


class Foreign:
    """A vision transformer with its own way to prepare pictures."""

    def __init__(self, network: Any, processor: Any, device: torch.device):
        self._network = network.to(device, torch.float32).eval().requires_grad_(False)
        self._processor, self._device = processor, device

    @classmethod
    def load(cls, name: str, device: torch.device) -> "Foreign":
        """The model of that folder or hub id. Raises BaseModelError where it is damaged or of a kind that Decal does not know."""
        import transformers

        folder = folder_of(name)
        kind = kind_of(folder)
        towers = {
            "clip": transformers.CLIPVisionModelWithProjection,
            "siglip": transformers.SiglipVisionModel,
            "dinov2": transformers.Dinov2Model,
        }
        if kind not in towers:
            raise BaseModelError(
                f"{folder} is of the kind {kind!r}, which Decal cannot look with.\n"
                f"There are: {', '.join(towers)}. Or leave compare.embedder out."
            )
        return cls(loaded(towers[kind], folder), loaded(transformers.AutoImageProcessor, folder), device)

    def embed(self, pictures: Sequence[Image.Image]) -> Embeddings:
        """What is seen in RGB pictures."""
        content, style = [], []
        for first in range(0, len(pictures), BATCH):
            pixels = self._processor(images=list(pictures[first : first + BATCH]), return_tensors="pt")["pixel_values"]
            with torch.inference_mode():
                seen = self._network(pixel_values=pixels.to(self._device), output_hidden_states=True)
            layers = seen.hidden_states
            patches = layers[max(1, round(DEPTH * (len(layers) - 1)))]
            textures = torch.cat([patches.mean(dim=1), patches.std(dim=1, correction=0)], dim=1)
            vectors = seen["image_embeds"] if "image_embeds" in seen else seen["pooler_output"]
            content.append(functional.normalize(vectors.float()).cpu().numpy())
            style.append(functional.normalize(textures.float()).cpu().numpy())
        return Embeddings(np.concatenate(content), np.concatenate(style))


def kind_of(folder: Path) -> str:
    """The kind of model in a folder, by its configuration, the tower's own or that of the whole."""
    import transformers

    try:
        kind = str(transformers.PretrainedConfig.get_config_dict(folder)[0].get("model_type", ""))
    except (OSError, ValueError) as problem:
        raise BaseModelError(f"{folder}: config.json cannot be read ({problem}).\nName a complete model.") from problem
    return kind.removesuffix("_vision_model")


def loaded(kind: Any, folder: Path) -> Any:
    """A part of a model from its folder. Raises BaseModelError where it is damaged."""
    try:
        return cast(Any, kind.from_pretrained(folder, local_files_only=True))
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as problem:
        said = (str(problem).strip() or type(problem).__name__).splitlines()[0]
        raise BaseModelError(
            f"{folder} cannot be loaded ({said}).\nIt is incomplete or damaged; name another in compare.embedder."
        ) from problem
