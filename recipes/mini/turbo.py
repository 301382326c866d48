"""Teach a copy of the base to draw in 1 to 4 steps without guidance.

    python recipes/mini/turbo.py RUN --base src/decal/mini/sd --data DATA --pairs N --steps M

The base, a folder written by export.py, draws N pictures with guidance; each is kept with the noise that it began from. The student begins
as the base and learns the straight way from that very noise to that very picture, at the timesteps that trailing spacing gives to 4, 2 and
1 steps. So whichever of these counts is asked of a stock sampler, it lands near what the base draws in many. After the first step a sampler
goes on from the student's own guess and not from the picture, so half of what it is shown there is that guess. Stopped and started again it
goes on, with more pairs where there are more.
Source of the idea: Liu et al. 2022, "Flow straight and fast" (arXiv:2209.03003), pairs of noise and what it leads to.
"""

import argparse
import random
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from base import SIZES, STRANGERS, Base, vocabulary_of, with_strangers
from begin import load_base
from captions import caption
from data import Row, read_rows
from loop import Plan, Training, Worker, autocast, channels_last, launch
from model import LATENT_CHANNELS, LATENT_SIDE, TOKEN_DEVIATION, Vocabulary, scheduler
from safetensors.torch import load_file, save_file
from torch import Tensor

SEED = 40
GUIDANCE = 3.0
# Eight steps of the base are as good as twenty to the eye, and cost less.
TEACHER_STEPS = 8
CHUNK = 64
TIMESTEPS = (999, 749, 499, 249)
# Pure noise is the only step of one and the first of all; a mistake there cannot be mended by fewer than two more.
CHANCES = (0.5, 0.15, 0.25, 0.1)
OWN_SHARE = 0.5
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
        with autocast(latents.device):
            both = base.unet(torch.cat([latents, latents]), timestep.to(latents.device), states, return_dict=False)[0].float()
        told, untold = both.chunk(2)
        latents = steps.step(untold + GUIDANCE * (told - untold), timestep, latents).prev_sample
    return latents


def make_pairs(worker: Worker, *, run: Path, folder: Path, rows: list[Row], count: int) -> None:
    """Draw what is missing of the pairs, a file for every 64; pair n has the caption and the noise of number n, whoever draws it."""
    vocabulary = vocabulary_of(rows)
    base, device = teacher(folder, vocabulary).eval(), worker.device
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


def teacher(folder: Path, vocabulary: Vocabulary) -> Base:
    """The base as it was written."""
    torch.manual_seed(SEED)
    base = Base(len(vocabulary.known) + STRANGERS)
    load_base(base.unet, base.text_encoder, folder=folder, vocabulary=vocabulary)
    return base


def train(worker: Worker, *, plan: Plan, folder: Path, rows: list[Row]) -> None:
    """Train the student on the pairs, or go on; writes RUN/base.safetensors at every end."""
    chunks = [load_file(file) for file in sorted(plan.folder.glob("pairs-*.safetensors"))]
    told, pictures = torch.cat([chunk["rows"] for chunk in chunks]).long(), torch.cat([chunk["pictures"] for chunk in chunks])
    vocabulary, device = vocabulary_of(rows), worker.device
    student = teacher(folder, vocabulary).train()
    training = Training(plan, student, worker)
    alphas = scheduler().alphas_cumprod
    for step in training.steps():
        common = torch.Generator().manual_seed(plan.seed * 1_000_003 + step)
        with torch.no_grad():
            for table in student.tables():
                table[-STRANGERS:] = TOKEN_DEVIATION * torch.randn((STRANGERS, table.shape[1]), generator=common).to(device)
        rng = random.Random((plan.seed * 1_000_003 + step) * worker.count + worker.rank)
        generator = torch.Generator().manual_seed(rng.getrandbits(48))
        chosen = torch.randint(len(pictures), (plan.batch,), generator=generator)
        said = with_strangers(told[chosen], rng, first=len(vocabulary.known)).to(device)
        clean, noise = pictures[chosen].float(), torch.stack([noise_of(number) for number in chosen.tolist()])
        timesteps = torch.tensor(TIMESTEPS)[torch.multinomial(torch.tensor(CHANCES), plan.batch, replacement=True, generator=generator)]
        is_own = (timesteps < TIMESTEPS[0]) & (torch.rand(plan.batch, generator=generator) < OWN_SHARE)
        signal, spread = (root[:, None, None, None] for root in (alphas[timesteps].sqrt(), (1 - alphas[timesteps]).sqrt()))
        begun = clean.clone()
        if is_own.any():
            begun[is_own] = first_guess(student, noise[is_own].to(device), said[is_own.to(device)]).cpu()
        given = signal * begun + spread * noise
        # The velocity from which the sampler works out the clean picture; for a true beginning it is the usual one.
        wanted = (signal * given - clean) / spread
        with autocast(device):
            velocity = student(given.to(device, memory_format=torch.channels_last), timesteps.to(device), said, SIZES[:1])
        training.update(F.mse_loss(velocity.float(), wanted.to(device)))
    if worker.rank == 0:
        save_file(training.averaged(), plan.folder / "base.safetensors")


@torch.no_grad()
def first_guess(student: Base, noise: Tensor, rows: Tensor) -> Tensor:
    """The picture that the student sees in pure noise, [B, 8, 16, 16]; there the velocity is the picture's negative."""
    timesteps = torch.full((len(noise),), TIMESTEPS[0], device=noise.device)
    with autocast(noise.device):
        velocity: Tensor = student(noise.contiguous(memory_format=torch.channels_last), timesteps, rows, SIZES[:1])
    return -velocity.float()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Teach a copy of the base to draw in a few steps.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--base", type=Path, required=True, help="the base, a folder written by export.py")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=3000, help="of the student; 0: only draw the pairs")
    parser.add_argument("--decay", type=int, help="of these steps, so many with a falling rate; half of them where left out")
    parser.add_argument("--batch", type=int, default=32, help="pictures a worker and step")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each, where there is no GPU")
    given = parser.parse_args()
    given.run.mkdir(parents=True, exist_ok=True)
    rows = read_rows(given.data / "rows.jsonl")
    launch(partial(make_pairs, run=given.run, folder=given.base, rows=rows, count=given.pairs), given.workers)
    decay = given.steps // 2 if given.decay is None else given.decay
    # An average as long as that of the base would still hold the base's weights at the end of so short a run.
    plan = Plan(given.run, steps=given.steps, decay=decay, rate=5e-4, batch=given.batch, seed=SEED, warm_up=100, ema=0.99)
    if given.steps:
        launch(partial(train, plan=plan, folder=given.base, rows=rows), given.workers)


if __name__ == "__main__":
    main()
