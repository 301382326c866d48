"""Begin a training from a base that `export.py` wrote, instead of from nothing.

The base itself, and the turbo student, take over every weight. The twin in SDXL's layout is half as wide, so it takes every second channel
of every layer; its text encoders and what it is told of sizes are new.
"""

import math
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from model import Vocabulary
from torch import Tensor, nn
from transformers import CLIPTextModel


@torch.no_grad()
def load_base(unet: nn.Module, text_encoder: CLIPTextModel, *, folder: Path, vocabulary: Vocabulary) -> None:
    """Take over all weights; the token table is the compact one of the vocabulary."""
    unet.load_state_dict(UNet2DConditionModel.from_pretrained(folder / "unet").state_dict())
    state = CLIPTextModel.from_pretrained(folder / "text_encoder").state_dict()
    name = next(key for key in state if key.endswith("token_embedding.weight"))
    table = text_encoder.get_input_embeddings().weight.detach().clone()
    table[: len(vocabulary.known)] = state[name][list(vocabulary.known)]
    text_encoder.load_state_dict({**state, name: table})


@torch.no_grad()
def load_half(twin: nn.Module, folder: Path) -> None:
    """Take over every second channel; what the twin is told beyond the caption begins at zero."""
    wide = UNet2DConditionModel.from_pretrained(folder / "unet").state_dict()
    for name, weight in twin.named_parameters():
        if name.startswith("add_embedding.linear_2"):
            weight.zero_()
        elif name in wide and not name.endswith(("attn2.to_k.weight", "attn2.to_v.weight")):
            weight.copy_(halved(wide[name], weight.shape))


def halved(wide: Tensor, shape: torch.Size) -> Tensor:
    """Every second row and column of a weight, larger by the root of the share of its inputs that are gone."""
    # A 1 x 1 convolution of the base is a linear layer of the twin.
    narrow = wide.reshape(wide.shape[: len(shape)])
    for place in range(min(2, len(shape))):
        step = narrow.shape[place] // shape[place]
        narrow = narrow.index_select(place, torch.arange(0, narrow.shape[place], step))
    lost = wide.shape[1] / shape[1] if len(shape) > 1 else 1.0
    return narrow * math.sqrt(lost)
