"""Train the autoencoder of the embedded base: 128 px pictures to latents of 8 x 16 x 16.

    python recipes/mini/vae.py RUN --data DATA --steps N [--begin WEIGHTS]

Most of the steps are made on crops of 64 px; the last third on whole pictures, because group norms see other statistics there. Colours are
permuted and inverted, grounds coloured and outlines drawn, so that it also serves styles that are not among the data. Three of the latent
channels are held to the picture's thumbnail: without that, colours of the yellow-heavy emoji collapse for hundreds of steps.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from loop import Plan, Training, Worker, autocast, launch
from model import SIZE_PX, vae
from safetensors.torch import load_file, save_file
from torch import Tensor

CROP_PX = 64
WHOLE_FROM = 2 / 3
KL_WEIGHT = 1e-5
SEED = 20


def augmented(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures of many more styles than the data have. pixels: [B, 3, H, W], 0..1, on white."""
    made = []
    for picture in pixels:
        chance = torch.rand(5, generator=generator)
        shape = (picture.amin(0, keepdim=True) < 0.96).float()
        if chance[0] < 0.5:
            picture = picture[torch.randperm(3, generator=generator)]
        if chance[1] < 0.2:
            reach = 2 * int(torch.randint(1, 4, (), generator=generator)) + 1
            edge = F.max_pool2d(shape[None], reach, 1, reach // 2)[0] + F.max_pool2d(-shape[None], reach, 1, reach // 2)[0]
            picture = picture * (1 - edge) + edge * 0.2 * torch.rand((3, 1, 1), generator=generator)
        if chance[2] < 0.15:
            picture = torch.where(shape > 0, picture, torch.rand((3, 1, 1), generator=generator))
        if chance[3] < 0.1:
            picture = 1 - picture
        if chance[4] < 0.1:
            picture = picture.mean(0, keepdim=True).expand(3, -1, -1)
        made.append(picture)
    return torch.stack(made)


def loss_of(model: AutoencoderKL, pixels: Tensor, generator: torch.Generator) -> Tensor:
    """How far a picture is from itself after the way through the latents: in pixels, in edges, in colours of 8 px cells. pixels: -1..1."""
    with autocast(pixels.device):
        posterior = model.encode(pixels).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator).to(pixels.device)
        drawn = model.decode(posterior.mean + posterior.std * noise).sample.float()
    mean = posterior.mean.float()
    wrong = drawn - pixels
    edges = wrong.diff(dim=-1).abs().mean() + wrong.diff(dim=-2).abs().mean()
    cells = F.avg_pool2d(wrong, 8).abs().mean()
    thumbnail = F.mse_loss(mean[:, :3], 2 * F.avg_pool2d(pixels, 8))
    kl = 0.5 * (mean.square() + posterior.var.float() - 1 - posterior.logvar.float()).mean()
    loss: Tensor = wrong.abs().mean() + 0.5 * edges + cells + 0.05 * thumbnail + KL_WEIGHT * kl
    return loss


def train(worker: Worker, *, plan: Plan, data: Path, begin: Path | None) -> None:
    """Train, or go on; writes RUN/vae.safetensors at the end. begin: weights that a new run takes over."""
    pictures = np.load(data / "pictures.npy", mmap_mode="r")
    torch.manual_seed(SEED)
    model = vae()
    if begin is not None:
        model.load_state_dict(load_file(begin))
    training = Training(plan, model, worker)
    for step in training.steps():
        # Counted, not drawn on: a run that goes on sees what it would have seen.
        generator = torch.Generator().manual_seed((plan.seed * 1_000_003 + step) * worker.count + worker.rank)
        is_whole = step >= plan.steps * WHOLE_FROM
        count = plan.batch if not is_whole else max(1, plan.batch * CROP_PX**2 // SIZE_PX**2)
        chosen = torch.randint(len(pictures), (count,), generator=generator).tolist()
        pixels = torch.from_numpy(pictures[sorted(chosen)]).permute(0, 3, 1, 2).float() / 255
        if not is_whole:
            top, left = torch.randint(0, SIZE_PX - CROP_PX + 1, (2,), generator=generator).tolist()
            pixels = pixels[:, :, top : top + CROP_PX, left : left + CROP_PX]
        pixels = 2 * augmented(pixels, generator) - 1
        training.update(loss_of(training.model, pixels.to(worker.device, memory_format=torch.channels_last), generator))
    if worker.rank == 0:
        model = vae()
        model.load_state_dict(training.averaged())
        centre(model.to(worker.device), pictures)
        save_file(model.cpu().state_dict(), plan.folder / "vae.safetensors")


@torch.no_grad()
def centre(model: AutoencoderKL, pictures: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    """Bring the latents of the data to mean 0 and deviation 1 a channel, by changing the two 1 x 1 convolutions around them."""
    chosen = np.linspace(0, len(pictures) - 1, 512).astype(int)
    pixels = torch.from_numpy(np.asarray(pictures[chosen])).permute(0, 3, 1, 2).float() / 127.5 - 1
    device = next(model.parameters()).device
    latents = torch.cat([model.encode(part.to(device)).latent_dist.mean for part in torch.split(pixels, 32)])
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    channels = len(mean)
    into, out = model.quant_conv, model.post_quant_conv
    assert into.bias is not None
    into.weight[:channels] /= deviation[:, None, None, None]
    into.bias[:channels] = (into.bias[:channels] - mean) / deviation
    into.bias[channels:] -= 2 * deviation.log()
    out.bias += (out.weight[:, :, 0, 0] * mean).sum(1)
    out.weight *= deviation[None, :, None, None]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the autoencoder of the embedded base.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=16, help="crops a worker and step")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--begin", type=Path, help="weights of an autoencoder that a new run takes over")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each, where there is no GPU")
    given = parser.parse_args()
    given.run.mkdir(parents=True, exist_ok=True)
    plan = Plan(given.run, steps=given.steps, decay=given.steps // 3, rate=given.rate, batch=given.batch, seed=SEED, ema=0.998)
    launch(partial(train, plan=plan, data=given.data, begin=given.begin), given.workers)


if __name__ == "__main__":
    main()
