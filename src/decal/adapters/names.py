"""What other tools call the layers of a model: a table from their names to ours, made from the modules of the loaded base.

Tools differ in prefix, in dots or underscores, and in whose names they use: those of diffusers, or those of the original code
(`input_blocks.1.1`). All are flattened to underscores here, so one table serves; it cannot name a layer that the base lacks.
Sources: sd-scripts networks/lora.py, ComfyUI comfy/lora.py, OneTrainer modules/util/convert/lora, diffusers loaders, peft.
"""

import re
from collections.abc import Iterable, Mapping

from torch import nn

Parts = Mapping[str, nn.Module]
"""The parts of a base that an adapter may change, by their names in diffusers: unet, text_encoder."""

# Flattened; the longest that fits counts. What has no prefix is told apart by its layer alone.
PREFIXES = {
    "unet": ("lora_unet", "lycoris", "unet", "diffusion_model", "model_diffusion_model"),
    "text_encoder": ("lora_te", "lora_te1", "lycoris", "text_encoder", "clip_l", "clip_h", "text_encoders_clip_l", "text_encoders_clip_h"),
    "text_encoder_2": ("lora_te2", "text_encoder_2", "clip_g", "text_encoders_clip_g"),
}
# What may stand between the prefix and the layer: peft's wrapper, ComfyUI's wrapper around CLIP.
WRAPPERS = ("", "base_model_model_", "transformer_")

RESNET = {
    "conv1": "in_layers.2",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
    "norm1": "in_layers.0",
    "norm2": "out_layers.0",
}
SINGLE = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


def layers(part: nn.Module) -> dict[str, nn.Module]:
    """The modules of a part that have a weight of their own, by name."""
    return {name: module for name, module in part.named_modules() if isinstance(getattr(module, "weight", None), nn.Parameter)}


def table(part: str, names: Iterable[str]) -> dict[str, str]:
    """Flattened name, as any tool may write it without its prefix -> name of the layer."""
    names = list(names)
    original = original_names(names) if part == "unet" else {}
    found: dict[str, str] = {}
    for name in names:
        known = [name, *([original[name]] if name in original else [])]
        if part == "unet":
            # Attention processors of old diffusers have no list around the projection out.
            known += [one.removesuffix(".0") for one in known if one.endswith(".to_out.0")]
        else:
            bare = name.removeprefix("text_model.")
            old = re.sub(r"\.self_attn\.(q|k|v|out)_proj$", r".self_attn.to_\1", bare)
            known += [bare, f"text_model.{bare}", old, f"text_model.{old}"]
        for one in known:
            assert found.setdefault(flat(one), name) == name, f"two layers are called {one}"
    return found


def flat(name: str) -> str:
    """A name with underscores for dots, and without the `processor` of old diffusers."""
    return name.replace(".processor.", ".").replace(".", "_")


def candidates(stem: str, part: str) -> list[str]:
    """What the layer in a tool's key may be called within a part, flattened; the longest prefix first."""
    name = flat(stem)
    found = []
    for prefix in sorted(PREFIXES[part], key=len, reverse=True):
        if name.startswith(f"{prefix}_"):
            rest = name[len(prefix) + 1 :]
            found += [rest[len(wrapper) :] for wrapper in WRAPPERS if rest.startswith(wrapper)]
    # Without any prefix: old attention processors, and what peft saves for one model.
    found += [name[len(wrapper) :] for wrapper in WRAPPERS[:2] if name.startswith(wrapper)]
    return found


def original_names(names: Iterable[str]) -> dict[str, str]:
    """Names of the layers of a UNet in diffusers -> their names in the original code, which counts all blocks of a side in a row."""
    names = list(names)
    found = {name: SINGLE[name] for name in names if name in SINGLE}
    for side, blocks, first in (("down_blocks", "input_blocks", 1), ("up_blocks", "output_blocks", 0)):
        counts = _resnets(names, side)
        begins = {block: first + sum(counts[one] + (side == "down_blocks") for one in range(block)) for block in counts}
        for name in names:
            if match := re.fullmatch(rf"{side}\.(\d+)\.(\w+)\.(\d+)\.(.+)", name):
                block, kind, place, rest = int(match[1]), match[2], int(match[3]), match[4]
                row = begins[block] + place
                if kind == "resnets":
                    found[name] = f"{blocks}.{row}.0.{RESNET[rest]}"
                elif kind == "attentions":
                    found[name] = f"{blocks}.{row}.1.{rest}"
                elif kind == "downsamplers":
                    found[name] = f"{blocks}.{begins[block] + counts[block]}.0.op"
                elif kind == "upsamplers":
                    has_attention = any(one.startswith(f"{side}.{block}.attentions.") for one in names)
                    found[name] = f"{blocks}.{begins[block] + counts[block] - 1}.{1 + has_attention}.{rest}"
    for name in names:
        if match := re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)", name):
            is_resnet = match[1] == "resnets"
            found[name] = f"middle_block.{2 * int(match[2]) + (not is_resnet)}.{RESNET[match[3]] if is_resnet else match[3]}"
    return found


def _resnets(names: list[str], side: str) -> dict[int, int]:
    """How many residual blocks each block of a side has."""
    found: dict[int, set[str]] = {}
    for name in names:
        if match := re.match(rf"{side}\.(\d+)\.resnets\.(\d+)\.", name):
            found.setdefault(int(match[1]), set()).add(match[2])
    return {block: len(found[block]) for block in sorted(found)}
