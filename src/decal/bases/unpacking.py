"""A single file of a whole model -> a folder in the diffusers layout, once.

Weights keep their precision; each part is read, renamed and written by itself, so the memory it takes is that of the UNet. Nothing is
unpacked by half: a part whose weights are not exactly those of its layout is an error. The folder lies in the user's cache.
Source of the names: the original code of each family; for UNet and VAE the tables of diffusers.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from decal.bases.layouts import LAYOUTS, Layout
from decal.errors import BaseModelError
from decal.presets import MINI
from decal.project import staged_folder
from decal.single_files import family_of

Tensors = dict[str, Tensor]
PREFIXES = {"unet": "model.diffusion_model.", "vae": "first_stage_model."}
# What is in some files and in no model: a buffer of old transformers, and the scale between texts and pictures.
SPARE = ("text_model.embeddings.position_ids",)


def place_of(path: Path) -> Path:
    """Where a single file lies once it is unpacked; another file under the same name has another place."""
    there = path.stat()
    key = hashlib.sha256(f"1 {path.resolve()} {there.st_size} {there.st_mtime_ns}".encode()).hexdigest()[:16]
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "decal" / "bases"
    return home / f"{path.stem}-{key}"


def unpacked(path: Path) -> Path:
    """The folder of a single file. Raises BaseModelError where the file is no whole model."""
    layout, folder = LAYOUTS[family_of(path)], place_of(path)
    if not folder.is_dir():
        with staged_folder(folder) as staged:
            unpack(path, layout, staged)
    return folder


def unpack(path: Path, layout: Layout, folder: Path) -> None:
    """Write the model of a file into a folder. Raises BaseModelError where its weights are not those of the layout."""
    index: dict[str, Any] = {"_class_name": layout.pipeline, "scheduler": ["diffusers", layout.scheduler["_class_name"]]}
    for part, config in layout.configs.items():
        tensors = _converted(path, part, layout)
        _require_whole(path, part, tensors, _model(part, config))
        (folder / part).mkdir(parents=True)
        name = "model" if part in layout.texts else "diffusion_pytorch_model"
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / part / f"{name}.safetensors", {"format": "pt"})
        _write(folder / part / "config.json", config)
        index[part] = ["transformers" if part in layout.texts else "diffusers", type(_model(part, config)).__name__]
    for part, (_, code) in layout.texts.items():
        tokenizer = part.replace("text_encoder", "tokenizer")
        # OpenCLIP pads with 0, which is "!"; OpenAI's CLIP with the end of the text.
        pad = {"pad_token": "!"} if code == "open_clip" else {}
        CLIPTokenizer.from_pretrained(Path(MINI.where) / "tokenizer", model_max_length=77, **pad).save_pretrained(folder / tokenizer)
        index[tokenizer] = ["transformers", "CLIPTokenizer"]
    (folder / "scheduler").mkdir()
    _write(folder / "scheduler" / "scheduler_config.json", layout.scheduler)
    if len(layout.texts) > 1:
        index["force_zeros_for_empty_prompt"] = True
    else:
        index |= {"safety_checker": [None, None], "feature_extractor": [None, None], "requires_safety_checker": False}
    _write(folder / "model_index.json", index)


def _converted(path: Path, part: str, layout: Layout) -> Tensors:
    """The weights of a part under the names of diffusers."""
    prefix = PREFIXES.get(part) or layout.texts[part][0]
    with safe_open(path, framework="pt") as file:
        found = {name: file.get_tensor(name) for name in file.keys() if name.startswith(prefix)}  # noqa: SIM118
    if part == "unet":
        return dict(convert_ldm_unet_checkpoint(found, dict(_model(part, layout.configs[part]).config)))
    if part == "vae":
        return dict(convert_ldm_vae_checkpoint(found, layout.configs[part]))
    bare = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    if layout.texts[part][1] == "open_clip":
        return _of_open_clip(bare, layout.configs[part]["num_hidden_layers"], has_projection=part == "text_encoder_2")
    return {name: tensor for name, tensor in bare.items() if name not in SPARE}


def _of_open_clip(found: Mapping[str, Tensor], layers: int, *, has_projection: bool) -> Tensors:
    """A text encoder of OpenCLIP under the names of transformers; layers beyond those that are used are left out."""
    made: Tensors = {
        "text_model.embeddings.position_embedding.weight": found["positional_embedding"],
        "text_model.embeddings.token_embedding.weight": found["token_embedding.weight"],
    }
    if has_projection:
        made["text_projection.weight"] = found["text_projection"].T
    for name, tensor in found.items():
        if name.startswith("ln_final."):
            made[f"text_model.final_layer_norm.{name.removeprefix('ln_final.')}"] = tensor
        match = re.fullmatch(r"transformer\.resblocks\.(\d+)\.(.+)", name)
        if match is None or int(match[1]) >= layers:
            continue
        at, rest = f"text_model.encoder.layers.{match[1]}", match[2]
        if rest.startswith("attn.in_proj_"):
            for letter, third in zip("qkv", tensor.chunk(3), strict=True):
                made[f"{at}.self_attn.{letter}_proj.{rest.removeprefix('attn.in_proj_')}"] = third
        else:
            for theirs, ours in (("ln_", "layer_norm"), ("mlp.c_fc", "mlp.fc1"), ("mlp.c_proj", "mlp.fc2"), ("attn.", "self_attn.")):
                rest = rest.replace(theirs, ours)
            made[f"{at}.{rest}"] = tensor
    return made


def _model(part: str, config: Mapping[str, Any]) -> Any:
    """A part without weights."""
    with torch.device("meta"):
        if part == "unet":
            return UNet2DConditionModel.from_config(dict(config))
        if part == "vae":
            return AutoencoderKL.from_config(dict(config))
        kind = CLIPTextModelWithProjection if part == "text_encoder_2" else CLIPTextModel
        return kind(CLIPTextConfig.from_dict(dict(config)))


def _require_whole(path: Path, part: str, tensors: Tensors, model: Any) -> None:
    """Raise BaseModelError where names or shapes differ from those of the model."""
    # transformers has dropped text_model. from the names of one of its two text models.
    wanted = {name.removeprefix("text_model."): tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name.removeprefix("text_model."): tuple(tensor.shape) for name, tensor in tensors.items()}
    odd = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if odd:
        raise BaseModelError(
            f"{path}: {part} is not built like the model that its names suggest ({len(odd)} weights differ, such as {odd[0]}).\n"
            "Use a folder in the diffusers layout, or another file."
        )


def _write(path: Path, table: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(table, indent=2, sort_keys=True) + "\n", "utf-8")
