"""Teach a copy of the base to draw in 1 to 4 steps without guidance.

    python recipes/mini/turbo.py RUN --base RUN_OF_THE_BASE --data DATA --pairs N --steps M

The base draws N pictures with guidance; each is kept with the noise that it began from. The student learns the straight way from that very
noise to that very picture, at the four timesteps that trailing spacing gives to 4, 2 and 1 steps. So whichever of these counts is asked of
a stock sampler, it lands near what the base draws in 20 steps.
Source of the idea: Liu et al. 2022, "Flow straight and fast" (arXiv:2209.03003), pairs of noise and what it leads to.
"""

import argparse
import random
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from base import SIZES, STRANGERS, Base, vocabulary_of
from captions import caption
from data import Row, read_rows
from loop import Plan, Training, Worker, channels_last, launch
from model import LATENT_CHANNELS, LATENT_SIDE, Vocabulary, scheduler
from safetensors.torch import load_file, save_file
from torch import Tensor

SEED = 40
GUIDANCE = 3.0
TEACHER_STEPS = 16
CHUNK = 64
TIMESTEPS = (999, 749, 499, 249)
# Pure noise is the only step of one and the first of all; a mistake there cannot be mended by fewer than two more.
CHANCES = (0.5, 0.15, 0.25, 0.1)
SHAPE = (LATENT_CHANNELS, LATENT_SIDE, LATENT_SIDE)


def noise_of(number: int) -> Tensor:
    """The noise that pair begins from, [8, 16, 16]."""
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(SEED * 1_000_003 + number))


@torch.no_grad()
def drawn(base: Base, rows: Tensor, noise: Tensor, blind: Tensor) -> Tensor:
    """What the base draws from this noise with guidance, [B, 8, 16, 16]. rows: [B, 77]; blind: [1, 77], the empty caption."""
    steps = scheduler()
    steps.set_timesteps(TEACHER_STEPS)
    states = base.text_encoder(torch.cat([rows, blind.expand(len(rows), -1)])).last_hidden_state
    latents = noise
    for timestep in steps.timesteps:
        with torch.autocast(latents.device.type, torch.bfloat16):
            both = base.unet(torch.cat([latents, latents]), timestep.to(latents.device), states, return_dict=False)[0].float()
        told, untold = both.chunk(2)
        latents = steps.step(untold + GUIDANCE * (told - untold), timestep, latents).prev_sample
    return latents


def make_pairs(worker: Worker, *, run: Path, weights: Path, rows: list[Row], count: int) -> None:
    """Draw what is missing of the pairs, a file for every 64; pair n has the caption and the noise of number n, whoever draws it."""
    vocabulary = vocabulary_of(rows)
    base, device = teacher(weights, vocabulary), worker.device
    channels_last(base, device)
    blind = vocabulary.rows([""]).to(device)
    for chunk in range(worker.rank, count // CHUNK, worker.count):
        file = run / f"pairs-{chunk:05d}.safetensors"
        if file.exists():
            continue
        numbers = range(chunk * CHUNK, (chunk + 1) * CHUNK)
        told = vocabulary.rows([caption(rng.choice(rows), rng) for rng in (random.Random(SEED * 1_000_003 + number) for number in numbers)])
        noise = torch.stack([noise_of(number) for number in numbers]).to(device, memory_format=torch.channels_last)
        pictures = drawn(base, told.to(device), noise, blind)
        part = file.with_suffix(".part")
        save_file({"rows": told.to(torch.int16), "pictures": pictures.half().cpu().contiguous()}, part)
        part.replace(file)
    if worker.count > 1:
        dist.barrier()


def teacher(weights: Path, vocabulary: Vocabulary) -> Base:
    """The base as it was trained."""
    base = Base(len(vocabulary.known) + STRANGERS)
    base.load_state_dict(load_file(weights))
    return base.eval()


def train(worker: Worker, *, plan: Plan, weights: Path, rows: list[Row]) -> None:
    """Train the student on the pairs, or go on; writes RUN/base.safetensors at every end."""
    files = sorted(plan.folder.glob("pairs-*.safetensors"))
    chunks = [load_file(file) for file in files]
    told, pictures = torch.cat([chunk["rows"] for chunk in chunks]).long(), torch.cat([chunk["pictures"] for chunk in chunks])
    student = teacher(weights, vocabulary_of(rows)).train()
    training = Training(plan, student, worker)
    alphas = scheduler().alphas_cumprod
    for step in training.steps():
        generator = torch.Generator().manual_seed((SEED * 1_000_003 + step) * worker.count + worker.rank)
        chosen = torch.randint(len(pictures), (plan.batch,), generator=generator)
        device = worker.device
        clean, noise = pictures[chosen].float(), torch.stack([noise_of(number) for number in chosen.tolist()])
        timesteps = torch.tensor(TIMESTEPS)[torch.multinomial(torch.tensor(CHANCES), plan.batch, replacement=True, generator=generator)]
        signal, spread = (root[:, None, None, None] for root in (alphas[timesteps].sqrt(), (1 - alphas[timesteps]).sqrt()))
        given, wanted = signal * clean + spread * noise, signal * noise - spread * clean
        with torch.autocast(device.type, torch.bfloat16):
            velocity = student(
                given.to(device, memory_format=torch.channels_last), timesteps.to(device), told[chosen].to(device), SIZES[:1]
            )
        training.update(F.mse_loss(velocity.float(), wanted.to(device)))
    if worker.rank == 0:
        save_file(training.averaged(), plan.folder / "base.safetensors")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Teach a copy of the base to draw in a few steps.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--base", type=Path, required=True, help="the run of the base")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=8192)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=32, help="pictures a worker and step")
    given = parser.parse_args()
    given.run.mkdir(parents=True, exist_ok=True)
    rows, weights = read_rows(given.data / "rows.jsonl"), given.base / "base.safetensors"
    launch(partial(make_pairs, run=given.run, weights=weights, rows=rows, count=given.pairs))
    plan = Plan(given.run, steps=given.steps, decay=given.steps // 2, rate=3e-4, batch=given.batch, ema=0.998)
    launch(partial(train, plan=plan, weights=weights, rows=rows))


if __name__ == "__main__":
    main()
