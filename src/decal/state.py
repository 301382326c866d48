"""What it takes to go on bit-exactly, saved and restored.

Because every random number comes from a counter, this is little: the step, the raw LoRA factors, what the optimizer keeps of each of them
and of all, the EMA, and the fp16 scaler. One safetensors file, so nothing is unpickled.
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor, nn

from decal.errors import ProjectError

Number = float | int | bool | None


@dataclass(frozen=True)
class State:
    """A training between two steps.

    step: the last one done. unfit: skipped steps in a row. tensors: `factor/NAME`, `ema/NAME`, and what the optimizer keeps of a factor,
    such as `exp_avg/NAME`. numbers: what it keeps of a factor as plain numbers. groups: what it keeps of all factors of each group.
    optimizer: its class.
    """

    step: int
    unfit: int
    tensors: dict[str, Tensor]
    scaler: dict[str, float | int]
    numbers: dict[str, dict[str, Number]] = field(default_factory=dict)
    groups: list[dict[str, Number]] = field(default_factory=list)
    optimizer: str = "AdamW"


def take(
    step: int,
    unfit: int,
    factors: dict[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    scaler: dict[str, Any],
    ema: dict[str, Tensor],
) -> State:
    """The state of a training; its tensors are copies on the CPU."""
    tensors = {f"factor/{name}": parameter for name, parameter in factors.items()} | {f"ema/{name}": t for name, t in ema.items()}
    numbers: dict[str, dict[str, Number]] = {}
    for name, parameter in factors.items():
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"{key}/{name}"] = value
            else:
                numbers.setdefault(name, {})[key] = value
    copies = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    groups: list[dict[str, Number]] = [
        {key: value for key, value in group.items() if isinstance(value, float | int | bool) and key != "lr"}
        for group in optimizer.param_groups
    ]
    return State(step, unfit, copies, scaler, numbers, groups, type(optimizer).__name__)


def restore(state: State, factors: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer, ema: dict[str, Tensor]) -> None:
    """Put a state's tensors where they came from. Raises ProjectError where layers, ranks or the optimizer differ."""
    saved = {name.removeprefix("factor/"): tensor.shape for name, tensor in state.tensors.items() if name.startswith("factor/")}
    if saved != {name: parameter.shape for name, parameter in factors.items()}:
        raise ProjectError("The saved training has other layers or another rank than these settings give.\nBegin anew with --new-run.")
    has_ema = any(name.startswith("ema/") for name in state.tensors)
    if state.optimizer != type(optimizer).__name__ or has_ema != bool(ema):
        raise ProjectError("The saved training has another optimizer or EMA than these settings give.\nBegin anew with --new-run.")
    for group, saved_group in zip(optimizer.param_groups, state.groups, strict=False):
        group.update(saved_group)
    with torch.no_grad():
        for key, tensor in state.tensors.items():
            kind, _, name = key.partition("/")
            if kind == "factor":
                factors[name].copy_(tensor)
            elif kind == "ema":
                ema[name].copy_(tensor)
            else:
                # Also the step counter of fused AdamW lives beside the parameter.
                optimizer.state[factors[name]][kind] = tensor.to(factors[name].device).clone()
    for name, slots in state.numbers.items():
        optimizer.state[factors[name]].update(slots)


def without_moments(state: State, optimizer: str) -> State:
    """The state for an optimizer of another class, which keeps nothing of the old one's; weights and EMA are as they were."""
    tensors = {name: tensor for name, tensor in state.tensors.items() if name.startswith(("factor/", "ema/"))}
    return replace(state, tensors=tensors, numbers={}, groups=[], optimizer=optimizer)


def save(path: Path, state: State) -> None:
    """Write a state as one file."""
    about = {
        "step": state.step,
        "unfit": state.unfit,
        "scaler": state.scaler,
        "optimizer": state.optimizer,
        "numbers": state.numbers,
        "group": state.groups[0] if state.groups else {},
    }
    if len(state.groups) > 1:
        about["further_groups"] = state.groups[1:]
    path.write_bytes(serialize(state.tensors, {"decal_state": json.dumps(about, sort_keys=True)}))


def load(path: Path) -> State:
    """Read a state. Raises ProjectError where the file is missing or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["decal_state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        counts = int(about["step"]), int(about["unfit"])
        # States written before there were other optimizers hold AdamW's moments and nothing else.
        groups = [about.get("group", {}), *about.get("further_groups", [])]
        return State(*counts, tensors, about["scaler"], about.get("numbers", {}), groups, about.get("optimizer", "AdamW"))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as problem:
        raise ProjectError(
            f"{path} cannot be read ({problem}).\nDelete it to go on from the checkpoint before, or begin anew with --new-run."
        ) from problem
