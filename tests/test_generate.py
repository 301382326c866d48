from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import stock_pipeline
from PIL import Image

from decal import lora
from decal.bases.sd import StableDiffusion
from decal.errors import BaseModelError
from decal.generate import finite, generate, generate_live
from decal.records import Cell
from decal.settings import parse, resolve

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))


def cell_of(prompt: str, **change: object) -> Cell:
    fields = {"guidance": 3.0, "seed": 1, "steps": 4, "sampler": "ddim", "width_px": 64, "height_px": 64, "checkpoint": 0}
    return Cell.model_validate({"prompt": prompt, **fields, **change})


def base_of(folder: Path) -> StableDiffusion:
    return StableDiffusion(str(folder), device=torch.device("cpu"), dtype=torch.float32)


@pytest.fixture(scope="module")
def adapter(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lora") / "lora.safetensors"
    factors = lora.attach(base_of(tiny), resolve(parse({"train": {"rank": 4, "targets": "all"}}), 1).train)
    generator = torch.Generator().manual_seed(0)
    lora.save(path, {name: torch.randn(f.shape, generator=generator) * 0.1 for name, f in factors.items()}, scale=1.0, names=(), about={})
    return path


def drawn(base: StableDiffusion, cells: list[Cell], adapter: Path, batch: int = 8) -> dict[Cell, np.ndarray]:
    images = {"picture": PICTURE}
    return {one.cell: one.pixels.astype(int) for one in finite(generate(base, cells, adapters={7: adapter}, images=images, batch=batch))}


@cache
def stock(folder: Path, kind: str, adapter: Path) -> Any:
    import diffusers

    pipeline = stock_pipeline(folder, getattr(diffusers, kind))
    pipeline.load_lora_weights(adapter)
    return pipeline


@pytest.mark.parametrize("sampler", ["ddim", "euler", "dpm++"])
@pytest.mark.parametrize("strength", [None, 0.6])
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_a_picture_is_the_one_that_stock_diffusers_draws(
    sampler: str, strength: float | None, guidance: float, tiny: Path, adapter: Path
) -> None:
    source = {} if strength is None else {"image_sha256": "picture", "image_strength": strength}
    cell = cell_of("a red cat", negative="blue", guidance=guidance, sampler=sampler, checkpoint=7, **source)
    pipeline = stock(tiny, "StableDiffusionPipeline" if strength is None else "StableDiffusionImg2ImgPipeline", adapter)
    base = base_of(tiny)
    pipeline.scheduler = base.scheduler(sampler)
    start = {} if strength is None else {"image": PICTURE, "strength": strength}
    wanted = pipeline(
        cell.prompt,
        negative_prompt=cell.negative,
        guidance_scale=guidance,
        num_inference_steps=4,
        generator=torch.Generator().manual_seed(1),
        output_type="np",
        **start,
    ).images[0]
    # Ours is rounded to 8 bits, so half a level; 0.01 of a level is float noise.
    assert np.abs(wanted * 255 - drawn(base, [cell], adapter)[cell]).max() <= 0.51


def test_a_picture_does_not_depend_on_its_batch(tiny: Path, adapter: Path) -> None:
    cells = [cell_of(f"thing {i}", seed=i, guidance=[0.0, 1.0, 3.0, 7.5][i % 4], checkpoint=7) for i in range(9)]
    together, alone = drawn(base_of(tiny), cells, adapter, batch=9), drawn(base_of(tiny), cells, adapter, batch=1)
    assert max(np.abs(together[cell] - alone[cell]).max() for cell in cells) <= 1  # a level of 255, where rounding tips over


def test_a_row_without_guidance_asks_the_denoiser_once(tiny: Path, adapter: Path) -> None:
    base = base_of(tiny)
    rows: list[int] = []
    base.denoiser.register_forward_pre_hook(lambda _, inputs: rows.append(len(inputs[0])))
    drawn(base, [cell_of("a", guidance=0.0), cell_of("b", guidance=1.0), cell_of("c", guidance=2.0)], adapter)
    assert rows == [4] * 4  # three cells and one unconditional row, four steps


def test_the_adapter_changes_the_picture_and_the_base_is_left_as_it_was(tiny: Path, adapter: Path) -> None:
    base = base_of(tiny)
    plain, taught = cell_of("a cat"), cell_of("a cat", checkpoint=7)
    before, after = (drawn(base, [plain, taught], adapter) for _ in range(2))
    assert np.abs(before[plain] - before[taught]).max() > 10
    assert all(np.array_equal(before[cell], after[cell]) for cell in (plain, taught))


def test_half_the_strength_is_neither_the_base_nor_the_whole(tiny: Path, adapter: Path) -> None:
    cells = [cell_of("a cat", checkpoint=7, lora_strength=strength) for strength in (0.0, 0.5, 1.0)]
    none, half, whole = (drawn(base_of(tiny), cells, adapter)[cell] for cell in cells)
    assert np.abs(none - half).max() > 3
    assert np.abs(whole - half).max() > 3
    assert np.array_equal(none, drawn(base_of(tiny), [cell_of("a cat")], adapter)[cell_of("a cat")])


def test_an_adapter_in_training_draws_what_its_file_will(tiny: Path, tmp_path: Path) -> None:
    base = base_of(tiny)
    factors = lora.attach(base, resolve(parse({"train": {"rank": 4, "alpha": 8, "targets": "all"}}), 1).train)
    with torch.no_grad():
        for factor in factors.values():
            factor.add_(0.02)
    cell = cell_of("a cat", checkpoint=7)
    live = next(iter(generate_live(base, [cell], texts={}, batch=1))).pixels.astype(int)
    lora.save(tmp_path / "lora.safetensors", dict(factors), scale=2.0, names=(), about={})
    assert np.abs(live - drawn(base_of(tiny), [cell], tmp_path / "lora.safetensors")[cell]).max() <= 1


@pytest.mark.parametrize("alpha", [4.0, 8.0])
def test_factors_multiplied_out_draw_the_same_and_leave_the_weights_to_the_bit(alpha: float, tiny: Path) -> None:
    base = base_of(tiny)
    factors = lora.attach(base, resolve(parse({"train": {"rank": 4, "alpha": alpha, "targets": "all"}}), 1).train)
    with torch.no_grad():
        for factor in factors.values():
            factor.add_(0.02)
    before = {name: tensor.clone() for name, tensor in base.denoiser.state_dict().items()}
    cells = [cell_of("a cat", checkpoint=7), cell_of("a dog", checkpoint=7)]
    beside = [one.pixels.astype(int) for one in generate_live(base, cells, texts={}, batch=2)]
    with lora.multiplied_out(base.denoiser):
        added = generate_live(base, cells, texts={}, batch=2)
        whole = [one.pixels.astype(int) for one in added]
        changed = sum(not torch.equal(tensor, before[name]) for name, tensor in base.denoiser.state_dict().items())
    assert changed == len(factors) / 2
    assert max(np.abs(one - other).max() for one, other in zip(beside, whole, strict=True)) <= 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in base.denoiser.state_dict().items())
    assert np.array_equal(next(generate_live(base, cells, texts={}, batch=2)).pixels, beside[0])


def test_a_picture_that_is_not_finite_is_named_and_not_black(tiny: Path, adapter: Path) -> None:
    base = base_of(tiny)
    torch.nn.init.constant_(base.denoiser.get_parameter("conv_out.bias"), float("nan"))
    with pytest.raises(BaseModelError, match=r'"a cat" at guidance 3, checkpoint 0: the picture is not finite'):
        drawn(base, [cell_of("a cat")], adapter)


@pytest.mark.parametrize(("targets", "alpha"), [("all", 2.0), ("attention", 4.0), ("all", 8.0)])
def test_pictures_before_a_save_and_after_a_reload_are_equal(targets: str, alpha: float, tiny: Path, tmp_path: Path) -> None:
    """In stock diffusers on both sides, as floats before they are rounded to 8 bits."""
    base = base_of(tiny)
    factors = lora.attach(base, resolve(parse({"train": {"rank": 4, "alpha": alpha, "targets": targets}}), 1).train)
    with torch.no_grad():
        for factor in factors.values():
            factor.add_(0.02)
    lora.save(tmp_path / "lora.safetensors", dict(factors), scale=alpha / 4, names=(), about={})
    pictures = []
    for unet in (base.denoiser, None):
        pipeline = stock_pipeline(tiny, **({} if unet is None else {"unet": unet}))
        if unet is None:
            pipeline.load_lora_weights(tmp_path / "lora.safetensors")
        drawn_by = pipeline("a red cat", num_inference_steps=4, generator=torch.Generator().manual_seed(1), output_type="np")
        pictures.append(drawn_by.images[0])
    assert np.abs(pictures[0] - pictures[1]).max() <= 1e-5


def test_the_embedded_base_loads_and_draws_with_stock_diffusers_alone() -> None:
    from diffusers import StableDiffusionPipeline

    from decal.presets import MINI

    pipeline = StableDiffusionPipeline.from_pretrained(MINI.where)
    pipeline.set_progress_bar_config(disable=True)
    picture = pipeline(
        "glossy style sticker of a green heart", num_inference_steps=10, guidance_scale=3.0, generator=torch.Generator().manual_seed(0)
    )
    red, green, blue = np.asarray(picture.images[0], dtype=float)[24:40, 24:40].mean(axis=(0, 1))
    assert green > red + 30
    assert green > blue + 30
