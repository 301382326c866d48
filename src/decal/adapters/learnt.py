"""Embeddings of words as files beside a LoRA, one a word, in the form that diffusers, A1111 and ComfyUI read.

One text encoder: `emb_params`, two: `clip_l` and `clip_g`, each [N, width]. The words stand in the header of the LoRA, since the tools
name an embedding by its file or by what they are told.
Sources: diffusers loaders/textual_inversion.py; ComfyUI comfy/sd1_clip.py `load_embed`; A1111 modules/textual_inversion.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialize
from torch import Tensor

from decal import embeddings, project
from decal.bases.words import Words
from decal.errors import AdapterError

ALONE = {"emb_params": "text_encoder"}
PAIR = {"clip_l": "text_encoder", "clip_g": "text_encoder_2"}


def words_to_bytes(rows: Mapping[str, Tensor]) -> bytes:
    """The file of a word's embeddings. rows: by text encoder, [N, width]."""
    names = ALONE if len(rows) == 1 else PAIR
    return serialize({key: rows[part].detach().float().cpu().contiguous() for key, part in names.items()})


def read_words(path: Path) -> Words | None:
    """The embeddings that a LoRA needs, by the header of its file; None where it needs none. Raises AdapterError where they are gone."""
    files = embeddings.beside(path)
    for word, one in files.items():
        if not word or not one.path.is_file() or project.sha256(one.path) != one.sha256:
            raise AdapterError(
                f"{path} was trained with embeddings of its own, and {one.path.name} beside it is missing or not the one that belongs to "
                "it.\nPut it back; without it the LoRA draws something else."
            )
    return Words({word: _rows(one.path) for word, one in files.items()}) if files else None


def _rows(file: Path) -> dict[str, Tensor]:
    """The embeddings of one word, by text encoder. Raises AdapterError where the file is damaged or holds something else."""
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as problem:
        raise AdapterError(f"{file} cannot be read ({problem}).\nTake another checkpoint, or train it again.") from problem
    names = ALONE if set(tensors) == set(ALONE) else PAIR
    shapes = {tensor.shape[:1] for tensor in tensors.values()}
    are_rows = all(rows.dim() == 2 and bool(torch.isfinite(rows).all()) for rows in tensors.values())
    is_sound = set(tensors) == set(names) and len(shapes) == 1 and are_rows
    if not is_sound:
        raise AdapterError(f"{file} holds no embeddings that Decal knows ({', '.join(sorted(tensors))}).\nTake another checkpoint.")
    return {part: tensors[key] for key, part in names.items()}
