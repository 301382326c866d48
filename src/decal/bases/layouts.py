"""What a single file of weights does not say: how its model is built, as the configuration files of the diffusers layout.

By the short names of known bases, as `single_files.family_of` tells them. The numbers are those of the published configurations;
`tests/test_single_files.py` holds them to the published counts of weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Encoder = Literal["clip", "open_clip"]


@dataclass(frozen=True)
class Layout:
    """How a model is built. configs: by part, as its config.json. texts: prefix of each text encoder's names, and whose code it is of."""

    pipeline: str
    configs: Mapping[str, Mapping[str, Any]]
    texts: Mapping[str, tuple[str, Encoder]]
    scheduler: Mapping[str, Any]
    side_px: int


NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000, "steps_offset": 1}
DDIM = {"_class_name": "DDIMScheduler", **NOISE, "clip_sample": False, "set_alpha_to_one": False, "prediction_type": "epsilon"}
# The scheduler file of SDXL-Turbo.
TURBO = {"_class_name": "EulerAncestralDiscreteScheduler", **NOISE, "prediction_type": "epsilon", "timestep_spacing": "trailing"}


def _unet(blocks: str, **more: object) -> dict[str, Any]:
    """The UNet of Stable Diffusion. blocks: A with attention and D without, on the way down."""
    kinds = {"A": "CrossAttn", "D": ""}
    return {
        "_class_name": "UNet2DConditionModel",
        "in_channels": 4,
        "out_channels": 4,
        "layers_per_block": 2,
        "block_out_channels": [320, 640, 1280, 1280][: len(blocks)],
        "down_block_types": [f"{kinds[one]}DownBlock2D" for one in blocks],
        "up_block_types": [f"{kinds[one]}UpBlock2D" for one in reversed(blocks)],
        **more,
    }


def _vae(scaling: float, side_px: int) -> dict[str, Any]:
    return {
        "_class_name": "AutoencoderKL",
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "layers_per_block": 2,
        "latent_channels": 4,
        "scaling_factor": scaling,
        "sample_size": side_px,
    }


def _text(width: int, layers: int, act: str, projection: int) -> dict[str, Any]:
    return {
        "model_type": "clip_text_model",
        "vocab_size": 49408,
        "max_position_embeddings": 77,
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": width // 64,
        "hidden_act": act,
        "projection_dim": projection,
        "bos_token_id": 49406,
        "eos_token_id": 49407,
        "pad_token_id": 1,
    }


CLIP_L = _text(768, 12, "quick_gelu", 768)
SD_1 = Layout(
    "StableDiffusionPipeline",
    {
        "unet": _unet("AAAD", sample_size=64, cross_attention_dim=768, attention_head_dim=8),
        "vae": _vae(0.18215, 512),
        "text_encoder": CLIP_L,
    },
    {"text_encoder": ("cond_stage_model.transformer.", "clip")},
    DDIM,
    512,
)


def _sd_2(side_px: int, prediction: str) -> Layout:
    unet = _unet("AAAD", sample_size=side_px // 8, cross_attention_dim=1024, attention_head_dim=[5, 10, 20, 20], use_linear_projection=True)
    # The last layer of its text encoder is not used, so it is not there.
    configs = {"unet": unet, "vae": _vae(0.18215, 768), "text_encoder": _text(1024, 23, "gelu", 512)}
    texts: dict[str, tuple[str, Encoder]] = {"text_encoder": ("cond_stage_model.model.", "open_clip")}
    return Layout("StableDiffusionPipeline", configs, texts, {**DDIM, "prediction_type": prediction}, side_px)


def _sdxl(scheduler: Mapping[str, Any], side_px: int) -> Layout:
    unet = _unet(
        "DAA",
        sample_size=side_px // 8,
        cross_attention_dim=2048,
        attention_head_dim=[5, 10, 20],
        transformer_layers_per_block=[1, 2, 10],
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
    )
    configs = {"unet": unet, "vae": _vae(0.13025, 1024), "text_encoder": CLIP_L, "text_encoder_2": _text(1280, 32, "gelu", 1280)}
    texts: dict[str, tuple[str, Encoder]] = {
        "text_encoder": ("conditioner.embedders.0.transformer.", "clip"),
        "text_encoder_2": ("conditioner.embedders.1.model.", "open_clip"),
    }
    return Layout("StableDiffusionXLPipeline", configs, texts, scheduler, side_px)


LAYOUTS: dict[str, Layout] = {
    "sd1.5": SD_1,
    "sd2.1": _sd_2(768, "v_prediction"),
    "sd2.1-base": _sd_2(512, "epsilon"),
    "sdxl": _sdxl(DDIM, 1024),
    "sdxl-turbo": _sdxl(TURBO, 512),
}
