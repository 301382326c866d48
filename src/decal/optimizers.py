"""What moves the weights: the optimizer by name, what of it is saved, and the averaged weights that are shown instead of the trained ones.

`adamw` is torch's fused one, which skips a step that is not finite on the device. The others are asked from the host, which costs a wait a
step. With schedule-free AdamW or an EMA, what is measured, drawn and saved is an average; it is put in place of the trained weights for
that long, and they come back bit for bit.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from io import StringIO
from typing import Any, cast

import torch
from torch import Tensor, nn

from decal import extras
from decal.errors import SettingsError
from decal.settings import ResolvedTrain

# How an EMA begins: with few steps to average over, the newest count more. Source: TensorFlow's ExponentialMovingAverage, num_updates.
EMA_BEGINS = 10


def make(settings: ResolvedTrain, parameters: list[Any], device: torch.device) -> torch.optim.Optimizer:
    """The optimizer that `train.optimizer` names. Raises SettingsError where its package or its device is missing.

    parameters: or groups of them, as torch takes them.
    Sources: Loshchilov and Hutter 2019, arXiv:1711.05101 (AdamW); Dettmers et al. 2022, arXiv:2110.02861 (8 bit); Mishchenko and Defazio
    2024, arXiv:2306.06101 (Prodigy); Defazio et al. 2024, arXiv:2405.15682 (schedule-free); Shazeer and Stern 2018, arXiv:1804.04235.
    """
    common: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    moments: dict[str, Any] = {"betas": (settings.beta1, settings.beta2), "eps": settings.epsilon}
    match settings.optimizer:
        case "adamw":
            return torch.optim.AdamW(parameters, fused=True, **common, **moments)
        case "adafactor":
            return torch.optim.Adafactor(parameters, **common)
        case "adamw_8bit":
            if device.type != "cuda":
                raise SettingsError('train.optimizer = "adamw_8bit" needs a CUDA GPU, and training is on another device.\nWrite "adamw".')
            return cast(torch.optim.Optimizer, _package("bitsandbytes", "8bit").optim.AdamW8bit(parameters, **common, **moments))
        case "prodigy":
            # A warm-up is no progress, and decay is decoupled, as its authors advise for diffusion models.
            more = {"safeguard_warmup": True, "use_bias_correction": True, "decouple": True}
            # It prints a line about its settings, where only results belong.
            with redirect_stdout(StringIO()):
                return cast(torch.optim.Optimizer, _package("prodigyopt", "prodigy").Prodigy(parameters, **common, **moments, **more))
        case "schedule_free":
            optimizer = _package("schedulefree", "schedule-free").AdamWScheduleFree(parameters, **common, **moments)
            optimizer.train()
            return cast(torch.optim.Optimizer, optimizer)


def skip_or_step(optimizer: torch.optim.Optimizer, stepped: Any, is_unfit: Tensor) -> None:
    """Do the optimizer's step, or leave weights and moments alone where `is_unfit` is 1.

    stepped: what accelerate made of the optimizer. is_unfit: [], float32, on the device.
    """
    if isinstance(optimizer, torch.optim.AdamW):
        # Fused AdamW looks at it on the device, so nothing waits.
        optimizer.found_inf = is_unfit  # type: ignore[attr-defined]
        stepped.step()
    elif not bool(is_unfit):
        stepped.step()


class Average:
    """The weights that are measured, drawn and saved, where they are not those that are trained.

    decay: of the EMA; None for none. It reads what schedule-free AdamW averages from the optimizer itself.
    """

    def __init__(self, factors: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer, decay: float | None) -> None:
        self._factors, self._optimizer, self._decay = factors, optimizer, decay
        self.ema = {name: factor.detach().clone() for name, factor in factors.items()} if decay is not None else {}

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Move the EMA towards the weights that this step, from 1, left."""
        if self._decay is not None:
            decay = min(self._decay, (1 + step) / (EMA_BEGINS + step))
            torch._foreach_lerp_(list(self.ema.values()), [factor.data for factor in self._factors.values()], 1 - decay)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Put the averaged weights in place of the trained ones, and these back."""
        averaged = self.ema or self._schedule_free()
        trained = {name: self._factors[name].data for name in averaged}
        for name, tensor in averaged.items():
            self._factors[name].data = tensor
        try:
            yield
        finally:
            for name, tensor in trained.items():
                self._factors[name].data = tensor

    @torch.no_grad()
    def _schedule_free(self) -> dict[str, Tensor]:
        """x = y + (1 - 1 / beta) (z - y), what `eval` of the optimizer would write over the weights; empty for other optimizers."""
        group = self._optimizer.param_groups[0]
        if "train_mode" not in group:
            return {}
        weight = 1 - 1 / group["betas"][0]
        there = {name: (factor, self._optimizer.state[factor]) for name, factor in self._factors.items()}
        return {name: torch.lerp(factor.data, slots["z"], weight) for name, (factor, slots) in there.items() if "z" in slots}


def _package(name: str, extra: str) -> Any:
    try:
        return import_module(name)
    except ImportError as problem:
        raise SettingsError(
            f'train.optimizer needs the package {name} ({problem}).\nInstall it with  {extras.add(extra)}  or write "adamw".'
        ) from problem
