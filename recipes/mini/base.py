"""Train the denoiser and the text encoder of the embedded base, together and from scratch; or those of its twin in SDXL's layout.

    python recipes/mini/base.py RUN --data DATA --vae RUN_OF_THE_VAE/vae.safetensors --steps N --decay M [--twin]

Stopped and started again it goes on. Run with more steps than one can afford, and once more with --steps at what has been reached plus
--decay: the rate then falls to nothing. RUN/base.safetensors, the moving average, is written at every stop.
"""

import argparse
import random
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from begin import load_base, load_half
from captions import caption
from data import Row, read_rows
from diffusers.models.attention_processor import AttnProcessor
from loop import Plan, Training, Worker, autocast, launch
from model import EOS_ROW, SIZE_PX, TOKEN_DEVIATION, Vocabulary, scheduler, text_encoder, twin_text_encoders, twin_unet, unet, vae
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

SEED = 30
# Words the model has never met, drawn anew at every step: so it learns that an unknown word says nothing, and a new keyword does no harm.
STRANGERS = 64
STRANGE_SHARE = 0.25
BLIND_SHARE = 0.1
# Captions have up to 20 tokens with the unknown words, those of looks a few more. In most steps the positions behind the 24th are left out
# where none has more, which a causal text encoder does not notice and the denoiser soon does not mind; in the others it sees the padding
# that it is used with.
CUT_SHARE = 3 / 4
CUT_POSITIONS = 24
# Of the samples: plain pictures, recoloured ones, several of a kind, and those in another look.
SHARES = {"plain": 0.55, "coloured": 0.13, "counted": 0.07, "looked": 0.25}
# Original size, top left corner of the crop and target size in px, as SDXL is told them, of each view of a picture (see `encoded`).
SIZES = torch.tensor(
    [
        [SIZE_PX, SIZE_PX, 0, 0, SIZE_PX, SIZE_PX],
        [SIZE_PX, SIZE_PX, 0, 0, SIZE_PX, SIZE_PX],
        [SIZE_PX // 2, SIZE_PX // 2, 0, 0, SIZE_PX, SIZE_PX],
        [SIZE_PX, SIZE_PX, 0, 24, SIZE_PX, SIZE_PX],
        [SIZE_PX, SIZE_PX, 24, 0, SIZE_PX, SIZE_PX],
    ]
)
PLAIN, MIRRORED = 0, 1


class Base(nn.Module):
    """The text encoder and the denoiser as one module."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.text_encoder = text_encoder(vocabulary)
        self.unet = unet()
        # On a CPU the fused attention's backward pass in bfloat16 takes a fifth of a step, plain products a tenth of that.
        self.unet.set_attn_processor(AttnProcessor())
        self.text_encoder.set_attn_implementation("eager")

    def tables(self) -> list[Tensor]:
        """The token tables."""
        return [self.text_encoder.get_input_embeddings().weight]

    def forward(self, latents: Tensor, timesteps: Tensor, rows: Tensor, sizes: Tensor) -> Tensor:
        """The velocity, [B, 8, 16, 16]. rows: [B, 77] of the compact token table. sizes: [B, 6], which only the twin looks at."""
        del sizes
        states = self.text_encoder(rows).last_hidden_state
        velocity: Tensor = self.unet(latents, timesteps, states, return_dict=False)[0]
        return velocity


class Twin(nn.Module):
    """The same in SDXL's layout: two text encoders, a pooled text and the sizes."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.text_encoder, self.text_encoder_2 = twin_text_encoders(vocabulary)
        self.unet = twin_unet()
        self.unet.set_attn_processor(AttnProcessor())
        self.text_encoder.set_attn_implementation("eager")
        self.text_encoder_2.set_attn_implementation("eager")

    def tables(self) -> list[Tensor]:
        """The token tables."""
        return [encoder.get_input_embeddings().weight for encoder in (self.text_encoder, self.text_encoder_2)]

    def forward(self, latents: Tensor, timesteps: Tensor, rows: Tensor, sizes: Tensor) -> Tensor:
        """The velocity, [B, 8, 16, 16]. rows: [B, 77]. sizes: [B, 6], as in SIZES."""
        first = self.text_encoder(rows, output_hidden_states=True)
        second = self.text_encoder_2(rows, output_hidden_states=True)
        # SDXL takes the last layer but one of both, and the pooled text of the second.
        states = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
        told = {"text_embeds": second.text_embeds, "time_ids": sizes}
        velocity: Tensor = self.unet(latents, timesteps, states, added_cond_kwargs=told, return_dict=False)[0]
        return velocity


@dataclass(frozen=True)
class Samples:
    """Pictures as latents, in several views, with what is on them. latents: [N, V, 8, 16, 16], fp16, for the first V of SIZES."""

    latents: Tensor
    rows: list[Row]

    def groups(self) -> dict[str, list[int]]:
        """The samples of each share."""
        return {name: [index for index, row in enumerate(self.rows) if row.sort == name] for name in SHARES}


def vocabulary_of(rows: list[Row]) -> Vocabulary:
    """Every token that captions of these rows use."""
    rng = random.Random(SEED)
    return Vocabulary.of(["", *(caption(row, rng) for row in rows for _ in range(60))])


@torch.no_grad()
def encoded(data: Path, weights: Path, cache: Path, count: int = len(SIZES)) -> Samples:
    """The data as latents, in the first `count` views; kept in `cache`."""
    rows = read_rows(data / "rows.jsonl")
    if not cache.exists():
        device = "cuda" if torch.cuda.is_available() else "cpu"
        model = vae()
        model.load_state_dict(load_file(weights))
        model.to(device)
        pictures = np.load(data / "pictures.npy", mmap_mode="r")
        found = []
        for start in range(0, len(pictures), 32):
            pixels = torch.from_numpy(np.asarray(pictures[start : start + 32])).permute(0, 3, 1, 2).float().to(device) / 127.5 - 1
            found.append(torch.stack([model.encode(view).latent_dist.mean for view in views(pixels)[:count]], 1).half().cpu())
        part = cache.with_suffix(".part")
        save_file({"latents": torch.cat(found)}, part)
        part.replace(cache)
    return Samples(load_file(cache)["latents"], rows)


def views(pixels: Tensor) -> list[Tensor]:
    """Each picture as it is, mirrored, enlarged from half its size, cut at the left, and at the top. pixels: [B, 3, 128, 128], on white."""
    small = F.interpolate(F.avg_pool2d(pixels, 2), scale_factor=2, mode="bilinear")
    left, top = (F.pad(pixels, pad, value=1.0) for pad in ((0, 24, 0, 0), (0, 0, 0, 24)))
    return [pixels, pixels.flip(-1), small, left[..., 24:], top[..., 24:, :]]


def train(worker: Worker, *, plan: Plan, samples: Samples, is_twin: bool, begin: Path | None) -> None:
    """Train, or go on; writes RUN/base.safetensors at every end. begin: a folder whose weights a new run takes over."""
    vocabulary = vocabulary_of(samples.rows)
    torch.manual_seed(SEED)
    model = (Twin if is_twin else Base)(len(vocabulary.known) + STRANGERS)
    if begin is not None and isinstance(model, Base):
        load_base(model.unet, model.text_encoder, folder=begin, vocabulary=vocabulary)
    elif begin is not None:
        load_half(model.unet, begin)
    training = Training(plan, model, worker)
    device = worker.device
    groups, alphas = samples.groups(), scheduler().alphas_cumprod
    for step in training.steps():
        common = torch.Generator().manual_seed(plan.seed * 1_000_003 + step)
        with torch.no_grad():
            for table in model.tables():
                table[-STRANGERS:] = TOKEN_DEVIATION * torch.randn((STRANGERS, table.shape[1]), generator=common).to(device)
        rng = random.Random((plan.seed * 1_000_003 + step) * worker.count + worker.rank)
        generator = torch.Generator().manual_seed(rng.getrandbits(48))
        chosen = [rng.choice(groups[name]) for name, size in _counts(plan.batch).items() for _ in range(size)]
        seen = torch.tensor([_view(samples.rows[index], rng, is_twin) for index in chosen])
        clean = samples.latents[torch.tensor(chosen), seen].float()
        texts = ["" if rng.random() < BLIND_SHARE else caption(samples.rows[index], rng) for index in chosen]
        rows = with_strangers(vocabulary.rows(texts), rng, first=len(vocabulary.known))
        if rng.random() < CUT_SHARE and not (rows[:, CUT_POSITIONS:] != EOS_ROW).any():
            rows = rows[:, :CUT_POSITIONS]
        # One timestep from each part of the range, so that no batch is all noise or all picture.
        parts = (torch.rand(len(chosen), generator=generator) + torch.arange(len(chosen))) / len(chosen)
        timesteps = (parts[torch.randperm(len(chosen), generator=generator)] * len(alphas)).long()
        noise = torch.randn(clean.shape, generator=generator)
        signal, spread = (root[:, None, None, None] for root in (alphas[timesteps].sqrt(), (1 - alphas[timesteps]).sqrt()))
        given, wanted = signal * clean + spread * noise, signal * noise - spread * clean
        with autocast(device):
            told = timesteps.to(device), rows.to(device), SIZES[seen].to(device)
            velocity = model(given.to(device, memory_format=torch.channels_last), *told)
        training.update(F.mse_loss(velocity.float(), wanted.to(device)))
    if worker.rank == 0:
        save_file(training.averaged(), plan.folder / "base.safetensors")


def with_strangers(rows: Tensor, rng: random.Random, first: int) -> Tensor:
    """Some captions with one or two unknown words put before them. rows: [B, 77]; first: row of the table where the unknown words begin."""
    for index in range(len(rows)):
        if rng.random() < STRANGE_SHARE:
            words = torch.tensor([first + rng.randrange(STRANGERS) for _ in range(rng.choice((1, 2)))])
            rows[index] = torch.cat([rows[index, :1], words, rows[index, 1 : -len(words)]])
    return rows


def _view(row: Row, rng: random.Random, is_twin: bool) -> int:
    """Half of the pictures mirrored where that is right; the twin sees a third of them small or cut."""
    if is_twin and rng.random() < 1 / 3:
        return rng.randrange(2, len(SIZES))
    return MIRRORED if row.mirrors and rng.random() < 0.5 else PLAIN


def _counts(batch: int) -> dict[str, int]:
    """How many of a batch come from each share; the largest takes what rounding leaves."""
    counts = {name: int(batch * share) for name, share in SHARES.items()}
    counts["plain"] += batch - sum(counts.values())
    return counts


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the denoiser and text encoder of the embedded base.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--decay", type=int, default=0, help="of these steps, so many with a falling rate")
    parser.add_argument("--batch", type=int, default=32, help="pictures a worker and step")
    parser.add_argument("--rate", type=float, default=8e-4)
    parser.add_argument("--ema", type=float, default=0.998, help="decay of the moving average; nearer to 1 where the rate never falls")
    parser.add_argument("--twin", action="store_true", help="in SDXL's layout")
    parser.add_argument("--begin", type=Path, help="a base written by export.py, whose weights a new run takes over")
    parser.add_argument("--seed", type=int, default=SEED, help="a run that begins from written weights should not see the same again")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each, where there is no GPU")
    given = parser.parse_args()
    given.run.mkdir(parents=True, exist_ok=True)
    samples = encoded(given.data, given.vae, given.run / "latents.safetensors", len(SIZES) if given.twin else MIRRORED + 1)
    plan = Plan(given.run, steps=given.steps, decay=given.decay, rate=given.rate, batch=given.batch, ema=given.ema, seed=given.seed)
    launch(partial(train, plan=plan, samples=samples, is_twin=given.twin, begin=given.begin), given.workers)


if __name__ == "__main__":
    main()
