"""Kinds of adapters other than LoRA on the UNet: each learns, resumes to the same bytes, and draws elsewhere what was trained."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from models import stock_pipeline
from safetensors.torch import load_file
from test_train import resolved_of, run_all, task_of
from torch import Tensor, nn

from decal import adapters, lora, state
from decal.adapters import Swapper, read
from decal.bases import Base, load
from decal.bases.sd import StableDiffusion
from decal.errors import SettingsError
from decal.settings import ResolvedTrain, parse, resolve

KINDS: dict[str, dict[str, object]] = {
    "dora": {"algorithm": "dora"},
    "loha": {"algorithm": "loha"},
    "lokr": {"algorithm": "lokr"},
    "text": {"text_learning_rate": 5e-4},
    "ranks": {"ranks": {"attn2": 4, "to_out": 0}},
    "loha with text": {"algorithm": "loha", "text_learning_rate": 5e-4},
    "lokr with text": {"algorithm": "lokr", "text_learning_rate": 5e-4, "ranks": {"text_encoder": 1}},
}
# What diffusers can read; the others are for A1111 and ComfyUI, and read back by ours.
STOCK = ["dora", "text", "ranks"]
# Forms of other tools, and how the name of a text encoder's layer begins there.
FORMS: dict[adapters.Form, str] = {"kohya": "lora_te_", "comfyui": "text_encoder."}


def base_of(folder: Path) -> Base:
    return load(str(folder), device=torch.device("cpu"), dtype=torch.float32)


def settings_of(name: str, **change: object) -> ResolvedTrain:
    return resolve(parse({"train": {"rank": 3, "alpha": 6.0, "targets": "all"} | KINDS[name] | change}), 4).train


def taught(base: Base, settings: ResolvedTrain) -> dict[str, nn.Parameter]:
    """An attached adapter of which no factor is 0, as after training."""
    factors = lora.attach(base, settings)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for factor in factors.values():
            factor.add_(torch.randn(factor.shape, generator=generator) * 0.1)
    return factors


def output(denoiser: nn.Module, states: Tensor, **more: Any) -> Tensor:
    noisy = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        predicted: Tensor = denoiser(noisy, torch.tensor([500]), encoder_hidden_states=states, return_dict=False, **more)[0]
    return predicted


def drawn_by(base: Base) -> tuple[Tensor, Tensor]:
    """States of a prompt, and what the denoiser says of noise with them."""
    with torch.no_grad():
        states = base.encode_prompts(["a zorb fox"])["encoder_hidden_states"]
    return states, output(base.denoiser, states)


def saved(folder: Path, base: Base, settings: ResolvedTrain) -> Path:
    path = folder / lora.PORTABLE_FILE
    lora.save(path, taught(base, settings), scale=settings.scale, names=lora.names_of(base.denoiser), about={})
    return path


@pytest.mark.parametrize("name", KINDS)
def test_a_new_adapter_changes_nothing(name: str, tiny: Path) -> None:
    base = base_of(tiny)
    before = drawn_by(base)
    lora.attach(base, settings_of(name))
    assert max(float((one - other).abs().max()) for one, other in zip(drawn_by(base), before, strict=True)) <= 1e-5


@pytest.mark.parametrize("name", KINDS)
def test_it_changes_the_weights_and_resumes_to_the_same_bytes(name: str, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    settings = resolved_of(tiny, **KINDS[name], steps=4, checkpoint_every=2)
    base, task = task_of(tmp_path / "whole", shapes, settings, model=tiny)
    _, whole = run_all(base, task)
    halfway = state.load(task.run.checkpoint(2) / "state" / "state.safetensors")
    base, task = task_of(tmp_path / "rest", shapes, settings, model=tiny)
    _, rest = run_all(base, replace(task, resume=halfway, attempt=2))
    assert (rest[-1].sha256, rest[-1].state_sha256) == (whole[-1].sha256, whole[-1].state_sha256)
    first, last = (load_file(tmp_path / "whole" / one.file) for one in (whole[0], whole[-1]))
    assert first.keys() == last.keys()
    assert not any(torch.equal(first[key], last[key]) for key in first if not key.endswith("alpha"))


@pytest.mark.parametrize("name", KINDS)
def test_an_adapter_put_on_is_the_adapter_trained(name: str, tiny: Path, tmp_path: Path) -> None:
    base, other = base_of(tiny), base_of(tiny)
    path = saved(tmp_path, base, settings_of(name))
    plain = drawn_by(other)
    Swapper(other.parts).put_on(read(path, other.parts), 1.0)
    wanted, found = drawn_by(base), drawn_by(other)
    assert max(float((one - its).abs().max()) for one, its in zip(found, wanted, strict=True)) <= 1e-5
    assert float((wanted[1] - plain[1]).abs().max()) > 1e-2
    assert torch.equal(wanted[0], plain[0]) == ("text" not in name)


@pytest.mark.parametrize("name", STOCK)
def test_stock_diffusers_reloads_what_was_saved(name: str, tiny: Path, tmp_path: Path) -> None:
    base = base_of(tiny)
    path = saved(tmp_path, base, settings_of(name))
    pipeline = stock_pipeline(tiny)
    pipeline.load_lora_weights(path)
    states = pipeline.encode_prompt("a zorb fox", torch.device("cpu"), 1, False)[0].detach()
    wanted = drawn_by(base)
    assert float((states - wanted[0]).abs().max()) <= 1e-5
    assert float((output(pipeline.unet, states) - wanted[1]).abs().max()) <= 1e-5


@pytest.mark.parametrize("name", KINDS)
def test_exports_hold_all_that_was_trained(name: str, tiny: Path, tmp_path: Path) -> None:
    base, other = base_of(tiny), base_of(tiny)
    path = saved(tmp_path, base, settings_of(name))
    adapter, names, swapper, wanted = read(path, other.parts), lora.names_of(other.denoiser), Swapper(other.parts), drawn_by(base)
    for form, text in FORMS.items():
        exported = tmp_path / f"{form}.safetensors"
        exported.write_bytes(adapters.write(adapter, form, names=names, about={}).data)
        swapper.put_on(read(exported, other.parts), 1.0)
        assert max(float((one - its).abs().max()) for one, its in zip(drawn_by(other), wanted, strict=True)) <= 1e-5
        swapper.put_on(None, 1.0)
        assert any(key.startswith(text) for key in load_file(exported)) == ("text" in name)


def test_kohya_s_form_of_a_text_encoder_draws_the_same_in_stock_diffusers(tiny: Path, tmp_path: Path) -> None:
    base, other = base_of(tiny), base_of(tiny)
    path = saved(tmp_path, base, settings_of("text"))
    made = adapters.write(read(path, other.parts), "kohya", names=lora.names_of(other.denoiser), about={})
    (tmp_path / "x.safetensors").write_bytes(made.data)
    pipeline = stock_pipeline(tiny)
    pipeline.load_lora_weights(tmp_path / "x.safetensors")
    states = pipeline.encode_prompt("a zorb fox", torch.device("cpu"), 1, False)[0].detach()
    wanted = drawn_by(base)
    assert float((states - wanted[0]).abs().max()) <= 1e-5
    assert float((output(pipeline.unet, states) - wanted[1]).abs().max()) <= 1e-5


def test_both_text_encoders_of_sdxl_are_trained_and_reload(tiny_xl: Path, tmp_path: Path) -> None:
    base = base_of(tiny_xl)
    path = saved(tmp_path, base, settings_of("text"))
    with torch.no_grad():
        wanted = base.encode_prompts(["a zorb fox"])
    pipeline = stock_pipeline(tiny_xl)
    pipeline.load_lora_weights(path)
    states, _, pooled, _ = pipeline.encode_prompt("a zorb fox", device=torch.device("cpu"), do_classifier_free_guidance=False)
    assert {key.partition(".")[0] for key in load_file(path)} == {"unet", "text_encoder", "text_encoder_2"}
    assert float((states - wanted["encoder_hidden_states"]).abs().max()) <= 1e-5
    assert float((pooled - wanted["pooled"]).abs().max()) <= 1e-5


def test_text_encoders_learn_at_their_own_rate(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    """AdamW's first step is the rate for every weight whose gradient is not tiny, so the largest change of B, which begins at 0, is it."""
    settings = resolved_of(tiny, text_learning_rate=2e-5, learning_rate=1e-3, steps=1, checkpoint_every=1, schedule="constant")
    base, task = task_of(tmp_path / "run", shapes, settings, model=tiny)
    _, checkpoints = run_all(base, task)
    tensors = load_file(task.run.folder / checkpoints[0].file)
    largest = {
        part: max(float(t.abs().max()) for key, t in tensors.items() if key.startswith(part) and ".lora_B." in key)
        for part in ("unet", "text_encoder")
    }
    assert largest == pytest.approx({"unet": 1e-3, "text_encoder": 2e-5}, rel=1e-2)


def test_trained_text_encoders_stay_when_encoders_are_let_go(tiny: Path) -> None:
    base = StableDiffusion(str(tiny), device=torch.device("cpu"), dtype=torch.float32)
    taught(base, settings_of("text"))
    before = drawn_by(base)[0]
    base.release_encoders()
    assert torch.equal(drawn_by(base)[0], before)


@pytest.mark.parametrize("name", ["dora", "loha", "lokr", "text"])
def test_it_trains_in_half_precision(name: str, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    settings = resolved_of(tiny, **KINDS[name], steps=2, checkpoint_every=2)
    _, task = task_of(tmp_path / "run", shapes, settings, model=tiny)
    steps, _ = run_all(load(str(tiny), device=torch.device("cpu"), dtype=torch.bfloat16), task)
    assert [step.is_skipped for step in steps] == [False] * 3
    assert steps[-1].holdout_loss is not None


def test_the_longest_part_of_a_name_gives_the_rank(tiny: Path) -> None:
    factors = lora.attach(base_of(tiny), settings_of("dora", algorithm="lora", ranks={"attn2": 2, "up_blocks.1.attentions": 5, "conv1": 0}))
    found = {name.removesuffix(".lora_A.weight"): factor.shape[0] for name, factor in factors.items() if ".lora_A." in name}
    block = "up_blocks.1.attentions.0.transformer_blocks.0"
    assert (found[f"{block}.attn2.to_q"], found["down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_q"]) == (5, 2)
    assert found["down_blocks.0.resnets.0.conv2"] == 3
    assert not [name for name in found if name.endswith("conv1")]


@pytest.mark.parametrize(
    ("ranks", "told"),
    [({"attn3": 4}, "names attn3"), ({"text_encoder": 4}, "names text_encoder"), ({"unet": 0}, "nothing would be trained")],
)
def test_ranks_that_fit_no_layer_are_refused_by_name(ranks: dict[str, int], told: str, tiny: Path) -> None:
    with pytest.raises(SettingsError, match=told):
        lora.attach(base_of(tiny), settings_of("dora", algorithm="lora", ranks=ranks))


@pytest.mark.parametrize(
    ("train", "told"),
    [
        ({"algorithm": "loha", "rank_stabilised": True}, "belongs to lora and dora"),
        ({"algorithm": "dora", "targets": "imported"}, "goes on with a plain LoRA"),
        ({"algorithm": "dora", "text_learning_rate": 1e-4}, "leaves the DoRA of text encoders out"),
        ({"text_learning_rate": 1e-4, "optimizer": "prodigy"}, "one rate for all"),
        ({"text_learning_rate": 1e-4, "ranks": {"text_encoder": 0}}, "contradict each other"),
        ({"ranks": {"attn1": -1}}, "train.ranks.attn1 must be greater"),
    ],
)
def test_kinds_that_cannot_work_are_refused_by_name(train: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        parse({"train": train})


def test_ranks_can_be_set_in_the_command_line() -> None:
    settings = parse({}, ["train.ranks={ attn1 = 4, 'up_blocks.1' = 8 }"])
    assert settings.train.ranks == {"attn1": 4, "up_blocks.1": 8}
