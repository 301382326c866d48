"""A LoRA file of any tool -> an adapter for the base at hand, whole or not at all.

A key is a layer's name in the tool's spelling and an ending that says what the tensor is. The endings are few and the names come from the
loaded base, so the tool need not be known. What cannot be placed is refused with a list: half an adapter would be drawn and judged as if
it were the whole. Only safetensors is read; a pickle can run code.
"""

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from decal.adapters.layers import Layer, Role
from decal.adapters.learnt import read_words
from decal.adapters.names import Parts, candidates, layers, table
from decal.bases.words import Words
from decal.errors import AdapterError
from decal.wording import counted

PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl")
LISTED = 8

# Endings of keys, those of peft with the adapter's name in between as well.
_NAMED = r"(?:\.default(?:_\d+)?)?"
ENDINGS: list[tuple[str, Role]] = [
    (rf"\.lora_A{_NAMED}(?:\.weight)?|\.lora_down\.weight|[._]lora\.down\.weight|\.lora_linear_layer\.down\.weight", "down"),
    (rf"\.lora_B{_NAMED}(?:\.weight)?|\.lora_up\.weight|[._]lora\.up\.weight|\.lora_linear_layer\.up\.weight", "up"),
    (rf"\.lora_B{_NAMED}\.bias", "up_bias"),
    (r"\.lora_mid\.weight", "mid"),
    (rf"\.lora_magnitude_vector{_NAMED}(?:\.weight)?", "magnitude"),
    *((rf"\.{role}", role) for role in ("alpha", "dora_scale", "diff", "diff_b", "w_norm", "b_norm")),
    *((rf"\.{role}", role) for role in ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2")),
    *((rf"\.{role}{_NAMED}", role) for role in ("lokr_w1", "lokr_w1_a", "lokr_w1_b")),
    *((rf"\.{role}{_NAMED}", role) for role in ("lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2")),
]
_ENDINGS = [(re.compile(rf"(.+?)(?:{ending})"), role) for ending, role in ENDINGS]
# Kinds that are no change of a weight that the file alone decides, or of which several forms go by one name.
OTHER_KINDS = {"oft_": "OFT", ".a1.weight": "GLoRA", "on_input": "IA3", "bundle_emb": "an embedding", "emb_params": "an embedding"}


@dataclass(frozen=True)
class Adapter:
    """What a file changes in a base: layer, as `unet.mid_block...` or `text_encoder.encoder...`, -> what it does to it.

    about: the text entries of the file's header. words: those with embeddings of their own, which lie beside the file.
    """

    layers: dict[str, Layer]
    about: dict[str, str]
    words: Words | None = None

    @property
    def changes_text(self) -> bool:
        """Whether prompts are encoded otherwise with it."""
        return self.words is not None or any(not name.startswith("unet.") for name in self.layers)

    @property
    def kinds(self) -> list[str]:
        """LoRA, LoHa, ... , with DoRA where there is one, in order."""
        found = {layer.kind for layer in self.layers.values()}
        if any({"dora_scale", "magnitude"} & set(layer.tensors) for layer in self.layers.values()):
            found.add("DoRA")
        return sorted(found)


def read(path: Path, parts: Parts) -> Adapter:
    """The adapter of a file, fitted to the parts of a base.

    Raises AdapterError where the file is missing, damaged or a pickle, and, with a list, where anything in it is of a kind that is not
    known, belongs to no layer of the base, has another shape than it, or is not finite.
    """
    tensors, about = read_tensors(path)
    unknown: list[str] = []
    found: dict[str, dict[Role, Tensor]] = {}
    tables = {part: table(part, layers(module)) for part, module in parts.items()}
    places: dict[str, str | None] = {}
    for key, tensor in tensors.items():
        stem, role = split(key)
        if stem not in places:
            places[stem] = None if role is None else _place(stem, tables)
        place = places[stem]
        if role is None or place is None or role in found.get(place, {}):
            unknown.append(key)
        else:
            found.setdefault(place, {})[role] = tensor
    if unknown:
        raise AdapterError(_told_unknown(path, unknown, len(tensors)))
    configs = _configs(path, about)
    try:
        adapter = Adapter({place: _layer(place, found[place], configs) for place in sorted(found)}, about, read_words(path))
    except (ValueError, IndexError) as problem:
        raise AdapterError(f"{path} has an alpha or a factor of a shape that none has ({problem}).\nUse another file.") from problem
    _require_fit(path, adapter, parts)
    return adapter


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the header's text of a safetensors file. Raises AdapterError where it cannot be read or is a pickle."""
    if path.suffix.lower() in PICKLES:
        raise AdapterError(
            f"{path} is a pickle, which may run code of a stranger when it is opened, so it is not.\n"
            "Save it as .safetensors with the tool that wrote it, or take its .safetensors twin."
        )
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            about = dict(file.metadata() or {})
    except (OSError, SafetensorError) as problem:
        raise AdapterError(
            f"{path} cannot be read as a LoRA ({problem}).\nIt is missing or damaged; use another checkpoint, or train it again."
        ) from problem
    if not tensors:
        raise AdapterError(f"{path} is not a LoRA: it holds no tensor.\nName another file.")
    return tensors, about


def split(key: str) -> tuple[str, Role | None]:
    """The layer's name in the tool's spelling, and what the tensor is; None where the ending is not known."""
    for pattern, role in _ENDINGS:
        if match := pattern.fullmatch(key):
            return match[1], role
    return key, None


def _place(stem: str, tables: dict[str, dict[str, str]]) -> str | None:
    """The layer of the base that is meant, with its part; None where there is none."""
    for part, names in tables.items():
        for name in candidates(stem, part):
            if name in names:
                return f"{part}.{names[name]}"
    return None


def _layer(place: str, tensors: dict[Role, Tensor], configs: dict[str, dict[str, object]]) -> Layer:
    layer = Layer({role: tensor for role, tensor in tensors.items() if role != "alpha"}, 1.0)
    part, _, name = place.partition(".")
    scale = 1.0
    config = configs.get(part) or configs.get("") or {}
    if "alpha" in tensors:
        # LyCORIS means a LoKr of two whole factors to count as it is, whatever alpha says.
        scale = float(tensors["alpha"].float()) / layer.rank if layer.rank else 1.0
    elif config and layer.kind in ("LoRA", "LoHa", "LoKr"):
        rank = layer.rank or _pattern(config, "rank_pattern", name) or config.get("r")
        alpha = _pattern(config, "alpha_pattern", name) or config.get("lora_alpha", config.get("alpha"))
        if isinstance(rank, int | float) and isinstance(alpha, int | float) and rank > 0:
            scale = alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank
    return replace(layer, scale=scale)


def _configs(path: Path, about: dict[str, str]) -> dict[str, dict[str, object]]:
    """What is said of ranks and alphas beside the tensors, by part or "" for all: in the header, or in peft's file beside it."""
    found: dict[str, dict[str, object]] = {}
    beside = path.with_name("adapter_config.json")
    try:
        told = json.loads(about.get("lora_adapter_metadata", "{}"))
        config = json.loads(beside.read_text("utf-8")) if path.name.startswith("adapter_model") and beside.is_file() else {}
    except (OSError, ValueError) as problem:
        raise AdapterError(f"{path}: what it says of rank and alpha cannot be read ({problem}).\nWrite it again.") from problem
    if isinstance(told, dict):
        for key, value in told.items():
            part, dot, name = str(key).partition(".")
            found.setdefault(part if dot else "", {})[name if dot else part] = value
    if isinstance(config, dict) and config:
        found[""] = config
    return found


def _pattern(config: dict[str, object], key: str, name: str) -> object:
    """What a table of peft, from patterns to numbers, says of a layer; None for nothing."""
    patterns = config.get(key)
    for pattern, value in patterns.items() if isinstance(patterns, dict) else ():
        try:
            if re.fullmatch(rf"(.*\.)?({pattern})", name) or re.fullmatch(pattern, name):
                return value
        except re.error:
            continue
    return None


def _require_fit(path: Path, adapter: Adapter, parts: Parts) -> None:
    problems = []
    for place, layer in adapter.layers.items():
        part, _, name = place.partition(".")
        module = parts[part].get_submodule(name)
        try:
            if not layer.kind:
                raise AdapterError(f"{', '.join(sorted(layer.tensors))} alone do not make an adapter")
            weight, bias = (dict(module.named_parameters(recurse=False)).get(name) for name in ("weight", "bias"))
            assert weight is not None, "a layer is a module with a weight"
            # Shapes are all that is asked for here, so no product is computed.
            with torch.device("meta"):
                light = Layer({role: torch.empty(tensor.shape) for role, tensor in layer.tensors.items()}, layer.scale)
                light.changed(torch.empty(weight.shape))
            added = layer.changed_bias()
            if added is not None and (bias is None or bias.shape != added.shape):
                raise AdapterError(f"it changes a bias by {list(added.shape)}, the base has {'none' if bias is None else list(bias.shape)}")
            if not all(tensor.float().isfinite().all() for tensor in layer.tensors.values()) or not math.isfinite(layer.scale):
                raise AdapterError("it holds numbers that are not finite")
        except AdapterError as problem:
            problems.append(f"  {place}: {problem}")
    if problems:
        more = f"\n  and {len(problems) - LISTED} more" if len(problems) > LISTED else ""
        raise AdapterError(
            f"{path} does not fit the base in {counted(len(problems), 'layer')}:\n" + "\n".join(problems[:LISTED]) + more + "\n"
            "Use the base that it was trained on."
        )


def _told_unknown(path: Path, unknown: list[str], count: int) -> str:
    kinds = sorted({kind for key in unknown for mark, kind in OTHER_KINDS.items() if mark in key})
    listed = "\n".join(f"  {key}" for key in sorted(unknown)[:LISTED])
    more = f"\n  and {len(unknown) - LISTED} more" if len(unknown) > LISTED else ""
    if kinds:
        why = f"It holds {', '.join(kinds)}, which Decal does not read. Decal reads LoRA, LoCon, LoHa, LoKr, DoRA and whole differences."
    elif any(split(key)[1] for key in unknown):
        why = f"The base has no such layers{_family(unknown)}. Use the base that it was trained on."
    else:
        why = "These are not keys of a LoRA. Name a LoRA file, not a whole model."
    return f"{path}: {len(unknown)} of {counted(count, 'tensor')} cannot be placed, so none was used:\n{listed}{more}\n{why}"


def _family(keys: Iterable[str]) -> str:
    """A guess at what a file was trained on, from its keys."""
    joined = "\n".join(keys)
    if any(f"{prefix}_" in joined for prefix in ("lora_te2", "text_encoder_2", "clip_g")) or re.search(
        r"transformer_blocks[._][2-9]", joined
    ):
        return "; they are those of SDXL"
    if re.search(r"double_blocks|single_blocks|joint_blocks|transformer\.|lora_transformer", joined):
        return "; they are those of FLUX, SD 3 or another transformer"
    return ""
