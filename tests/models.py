"""Random-weight Stable Diffusion models of the real class layouts, built in code in a second and saved as folders."""

import shutil
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiffusionPipeline,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from decal.presets import MINI

Prediction = Literal["epsilon", "v_prediction"]


@cache
def _tokenizer(folder: Path) -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(folder)


def stock_pipeline(folder: Path, kind: Any = DiffusionPipeline, **parts: object) -> Any:
    """A pipeline of diffusers' own, read anew but for its tokenizers, which take a third of a second each. kind: its class."""
    tokenizers = {path.name: _tokenizer(path) for path in folder.glob("tokenizer*")}
    pipeline = kind.from_pretrained(folder, **tokenizers, **parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def build(folder: Path, *, prediction: Prediction = "epsilon", sample_size: int = 8, zero_snr: bool = False) -> Path:
    """A model with the blocks of SD 1.x and 2.x, a stride of 8 and small widths.

    sample_size: side of the latents; 96 makes it a 768 px model.
    """
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=sample_size,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=1,
        norm_num_groups=8,
        use_linear_projection=prediction == "v_prediction",
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=sample_size * 8,
    )
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=49408,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=77,
            bos_token_id=49406,
            eos_token_id=49407,
        )
    )
    tokenizer = CLIPTokenizer.from_pretrained(Path(MINI.where) / "tokenizer", model_max_length=77)
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=zero_snr,
        steps_offset=1,
        prediction_type=prediction,
        rescale_betas_zero_snr=zero_snr,
        timestep_spacing="trailing" if zero_snr else "leading",
    )
    shutil.rmtree(folder, ignore_errors=True)
    StableDiffusionPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


def build_xl(folder: Path, *, is_turbo: bool = False) -> Path:
    """An SDXL of 64 px with two text encoders, of which the first is 16 wide, and the sizes of a picture told to its UNet.

    is_turbo: with the scheduler file of SDXL-Turbo. Two residual blocks a side and a downsampling without attention, as in SDXL.
    """
    torch.manual_seed(0)
    texts = []
    for kind, width in ((CLIPTextModel, 16), (CLIPTextModelWithProjection, 32)):
        config = CLIPTextConfig(
            vocab_size=49408,
            hidden_size=width,
            intermediate_size=2 * width,
            projection_dim=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=77,
            bos_token_id=49406,
            eos_token_id=49407,
        )
        texts.append(kind(config))
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        layers_per_block=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2),
        cross_attention_dim=48,
        attention_head_dim=(1, 2),
        norm_num_groups=8,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=24 + 6 * 8,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=64,
        scaling_factor=0.13025,
    )
    noise = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "prediction_type": "epsilon"}
    scheduler = (
        EulerAncestralDiscreteScheduler(timestep_spacing="trailing", steps_offset=1, **noise)
        if is_turbo
        else EulerDiscreteScheduler(timestep_spacing="leading", steps_offset=1, **noise)
    )
    shutil.rmtree(folder, ignore_errors=True)
    at = Path(MINI.where) / "tokenizer"
    StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=texts[0],
        text_encoder_2=texts[1],
        tokenizer=CLIPTokenizer.from_pretrained(at, model_max_length=77),
        tokenizer_2=CLIPTokenizer.from_pretrained(at, model_max_length=77, pad_token="!"),
        unet=unet,
        scheduler=scheduler,
        add_watermarker=False,
    ).save_pretrained(folder)
    return folder
