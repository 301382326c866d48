"""An SD 2.1 with random weights as a folder, which whole programs can train on."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
from unets import CONFIGS, unet

from decal.presets import MINI


def write_sd(folder: Path, *, is_tiny: bool) -> Path:
    """Write the model; its tokenizer is that of the embedded base. Source of the sizes: stable-diffusion-2-1-base."""
    cpu = torch.device("cpu")
    width = int(str(CONFIGS["sd2.1"][is_tiny]["cross_attention_dim"]))
    text = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=2 if is_tiny else 23,
        num_attention_heads=width // (16 if is_tiny else 64),
        max_position_embeddings=77,
        hidden_act="gelu",
        bos_token_id=49406,
        eos_token_id=49407,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8) if is_tiny else (128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1 if is_tiny else 2,
        norm_num_groups=4 if is_tiny else 32,
        latent_channels=4,
        sample_size=64 if is_tiny else 512,
    )
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False, steps_offset=1
    )
    StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=CLIPTokenizer.from_pretrained(Path(MINI.where) / "tokenizer", model_max_length=77),
        unet=unet("sd2.1", is_tiny=is_tiny, device=cpu, dtype=torch.float32),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder
