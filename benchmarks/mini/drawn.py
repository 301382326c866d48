"""A base model that is measured: loaded once, drawn with, and its pictures kept in the work folder so that none is drawn twice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from decal import bases, project
from decal.bases import Base
from decal.generate import generate
from decal.presets import base_preset
from decal.records import Cell

BATCH = 16


@dataclass(frozen=True)
class Sampling:
    """How a base is drawn with where nothing else is asked."""

    steps: int = 20
    guidance: float = 3.0


@dataclass(frozen=True)
class Candidate:
    """One of the bases. name: what it is called in tables; work: its folder for what is made with it; sampling: how it is drawn with."""

    name: str
    folder: Path
    work: Path
    base: Base
    size_px: int
    sampling: Sampling

    def cell(self, prompt: str, seed: int, guidance: float | None = None) -> Cell:
        """A picture to draw without adapter, at the base's own guidance where none is given."""
        return Cell(
            prompt=prompt,
            guidance=self.sampling.guidance if guidance is None else guidance,
            seed=seed,
            steps=self.sampling.steps,
            sampler="ddim",
            width_px=self.size_px,
            height_px=self.size_px,
            checkpoint=0,
        )

    def draw(self, cells: Sequence[Cell], adapter: Path | None = None) -> NDArray[np.uint8]:
        """The pictures of cells in their order, uint8 [N, S, S, 3], with a LoRA where one is given; those of an earlier call are read."""
        adapters: Mapping[int, Path] = {} if adapter is None else {1: adapter}
        if adapter is not None:
            cells = [cell.model_copy(update={"checkpoint": 1}) for cell in cells]
        taught = "" if adapter is None else project.sha256(adapter)
        kept = self.work / f"drawn-{project.fingerprint(*(project.to_json(cell) for cell in cells), taught)[:16]}.npy"
        if not kept.exists():
            found = {one.cell: one.pixels for one in generate(self.base, cells, adapters=adapters, images={}, batch=BATCH)}
            keep(kept, np.stack([found[cell] for cell in cells]))
        return np.asarray(np.load(kept))

    def through_vae(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Pictures encoded and decoded again: the best that the base could draw. pixels: [N, S, S, 3]."""
        made = []
        for part in np.array_split(pixels, -(-len(pixels) // BATCH)):
            given = torch.from_numpy(np.ascontiguousarray(part)).permute(0, 3, 1, 2).float() / 127.5 - 1
            latents, _ = self.base.encode_pictures(given)
            made.append(_to_uint8(self.base.decode(latents)))
        return np.concatenate(made)


def candidate(folder: Path, name: str, *, work: Path, device: str, sampling: Sampling) -> Candidate:
    """Load a base. Its work folder is named for the hash of its files, so that another base never reads its pictures."""
    base = bases.load(str(folder), device=torch.device(device), dtype=torch.float32)
    place = work / f"{name.replace('/', '-')}-{base.fingerprint()[:8]}"
    place.mkdir(parents=True, exist_ok=True)
    return Candidate(name, folder, place, base, base_preset(str(folder)).resolution, sampling)


def names(folders: Sequence[Path]) -> list[str]:
    """What to call bases: the last part of each path, or as much of it as tells them apart."""
    paths = [folder.resolve() for folder in folders]
    for length in range(1, max(len(path.parts) for path in paths) + 1):
        found = ["/".join(path.parts[-length:]) for path in paths]
        if len(set(found)) == len(found):
            return found
    raise SystemExit("The same base is named twice.\nName each --base once.")


def keep(path: Path, array: NDArray[np.generic]) -> None:
    """Write an array, whole or not at all."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, array)
    part.replace(path)


def _to_uint8(pixels: Tensor) -> NDArray[np.uint8]:
    return (pixels.permute(0, 2, 3, 1).cpu().numpy() * 255).round().astype(np.uint8)
