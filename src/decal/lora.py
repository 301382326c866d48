"""Attach, save and load the LoRA that is trained; the only user of peft.

Two forms of the same LoRA. The raw factors are what training goes on with. The portable file is for everybody: the scale alpha / rank is
folded into `lora_B` and alpha equals the rank, so that a reader which ignores the metadata still gets the right strength. Keys are those of
peft, unconverted, because diffusers' own converter mixes two styles once convolutions are targets, and then drops layers on reload.
"""

import json
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig
from torch import Tensor, nn

from decal import adapters
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
    path.write_bytes(adapters.to_bytes(tensors, {"lora_adapter_metadata": json.dumps(metadata, sort_keys=True), **about}))


def load(path: Path) -> Factors:
    """The factors of a portable file, scale folded in. Raises AdapterError where it is missing, damaged or not a LoRA of peft's form."""
    tensors, _ = adapters.read_tensors(path)
    factors = {name.removeprefix("unet."): tensor for name, tensor in tensors.items()}
    unknown = [name for name in factors if not name.endswith((".lora_A.weight", ".lora_B.weight"))]
    if unknown:
        raise AdapterError(f"{path} is not a LoRA in the form of diffusers and peft (it holds {unknown[:1]}).\nName one that Decal wrote.")
    return factors
