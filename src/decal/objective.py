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


def stratified_timesteps(seed: int, count: int, limit: int, *what: str | int) -> Tensor:
    """Timesteps of which one lies in each of `count` equal parts of 0..limit-1, [count], in random order.

    A batch then always holds clean and noisy ones, which makes its loss less of a matter of luck.
    Source: Kingma et al. 2021, arXiv:2107.00630, appendix I.1.
    """
    generator = torch.Generator().manual_seed(seed_for(seed, *what))
    places = (torch.rand((), generator=generator) + torch.arange(count) / count) % 1
    return (places * limit).long().clamp(max=limit - 1)[torch.randperm(count, generator=generator)]


def logit_normal_timesteps(seed: int, count: int, limit: int, mean: float, *what: str | int) -> Tensor:
    """Timesteps that are most often in the middle of 0..limit-1, [count]: the logistic function of a normal with this mean and deviation 1.

    mean: above 0 for noisier ones, below 0 for cleaner ones.
    Source: Esser et al. 2024, arXiv:2403.03206, section 3.1.
    """
    normal = torch.randn(count, generator=torch.Generator().manual_seed(seed_for(seed, *what)))
    return ((normal + mean).sigmoid() * limit).long().clamp(max=limit - 1)


def offset_noise(noise: Tensor, strength: float, seed: int, *what: str | int) -> Tensor:
    """Noise [B, C, h, w] of which every channel of a sample is also moved as a whole, so that pictures learn to be very dark or light.

    strength: of the move; about 0.05 to 0.1 is usual.
    Source: Guttenberg 2023, "Diffusion with offset noise", crosslabs.org/blog/diffusion-with-offset-noise.
    """
    return noise + strength * noise_for(seed, (*noise.shape[:2], 1, 1), *what)


def pyramid_noise(noise: Tensor, discount: float, levels: int, seed: int, *what: str | int) -> Tensor:
    """Noise [B, C, h, w] with coarser noise added, each level half as fine and `discount` as strong; every sample's deviation stays 1.

    discount: 0..1. levels: how many are added, as far as the size allows.
    Source: Whitaker 2023, "Multi-resolution noise for diffusion model training"; there the scales are random, here they are halves.
    """
    height, width = noise.shape[-2:]
    for level in range(1, levels + 1):
        size = (height >> level, width >> level)
        if min(size) < 1:
            break
        coarse = noise_for(seed, (*noise.shape[:2], *size), *what, level)
        noise = noise + discount**level * torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return noise / noise.std(dim=(1, 2, 3), keepdim=True)


def trailing_timesteps(seed: int, count: int, limit: int, steps: int, *what: str | int) -> Tensor:
    """Timesteps that a sampler with trailing spacing visits in so many steps, each as often, [count].

    Source of the spacing: Lin et al. 2023, arXiv:2305.08891, table 2.
    """
    places = torch.randint(steps, (count,), generator=torch.Generator().manual_seed(seed_for(seed, *what)))
    return ((places + 1) * limit / steps).round().long() - 1


def clean(noisy: Tensor, predicted: Tensor, signal: Tensor, prediction: Prediction) -> Tensor:
    """The latents [B, C, h, w] that a sampler would land on if it took what was predicted for `noisy` in one step.

    signal: [B], above 0 for epsilon. Source: Salimans and Ho 2022, arXiv:2202.00512, appendix D.
    """
    level = signal[:, None, None, None]
    if prediction == "epsilon":
        return (noisy - (1 - level).sqrt() * predicted) / level.sqrt()
    return level.sqrt() * noisy - (1 - level).sqrt() * predicted


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


def debiased_weight(signal: Tensor, prediction: Prediction) -> Tensor:
    """Weights 1 / sqrt(SNR) that let noisy timesteps, where shapes are made, count more, [B]; for v divided by SNR + 1 like min-SNR.

    signal: [B], in 0..1. The ratio is kept at 0.001 or more, so that pure noise has a finite weight.
    Source: Yu et al. 2023, arXiv:2310.08442, equation 10.
    """
    snr = (signal / (1 - signal)).clamp(min=1e-3)
    return 1 / snr.sqrt() if prediction == "epsilon" else snr.sqrt() / (snr + 1)


def loss_of(predicted: Tensor, wanted: Tensor, mask: Tensor, huber: float | None = None) -> Tensor:
    """Mean error of each sample, [B], float32, over the places by their weight in the mask [B, 1, h, w], 0..1.

    huber: None for the squared error; else the c of the pseudo-Huber error 2 c (sqrt(d^2 + c^2) - c), which is squared for d far below c
    and grows with |d| beyond, so that single odd pictures pull less.
    Source: Song and Dhariwal 2023, arXiv:2310.14189, section 3.3; the factor 2 c keeps the scale of the squared error.
    """
    error = (predicted.float() - wanted.float()).square()
    if huber is not None:
        error = 2 * huber * ((error + huber**2).sqrt() - huber)
    error = error.mean(dim=1, keepdim=True)
    return (error * mask).sum(dim=(1, 2, 3)) / mask.sum(dim=(1, 2, 3))
