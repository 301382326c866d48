"""SDXL as any other base: what differs from stock diffusers, from a run without a stop, and from what a file says, is nothing."""

import json
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import stock_pipeline
from PIL import Image
from safetensors import safe_open
from test_train import records_of, run_all, stop_before
from typed import Call

from decal import adapters, lora, state
from decal.adapters import Adapter, Layer, Swapper, read
from decal.bases import Base, load, outline
from decal.batches import Sample
from decal.cache import Cache
from decal.captions import Tokenizer
from decal.errors import BaseModelError
from decal.generate import finite, generate
from decal.pictures import Frame, fitted, frame_for
from decal.presets import base_preset
from decal.project import Run
from decal.records import Cell
from decal.settings import Resolved, parse, resolve
from decal.train import Task

CPU = torch.device("cpu")
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
TRAIN = {"steps": 6, "batch": 2, "checkpoint_every": 3, "rank": 2, "targets": "attention", "learning_rate": 1e-3}


def base_of(folder: Path) -> Base:
    return load(str(folder), device=CPU, dtype=torch.float32)


def taught(folder: Path, path: Path, *, targets: str = "attention", alpha: float = 4.0) -> Path:
    """The portable file of a LoRA with something in it."""
    settings = resolve(parse({"train": {"rank": 4, "alpha": alpha, "targets": targets}}), 1).train
    factors = lora.attach(base_of(folder), settings)
    generator = torch.Generator().manual_seed(0)
    filled = {name: torch.randn(factor.shape, generator=generator) * 0.1 for name, factor in factors.items()}
    lora.save(path, filled, scale=alpha / 4, names=(), about={})
    return path


@pytest.fixture(scope="module")
def base(tiny_xl: Path) -> Base:
    return base_of(tiny_xl)


@pytest.fixture(scope="module")
def adapter(tiny_xl: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return taught(tiny_xl, tmp_path_factory.mktemp("lora") / "lora.safetensors", targets="all")


@cache
def stock(folder: Path, kind: str, adapter: Path | None = None) -> Any:
    import diffusers

    pipeline = stock_pipeline(folder, getattr(diffusers, kind))
    if adapter is not None:
        pipeline.load_lora_weights(adapter)
    return pipeline


@pytest.mark.parametrize(
    ("sampler", "guidance", "negative"),
    [
        ("ddim", 3.0, "blue"),
        ("euler", 3.0, "blue"),
        ("euler_a", 3.0, "blue"),
        ("dpm++", 3.0, "blue"),
        ("ddim", 3.0, ""),
        ("euler_a", 0.0, ""),
    ],
)
@pytest.mark.parametrize("strength", [None, 0.6])
def test_a_picture_is_the_one_that_stock_diffusers_draws(
    sampler: str, strength: float | None, guidance: float, negative: str, base: Base, tiny_xl: Path, adapter: Path
) -> None:
    source = {} if strength is None else {"image_sha256": "picture", "image_strength": strength}
    fields = {"prompt": "a red cat", "negative": negative, "guidance": guidance, "seed": 1, "steps": 4, "sampler": sampler, "checkpoint": 7}
    cell = Cell.model_validate({"width_px": 64, "height_px": 64, **fields, **source})
    ours = next(finite(generate(base, [cell], adapters={7: adapter}, images={"picture": PICTURE}, batch=1))).pixels
    pipeline = stock(tiny_xl, "AutoPipelineForText2Image" if strength is None else "AutoPipelineForImage2Image", adapter)
    pipeline.scheduler = base.scheduler(sampler)
    wanted = pipeline(
        cell.prompt,
        negative_prompt=negative or None,
        guidance_scale=guidance,
        num_inference_steps=4,
        generator=torch.Generator().manual_seed(1),
        output_type="np",
        **({"width": 64, "height": 64} if strength is None else {"image": PICTURE, "strength": strength}),
    ).images[0]
    # Ours is rounded to 8 bits, so half a level; 0.01 of a level is float noise.
    assert np.abs(wanted * 255 - ours.astype(int)).max() <= 0.51


FRAMES = {
    # By hand. A padded picture is a square original; 300 x 200 at 64 px is 96 x 64, of which 16 px are cut off on the left.
    (300, 200, "pad"): Frame((300, 300), (0, 0), (64, 64)),
    (300, 200, "crop"): Frame((200, 300), (0, 16), (64, 64)),
    (200, 300, "crop"): Frame((300, 200), (16, 0), (64, 64)),
    # 48 x 80 px is the bucket of 2:3 at 64 px; 200 x 300 fills its width of 48 with a height of 72, so it fits by height: 53 x 80.
    (200, 300, "bucket"): Frame((300, 200), (0, 3), (80, 48)),
    (32, 32, "pad"): Frame((32, 32), (0, 0), (64, 64)),
}


@pytest.mark.parametrize("of", FRAMES)
def test_a_frame_says_what_was_done_to_the_picture(of: tuple[int, int, Any]) -> None:
    assert frame_for(of[0], of[1], 64, of[2]) == FRAMES[of]


@pytest.mark.parametrize("fit", ["crop", "bucket"])
def test_the_kept_part_lies_where_the_frame_says(fit: Any) -> None:
    """A picture whose red says how far right, and green how far down, each px lies: the kept part begins at the corner."""
    down, right = np.mgrid[0:200, 0:250].astype(np.uint8)
    kept, _ = fitted(Image.fromarray(np.dstack([right, down, down])), 64, fit, "white")
    frame = frame_for(250, 200, 64, fit)
    scale = min(250 / frame.size[1], 200 / frame.size[0])
    first = np.array(kept, dtype=float)[0, 0, 1::-1]
    assert np.abs(first / scale - np.array(frame.corner)).max() < 1


def test_the_denoiser_is_told_the_frame_of_every_sample(tiny_xl: Path, shapes: Path, tmp_path: Path) -> None:
    for budget in (2**30, 0):  # held on the device, and read from disk
        _, task = task_of(tmp_path / "run", shapes, resolved_of(tiny_xl), budget=budget)
        batch = task.train.batch([Sample(3, False, False), Sample(0, True, True)])
        assert batch.conditioning["sizes"].tolist() == [[96, 96, 0, 0, 64, 64]] * 2
        assert batch.conditioning["pooled"].abs().amax(dim=1).gt(0).tolist() == [True, False]


def resolved_of(model: str | Path, **change: object) -> Resolved:
    return resolve(parse({"base": {"model": str(model)}, "train": TRAIN | change}), 12)


def task_of(folder: Path, shapes: Path, settings: Resolved, *, budget: int = 2**30) -> tuple[Base, Task]:
    base = load(settings.base.model, device=CPU, dtype=torch.float32)
    cache, records = Cache(folder.parent / "cache", base, settings.data), records_of(shapes)
    list(cache.fill(shapes, records))
    sets = [cache.examples([record for record in records if record.split == split], budget=budget) for split in ("train", "holdout")]
    return base, Task(Run(folder), settings, sets[0], sets[1], 1, None, lambda: False)


@pytest.mark.parametrize(("stop", "change"), [(1, {}), (5, {}), (5, {"text_learning_rate": 1e-3})])
def test_a_stopped_and_resumed_training_ends_in_the_same_bytes(
    stop: int, change: dict[str, object], tiny_xl: Path, shapes: Path, tmp_path: Path
) -> None:
    settings = resolved_of(tiny_xl, **change)
    steps, whole = run_all(*task_of(tmp_path / "whole", shapes, settings))
    base, task = task_of(tmp_path / "cut", shapes, settings)
    run_all(base, replace(task, stop=stop_before(stop + 1)))
    saved = state.load(task.run.stop_state)
    base, task = task_of(tmp_path / "cut", shapes, settings)
    _, rest = run_all(base, replace(task, resume=saved, attempt=2))
    assert all(step.loss is not None for step in steps[1:])
    assert (rest[-1].sha256, rest[-1].state_sha256) == (whole[-1].sha256, whole[-1].state_sha256)


def test_training_lowers_the_loss_on_its_own_pictures(tiny_xl: Path, shapes: Path, tmp_path: Path) -> None:
    change = {"steps": 50, "checkpoint_every": 50, "targets": "all", "rank": 8, "learning_rate": 5e-3, "caption_dropout": 0.0}
    steps, _ = run_all(*task_of(tmp_path / "run", shapes, resolved_of(tiny_xl, **change)))
    losses = [step.loss or 0 for step in steps[1:]]
    assert sum(losses[-15:]) < 0.97 * sum(losses[:15])


def picture(pipeline: Any) -> Any:
    drawn = pipeline("a fox", num_inference_steps=2, guidance_scale=3.0, generator=torch.Generator().manual_seed(3), output_type="np")
    return drawn.images[0]


@pytest.mark.parametrize("form", ["diffusers", "kohya"])
@pytest.mark.parametrize(("targets", "alpha"), [("all", 2.0), ("attention", 4.0), ("all", 8.0)])
def test_an_export_draws_the_same_in_a_fresh_stock_pipeline(targets: str, alpha: float, form: Any, tiny_xl: Path, tmp_path: Path) -> None:
    import diffusers

    path = taught(tiny_xl, tmp_path / "lora.safetensors", targets=targets, alpha=alpha)
    base, built = base_of(tiny_xl), outline(str(tiny_xl))
    made = adapters.write(read(path, built.parts), form, names=adapters.layers(built.parts["unet"]), about={})
    (tmp_path / "x.safetensors").write_bytes(made.data)
    fresh = stock_pipeline(tiny_xl)
    plain = picture(fresh)
    Swapper(base.parts).put_on(read(path, base.parts), 1.0)
    wanted = picture(diffusers.StableDiffusionXLPipeline(**{**fresh.components, "unet": base.denoiser}))
    fresh.load_lora_weights(tmp_path / "x.safetensors")
    assert np.abs(picture(fresh) - wanted).max() <= 1e-5
    assert np.abs(wanted - plain).max() > 1e-2


def with_texts(base: Base) -> Adapter:
    """A LoRA on attention of the UNet and on all of both text encoders."""
    layers = {}
    generator = torch.Generator().manual_seed(4)
    text = ("q_proj", "v_proj", "out_proj", "fc1")
    for part, ends in (("unet", ("to_q", "to_out.0")), ("text_encoder", text), ("text_encoder_2", text)):
        for name, module in adapters.layers(base.parts[part]).items():
            if name.endswith(ends):
                out, into = module.get_parameter("weight").shape
                down, up = (torch.randn(shape, generator=generator) * 0.1 for shape in ((4, into), (out, 4)))
                layers[f"{part}.{name}"] = Layer({"down": down, "up": up}, 1.5)
    return Adapter(dict(sorted(layers.items())), {})


@pytest.mark.parametrize("form", ["diffusers", "kohya"])
def test_both_text_encoder_parts_are_drawn_with_as_stock_diffusers_does(form: Any, tiny_xl: Path, tmp_path: Path) -> None:
    base = base_of(tiny_xl)
    made = adapters.write(with_texts(base), form, names=adapters.layers(base.denoiser), about={})
    (tmp_path / "x.safetensors").write_bytes(made.data)
    fresh = stock_pipeline(tiny_xl)
    fresh.load_lora_weights(tmp_path / "x.safetensors")
    plain = base.encode_prompts(["a fox"])
    Swapper(base.parts).put_on(read(tmp_path / "x.safetensors", base.parts), 1.0)
    told = base.encode_prompts(["a fox"])
    states, _, pooled, _ = fresh.encode_prompt("a fox", device=CPU, do_classifier_free_guidance=False)
    assert (states - told["encoder_hidden_states"]).abs().max() <= 1e-5
    assert (pooled - told["pooled"]).abs().max() <= 1e-5
    assert all((told[name] - plain[name]).abs().max() > 1e-3 for name in told)


@pytest.mark.parametrize("form", ["diffusers", "kohya", "comfyui"])
def test_what_is_written_is_read_back_the_same(form: Any, base: Base, tmp_path: Path) -> None:
    adapter, names = with_texts(base), adapters.layers(base.denoiser)
    made = adapters.write(adapter, form, names=names, about={})
    (tmp_path / "x.safetensors").write_bytes(made.data)
    back = read(tmp_path / "x.safetensors", base.parts)
    folded = {place: adapters.folded(layer).tensors for place, layer in adapter.layers.items()}
    assert all(torch.equal(layer.tensors[role], folded[place][role]) for place, layer in back.layers.items() for role in layer.tensors)
    assert back.layers.keys() == folded.keys()
    assert adapters.write(back, form, names=names, about={}) == made


def test_the_keys_are_those_of_the_sources(base: Base) -> None:
    """sd-scripts networks/lora.py names the UNet of SDXL by the original code; ComfyUI comfy/lora.py knows diffusers' text encoders."""
    kept = ("unet.down_blocks.1.attentions.0.transformer_blocks.1.attn1.to_q", "text_encoder.", "text_encoder_2.")
    found = with_texts(base).layers.items()
    layers = {place: layer for place, layer in found if place.startswith(kept) and place.endswith(("to_q", "0.mlp.fc1"))}
    keys = {}
    for form in ("kohya", "comfyui"):
        data = adapters.write(Adapter(layers, {}), form, names=adapters.layers(base.denoiser), about={}).data
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        keys[form] = {key.removesuffix(".alpha") for key in header if key.endswith(".alpha")}
    assert keys == {
        "kohya": {
            "lora_unet_input_blocks_4_1_transformer_blocks_1_attn1_to_q",
            "lora_te1_text_model_encoder_layers_0_mlp_fc1",
            "lora_te2_text_model_encoder_layers_0_mlp_fc1",
        },
        "comfyui": {
            "diffusion_model.input_blocks.4.1.transformer_blocks.1.attn1.to_q",
            "text_encoder.text_model.encoder.layers.0.mlp.fc1",
            "text_encoder_2.text_model.encoder.layers.0.mlp.fc1",
        },
    }


def test_a_caption_that_either_tokenizer_cuts_is_too_long(tiny_xl: Path, tmp_path: Path) -> None:
    """The second tokenizer of this model knows no pairs of letters, so it needs a token for each."""
    copy = Path(shutil.copytree(tiny_xl, tmp_path / "copy"))
    stored = json.loads((copy / "tokenizer_2" / "tokenizer.json").read_text("utf-8"))
    stored["model"]["merges"] = []
    (copy / "tokenizer_2" / "tokenizer.json").write_text(json.dumps(stored), "utf-8")
    config = json.loads((copy / "tokenizer_2" / "tokenizer_config.json").read_text())
    (copy / "tokenizer_2" / "tokenizer_config.json").write_text(json.dumps(config | {"model_max_length": 60}))
    one, both = Tokenizer.of_base(str(tiny_xl)), Tokenizer.of_base(str(copy))
    assert (one.limit, one.count("a red fox"), one.cut("a red fox", 5)) == (77, 5, "")
    assert (both.limit, both.count("a red fox"), both.cut("a red fox", 5)) == (60, 9, "red fox")


def test_a_folder_of_sdxl_takes_the_settings_that_suit_it(tiny_xl: Path) -> None:
    assert (base_preset(str(tiny_xl)).resolution, base_preset(str(tiny_xl)).guidance) == (64, 5.0)


@pytest.mark.parametrize(("part", "change"), [("unet", {"in_channels": 9}), ("text_encoder_2", {"projection_dim": 23})])
def test_a_model_of_another_kind_is_refused(part: str, change: dict[str, int], tiny_xl: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny_xl, tmp_path / "copy"))
    config = copy / part / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    with pytest.raises(BaseModelError, match="is not a text-to-image SDXL"):
        base_of(copy)


def test_the_fingerprint_follows_every_part_and_how_an_empty_prompt_is_told(tiny_xl: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny_xl, tmp_path / "copy"))
    index = copy / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"force_zeros_for_empty_prompt": False}))
    plain, told = base_of(tiny_xl), base_of(copy)
    assert told.fingerprint() != plain.fingerprint()
    assert told.encode_prompts([""])["pooled"].abs().max() > 0 == plain.encode_prompts([""])["pooled"].abs().max()
    assert plain.fingerprint("text_encoder_2") != plain.fingerprint("text_encoder")


@pytest.mark.slow
def test_one_line_moves_a_project_to_sdxl(tiny_xl: Path, shapes: Path, call: Call, tmp_path: Path) -> None:
    """Training, a sheet, a comparison, a picture from a picture, an export, and a run that begins with it."""
    few = ["train.steps=4", "train.checkpoint_every=2", "train.batch=2", "train.rank=2", "grid.steps=2", "compare.steps=2"]
    few += ["compare.prompts=4", "compare.seeds=[0, 1]", "compare.fresh=false", "compare.sweep=false", "train.trackers=[]"]
    at, sets = tmp_path / "zorb", [word for one in few for word in ("--set", one)]
    assert call("new", at, "--from", shapes, "--keyword", "zorb", "--base", tiny_xl)[0] == 0
    assert call("train", at, *sets)[0] == 0
    assert call("compare", at, *sets)[0] == 0
    assert call("grid", at, *sets)[0] == 0
    assert call("draw", "zorb style sticker of a boat", at, "--image", shapes / "red-ring.png", "--strength", "0.6", *sets)[0] == 0
    for form in ("diffusers", "kohya", "comfyui"):
        assert call("export", at, "--format", form, "--out", tmp_path / f"{form}.safetensors")[0] == 0
        with safe_open(tmp_path / f"{form}.safetensors", framework="pt") as file:
            told = file.metadata()
        assert (told["modelspec.architecture"], told["ss_base_model_version"]) == ("stable-diffusion-xl-v1-base/lora", "sdxl_base_v1-0")
    assert call("import", tmp_path / "kohya.safetensors", at)[0] == 0
    assert call("train", at, *sets)[0] == 0
    assert (at / "runs" / "run-02" / "checkpoints" / "step-000004").is_dir()
