"""The recipe of the embedded models: what a training begins with, and that what it writes is read by stock diffusers."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from decal.presets import MINI

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes" / "mini"))

from base import STRANGERS, Base, Twin
from begin import load_base, load_half
from captions import caption
from data import Row, on_white
from looks import BOTH, OUTLINED, TWO_TONED, looked
from model import Parts, Vocabulary, vae, write

CAPTIONS = ("noto style sticker of a red apple", "a sticker of a cat face")


@pytest.fixture
def face() -> Image.Image:
    """A yellow disc with two dark eyes on a transparent square."""
    drawing = Image.new("RGBA", (256, 256))
    pen = ImageDraw.Draw(drawing)
    pen.ellipse((40, 40, 216, 216), fill=(255, 200, 60, 255))
    for left in (90, 146):
        pen.ellipse((left, 100, left + 20, 130), fill=(60, 40, 20, 255))
    return drawing


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.of(["", *CAPTIONS])


@pytest.fixture(scope="module")
def twin(vocabulary: Vocabulary) -> Twin:
    torch.manual_seed(0)
    model = Twin(len(vocabulary.known) + STRANGERS)
    load_half(model.unet, Path(MINI.where))
    return model


@torch.no_grad()
def test_a_student_begins_with_what_the_base_understands(vocabulary: Vocabulary) -> None:
    from decal.bases.sd import StableDiffusion

    student = Base(len(vocabulary.known) + STRANGERS).eval()
    load_base(student.unet, student.text_encoder, folder=Path(MINI.where), vocabulary=vocabulary)
    base = StableDiffusion("mini", device=torch.device("cpu"), dtype=torch.float32)
    latents, timesteps = torch.randn(2, 8, 16, 16), torch.tensor([999, 300])
    told = base.predict(latents, timesteps, base.encode_prompts(CAPTIONS))
    assert torch.allclose(student(latents, timesteps, vocabulary.rows(CAPTIONS), torch.empty(0)), told, atol=1e-4)


@torch.no_grad()
def test_the_twin_begins_with_every_second_channel_and_deaf_to_sizes(vocabulary: Vocabulary, twin: Twin) -> None:
    from safetensors.torch import load_file

    wide = load_file(Path(MINI.where) / "unet" / "diffusion_pytorch_model.safetensors")
    assert torch.equal(twin.unet.conv_in.weight, wide["conv_in.weight"].float()[::2])
    latents, timesteps, rows = torch.randn(2, 8, 16, 16), torch.tensor([999, 300]), vocabulary.rows(CAPTIONS)
    large, small = (twin(latents, timesteps, rows, torch.full((2, 6), side)) for side in (128, 64))
    assert torch.equal(large, small)


def test_a_twin_is_written_in_the_layout_of_sdxl(vocabulary: Vocabulary, twin: Twin, tmp_path: Path) -> None:
    from diffusers import AutoPipelineForText2Image

    write(tmp_path / "xl", Parts(vae(), twin.unet, (twin.text_encoder, twin.text_encoder_2), vocabulary))
    pipeline = AutoPipelineForText2Image.from_pretrained(tmp_path / "xl")
    assert (type(pipeline).__name__, pipeline.dtype) == ("StableDiffusionXLPipeline", torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline(CAPTIONS[0], num_inference_steps=2, output_type="np").images.shape == (1, 128, 128, 3)


def test_an_outline_is_dark_all_round_and_leaves_the_middle_as_it_was(face: Image.Image) -> None:
    before, after = (np.asarray(drawing).astype(int) for drawing in (face, looked(face, OUTLINED, random.Random(0)).drawing))
    turns = np.linspace(0, 2 * np.pi, 60)
    edge = after[(128 + 88 * np.sin(turns)).astype(int), (128 + 88 * np.cos(turns)).astype(int)]
    assert (edge[:, :3] < 80).all()
    assert (edge[:, 3] > 200).all()
    assert np.array_equal(after[80:176, 80:176], before[80:176, 80:176])


def test_two_tones_keep_the_features_and_the_caption_names_both(face: Image.Image) -> None:
    made = looked(face, TWO_TONED, random.Random(1))
    pixels = on_white(made.drawing, 128).astype(int)
    assert abs(pixels[57, 50] - pixels[80, 64]).max() > 60
    assert np.array_equal(pixels[80, 64], pixels[90, 64])
    row = Row(0, "face", "face", "noto", ("a face",), made.colour, 1, True, look=BOTH, other=made.other)
    said = {caption(row, random.Random(seed)) for seed in range(40)}
    assert all("outline" in one for one in said)
    assert any(f"{made.colour} and {made.other}" in one for one in said)
