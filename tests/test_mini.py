"""The models that come with Decal, as stock diffusers sees them: `from_pretrained` on a folder, no dtype given, no network."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from decal import presets
from decal.bases import load
from decal.generate import finite, generate
from decal.presets import BASES, MINI
from decal.records import Cell
from decal.settings import parse, resolve

FOLDER = Path(presets.__file__).parent / "mini"
SUBJECTS = ("noto style sticker of a red apple", "twemoji style sticker of a green heart", "flat style sticker of a neutral face")
Pixels = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


@cache
def draw(folder: Path, steps: int, guidance: float, seed: int = 0) -> Pixels:
    """One picture of each subject by the stock pipeline, [3, 128, 128, 3], 0..1; models of one latent size draw from the same noise."""
    from diffusers import AutoPipelineForText2Image

    pipeline = AutoPipelineForText2Image.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    noise = [torch.Generator().manual_seed(seed + number) for number in range(len(SUBJECTS))]
    drawn = pipeline(list(SUBJECTS), num_inference_steps=steps, guidance_scale=guidance, generator=noise, output_type="np")
    return np.asarray(drawn.images, dtype=np.float32)


def apart(one: Pixels, other: Pixels) -> list[float]:
    """The root mean square difference of each pair."""
    return [float(value) for value in np.sqrt(((one - other) ** 2).mean(axis=(1, 2, 3)))]


def test_the_models_together_fit_into_seventy_megabytes() -> None:
    sizes = {path: path.stat().st_size for path in FOLDER.rglob("*.safetensors")}
    assert sum(size for path, size in sizes.items() if path.is_relative_to(FOLDER / "sd")) <= 40e6
    assert {path.relative_to(FOLDER).parts[0] for path in sizes} == {"sd", "squeezenet", "turbo", "xl"}
    assert sum(sizes.values()) <= 70e6


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_turbo_draws_in_a_few_steps_what_the_base_draws_in_twenty(steps: int) -> None:
    base, other = draw(Path(MINI.where), 20, 3.0), draw(Path(MINI.where), 20, 3.0, seed=100)
    # Over all subjects: a flat heart is nearly the same from any noise, so that alone another seed of it says nothing.
    assert sum(apart(draw(FOLDER / "turbo", steps, 0.0), base)) < 0.8 * sum(apart(other, base))


@pytest.mark.slow
def test_the_twin_draws_in_the_layout_of_sdxl_in_the_colours_asked_for() -> None:
    kind = json.loads((FOLDER / "xl" / "model_index.json").read_text("utf-8"))["_class_name"]
    ink = [picture[picture.min(axis=-1) < 0.9].mean(axis=0) for picture in draw(FOLDER / "xl", 20, 3.0)]
    red, green, yellow = (colour.argsort().tolist() for colour in ink)
    assert kind == "StableDiffusionXLPipeline"
    # The strongest channel last: an apple is red, a heart green, and a face more red and green than blue.
    assert (red[-1], green[-1], yellow[0]) == (0, 1, 2)


@pytest.mark.slow
def test_the_twin_cuts_off_at_the_left_what_it_is_told_is_cut_there() -> None:
    from diffusers import StableDiffusionXLPipeline

    pipeline = StableDiffusionXLPipeline.from_pretrained(FOLDER / "xl")
    pipeline.set_progress_bar_config(disable=True)
    noise = [torch.Generator().manual_seed(seed) for seed in range(len(SUBJECTS))]
    cut = pipeline(
        list(SUBJECTS), num_inference_steps=8, guidance_scale=3.0, generator=noise, output_type="np", crops_coords_top_left=(0, 24)
    ).images
    rims = [(pictures[:, :, :2].min(axis=-1) < 0.7).any(axis=(1, 2)).tolist() for pictures in (draw(FOLDER / "xl", 8, 3.0), cut)]
    assert rims == [[False] * len(SUBJECTS), [True] * len(SUBJECTS)]


def test_a_lora_for_turbo_is_trained_on_the_base_and_drawn_in_four_steps() -> None:
    found = resolve(parse({"base": {"model": "mini-turbo"}}), 10)
    assert (found.taught, found.train.recipe, found.compare.steps, found.grid.guidance) == ("mini", "on_base", 4, (0.0,))


@pytest.mark.slow
@pytest.mark.parametrize(("model", "guidance"), [("mini-turbo", 0.0), ("mini-xl", 3.0)])
def test_decal_draws_with_them_what_stock_diffusers_draws(model: str, guidance: float) -> None:
    fields = {"guidance": guidance, "steps": 4, "sampler": "ddim", "width_px": 128, "height_px": 128, "checkpoint": 0}
    cells = [Cell.model_validate(fields | {"prompt": prompt, "seed": seed}) for seed, prompt in enumerate(SUBJECTS)]
    base = load(model, device=torch.device("cpu"), dtype=torch.float32)
    drawn = {one.cell: one.pixels for one in finite(generate(base, cells, adapters={}, images={}, batch=3))}
    ours = np.asarray([drawn[cell] / 255 for cell in cells], dtype=np.float32)
    assert max(apart(ours, draw(Path(BASES[model].where), 4, guidance))) < 0.01
