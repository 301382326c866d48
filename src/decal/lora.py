"""Attach, save and load the LoRA that is trained; the only user of peft.

Two forms of the same LoRA. The raw factors are what training goes on with. The portable file is for everybody: the scale alpha / rank is
folded into `lora_B` and alpha equals the rank, so that a reader which ignores the metadata still gets the right strength. Keys are those of
peft, unconverted, because diffusers' own converter mixes two styles once convolutions are targets, and then drops layers on reload.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig
from torch import Tensor, nn

from decal import adapters
from decal.adapters import Adapter
from decal.bases import Base
from decal.batches import seed_for
from decal.errors import AdapterError
from decal.settings import ResolvedTrain

PORTABLE_FILE = "pytorch_lora_weights.safetensors"
Factors = dict[str, Tensor]
"""Layer name + `.lora_A.weight` [r, in, ...] or `.lora_B.weight` [out, r, ...] -> tensor."""


def attach(base: Base, settings: ResolvedTrain, start: Path | None = None) -> dict[str, nn.Parameter]:
    """Put a new LoRA on the denoiser and give its factors by name, float32; the first output is unchanged because every B is 0.

    start: the factors that training begins with, whose layers stand for the targets `imported`; `begin_with` puts them in.
    """
    names = layers_of(load(start)) if settings.targets == "imported" and start else None
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        use_rslora=settings.rank_stabilised,
        target_modules=names or base.targets("all" if settings.targets == "imported" else settings.targets),
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


@torch.no_grad()
def begin_with(start: Path, factors: dict[str, nn.Parameter], scale: float) -> None:
    """Put the factors of a file, which count as they are, into those attached, which are multiplied by a scale."""
    for name, tensor in load(start).items():
        factors[name].copy_(tensor / scale if ".lora_B." in name else tensor)


def layers_of(factors: Factors) -> list[str]:
    """The layers that have factors, in order."""
    return sorted({name.partition(".lora_")[0] for name in factors})


def trainable(adapter: Adapter, denoiser: nn.Module) -> tuple[Factors, int, int]:
    """The factors of an adapter of another tool with its scale folded in, their one rank, and how many layers were raised to it.

    A layer of a smaller rank gets new rows in A and zeros in B: it does what it did, and may learn more. Raises AdapterError for what is
    not plain LoRA of the denoiser.
    """
    odd = [place for place, layer in adapter.layers.items() if set(layer.tensors) != {"down", "up"}]
    if odd or adapter.changes_text:
        what = [kind for kind in adapter.kinds if kind != "LoRA"] or ["LoRA with further factors" if odd else "a text encoder part"]
        raise AdapterError(
            f"It holds {', '.join(what)}, and plain LoRA of the UNet is what can be trained on.\n"
            + ("--without-text-encoder leaves that part out." if not odd else "It can be compared and drawn with as it is.")
        )
    rank = max(layer.rank for layer in adapter.layers.values())
    generator = torch.Generator().manual_seed(seed_for(0, "raised ranks"))
    factors: Factors = {}
    raised = 0
    for place, layer in sorted(adapter.layers.items()):
        name = place.removeprefix("unet.")
        shape = denoiser.get_submodule(name).get_parameter("weight").shape
        whole = adapters.padded(adapters.folded(layer), rank)
        # A projection is a linear layer in some tools and a convolution of 1 x 1 in others.
        down, up = whole.tensors["down"].reshape(rank, *shape[1:]), whole.tensors["up"].reshape(shape[0], rank, *[1] * (len(shape) - 2))
        if layer.rank < rank:
            raised += 1
            # As peft begins A: uniform within one over the root of what comes in.
            bound = down[0].numel() ** -0.5
            down[layer.rank :] = (torch.rand(down[layer.rank :].shape, generator=generator) * 2 - 1) * bound
        factors |= {f"{name}.lora_A.weight": down.contiguous(), f"{name}.lora_B.weight": up.contiguous()}
    return factors, rank, raised


def fingerprint(factors: Mapping[str, Tensor]) -> str:
    """Hash of the factors as they are, hex."""
    hashes = hashlib.sha256()
    for name, tensor in factors.items():
        hashes.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return hashes.hexdigest()


def save(path: Path, factors: dict[str, Tensor], *, rank: int, alpha: float, about: dict[str, str]) -> None:
    """Write the portable file.

    about: further header entries, text only; nothing that changes from one identical training to the next belongs there.
    """
    scale = alpha / rank
    tensors = {}
    for name, tensor in factors.items():
        folded = tensor.detach().float() * scale if ".lora_B." in name else tensor.detach().float()
        tensors[f"unet.{name}"] = folded.cpu().contiguous()
    layers = layers_of(dict(factors))
    # diffusers reads this entry; alpha is the rank because the scale is already in the weights.
    metadata = {"unet.r": rank, "unet.lora_alpha": rank, "unet.target_modules": layers}
    path.write_bytes(adapters.to_bytes(tensors, {"lora_adapter_metadata": json.dumps(metadata, sort_keys=True), **about}))


def load(path: Path) -> Factors:
    """The factors of a portable file, scale folded in. Raises AdapterError where it is missing, damaged or not a LoRA of peft's form."""
    tensors, _ = adapters.read_tensors(path)
    factors = {name.removeprefix("unet."): tensor for name, tensor in tensors.items()}
    unknown = [name for name in factors if not name.endswith((".lora_A.weight", ".lora_B.weight"))]
    if unknown:
        raise AdapterError(f"{path} is not a LoRA in the form of diffusers and peft (it holds {unknown[:1]}).\nName one that Decal wrote.")
    return factors
