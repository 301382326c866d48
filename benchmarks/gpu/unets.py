"""The UNets of SD 2.1 and SDXL with random weights, and tiny ones of the same layout, for measuring.

Speed asks for shapes and not for weights.

Source of the shapes: the published `unet/config.json` of stable-diffusion-2-1-base and stable-diffusion-xl-base-1.0.
"""

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

SD = {
    "sample_size": 64,
    "block_out_channels": (320, 640, 1280, 1280),
    "attention_head_dim": (5, 10, 20, 20),
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
}
SDXL = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
TINY_SD = SD | {"sample_size": 8, "block_out_channels": (32, 64, 64, 64), "attention_head_dim": (1, 2, 2, 2), "cross_attention_dim": 32}
TINY_SDXL = SDXL | {
    "sample_size": 8,
    "block_out_channels": (32, 64, 64),
    "transformer_layers_per_block": (1, 1, 2),
    "attention_head_dim": (1, 2, 2),
    "cross_attention_dim": 64,
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 24 + 6 * 8,
}
CONFIGS = {"sd2.1": (SD, TINY_SD), "sdxl": (SDXL, TINY_SDXL)}


@dataclass(frozen=True)
class Inputs:
    """What one step learns from, in tensors that stay where they are, so that a captured step can be given new values in them."""

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    states: Tensor
    added: dict[str, Tensor] | None


def unet(name: str, *, is_tiny: bool, device: torch.device, dtype: torch.dtype) -> Any:
    """A UNet with random weights, frozen."""
    torch.manual_seed(0)
    with torch.device(device):
        model = UNet2DConditionModel(**CONFIGS[name][is_tiny])
    return model.to(dtype).requires_grad_(False).train()


def inputs(model: Any, batch: int) -> Inputs:
    """Random latents, text and noise for a UNet."""
    config, like = model.config, {"device": model.device, "dtype": model.dtype}
    torch.manual_seed(1)
    shape = (batch, 4, config.sample_size, config.sample_size)
    added = None
    if config.addition_embed_type:
        pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        side = float(config.sample_size * 8)
        sizes = torch.tensor([[side, side, 0, 0, side, side]] * batch, **like)
        added = {"text_embeds": torch.randn(batch, pooled, **like), "time_ids": sizes}
    return Inputs(
        torch.randn(shape, **like),
        torch.randn(shape, **like),
        torch.randint(1000, (batch,), device=model.device),
        torch.randn(batch, 77, config.cross_attention_dim, **like),
        added,
    )
