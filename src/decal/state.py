"""What it takes to go on bit-exactly, saved and restored.

Because every random number comes from a counter, this is little: the step, the raw LoRA factors, AdamW's moments, and the fp16 scaler. One
safetensors file, so nothing is unpickled.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor, nn

from decal.errors import ProjectError

MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class State:
    """A training between two steps. step: the last one done. unfit: skipped steps in a row. scaler: of fp16, else empty."""

    step: int
    unfit: int
    tensors: dict[str, Tensor]
    scaler: dict[str, float | int]


def take(step: int, unfit: int, factors: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer, scaler: dict[str, Any]) -> State:
    """The state of a training; its tensors are copies on the CPU."""
    tensors = {f"factor/{name}": parameter.detach().cpu().clone() for name, parameter in factors.items()}
    for name, parameter in factors.items():
        for moment in MOMENTS:
            if parameter in optimizer.state:
                tensors[f"{moment}/{name}"] = optimizer.state[parameter][moment].detach().cpu().clone()
    return State(step, unfit, tensors, scaler)


def restore(state: State, factors: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
    """Put a state's tensors where they came from. Raises ProjectError where layers or ranks differ."""
    saved = {name.removeprefix("factor/"): tensor.shape for name, tensor in state.tensors.items() if name.startswith("factor/")}
    if saved != {name: parameter.shape for name, parameter in factors.items()}:
        raise ProjectError("The saved training has other layers or another rank than these settings give.\nBegin anew with --new-run.")
    with torch.no_grad():
        for name, parameter in factors.items():
            parameter.copy_(state.tensors[f"factor/{name}"])
            if f"step/{name}" in state.tensors:
                # The step counter lives beside the parameter, as fused AdamW wants it.
                optimizer.state[parameter] = {moment: state.tensors[f"{moment}/{name}"].to(parameter.device).clone() for moment in MOMENTS}


def save(path: Path, state: State) -> None:
    """Write a state as one file."""
    about = {"step": state.step, "unfit": state.unfit, "scaler": state.scaler}
    path.write_bytes(serialize(state.tensors, {"decal_state": json.dumps(about, sort_keys=True)}))


def load(path: Path) -> State:
    """Read a state. Raises ProjectError where the file is missing or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["decal_state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return State(int(about["step"]), int(about["unfit"]), tensors, about["scaler"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as problem:
        raise ProjectError(
            f"{path} cannot be read ({problem}).\nDelete it to go on from the checkpoint before, or begin anew with --new-run."
        ) from problem
