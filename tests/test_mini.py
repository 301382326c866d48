"""The models that come with Decal, as stock diffusers sees them: `from_pretrained` on a folder, no dtype given, no network."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from decal import presets
from decal.presets import MINI

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
    assert {path.relative_to(FOLDER).parts[0] for path in sizes} == {"sd", "squeezenet", "turbo"}
    assert sum(sizes.values()) <= 70e6


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_turbo_draws_in_a_few_steps_what_the_base_draws_in_twenty(steps: int) -> None:
    base, other = draw(Path(MINI.where), 20, 3.0), draw(Path(MINI.where), 20, 3.0, seed=100)
    assert all(near < far for near, far in zip(apart(draw(FOLDER / "turbo", steps, 0.0), base), apart(other, base), strict=True))
