"""Write a trained base as a folder that `StableDiffusionPipeline.from_pretrained` loads, and pictures of it to look at.

python recipes/mini/export.py RUN --data DATA --vae RUN_OF_THE_VAE/vae.safetensors --out FOLDER [--sheet sheet.png]
"""

import argparse
from pathlib import Path

import torch
from base import STRANGERS, Base, Twin, vocabulary_of
from data import read_rows
from diffusers import DiffusionPipeline
from model import Parts, vae, write
from packs import PACKS
from PIL import Image
from safetensors.torch import load_file

SUBJECTS = (
    "a crying face", "a smiling face with sunglasses", "a face with tears of joy", "an angry face", "a cat face", "a tiger face", "a mouse",
    "a penguin", "an apple", "a slice of pizza", "a green heart", "an evergreen tree", "a rocket", "an umbrella",
)  # fmt: skip


def parts_of(run: Path, data: Path, vae_weights: Path, *, is_twin: bool) -> Parts:
    """The models of a run."""
    vocabulary = vocabulary_of(read_rows(data / "rows.jsonl"))
    model = (Twin if is_twin else Base)(len(vocabulary.known) + STRANGERS)
    model.load_state_dict(load_file(run / "base.safetensors"))
    autoencoder = vae()
    autoencoder.load_state_dict(load_file(vae_weights))
    encoders = (model.text_encoder, model.text_encoder_2) if isinstance(model, Twin) else (model.text_encoder,)
    return Parts(autoencoder, model.unet, encoders, vocabulary)


def draw_sheet(folder: Path, *, guidance: float, steps: int) -> Image.Image:
    """One row a style, one column a subject, all from the same noise."""
    pipeline = DiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    side = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
    sheet = Image.new("RGB", (side * len(SUBJECTS), side * len(PACKS)), "white")
    for row, pack in enumerate(PACKS):
        prompts = [f"{pack.style} style sticker of {subject}" for subject in SUBJECTS]
        noise = [torch.Generator().manual_seed(7) for _ in prompts]
        drawn = pipeline(prompts, guidance_scale=guidance, num_inference_steps=steps, generator=noise, output_type="pil").images
        for column, picture in enumerate(drawn):
            sheet.paste(picture, (column * side, row * side))
    return sheet


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Write a trained base as a Stable Diffusion folder.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--twin", action="store_true", help="in SDXL's layout")
    parser.add_argument("--sheet", type=Path, help="also draw one prompt a column and one style a row")
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--sampling-steps", type=int, default=20)
    given = parser.parse_args()
    write(given.out, parts_of(given.run, given.data, given.vae, is_twin=given.twin))
    if given.sheet:
        draw_sheet(given.out, guidance=given.guidance, steps=given.sampling_steps).save(given.sheet)


if __name__ == "__main__":
    main()
