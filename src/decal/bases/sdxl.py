"""Stable Diffusion XL and models that were made of it, SDXL-Turbo among them.

Two text encoders give states side by side, of their last layer but one, and the second a pooled vector. The denoiser is also told each
picture's original size, the corner of its crop and its size, so that small originals need not teach it blur, nor crops cut-off heads.
An empty prompt is all zeros where the model's own pipeline has it so; the model was trained without text in that way.
Source: Podell et al. 2023, arXiv:2307.01952, section 2.2; StableDiffusionXLPipeline of diffusers for the order of the six numbers.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, ClassVar, cast

import torch
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from decal.bases import Conditioning
from decal.bases.places import locate
from decal.bases.sd import StableDiffusion
from decal.errors import BaseModelError
from decal.pictures import Frame

# Height and width of the original, top and left of the crop, height and width of the picture.
SIZES = 6


class StableDiffusionXL(StableDiffusion):
    """An SDXL model; implements `decal.bases.Base`."""

    encoders: ClassVar[dict[str, tuple[str, Any]]] = {
        "text_encoder": ("tokenizer", CLIPTextModel),
        "text_encoder_2": ("tokenizer_2", CLIPTextModelWithProjection),
    }

    @staticmethod
    def fits(model: str) -> bool:
        """Whether the UNet of a base is told sizes and a pooled text."""
        try:
            config = json.loads((locate(model) / "unet" / "config.json").read_text("utf-8"))
        except (OSError, ValueError):
            return False  # Whoever loads it says what is wrong.
        return bool(config.get("addition_embed_type") == "text_time")

    def __init__(self, model: str, *, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(model, device=device, dtype=dtype)
        self._empty_is_zero = bool(self._config("model_index.json").get("force_zeros_for_empty_prompt", True))

    def fingerprint(self, *parts: str) -> str:
        return hashlib.sha256(f"{super().fingerprint(*parts)} {self._empty_is_zero}".encode()).hexdigest()

    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        states = []
        for part in self.encoders:
            told = self._read(part, prompts, output_hidden_states=True)
            states.append(told.hidden_states[-2])
        joined, pooled = torch.cat(states, dim=-1).to(self.dtype), told.text_embeds.to(self.dtype)
        if self._empty_is_zero:
            empty = [row for row, prompt in enumerate(prompts) if not prompt]
            joined[empty] = 0
            pooled[empty] = 0
        return {"encoder_hidden_states": joined, "pooled": pooled}

    def encode_frames(self, frames: Sequence[Frame]) -> Conditioning:
        # In float32, because bfloat16 would round 1023 px to 1024.
        numbers = [[*frame.original, *frame.corner, *frame.size] for frame in frames]
        return {"sizes": torch.tensor(numbers, dtype=torch.float32, device=self.device).reshape(-1, SIZES)}

    def predict(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        told = {"text_embeds": conditioning["pooled"].to(self.dtype), "time_ids": conditioning["sizes"]}
        states = conditioning["encoder_hidden_states"].to(self.dtype)
        predicted = self.denoiser(
            latents.to(self.dtype), timesteps, encoder_hidden_states=states, added_cond_kwargs=told, return_dict=False
        )[0]
        return cast(Tensor, predicted)

    def _architecture(self, text_width: int) -> tuple[str, str | None]:
        return "stable-diffusion-xl-v1-base", "sdxl_base_v1-0"

    def _require_kind(self, unet: dict[str, Any], vae: dict[str, Any]) -> None:
        pooled = int(self._config("text_encoder_2/config.json")["projection_dim"])
        wanted = pooled + SIZES * int(unet["addition_time_embed_dim"])
        if unet["in_channels"] != vae["latent_channels"] or unet.get("projection_class_embeddings_input_dim") != wanted:
            raise BaseModelError(
                f"{self.folder} is not a text-to-image SDXL: its UNet takes other inputs (inpainting or the refiner).\n"
                "Name a plain SDXL model in base.model."
            )
        if vae.get("latents_mean") is not None:
            raise BaseModelError(
                f"{self.folder}: its VAE moves latents by a mean, as Playground v2.5 does, and Decal does not know that.\n"
                "Name a model with SDXL's own VAE in base.model."
            )
