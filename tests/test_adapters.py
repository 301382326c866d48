import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from models import stock_pipeline
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from test_lora import base_of, output, settings_of, taught
from torch import Tensor, nn

from decal import adapters, lora
from decal.adapters import Adapter, Layer, Swapper, read
from decal.bases.sd import StableDiffusion
from decal.errors import AdapterError, SettingsError

Q = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
QUERY = f"unet.{Q}"
OUT = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_out.0"
CONV = "down_blocks.1.resnets.0.conv1"
TEXT = "encoder.layers.0.self_attn.q_proj"
FC = "encoder.layers.1.mlp.fc1"


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape))) * 0.1


def factors(weight: Tensor, rank: int = 4) -> tuple[Tensor, Tensor]:
    """A and B for a weight."""
    return noise(rank, *weight.shape[1:], seed=1), noise(weight.shape[0], rank, *[1] * (weight.dim() - 2), seed=2)


def change_of(path: Path, base: StableDiffusion, place: str) -> Tensor:
    part, _, name = place.partition(".")
    changed = read(path, base.parts).layers[place].changed(base.parts[part].get_submodule(name).weight)  # type: ignore[arg-type]
    assert changed is not None
    return changed


def weight_of(base: StableDiffusion, place: str) -> Tensor:
    part, _, name = place.partition(".")
    return base.parts[part].get_parameter(f"{name}.weight").detach()


@pytest.fixture(scope="module")
def base(tiny: Path) -> StableDiffusion:
    return base_of(tiny)


# The spelling of each tool for A, B and, where it has one, alpha; sources in src/decal/adapters/names.py and reading.py.
SPELLINGS = {
    "peft": ("unet.{q}.lora_A.weight", "unet.{q}.lora_B.weight", None),
    "peft, one model": ("base_model.model.{q}.lora_A.weight", "base_model.model.{q}.lora_B.weight", None),
    "peft, named": ("unet.{q}.lora_A.default.weight", "unet.{q}.lora_B.default.weight", None),
    "diffusers": ("unet.{q}.lora.down.weight", "unet.{q}.lora.up.weight", None),
    "diffusers, processors": ("{p}.to_q_lora.down.weight", "{p}.to_q_lora.up.weight", None),
    "diffusers, old": ("unet.{p}.to_q_lora.down.weight", "unet.{p}.to_q_lora.up.weight", None),
    "kohya": ("lora_unet_{f}.lora_down.weight", "lora_unet_{f}.lora_up.weight", "lora_unet_{f}.alpha"),
    "kohya, original names": ("lora_unet_{g}.lora_down.weight", "lora_unet_{g}.lora_up.weight", "lora_unet_{g}.alpha"),
    "SimpleTuner's LyCORIS": ("lycoris_{f}.lora_down.weight", "lycoris_{f}.lora_up.weight", "lycoris_{f}.alpha"),
    "ComfyUI": ("diffusion_model.{o}.lora_down.weight", "diffusion_model.{o}.lora_up.weight", "diffusion_model.{o}.alpha"),
    "ComfyUI, A and B": ("diffusion_model.{o}.lora_A.weight", "diffusion_model.{o}.lora_B.weight", None),
    "OneTrainer's OMI": ("unet.{o}.lora_down.weight", "unet.{o}.lora_up.weight", "unet.{o}.alpha"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_layer_is_found_in_every_spelling(spelling: str, base: StableDiffusion, tmp_path: Path) -> None:
    original = "input_blocks.1.1.transformer_blocks.0.attn1.to_q"
    processor = Q.replace(".to_q", ".processor")
    names = {"q": Q, "p": processor, "f": Q.replace(".", "_"), "o": original, "g": original.replace(".", "_")}
    a, b = factors(weight_of(base, QUERY))
    down, up, alpha = (key and key.format(**names) for key in SPELLINGS[spelling])
    assert down is not None
    assert up is not None
    save_file({down: a, up: b} | ({alpha: torch.tensor(2.0)} if alpha else {}), tmp_path / "x.safetensors")
    # By hand: kohya's alpha of 2 at rank 4 halves it; without alpha, the product counts as it is.
    assert torch.allclose(change_of(tmp_path / "x.safetensors", base, QUERY), b @ a * (0.5 if alpha else 1.0), atol=1e-7)


TEXT_SPELLINGS = [
    "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_{}.weight",
    "text_encoder.encoder.layers.0.self_attn.q_proj.lora_{}.weight",
    "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.{}.weight",
    "text_encoder.text_model.encoder.layers.0.self_attn.to_q_lora.{}.weight",
    "lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_{}.weight",
    "lora_te1_text_model_encoder_layers_0_self_attn_q_proj.lora_{}.weight",
    "text_encoders.clip_l.transformer.text_model.encoder.layers.0.self_attn.q_proj.lora_{}.weight",
    "clip_l.text_model.encoder.layers.0.self_attn.q_proj.lora_{}.weight",
]


@pytest.mark.parametrize("spelling", TEXT_SPELLINGS)
def test_a_layer_of_the_text_encoder_is_found_in_every_spelling(spelling: str, base: StableDiffusion, tmp_path: Path) -> None:
    a, b = factors(weight_of(base, f"text_encoder.{TEXT}"))
    ends = ("A", "B") if spelling.startswith("text_encoder.") and "lora_{}" in spelling and "to_q" not in spelling else ("down", "up")
    save_file({spelling.format(ends[0]): a, spelling.format(ends[1]): b}, tmp_path / "x.safetensors")
    assert torch.allclose(change_of(tmp_path / "x.safetensors", base, f"text_encoder.{TEXT}"), b @ a, atol=1e-7)


@pytest.mark.parametrize(
    "kind", ["LoCon", "LoCon with a middle", "LoHa", "LoHa of tensors", "LoKr", "LoKr of factors", "flat LoKr", "difference"]
)
def test_a_convolution_changes_as_its_kind_says(kind: str, base: StableDiffusion, tmp_path: Path) -> None:
    weight = weight_of(base, f"unet.{CONV}")  # [64, 32, 3, 3]
    out, into = weight.shape[:2]
    a, b = factors(weight)
    mid, one, other = noise(4, 4, 3, 3), noise(8, 4), noise(8, 8, 3, 3)
    w1a, w1b, w2a, w2b = noise(out, 4, seed=1), noise(4, into * 9, seed=2), noise(out, 4, seed=3), noise(4, into * 9, seed=4)
    p1, r1, p2, r2 = noise(4, out, seed=1), noise(4, into, seed=2), noise(4, out, seed=3), noise(4, into, seed=4)
    k2a, k2b = noise(8, 4), noise(4, 8, 3, 3)
    # The formulas of LyCORIS, as sums over indices; alpha 2 at rank 4 is one half. A LoKr of whole factors has no scale.
    tensors, wanted = {
        "LoCon": ({"lora_down.weight": a, "lora_up.weight": b}, torch.einsum("or,rikl->oikl", b[..., 0, 0], a) / 2),
        "LoCon with a middle": (
            {"lora_down.weight": noise(4, into, 1, 1), "lora_up.weight": b, "lora_mid.weight": mid},
            torch.einsum("om,mnkl,ni->oikl", b[..., 0, 0], mid, noise(4, into, 1, 1)[..., 0, 0]) / 2,
        ),
        "LoHa": (
            {"hada_w1_a": w1a, "hada_w1_b": w1b, "hada_w2_a": w2a, "hada_w2_b": w2b},
            ((w1a @ w1b) * (w2a @ w2b)).view(weight.shape) / 2,
        ),
        "LoHa of tensors": (
            {"hada_w1_a": p1, "hada_w1_b": r1, "hada_t1": mid, "hada_w2_a": p2, "hada_w2_b": r2, "hada_t2": mid + 1},
            torch.einsum("ijkl,jr,ip->prkl", mid, r1, p1) * torch.einsum("ijkl,jr,ip->prkl", mid + 1, r2, p2) / 2,
        ),
        "LoKr": ({"lokr_w1": one, "lokr_w2": other}, torch.einsum("ab,cdkl->acbdkl", one, other).reshape(weight.shape)),
        "LoKr of factors": (
            {"lokr_w1": one, "lokr_w2_a": k2a, "lokr_w2_b": k2b},
            torch.einsum("ab,cr,rdkl->acbdkl", one, k2a, k2b).reshape(weight.shape) / 2,
        ),
        "flat LoKr": (
            {"lokr_w1": one, "lokr_w2_a": k2a, "lokr_w2_b": k2b.flatten(1)},
            torch.einsum("ab,cr,rdkl->acbdkl", one, k2a, k2b).reshape(weight.shape) / 2,
        ),
        "difference": ({"diff": noise(*weight.shape)}, noise(*weight.shape)),
    }[kind]
    stem = "lora_unet_" + CONV.replace(".", "_")
    save_file(
        {f"{stem}.{name}": value for name, value in tensors.items()} | {f"{stem}.alpha": torch.tensor(2.0)}, tmp_path / "x.safetensors"
    )
    assert (change_of(tmp_path / "x.safetensors", base, f"unet.{CONV}") - wanted).abs().max() <= 1e-6


@pytest.mark.parametrize("axis", [0, 1])
def test_dora_gives_each_row_or_column_the_length_that_the_file_says(axis: int, base: StableDiffusion, tmp_path: Path) -> None:
    weight = weight_of(base, f"unet.{CONV}")
    a, b = factors(weight)
    lengths = noise(weight.shape[axis]).abs() + 1
    stem = "lora_unet_" + CONV.replace(".", "_")
    scale = lengths.reshape([-1, 1, 1, 1] if axis == 0 else [1, -1, 1, 1])
    save_file({f"{stem}.lora_down.weight": a, f"{stem}.lora_up.weight": b, f"{stem}.dora_scale": scale}, tmp_path / "x.safetensors")
    made = weight + change_of(tmp_path / "x.safetensors", base, f"unet.{CONV}")
    assert torch.allclose(made.transpose(0, axis).flatten(1).norm(dim=1), lengths, atol=1e-5)


@pytest.mark.parametrize("kind", ["rsLoRA", "DoRA", "ranks and alphas by pattern"])
def test_what_peft_trained_is_drawn_with_as_peft_does(kind: str, tiny: Path, tmp_path: Path) -> None:
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    pattern: dict[str, Any] = {"rank_pattern": {"conv1": 2}, "alpha_pattern": {"conv1": 5}} if "pattern" in kind else {}
    base = base_of(tiny)
    unet: Any = base.denoiser
    unet.add_adapter(
        LoraConfig(r=4, lora_alpha=8, target_modules=["to_q", "conv1"], use_rslora=kind == "rsLoRA", use_dora=kind == "DoRA", **pattern)
    )
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if "lora_" in name:
                parameter.mul_(1.2).add_(noise(*parameter.shape))
    wanted = output(unet)
    config = unet.peft_config["default"].to_dict()
    StableDiffusionPipeline.save_lora_weights(tmp_path, get_peft_model_state_dict(unet), unet_lora_adapter_metadata=config)
    other = base_of(tiny)
    Swapper(other.parts).put_on(read(tmp_path / lora.PORTABLE_FILE, other.parts), 1.0)
    assert (output(other.denoiser) - wanted).abs().max() <= 1e-5


def test_every_layer_of_the_unet_has_its_name_in_the_original_code(base: StableDiffusion) -> None:
    unet: Any = base.denoiser
    names = adapters.original_names(adapters.layers(unet))
    ours = {f"{name}.{end}": tensor for name in names for end, tensor in unet.get_submodule(name).named_parameters(recurse=False)}
    assert ours.keys() == unet.state_dict().keys()
    checkpoint = {f"model.diffusion_model.{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value for key, value in ours.items()}
    # The converter of diffusers, which is not ours, gives every tensor its old name back.
    back = convert_ldm_unet_checkpoint(checkpoint, dict(unet.config))
    assert {key: value.data_ptr() for key, value in back.items()} == {key: value.data_ptr() for key, value in ours.items()}


# Layers and alpha at rank 4: all that can be trained at half the strength and at twice it, and attention alone as it is.
STRENGTHS = [("all", 2.0), ("attention", 4.0), ("all", 8.0)]


def trained(tiny: Path, tmp_path: Path, targets: str, alpha: float) -> tuple[StableDiffusion, Path]:
    """A base with a LoRA as training leaves it, and its portable file."""
    base = base_of(tiny)
    taught_factors = taught(base, settings_of(targets, 4, alpha))
    lora.save(tmp_path / "lora.safetensors", dict(taught_factors), scale=alpha / 4, names=(), about={})
    return base, tmp_path / "lora.safetensors"


def picture(pipeline: Any) -> NDArray[Any]:
    generator = torch.Generator().manual_seed(3)
    drawn: NDArray[Any] = pipeline("a fox", num_inference_steps=2, guidance_scale=3.0, generator=generator, output_type="np").images
    return drawn


def written(path: Path, form: adapters.Form, base: StableDiffusion, target: Path) -> Path:
    made = adapters.write(read(path, base.parts), form, names=adapters.layers(base.denoiser), about={})
    target.write_bytes(made.data)
    return target


@pytest.mark.parametrize("form", ["diffusers", "kohya"])
@pytest.mark.parametrize(("targets", "alpha"), STRENGTHS)
def test_an_export_draws_the_same_in_a_fresh_stock_pipeline(
    targets: str, alpha: float, form: adapters.Form, tiny: Path, tmp_path: Path
) -> None:
    trainer, path = trained(tiny, tmp_path, targets, alpha)
    stock = stock_pipeline(tiny)
    wanted = picture(StableDiffusionPipeline(**{**stock.components, "unet": trainer.denoiser}))
    plain = picture(stock)
    stock.load_lora_weights(written(path, form, base_of(tiny), tmp_path / f"{form}.safetensors"))
    assert abs(picture(stock) - wanted).max() <= 1e-5
    assert abs(wanted - plain).max() > 1e-2


@pytest.mark.parametrize(("targets", "alpha"), STRENGTHS)
def test_an_export_for_comfyui_draws_the_same_in_the_original_layout(targets: str, alpha: float, tiny: Path, tmp_path: Path) -> None:
    trainer, path = trained(tiny, tmp_path, targets, alpha)
    base = base_of(tiny)
    unet: Any = base.denoiser
    names = adapters.original_names(adapters.layers(unet))
    checkpoint = {
        f"model.diffusion_model.{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value.clone()
        for key, value in unet.state_dict().items()
    }
    tensors = load_file(written(path, "comfyui", base, tmp_path / "comfyui.safetensors"))
    for key, up in tensors.items():
        if key.endswith(".lora_up.weight"):
            stem = key.removesuffix(".lora_up.weight")
            down = tensors[f"{stem}.lora_down.weight"]
            # What ComfyUI does: weight += alpha / rank * up @ down, found by its full name.
            change = (up.flatten(1) @ down.flatten(1)) * (tensors[f"{stem}.alpha"] / down.shape[0])
            checkpoint[f"model.{stem}.weight"] += change.view(checkpoint[f"model.{stem}.weight"].shape)
    merged = UNet2DConditionModel.from_config(unet.config)
    merged.load_state_dict(convert_ldm_unet_checkpoint(checkpoint, dict(unet.config)))
    assert (output(merged) - output(trainer.denoiser)).abs().max() <= 1e-5


def with_text(base: StableDiffusion) -> Adapter:
    """A LoRA on attention of the UNet and on all of the text encoder."""
    layers = {}
    for part, ends in (("unet", ("to_q", "to_out.0")), ("text_encoder", ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"))):
        for name in adapters.layers(base.parts[part]):
            if name.endswith(ends):
                a, b = factors(weight_of(base, f"{part}.{name}"))
                layers[f"{part}.{name}"] = Layer({"down": a, "up": b}, 1.5)
    return Adapter(dict(sorted(layers.items())), {})


@pytest.mark.parametrize("form", ["diffusers", "kohya"])
def test_a_text_encoder_part_is_drawn_with_as_stock_diffusers_does(form: adapters.Form, tiny: Path, tmp_path: Path) -> None:
    base = base_of(tiny)
    adapter = with_text(base)
    made = adapters.write(adapter, form, names=adapters.layers(base.denoiser), about={})
    (tmp_path / "x.safetensors").write_bytes(made.data)
    stock = stock_pipeline(tiny)
    stock.load_lora_weights(tmp_path / "x.safetensors")
    Swapper(base.parts).put_on(read(tmp_path / "x.safetensors", base.parts), 1.0)
    states = stock.encode_prompt("a fox", torch.device("cpu"), 1, False)[0]
    assert (states - base.encode_prompts(["a fox"])["encoder_hidden_states"]).abs().max() <= 1e-5
    assert (output(stock.unet) - output(base.denoiser)).abs().max() <= 1e-5


@pytest.mark.parametrize("form", ["diffusers", "kohya", "comfyui"])
def test_what_is_written_is_read_back_the_same(form: adapters.Form, base: StableDiffusion, tmp_path: Path) -> None:
    adapter = with_text(base)
    folded = {place: adapters.folded(layer).tensors for place, layer in adapter.layers.items()}
    made = adapters.write(adapter, form, names=adapters.layers(base.denoiser), about={})
    (tmp_path / "x.safetensors").write_bytes(made.data)
    back = read(tmp_path / "x.safetensors", base.parts)
    assert {place: layer.scale for place, layer in back.layers.items()} == dict.fromkeys(folded, 1.0)
    assert back.layers.keys() == folded.keys()
    assert all(torch.equal(layer.tensors[role], folded[place][role]) for place, layer in back.layers.items() for role in layer.tensors)
    again = adapters.write(back, form, names=adapters.layers(base.denoiser), about={})
    assert again == made


@pytest.mark.parametrize("form", ["kohya", "comfyui"])
def test_a_lokr_of_whole_factors_keeps_its_strength_in_other_forms(form: adapters.Form, base: StableDiffusion, tmp_path: Path) -> None:
    # As peft tells it: its LoKr counts alpha / rank even where neither factor was divided.
    layer = Layer({"lokr_w1": noise(8, 4), "lokr_w2": noise(8, 8, 3, 3)}, 0.5)
    made = adapters.write(Adapter({f"unet.{CONV}": layer}, {}), form, names=adapters.layers(base.denoiser), about={})
    (tmp_path / "x.safetensors").write_bytes(made.data)
    wanted = layer.changed(weight_of(base, f"unet.{CONV}"))
    assert wanted is not None
    assert (change_of(tmp_path / "x.safetensors", base, f"unet.{CONV}") - wanted).abs().max() <= 1e-6


def test_layers_of_other_ranks_get_one_rank_and_the_same_change(base: StableDiffusion, tmp_path: Path) -> None:
    layers = {QUERY: Layer(dict(zip(("down", "up"), factors(weight_of(base, QUERY), 2), strict=True)), 1.0)}
    layers[f"unet.{CONV}"] = Layer(dict(zip(("down", "up"), factors(weight_of(base, f"unet.{CONV}"), 6), strict=True)), 1.0)
    made = adapters.write(Adapter(layers, {}), "diffusers", names=adapters.layers(base.denoiser), about={})
    (tmp_path / "x.safetensors").write_bytes(made.data)
    assert {layer.rank for layer in read(tmp_path / "x.safetensors", base.parts).layers.values()} == {6}
    wanted = layers[QUERY].changed(weight_of(base, QUERY))
    assert wanted is not None
    assert (change_of(tmp_path / "x.safetensors", base, QUERY) - wanted).abs().max() <= 1e-7


def test_the_keys_are_those_of_the_sources(base: StableDiffusion) -> None:
    layers = {
        place: Layer(dict(zip(("down", "up"), factors(weight_of(base, place)), strict=True)), 1.0)
        for place in (QUERY, f"unet.{OUT}", f"unet.{CONV}", "unet.up_blocks.0.upsamplers.0.conv", f"text_encoder.{FC}")
    }
    keys = {}
    for form in ("kohya", "comfyui"):
        data = adapters.write(Adapter(layers, {}), form, names=adapters.layers(base.denoiser), about={}).data
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        keys[form] = {key.removesuffix(".alpha") for key in header if key.endswith(".alpha")}
    # sd-scripts 48d368fa networks/lora.py: prefix, then the module's name in diffusers with underscores.
    assert keys["kohya"] == {
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q",
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_out_0",
        "lora_unet_down_blocks_1_resnets_0_conv1",
        "lora_unet_up_blocks_0_upsamplers_0_conv",
        "lora_te_text_model_encoder_layers_1_mlp_fc1",
    }
    # ComfyUI 17358c8f comfy/lora.py: full names of the original code; text encoders also by those of diffusers.
    assert keys["comfyui"] == {
        "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q",
        "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_out.0",
        "diffusion_model.input_blocks.3.0.in_layers.2",
        "diffusion_model.output_blocks.1.1.conv",
        "text_encoder.text_model.encoder.layers.1.mlp.fc1",
    }


def kohya(names: list[str]) -> dict[str, Tensor]:
    return {f"{name}.{end}": noise(4, 4) for name in names for end in ("lora_down.weight", "lora_up.weight")}


REFUSED: dict[str, tuple[Callable[[], dict[str, Tensor]], str]] = {
    "SDXL": (lambda: kohya(["lora_te2_text_model_encoder_layers_0_mlp_fc1"]), "those of SDXL"),
    "FLUX": (lambda: kohya(["lora_unet_double_blocks_0_img_attn_proj"]), "those of FLUX"),
    "OFT": (lambda: {"lora_unet_conv_in.oft_blocks": noise(2, 2)}, "OFT, which Decal does not read"),
    "a whole model": (lambda: {"conv_in.weight": noise(2, 2)}, "not keys of a LoRA"),
    "a half": (lambda: {f"unet.{Q}.lora_A.weight": noise(4, 32)}, "down alone do not make an adapter"),
    "another size": (
        lambda: {f"unet.{Q}.lora_A.weight": noise(4, 32), f"unet.{Q}.lora_B.weight": noise(64, 4)},
        r"\[64, 32\] for a weight",
    ),
    "not finite": (
        lambda: {f"unet.{Q}.lora_A.weight": noise(4, 32), f"unet.{Q}.lora_B.weight": torch.full((32, 4), torch.nan)},
        "not finite",
    ),
    "an alpha of four numbers": (
        lambda: kohya(["lora_unet_conv_in"]) | {"lora_unet_conv_in.alpha": noise(2, 2)},
        "of a shape that none has",
    ),
    "a factor of no length": (
        lambda: {"lora_unet_conv_in.lora_down.weight": torch.tensor(1.0), "lora_unet_conv_in.alpha": torch.tensor(1.0)},
        "of a shape that none has",
    ),
    "one layer twice": (
        lambda: kohya(["lora_unet_" + Q.replace(".", "_"), "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q"]),
        "2 of 4 tensors cannot be placed",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_is_refused_with_a_list(what: str, base: StableDiffusion, tmp_path: Path) -> None:
    make, told = REFUSED[what]
    save_file(make(), tmp_path / "x.safetensors")
    with pytest.raises(AdapterError, match=told):
        read(tmp_path / "x.safetensors", base.parts)


def test_a_pickle_is_refused_unopened(base: StableDiffusion, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(b"cos\nsystem\n(S'touch /tmp/owned'\ntR.")
    with pytest.raises(AdapterError, match="may run code"):
        read(tmp_path / "x.pt", base.parts)


def test_an_unknown_form_is_one_sentence() -> None:
    with pytest.raises(SettingsError, match="diffusers, kohya, comfyui"):
        adapters.to_form("a1111")


def test_taking_a_text_encoder_part_off_gives_the_same_bits_back(tiny: Path) -> None:
    base = base_of(tiny)
    before = {part: {name: tensor.clone() for name, tensor in module.state_dict().items()} for part, module in base.parts.items()}
    swapper = Swapper(base.parts)
    swapper.put_on(with_text(base), 0.7)
    assert not torch.equal(base.parts["text_encoder"].state_dict()[f"{TEXT}.weight"], before["text_encoder"][f"{TEXT}.weight"])
    swapper.put_on(None, 1.0)
    after: dict[str, nn.Module] = dict(base.parts)
    assert all(torch.equal(tensor, before[part][name]) for part, module in after.items() for name, tensor in module.state_dict().items())


def test_the_header_is_sorted_and_holds_the_hash_of_the_tensors(base: StableDiffusion, tmp_path: Path) -> None:
    made = adapters.write(with_text(base), "kohya", names=[], about={"modelspec.title": "zorb"})
    (tmp_path / "x.safetensors").write_bytes(made.data)
    with safe_open(tmp_path / "x.safetensors", framework="pt") as file:
        about = file.metadata()
    size = int.from_bytes(made.data[:8], "little")
    keys = list(json.loads(made.data[8 : 8 + size]))
    assert keys == sorted(keys)
    assert (about["ss_network_dim"], about["ss_network_alpha"], about["modelspec.title"]) == ("4", "4.0", "zorb")
    import hashlib

    assert about["modelspec.hash_sha256"] == "0x" + hashlib.sha256(made.data[8 + size :]).hexdigest()
