"""Whole models in one file, as A1111 and ComfyUI use them."""

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from test_sdxl import base_of
from torch import Tensor

from decal import adapters
from decal.bases import Base
from decal.bases.layouts import LAYOUTS, Layout
from decal.bases.unpacking import _model, place_of, unpack
from decal.errors import BaseModelError
from decal.generate import generate
from decal.parcel import _in_parcel, _link_base
from decal.presets import base_preset, public_name
from decal.records import Cell

# Counts of weights as published with each model; the text encoder of SD 2 without its unused last layer.
PUBLISHED = {
    "sd1.5": {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480},
    "sd2.1": {"unet": 865_910_724, "vae": 83_653_863, "text_encoder": 340_387_840},
    "sd2.1-base": {"unet": 865_910_724, "vae": 83_653_863, "text_encoder": 340_387_840},
    "sdxl": {"unet": 2_567_463_684, "vae": 83_653_863, "text_encoder": 123_060_480, "text_encoder_2": 694_659_840},
}


@pytest.mark.parametrize("base", PUBLISHED)
def test_a_layout_has_as_many_weights_as_the_published_model(base: str) -> None:
    counts = {part: sum(w.numel() for w in _model(part, config).parameters()) for part, config in LAYOUTS[base].configs.items()}
    assert counts == PUBLISHED[base]


def test_turbo_is_built_like_sdxl_with_another_scheduler() -> None:
    one, other = LAYOUTS["sdxl"], LAYOUTS["sdxl-turbo"]
    assert {**one.configs["unet"], "sample_size": 64} == other.configs["unet"]
    assert other.scheduler["timestep_spacing"] == "trailing"


def vae_name(name: str) -> str:
    """What the original code calls a weight of the VAE."""
    name = re.sub(r"up_blocks\.(\d)", lambda match: f"up.{3 - int(match[1])}", name).replace("down_blocks.", "down.")
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda match: f"mid.block_{int(match[1]) + 1}", name).replace(".resnets.", ".block.")
    name = re.sub(r"(down|up)samplers\.0", r"\1sample", name).replace("mid_block.attentions.0", "mid.attn_1").replace("group_norm", "norm")
    for ours, theirs in (("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out"), ("conv_norm_out", "norm_out")):
        name = name.replace(f".{ours}.", f".{theirs}.")
    return name.replace("conv_shortcut", "nin_shortcut")


def open_clip(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A text encoder under OpenCLIP's names."""
    made: dict[str, Tensor] = {}
    for full, tensor in state.items():
        name = full.removeprefix("text_model.").replace("encoder.layers.", "transformer.resblocks.").replace("layer_norm", "ln_")
        name = name.replace("mlp.fc1", "mlp.c_fc").replace("mlp.fc2", "mlp.c_proj").replace("self_attn.out", "attn.out")
        name = name.replace("embeddings.position_embedding.weight", "positional_embedding").replace("final_ln_", "ln_final")
        name = name.replace("embeddings.token_embedding", "token_embedding")
        if match := re.fullmatch(r"(.+)self_attn\.([qkv])_proj\.(\w+)", name):
            if match[2] == "q":
                whole = [state[full.replace(".q_proj.", f".{letter}_proj.")] for letter in "qkv"]
                made[f"{match[1]}attn.in_proj_{match[3]}"] = torch.cat(whole)
        elif name == "text_projection.weight":
            made["text_projection"] = tensor.T.contiguous()
        else:
            made[name] = tensor
    return made


def single_file(base: Any, path: Path, layout: Layout) -> Path:
    """The model of a folder as one file in the names of the original code."""
    names = adapters.original_names(adapters.layers(base.denoiser))
    tensors = {}
    for name, tensor in base.denoiser.state_dict().items():
        layer, _, what = name.rpartition(".")
        tensors[f"model.diffusion_model.{names[layer]}.{what}"] = tensor
    for name, tensor in base._vae.state_dict().items():
        is_linear = "attentions" in name and tensor.dim() == 2
        tensors[f"first_stage_model.{vae_name(name)}"] = tensor[..., None, None].clone() if is_linear else tensor
    for part, (prefix, code) in layout.texts.items():
        state = base.parts[part].state_dict()
        if code == "open_clip":
            tensors |= {prefix + name: tensor for name, tensor in open_clip(state).items()} | {f"{prefix}logit_scale": torch.ones(())}
        else:
            tensors |= {f"{prefix}text_model.{name.removeprefix('text_model.')}": tensor for name, tensor in state.items()}
    save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, path)
    return path


def layout_of(folder: Path, like: str) -> Layout:
    """The layout of a published base with the widths of a small one."""
    real = LAYOUTS[like]
    configs = {part: json.loads((folder / part / "config.json").read_text()) for part in real.configs}
    scheduler = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    return Layout(real.pipeline, configs, real.texts, scheduler, 64)


def drawn(base: Base) -> Any:
    fields = {"guidance": 3.0, "steps": 2, "sampler": "ddim", "checkpoint": 0, "width_px": 64, "height_px": 64}
    cell = Cell.model_validate({"prompt": "a red cat", "seed": 1, **fields})
    return next(generate(base, [cell], adapters={}, images={}, batch=1)).pixels


@pytest.mark.parametrize("like", ["sd1.5", "sdxl"])
def test_a_file_draws_what_the_folder_draws_that_it_was_made_of(like: str, tiny: Path, tiny_xl: Path, tmp_path: Path) -> None:
    folder = {"sd1.5": tiny, "sdxl": tiny_xl}[like]
    base, layout = base_of(folder), layout_of(folder, like)
    path = single_file(base, tmp_path / "x.safetensors", layout)
    unpack(path, layout, tmp_path / "unpacked")
    assert (drawn(base_of(tmp_path / "unpacked")) == drawn(base)).all()
    import diffusers

    stock = diffusers.AutoPipelineForText2Image.from_pretrained(tmp_path / "unpacked")
    assert type(stock).__name__ == layout.pipeline


def test_a_file_of_another_build_is_refused_whole(tiny: Path, tmp_path: Path) -> None:
    path = single_file(base_of(tiny), tmp_path / "x.safetensors", layout_of(tiny, "sd1.5"))
    with pytest.raises(BaseModelError, match="unet is not built like the model that its names suggest"):
        unpack(path, LAYOUTS["sd1.5"], tmp_path / "unpacked")


def header_only(path: Path, names: list[str], about: dict[str, str] | None = None) -> Path:
    table: dict[str, object] = {name: {"dtype": "F16", "shape": [0], "data_offsets": [0, 0]} for name in names}
    data = json.dumps(table | ({"__metadata__": about} if about else {})).encode()
    path.write_bytes(struct.pack("<Q", len(data)) + data)
    return path


V1, V2 = ["cond_stage_model.transformer.text_model.final_layer_norm.weight"], ["cond_stage_model.model.ln_final.weight"]
XL = ["conditioner.embedders.0.transformer.text_model.final_layer_norm.weight", "conditioner.embedders.1.model.ln_final.weight"]
TOLD: dict[str, tuple[str, list[str], dict[str, str] | None, tuple[int, float, str]]] = {
    "an SD 1": ("dream.safetensors", V1, None, (512, 7.5, "ddim")),
    "an SD 2 by its name": ("v2-1_768-ema.safetensors", V2, None, (768, 7.5, "ddim")),
    "an SD 2 by its header": ("two.safetensors", V2, {"modelspec.prediction_type": "epsilon"}, (512, 7.5, "ddim")),
    "an SDXL": ("juggernaut.safetensors", XL, None, (1024, 5.0, "ddim")),
    "a turbo": ("sd_xl_turbo_1.0_fp16.safetensors", XL, None, (512, 0.0, "euler_a")),
}


@pytest.mark.parametrize("what", TOLD)
def test_a_file_brings_the_settings_of_its_family(what: str, tmp_path: Path) -> None:
    name, names, about, wanted = TOLD[what]
    path = header_only(tmp_path / name, names, about)
    preset = base_preset(str(path))
    assert (preset.resolution, preset.guidance, preset.sampler) == wanted
    assert (preset.licence, public_name(str(path))) == ("unknown: see its model card", name)


NOT: dict[str, tuple[list[str], str]] = {
    "a LoRA": (["lora_unet_mid_block.lora_down.weight"], "holds a LoRA"),
    "another model": (["double_blocks.0.weight"], "is not a whole Stable Diffusion"),
    "an SD 2 that says nothing": (V2, "whether it predicts noise or v"),
}


@pytest.mark.parametrize("what", NOT)
def test_what_is_no_base_is_one_sentence(what: str, tmp_path: Path) -> None:
    names, told = NOT[what]
    with pytest.raises(BaseModelError, match=told):
        base_preset(str(header_only(tmp_path / "x.safetensors", names)))


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(BaseModelError, match="cannot be read as safetensors"):
        base_preset(str(tmp_path / "x.safetensors"))


def test_a_hand_in_links_the_folder_that_a_file_was_unpacked_into(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    layout = layout_of(tiny, "sd1.5")
    path = single_file(base_of(tiny), tmp_path / "fox.safetensors", layout)
    unpack(path, layout, place_of(path))
    named = _in_parcel(str(path))
    _link_base(tmp_path / named, str(path))
    assert (named, (tmp_path / named / "unet" / "config.json").is_file()) == ("base/fox", True)
