"""Embedders that the user brings: the towers of CLIP, SigLIP and DINOv2 that see, as transformers saves them.

What is in a picture is the vector that the model was trained to compare pictures by. How it is drawn is the mean and the deviation over all
patches of the layer a quarter of the way up, where textures and edges are still to be found. Neither was tuned for any of these models.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from decal.embedders.where import folder_of
from decal.errors import BaseModelError
from decal.vision import Embeddings

BATCH = 16
DEPTH = 0.25


class Foreign:
    """A vision transformer with its own way to prepare pictures."""

    def __init__(self, network: Any, kind: str, processor: Any, device: torch.device):
        self._network = network.to(device, torch.float32).eval().requires_grad_(False)
        self._kind, self._processor, self._device = kind, processor, device

    @classmethod
    def load(cls, name: str, device: torch.device) -> "Foreign":
        """The model of that folder or hub id. Raises BaseModelError where it is damaged or of a kind that Decal does not know."""
        import transformers

        folder = folder_of(name)
        return cls(model_of(folder), kind_of(folder), loaded(transformers.AutoImageProcessor, folder), device)

    def embed(self, pictures: Sequence[Image.Image]) -> Embeddings:
        """What is seen in RGB pictures."""
        tower = self._network if self._kind == "dinov2" else self._network.vision_model
        content, style = [], []
        for first in range(0, len(pictures), BATCH):
            pixels = self._processor(images=list(pictures[first : first + BATCH]), return_tensors="pt")["pixel_values"]
            with torch.inference_mode():
                seen = tower(pixel_values=pixels.to(self._device), output_hidden_states=True)
                vectors = self._network.visual_projection(seen.pooler_output) if self._kind == "clip" else seen.pooler_output
            layers = seen.hidden_states
            patches = layers[max(1, round(DEPTH * (len(layers) - 1)))]
            textures = torch.cat([patches.mean(dim=1), patches.std(dim=1, correction=0)], dim=1)
            content.append(functional.normalize(vectors.float()).cpu().numpy())
            style.append(functional.normalize(textures.float()).cpu().numpy())
        return Embeddings(np.concatenate(content), np.concatenate(style))


def encode_texts(name: str, texts: Sequence[str], device: str) -> NDArray[np.float32]:
    """Vectors of texts that can be compared with those of pictures, [N, C], length 1.

    Raises BaseModelError where the model reads no text.
    """
    import transformers

    folder = folder_of(name)
    kind = kind_of(folder)
    if kind == "dinov2":
        raise BaseModelError(f"{folder} is of the kind {kind!r}, which reads no text.\nName a CLIP or a SigLIP in compare.reader.")
    where = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    network, tokenizer = model_of(folder).to(where, torch.float32).eval(), loaded(transformers.AutoTokenizer, folder)
    tower = network.text_model
    # SigLIP was trained on texts that are always padded to the full length.
    padding = "max_length" if kind == "siglip" else True
    length = tower.config.max_position_embeddings
    rows = []
    for first in range(0, len(texts), BATCH):
        part = list(texts[first : first + BATCH])
        ids = tokenizer(part, padding=padding, max_length=length, truncation=True, return_tensors="pt").input_ids
        with torch.inference_mode():
            seen = tower(input_ids=ids.to(where)).pooler_output
            vectors = network.text_projection(seen) if kind == "clip" else seen
        rows.append(functional.normalize(vectors.float()).cpu().numpy())
    return np.concatenate(rows)


def model_of(folder: Path) -> Any:
    """The whole model of a folder. Raises BaseModelError where it is damaged, of an unknown kind, or lacks some of its weights."""
    import transformers

    kinds = {"clip": transformers.CLIPModel, "siglip": transformers.SiglipModel, "dinov2": transformers.Dinov2Model}
    kind = kind_of(folder)
    if kind not in kinds:
        raise BaseModelError(
            f"{folder} is of the kind {kind!r}, which Decal cannot look with.\n"
            f"There are: {', '.join(kinds)}. Or leave compare.embedder and compare.reader out."
        )
    # What is missing or of another shape would be made up at random, with no more than a warning.
    network, told = loaded(kinds[kind], folder, output_loading_info=True)
    lacking = sorted({*told["missing_keys"], *(str(one) for one in told["mismatched_keys"])})
    if lacking:
        raise BaseModelError(f"{folder} lacks {lacking[0]} and {len(lacking) - 1} more of its weights.\nGet the whole model.")
    return network


def kind_of(folder: Path) -> str:
    """The kind of model in a folder, by its configuration."""
    import transformers

    try:
        kind = str(transformers.PretrainedConfig.get_config_dict(folder)[0].get("model_type", ""))
    except (OSError, ValueError) as problem:
        raise BaseModelError(f"{folder}: config.json cannot be read ({problem}).\nName a complete model.") from problem
    return kind


def loaded(kind: Any, folder: Path, **how: bool) -> Any:
    """A part of a model from its folder. Raises BaseModelError where it is damaged."""
    try:
        return cast(Any, kind.from_pretrained(folder, local_files_only=True, **how))
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as problem:
        said = (str(problem).strip() or type(problem).__name__).splitlines()[0]
        raise BaseModelError(
            f"{folder} cannot be loaded ({said}).\nIt is incomplete or damaged; name another in compare.embedder."
        ) from problem
