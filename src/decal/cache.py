"""Pictures and captions encoded once.

A file in `cache/` is keyed by the picture's bytes, the preprocessing and the weights that encoded it, so an edited picture or another base
is encoded anew; captions are encoded all together, anew when one of them changes. The latents' mean and standard deviation are both kept,
so every step can still sample the posterior as an uncached trainer does. Up to a byte budget all of it is held on the device; beyond that
the pictures stay memory-mapped on disk.

Crops and grounds are fixed here, before encoding: what is drawn anew each epoch cannot be cached.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor

from decal import masks, pictures
from decal.bases import Base, Conditioning
from decal.batches import Sample
from decal.errors import DataError
from decal.events import Progress
from decal.project import fingerprint, write_bytes
from decal.records import Record
from decal.settings import ResolvedData

ENCODE_BATCH = 8


@dataclass(frozen=True)
class Batch:
    """Samples of one step, on the device.

    mean, std: [B, C, h, w], of the latents. mask: [B, 1, h, w], how much each place counts: 1 where the picture is, 0 where it was padded,
    and between them where it is transparent and `data.transparent_weight` says so, or where its mask is grey.
    """

    mean: Tensor
    std: Tensor
    mask: Tensor
    conditioning: Conditioning


class Examples:
    """Encoded pictures with their captions, by their place in `records`.

    shapes: height and width of the latents of each. told: conditioning of each caption, and what each picture adds to it.
    """

    def __init__(
        self,
        files: Sequence[Path],
        records: Sequence[Record],
        shapes: Sequence[tuple[int, int]],
        told: tuple[Conditioning, Conditioning],
        *,
        device: torch.device,
        budget: int,
    ):
        self.records = tuple(records)
        captions = _captions(records)
        conditioning, frames = told
        self._caption = {caption: place for place, caption in enumerate(captions)}
        self._files = tuple(files)
        self._device = device
        self.size_bytes = sum(path.stat().st_size for path in files) + sum(t.nbytes for t in conditioning.values())
        self.is_resident = self.size_bytes <= budget
        self._conditioning = {name: t.to(device) for name, t in conditioning.items()} if self.is_resident else dict(conditioning)
        # Six numbers a picture at most.
        self._frames = {name: t.to(device) for name, t in frames.items()}
        self.shapes = tuple(shapes)
        self._place = {index: place for of in self.alike(len(files)) for place, index in enumerate(of)}
        self._held = self._hold() if self.is_resident else None

    def __len__(self) -> int:
        return len(self.records)

    def alike(self, size: int) -> list[list[int]]:
        """All pictures in groups of at most `size` of one shape."""
        by_shape: dict[tuple[int, int], list[int]] = {}
        for index, shape in enumerate(self.shapes):
            by_shape.setdefault(shape, []).append(index)
        return [of[first : first + size] for of in by_shape.values() for first in range(0, len(of), max(1, size))]

    def batch(self, samples: Sequence[Sample]) -> Batch:
        """The pictures and captions of these samples, flipped and without caption where they say so; all must have one shape."""
        indexes = [sample.index for sample in samples]
        flips = [int(sample.is_flipped) for sample in samples]
        places = [self._caption[caption] for caption in self.captions(samples)]
        if self._held is None:
            latents, mask = self._stack(indexes)
            rows = to_device(torch.tensor([list(range(len(samples))), flips, indexes]), self._device)
            conditioning = {name: to_device(t[places], self._device) for name, t in self._conditioning.items()}
        else:
            # One small copy that the host does not wait for; the rest is indexing on the device.
            chosen = to_device(torch.tensor([[self._place[index] for index in indexes], flips, indexes, places]), self._device)
            latents, masks = self._held[self.shapes[indexes[0]]]
            mask = masks[chosen[0]]
            rows = chosen[:3]
            conditioning = {name: t[chosen[3]] for name, t in self._conditioning.items()}
        conditioning |= {name: t[rows[2]] for name, t in self._frames.items()}
        latents = latents[rows[0], rows[1]]  # [B, 2, C, h, w]
        mask = torch.where(rows[1].bool()[:, None, None, None], mask.flip(-1), mask)
        return Batch(latents[:, 0].float(), latents[:, 1].float(), mask, conditioning)

    def captions(self, samples: Sequence[Sample]) -> list[str]:
        """The caption that each sample is shown with."""
        return ["" if sample.is_blind else self._drawn(sample) for sample in samples]

    def _drawn(self, sample: Sample) -> str:
        captions = self.records[sample.index].captions
        return captions[sample.draw % len(captions)]

    def _hold(self) -> dict[tuple[int, int], tuple[Tensor, Tensor]]:
        """Everything, by shape."""
        return {self.shapes[of[0]]: self._stack(of) for of in self.alike(len(self))}

    def _stack(self, indexes: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Latents [N, flips, 2, C, h, w] and masks [N, 1, h, w] of these pictures."""
        latents, masks = [], []
        for index in indexes:
            with safe_open(self._files[index], framework="pt") as file:
                latents.append(file.get_tensor("latents"))
                masks.append(file.get_tensor("mask"))
        return torch.stack(latents).to(self._device), torch.stack(masks).to(self._device, torch.float32)


class Cache:
    """The folder `cache/` of a project, for one base and one way of preprocessing."""

    def __init__(self, folder: Path, base: Base, settings: ResolvedData) -> None:
        self._folder = folder
        self._base = base
        self._settings = settings
        self._dtype = torch.float32 if base.dtype == torch.float32 else torch.float16
        how = settings.model_dump(include={"resolution", "ground", "fit", "flip"})
        if settings.transparent_weight != 1:
            how["transparent_weight"] = settings.transparent_weight
        self._pictures_key = fingerprint("pictures", 1, how, str(self._dtype), base.fingerprint("vae"))
        self._texts_key = fingerprint("texts", 1, str(base.dtype), base.fingerprint(*base.text_parts))

    def fill(self, dataset: Path, records: Sequence[Record]) -> Iterator[Progress]:
        """Encode the pictures that are not there yet; yields how many of them have been, 0 first.

        Raises DataError that names a picture whose latents are not finite.
        """
        missing = list({self._picture(record): record for record in records if not _is_whole(self._picture(record))}.values())
        done = 0
        for _, alike in groupby(sorted(missing, key=self._shape), key=self._shape):
            of = list(alike)
            for first in range(0, len(of), ENCODE_BATCH):
                yield Progress("encoding pictures", done, len(missing))
                self._encode(dataset, of[first : first + ENCODE_BATCH])
                done += len(of[first : first + ENCODE_BATCH])
        if missing:
            yield Progress("encoding pictures", len(missing), len(missing))

    def examples(self, records: Sequence[Record], *, budget: int) -> Examples:
        """What `fill` made, ready to train on. budget: bytes that may be held on the device, if all of it fits."""
        captions = _captions(records)
        files = [self._picture(record) for record in records]
        stride = self._base.stride
        shapes = [(height // stride, width // stride) for width, height in map(self._shape, records)]
        side, fit = self._settings.resolution, self._settings.fit
        frames = self._base.encode_frames([pictures.frame_for(one.width_px, one.height_px, side, fit) for one in records])
        return Examples(files, records, shapes, (self._texts(captions), frames), device=self._base.device, budget=budget)

    def _texts(self, captions: list[str]) -> Conditioning:
        path = self._folder / "texts" / f"{fingerprint(self._texts_key, captions)}.safetensors"
        if not _is_whole(path):
            parts = [self._base.encode_prompts(captions[first : first + 64]) for first in range(0, len(captions), 64)]
            joined = {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}
            _save(path, joined)
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    def _encode(self, dataset: Path, records: Sequence[Record]) -> None:
        settings = self._settings
        prepared = [
            pictures.fitted(pictures.load(dataset / record.file, settings.ground), settings.resolution, settings.fit, settings.ground)
            for record in records
        ]
        pixels = torch.stack([to_pixels(picture) for picture, _ in prepared])
        variants = [pixels, pixels.flip(-1)] if settings.flip else [pixels]
        encoded = [torch.stack(self._base.encode_pictures(variant), dim=1) for variant in variants]
        latents = torch.stack(encoded, dim=1).to(self._dtype).cpu()  # [N, flips, 2, C, h, w]
        for record, (_, mask), found in zip(records, prepared, latents, strict=True):
            if not found.isfinite().all():
                raise DataError(
                    f"dataset/{record.file}: the VAE of {self._base.name} gives values that are not finite.\n"
                    'Write train.precision = "fp32", or take the picture out.'
                )
            small = mask.resize((found.shape[-1], found.shape[-2]), Image.Resampling.BOX)
            # A latent counts as picture when at least half of the pixels under it are.
            covered = np.array(small)
            # A very long picture covers none by half; then those that it covers most count.
            inside = torch.from_numpy(covered >= min(128, int(covered.max()))).to(torch.uint8)[None]
            if settings.transparent_weight != 1:
                inside = inside * self._weights(dataset / record.file, small.size)
            if record.mask:
                mask_of_it = masks.load(dataset.parent / record.mask, (record.width_px, record.height_px))
                inside = inside * self._averaged(mask_of_it, small.size)
                if not inside.any():
                    raise DataError(
                        f"dataset/{record.file}: its mask {record.mask} leaves nothing of it that counts.\n"
                        "Make white in it what should be learned, or take the picture out."
                    )
            _save(self._picture(record), {"latents": found.contiguous(), "mask": inside})

    def _weights(self, path: Path, size: tuple[int, int]) -> Tensor:
        """How much each place of a picture's latents counts by how opaque it is, [1, h, w], float32.

        Source of the idea: the masked training of OneTrainer and the alpha mask of sd-scripts.
        """
        least = self._settings.transparent_weight
        return least + (1 - least) * self._averaged(pictures.opacity(path), size)

    def _averaged(self, grey: Image.Image, size: tuple[int, int]) -> Tensor:
        """A picture "L" cropped and resized like the one that it belongs to, averaged to the size of latents, [1, h, w], float32, 0..1."""
        fitted, _ = pictures.fitted(Image.merge("RGB", [grey] * 3), self._settings.resolution, self._settings.fit, "black")
        return torch.from_numpy(np.array(fitted.getchannel(0).resize(size, Image.Resampling.BOX), dtype=np.float32) / 255)[None]

    def _shape(self, record: Record) -> tuple[int, int]:
        return pictures.shape_for(record.width_px, record.height_px, self._settings.resolution, self._settings.fit)

    def _picture(self, record: Record) -> Path:
        mask = [record.mask_sha256] if record.mask else []
        return self._folder / "pictures" / f"{fingerprint(self._pictures_key, record.sha256, *mask)}.safetensors"


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on the device; for a GPU through pinned memory, so that the host does not wait."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def to_pixels(picture: Image.Image) -> Tensor:
    """An RGB picture as [3, H, W], float32, -1..1."""
    return torch.from_numpy(np.array(picture, dtype=np.float32)).permute(2, 0, 1) / 127.5 - 1


def _captions(records: Sequence[Record]) -> list[str]:
    """Every caption once, and the empty one."""
    return sorted({"", *(caption for record in records for caption in record.captions)})


def _is_whole(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        with safe_open(path, framework="pt"):
            return True
    except (SafetensorError, OSError):
        return False


def _save(path: Path, tensors: Conditioning) -> None:
    write_bytes(path, serialize(dict(tensors)))
