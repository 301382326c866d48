"""An adapter -> a file in the form of diffusers, kohya or ComfyUI, the same bytes each time.

The scale is folded into `up` and alpha is the rank: a reader that ignores alpha still gets the right strength, and none gets it wrong
through patterns. Text encoders keep `text_model.` in their keys, which transformers dropped from its own names in 5.6 and others expect.
Sources: sd-scripts networks/lora.py and library/sai_model_spec.py, ComfyUI comfy/lora.py, diffusers' `load_lora_weights`.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from safetensors.torch import save as serialize
from torch import Tensor
from torch.nn.functional import pad

from decal.adapters.layers import Layer, Role
from decal.adapters.names import flat, original_names
from decal.adapters.reading import Adapter
from decal.errors import AdapterError, SettingsError
from decal.wording import counted

Form = Literal["diffusers", "kohya", "comfyui"]
PEFT_ENDINGS: dict[Role, str] = {
    "down": "lora_A.weight",
    "up": "lora_B.weight",
    "up_bias": "lora_B.bias",
    "magnitude": "lora_magnitude_vector",
}
KOHYA_ENDINGS: dict[Role, str] = {"down": "lora_down.weight", "up": "lora_up.weight", "mid": "lora_mid.weight"}


@dataclass(frozen=True)
class Written:
    """A file's bytes. rank: the largest of a layer. notes: which readers cannot use it, and why."""

    data: bytes
    rank: int
    notes: tuple[str, ...]


def to_form(name: str) -> Form:
    """The form of that name. Raises SettingsError where there is none."""
    for form in get_args(Form):
        if name == form:
            return form  # type: ignore[no-any-return]
    raise SettingsError(f"--format {name} is not a form of a LoRA.\nThere are: {', '.join(get_args(Form))}.")


def write(adapter: Adapter, form: Form, *, names: Iterable[str], about: dict[str, str]) -> Written:
    """The bytes of a file that holds the adapter.

    names: of the layers of the base's UNet. about: further header entries. Raises AdapterError where the form has no place for something.
    """
    if form == "diffusers":
        tensors, about = peft_form(adapter, about)
    else:
        tensors = _kohya(adapter, form, list(names))
    ranks = {layer.rank for layer in adapter.layers.values() if layer.rank}
    rank = max(ranks, default=0)
    if form == "kohya" and ranks:
        about = about | {"ss_network_dim": str(rank), "ss_network_alpha": str(float(rank))}
    return Written(to_bytes(tensors, about, is_hashed=True), rank, tuple(_notes(adapter, form)))


def to_bytes(tensors: dict[str, Tensor], about: dict[str, str], *, is_hashed: bool = False) -> bytes:
    """A safetensors file with its header in order; the library writes metadata in an order that changes from save to save.

    is_hashed: with the hash of the tensors' bytes in the header, under the names that ModelSpec and kohya's tools give it.
    """
    data = serialize(tensors, {"format": "pt", **about})
    size = int.from_bytes(data[:8], "little")
    table = json.loads(data[8 : 8 + size])
    if is_hashed:
        digest = hashlib.sha256(data[8 + size :]).hexdigest()
        table["__metadata__"] |= {"modelspec.hash_sha256": f"0x{digest}", "sshs_model_hash": digest}
    header = json.dumps(table, sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def folded(layer: Layer) -> Layer:
    """The same layer with its scale in `up`, float32 and on the CPU; of others, those that have a rank keep their scale as alpha."""
    tensors = {role: tensor.detach().float().cpu().contiguous() for role, tensor in layer.tensors.items()}
    if layer.kind != "LoRA" and layer.rank:
        return Layer(tensors, layer.scale)
    # A LoKr of two whole factors has no rank, and so no alpha.
    folds: tuple[Role, ...] = ("up", "up_bias", "lokr_w1")
    for role in folds:
        if role in tensors and layer.scale != 1:
            tensors[role] = tensors[role] * layer.scale
    return Layer(tensors, 1.0)


def padded(layer: Layer, rank: int) -> Layer:
    """The same LoRA at a larger rank, with rows and columns of zeros."""
    more = rank - layer.rank
    if more <= 0:
        return layer
    down, up = layer.tensors["down"], layer.tensors["up"]
    grown: dict[Role, Tensor] = {
        "down": pad(down, (0, 0) * (down.dim() - 1) + (0, more)),
        "up": pad(up, (0, 0) * (up.dim() - 2) + (0, more)),
    }
    return Layer(layer.tensors | grown, layer.scale)


def peft_form(adapter: Adapter, about: dict[str, str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and header of the form of diffusers and peft. Raises AdapterError where it has no place for something."""
    odd = [place for place, layer in adapter.layers.items() if layer.kind != "LoRA" or "mid" in layer.tensors or "diff_b" in layer.tensors]
    sizes = {place for place, layer in adapter.layers.items() if {"dora_scale", "magnitude"} & set(layer.tensors)}
    by_input = [place for place in sizes if _is_by_input(adapter.layers[place])]
    if odd or by_input or (sizes and len(sizes) < len(adapter.layers)):
        which = sorted(odd or by_input or set(adapter.layers) - sizes)
        raise AdapterError(
            f"The form of diffusers holds plain LoRA, or DoRA of all layers by their outputs, and {counted(len(which), 'layer')} "
            f"here {'is' if len(which) == 1 else 'are'} otherwise ({which[0]}, ...).\nWrite it as kohya or comfyui, which can hold it."
        )
    tensors: dict[str, Tensor] = {}
    told: dict[str, object] = {}
    for part in sorted({place.partition(".")[0] for place in adapter.layers}):
        layers = {place: folded(layer) for place, layer in adapter.layers.items() if place.startswith(f"{part}.")}
        # One rank for all, because readers disagree on patterns of ranks.
        rank = max(layer.rank for layer in layers.values())
        for place, layer in layers.items():
            for role, tensor in padded(layer, rank).tensors.items():
                if role == "dora_scale":
                    is_convolution = layer.tensors["down"].dim() == 4
                    role, tensor = "magnitude", tensor.reshape([1, -1, 1, 1] if is_convolution else [-1])
                tensors[f"{_with_text_model(place)}.{PEFT_ENDINGS[role]}"] = tensor.contiguous()
        # Without `text_model.`, since peft takes the end of a name, and so finds the layer in every version of transformers.
        names = sorted(place.partition(".")[2].removeprefix("text_model.") for place in layers)
        told |= {f"{part}.r": rank, f"{part}.lora_alpha": rank, f"{part}.target_modules": names}
        if sizes:
            told[f"{part}.use_dora"] = True
    return tensors, about | {"lora_adapter_metadata": json.dumps(told, sort_keys=True)}


def _kohya(adapter: Adapter, form: Form, names: list[str]) -> dict[str, Tensor]:
    # kohya's tools call a UNet that is told sizes by the names of the original code, and its first text encoder te1.
    is_xl = any(name.startswith("add_embedding.") for name in names)
    original = original_names(names)
    tensors: dict[str, Tensor] = {}
    for place, layer in adapter.layers.items():
        part, _, name = place.partition(".")
        if part == "unet" and form == "comfyui":
            stem = f"diffusion_model.{original[name]}"
        elif part == "unet":
            stem = f"lora_unet_{flat(original[name] if is_xl else name)}"
        elif form == "comfyui":
            stem = _with_text_model(place)
        else:
            prefix = {"text_encoder": "lora_te1" if is_xl else "lora_te", "text_encoder_2": "lora_te2"}[part]
            stem = f"{prefix}_{flat(_with_text_model(place).partition('.')[2])}"
        whole = folded(layer)
        for role, tensor in whole.tensors.items():
            if role == "magnitude":
                ones = [1] * (whole.tensors["down"].dim() - 2) if "down" in whole.tensors else []
                role, tensor = "dora_scale", tensor.reshape([-1, 1, *ones])
            if role == "up_bias":
                role = "diff_b"
            tensors[f"{stem}.{KOHYA_ENDINGS.get(role, role)}"] = tensor.contiguous()
        if whole.rank:
            tensors[f"{stem}.alpha"] = torch.tensor(float(whole.rank * whole.scale))
    return tensors


def _with_text_model(place: str) -> str:
    part, _, name = place.partition(".")
    return place if part == "unet" else f"{part}.text_model.{name.removeprefix('text_model.')}"


def _is_by_input(layer: Layer) -> bool:
    scale = layer.tensors.get("dora_scale")
    return scale is not None and scale.dim() > 1 and scale.shape[0] == 1 and layer.tensors["up"].shape[0] != 1


def _notes(adapter: Adapter, form: Form) -> list[str]:
    """Which readers do not read the file as it is meant."""
    notes = []
    text = [place for place in adapter.layers if not place.startswith("unet.")]
    if form == "comfyui":
        notes.append("ComfyUI reads it, diffusers and A1111 do not; kohya's form is read by all three")
    if form == "diffusers":
        notes.append("diffusers and peft read it; for ComfyUI and A1111 write it as kohya")
    if form == "kohya" and any("dora_scale" in layer.tensors or "magnitude" in layer.tensors for layer in adapter.layers.values()):
        notes.append("diffusers leaves the DoRA out of kohya's form; for diffusers write it as diffusers")
    if form == "kohya" and set(adapter.kinds) - {"LoRA", "DoRA"}:
        notes.append(f"diffusers does not read {', '.join(adapter.kinds)}; ComfyUI and A1111 do")
    if form != "comfyui" and text and not any(place.endswith((".out_proj", ".q_proj")) for place in text):
        notes.append("diffusers does not find its text encoder part without the layers of attention")
    return notes
