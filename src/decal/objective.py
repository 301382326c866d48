"""Noise, timesteps, target, weighting: the mathematics of the loss, as pure tensors.

`signal` is the cumulative product of alphas at each sample's timestep, [B], in 0..1: a noisy latent is
sqrt(signal) * latent + sqrt(1 - signal) * noise. At zero terminal SNR it is exactly 0.
"""

import torch
from torch import Tensor

from decal.bases import Prediction
from decal.batches import seed_for


def noise_for(seed: int, shape: tuple[int, ...], *what: str | int) -> Tensor:
    """Standard normal noise that depends only on the seed and the purpose; drawn on the CPU, so it is the same on every device."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed_for(seed, *what)))


def timesteps_for(seed: int, count: int, limit: int, *what: str | int) -> Tensor:
    """Timesteps, uniform in 0..limit-1, [count], that depend only on the seed and the purpose.

    Source: Ho et al. 2020, arXiv:2006.11239, algorithm 1.
    """
    return torch.randint(limit, (count,), generator=torch.Generator().manual_seed(seed_for(seed, *what)))


def add_noise(latents: Tensor, noise: Tensor, signal: Tensor) -> Tensor:
    """Latents [B, C, h, w] at the noise level of each sample's `signal` [B].

    Source: Ho et al. 2020, arXiv:2006.11239, equation 4.
    """
    level = signal[:, None, None, None]
    return level.sqrt() * latents + (1 - level).sqrt() * noise


def target(latents: Tensor, noise: Tensor, signal: Tensor, prediction: Prediction) -> Tensor:
    """What the denoiser should give, [B, C, h, w]: the noise, or v = sqrt(signal) * noise - sqrt(1 - signal) * latents.

    Source for v: Salimans and Ho 2022, arXiv:2202.00512, appendix D.
    """
    if prediction == "epsilon":
        return noise
    level = signal[:, None, None, None]
    return level.sqrt() * noise - (1 - level).sqrt() * latents


def min_snr_weight(signal: Tensor, gamma: float, prediction: Prediction) -> Tensor:
    """Weights that keep nearly clean timesteps from dominating the loss, [B], in 0..1 for epsilon and below 1 for v.

    signal: [B], in 0..1 (0 only with v). gamma: cap on the signal-to-noise ratio; the paper uses 5.
    Source: Hang et al. 2023, arXiv:2303.09556, equation 8 and section 3.4; for v the ratio is divided by SNR + 1.
    """
    snr = signal / (1 - signal)
    return snr.clamp(max=gamma) / (snr if prediction == "epsilon" else snr + 1)


def loss_of(predicted: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error of each sample, [B], float32, over the places where the mask [B, 1, h, w] is 1."""
    error = (predicted.float() - wanted.float()).square().mean(dim=1, keepdim=True)
    return (error * mask).sum(dim=(1, 2, 3)) / mask.sum(dim=(1, 2, 3))
