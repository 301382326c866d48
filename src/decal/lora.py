"""Attach, list, save, load and apply an adapter; the only user of peft.

Two forms of the same LoRA. The raw factors are what training goes on with. The portable file is for everybody: the scale alpha / rank is
folded into `lora_B` and alpha equals the rank, so that a reader which ignores the metadata still gets the right strength. Keys are those of
peft, unconverted, because diffusers' own converter mixes two styles once convolutions are targets, and then drops layers on reload.
"""

import json
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor, nn

from decal.bases import Base
from decal.batches import seed_for
from decal.errors import AdapterError
from decal.settings import ResolvedTrain

PORTABLE_FILE = "pytorch_lora_weights.safetensors"
Factors = dict[str, Tensor]
"""Layer name + `.lora_A.weight` [r, in, ...] or `.lora_B.weight` [out, r, ...] -> tensor."""


def attach(base: Base, settings: ResolvedTrain) -> dict[str, nn.Parameter]:
    """Put a new LoRA on the denoiser and give its factors by name, float32; the first output is unchanged because every B is 0."""
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        use_rslora=settings.rank_stabilised,
        target_modules=base.targets(settings.targets),
        init_lora_weights=True,
    )
    denoiser = cast(Any, base.denoiser)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for(settings.seed, "lora"))
        denoiser.add_adapter(config)
    factors = {}
    for name, parameter in denoiser.named_parameters():
        if ".lora_" in name:
            parameter.data = parameter.data.float()
            factors[name.replace(".default.", ".")] = parameter
    return dict(sorted(factors.items()))


def save(path: Path, factors: dict[str, Tensor], *, rank: int, alpha: float, about: dict[str, str]) -> None:
    """Write the portable file.

    about: further header entries, text only; nothing that changes from one identical training to the next belongs there.
    """
    scale = alpha / rank
    tensors = {}
    for name, tensor in factors.items():
        folded = tensor.detach().float() * scale if ".lora_B." in name else tensor.detach().float()
        tensors[f"unet.{name}"] = folded.cpu().contiguous()
    layers = sorted({name.partition(".lora_")[0] for name in factors})
    # diffusers reads this entry; alpha is the rank because the scale is already in the weights.
    metadata = {"unet.r": rank, "unet.lora_alpha": rank, "unet.target_modules": layers}
    data = serialize(tensors, {"format": "pt", "lora_adapter_metadata": json.dumps(metadata, sort_keys=True), **about})
    path.write_bytes(_sort_header(data))


def load(path: Path) -> Factors:
    """The factors of a portable file, scale folded in. Raises AdapterError where it is missing, damaged or not a LoRA of peft's form."""
    try:
        with safe_open(path, framework="pt") as file:
            factors = {name.removeprefix("unet."): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as problem:
        raise AdapterError(
            f"{path} cannot be read as a LoRA ({problem}).\nIt is missing or damaged; use another checkpoint, or train it again."
        ) from problem
    unknown = [name for name in factors if not name.endswith((".lora_A.weight", ".lora_B.weight"))]
    if unknown or not factors:
        raise AdapterError(f"{path} is not a LoRA in the form of diffusers and peft (it holds {unknown[:1]}).\nName one that Decal wrote.")
    return factors


class Swapper:
    """One resident denoiser on which adapters take turns.

    The weights of the layers concerned are kept as they were, so putting an adapter on is W + strength * B @ A from the kept copy, never a
    subtraction; the drawing loop then pays nothing for the LoRA.
    """

    def __init__(self, denoiser: nn.Module) -> None:
        self._denoiser = denoiser
        self._kept: dict[str, Tensor] = {}

    @torch.no_grad()
    def put_on(self, factors: Factors, strength: float) -> None:
        """Make the denoiser that of the base with this adapter; no factors make it the base again."""
        layers = {name.removesuffix(".lora_A.weight") for name in factors if name.endswith(".lora_A.weight")}
        for layer in sorted(layers | self._kept.keys()):
            weight = self._weight(layer)
            kept = self._kept.setdefault(layer, weight.detach().clone())
            if layer in layers and strength != 0:
                change = _product(factors[f"{layer}.lora_A.weight"], factors[f"{layer}.lora_B.weight"]).to(weight.device)
                if change.shape != weight.shape:
                    raise AdapterError(
                        f"The LoRA has {tuple(change.shape)} for {layer}, the base {tuple(weight.shape)}.\nUse the base it was trained on."
                    )
                weight.copy_(kept.float() + strength * change)
            else:
                weight.copy_(kept)

    def _weight(self, layer: str) -> nn.Parameter:
        try:
            return self._denoiser.get_parameter(f"{layer}.weight")
        except AttributeError as problem:
            raise AdapterError(f"The base has no layer {layer}, which the LoRA changes.\nUse the base it was trained on.") from problem


def _sort_header(data: bytes) -> bytes:
    """The same safetensors file with its header in order; the library writes metadata in an order that changes from save to save."""
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + size]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def _product(a: Tensor, b: Tensor) -> Tensor:
    """B @ A in float32: [out, in] for linear layers, [out, in, k, k] for convolutions."""
    return (b.float().flatten(1) @ a.float().flatten(1)).reshape(b.shape[0], *a.shape[1:])
