"""Cells -> pictures: many cells a batch, one resident model, adapters swapped in place.

Each picture has a CPU generator of its own, so it does not depend on its batch; guidance is a number a row, and rows at guidance 1 or below
have no unconditional pass. The loop matches the stock diffusers pipelines on the same seed, image-to-image included.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from decal.adapters import Swapper, read
from decal.bases import Base, Conditioning
from decal.cache import to_pixels
from decal.errors import AdapterError, BaseModelError
from decal.pictures import Frame
from decal.records import Cell


@dataclass(frozen=True)
class Drawn:
    """A picture that was drawn.

    pixels: [H, W, 3], uint8. seconds: its share of the batch's time. is_finite: it can be shown. problem: why its adapter cannot be used.
    """

    cell: Cell
    pixels: NDArray[np.uint8]
    seconds: float
    is_finite: bool = True
    problem: str = ""


def generate(
    base: Base, cells: Iterable[Cell], *, adapters: Mapping[int, Path], images: Mapping[str, Image.Image], batch: int
) -> Iterator[Drawn]:
    """Draw cells, grouped so that each adapter is put on once.

    adapters: checkpoint step -> LoRA file of any tool, for every step but 0. images: sha256 -> RGB picture, for image-to-image cells.
    batch: pictures at a time, > 0. A picture that is not finite is black, and says so; so are all those of an adapter that is damaged or
    does not fit. `finite` refuses them.
    """
    swapper = Swapper(base.parts)
    texts: dict[str, Conditioning] = {}
    try:
        for (step, strength), group in groupby(sorted(cells, key=_adapter), key=_adapter):
            try:
                adapter = read(adapters[step], base.parts) if step else None
                swapper.put_on(adapter, strength)
                base.speak(adapter.words if adapter is not None and strength != 0 else None)
            except AdapterError as problem:
                yield from (_black(cell, str(problem)) for cell in group)
                continue
            # An adapter that changes the text encoder has texts of its own.
            known = {} if adapter is not None and adapter.changes_text else texts
            yield from _draw_all(base, list(group), known, images, batch)
    finally:
        swapper.put_on(None, 0.0)
        base.speak(None)


def generate_live(base: Base, cells: Sequence[Cell], *, texts: Mapping[str, Conditioning], batch: int) -> Iterator[Drawn]:
    """Draw cells with the denoiser as it is, an adapter in training included.

    texts: what the denoiser is told of prompts that were read before, without a batch axis, on the device; others are read.
    """
    yield from _draw_all(base, list(cells), dict(texts), {}, batch)


def finite(drawn: Iterable[Drawn]) -> Iterator[Drawn]:
    """The same pictures. Raises AdapterError at one whose adapter cannot be used, and BaseModelError at another that is not finite."""
    for one in drawn:
        if one.problem:
            raise AdapterError(one.problem)
        if not one.is_finite:
            raise BaseModelError(
                f'"{one.cell.prompt}" at guidance {one.cell.guidance:g}, checkpoint {one.cell.checkpoint}: the picture is not finite.\n'
                "Draw in full precision (--set train.precision=fp32), or take another checkpoint."
            )
        yield one


def _black(cell: Cell, problem: str) -> Drawn:
    return Drawn(cell, np.zeros((cell.height_px, cell.width_px, 3), np.uint8), 0.0, is_finite=False, problem=problem)


def _adapter(cell: Cell) -> tuple[int, float]:
    return cell.checkpoint, cell.lora_strength if cell.checkpoint else 1.0


def _kind(cell: Cell) -> tuple[Any, ...]:
    """What must agree within a batch."""
    return cell.width_px, cell.height_px, cell.sampler, cell.steps, cell.image_strength or 0.0


def _draw_all(
    base: Base, cells: list[Cell], texts: dict[str, Conditioning], images: Mapping[str, Image.Image], batch: int
) -> Iterator[Drawn]:
    for _, alike in groupby(sorted(cells, key=_kind), key=_kind):
        waiting = list(alike)
        for first in range(0, len(waiting), batch):
            begun = time.perf_counter()
            chunk = waiting[first : first + batch]
            new = sorted({text for cell in chunk for text in (cell.prompt, cell.negative)} - texts.keys())
            if new:
                with torch.no_grad():
                    encoded = base.encode_prompts(new)
                texts |= {text: {name: rows[place] for name, rows in encoded.items()} for place, text in enumerate(new)}
            pixels = base.decode(_denoise(base, chunk, texts, images))
            is_finite = pixels.isfinite().flatten(1).all(dim=1).tolist()
            arrays = (pixels.nan_to_num(0.0, 0.0, 0.0).permute(0, 2, 3, 1).cpu().numpy() * 255).round().astype(np.uint8)
            seconds = (time.perf_counter() - begun) / len(chunk)
            yield from (Drawn(cell, array, seconds, good) for cell, array, good in zip(chunk, arrays, is_finite, strict=True))


@torch.no_grad()
def _denoise(base: Base, cells: list[Cell], texts: Mapping[str, Conditioning], images: Mapping[str, Image.Image]) -> Tensor:
    """Clean latents [B, C, h, w] of cells that agree in `_kind`."""
    first = cells[0]
    scheduler = base.scheduler(first.sampler)
    scheduler.set_timesteps(first.steps, device=base.device)
    generators = [torch.Generator().manual_seed(cell.seed) for cell in cells]
    shape = (base.latent_channels, first.height_px // base.stride, first.width_px // base.stride)
    timesteps = scheduler.timesteps
    latents: Tensor
    if first.image_strength is None:
        latents = _noise(generators, shape, base) * scheduler.init_noise_sigma
    else:
        # As StableDiffusionImg2ImgPipeline: the last `strength` share of the steps, posterior noise drawn before the latents' noise.
        begin = first.steps - min(int(first.steps * first.image_strength), first.steps)
        timesteps = timesteps[begin * scheduler.order :]
        if first.sampler != "ddim":
            scheduler.set_begin_index(begin * scheduler.order)
        pixels = torch.stack([to_pixels(images[cell.image_sha256 or ""]) for cell in cells])
        mean, std = base.encode_pictures(pixels)
        clean = mean + std * _noise(generators, shape, base)
        latents = scheduler.add_noise(clean, _noise(generators, shape, base), timesteps[:1].repeat(len(cells)))
    guided = [row for row, cell in enumerate(cells) if cell.guidance > 1]
    told = [texts[cell.prompt] for cell in cells] + [texts[cells[row].negative] for row in guided]
    conditioning = {name: torch.stack([rows[name] for rows in told]) for name in told[0]}
    conditioning |= base.encode_frames([Frame.whole(first.width_px, first.height_px)] * len(told))
    guidance = torch.tensor([cells[row].guidance for row in guided], device=base.device)[:, None, None, None]
    for timestep in timesteps:
        noisy = scheduler.scale_model_input(latents, timestep)
        rows = torch.cat([noisy, noisy[guided]])
        predicted = base.predict(rows, timestep.expand(len(rows)), conditioning).float()
        output = predicted[: len(cells)].clone()
        without = predicted[len(cells) :]
        output[guided] = without + guidance * (output[guided] - without)
        latents = scheduler.step(output, timestep, latents, generator=generators, return_dict=False)[0]
    return latents


def _noise(generators: list[torch.Generator], shape: tuple[int, ...], base: Base) -> Tensor:
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators]).to(base.device)
