"""Pictures and captions encoded once.

A file in `cache/` is keyed by the picture's bytes, the preprocessing and the weights that encoded it, so an edited picture or another base
is encoded anew; captions are encoded all together, anew when one of them changes. The latents' mean and standard deviation are both kept,
so every step can still sample the posterior as an uncached trainer does. Up to a byte budget all of it is held on the device; beyond that
the pictures stay memory-mapped on disk.

Crops and grounds are fixed here, before encoding: what is drawn anew each epoch cannot be cached, but `data.variants` of each picture can.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor

from decal import masks, pictures, variants
from decal.bases import Base, Conditioning
from decal.batches import Sample
from decal.errors import DataError
from decal.events import Progress
from decal.project import fingerprint, write_bytes
from decal.records import Record
from decal.settings import ResolvedData
from decal.variants import Variant

ENCODE_BATCH = 8
# So many crops are tried to find one of which the mask lets something count; after that, the middle one.
CROPS_TRIED = 8


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


@dataclass(frozen=True)
class Encoded:
    """A picture in the cache. shape: height and width of its latents. count: of its variants."""

    record: Record
    file: Path
    shape: tuple[int, int]
    count: int


@dataclass(frozen=True)
class _Greys:
    """What weighs the places of a picture, "L" in its size, decoded once for all of its variants; None where it is not asked for."""

    opacity: Image.Image | None
    mask: Image.Image | None


class Examples:
    """Encoded pictures with their captions, by their place in `records`.

    told: conditioning of each caption, and what each variant of each picture adds to it, as it is and mirrored.
    """

    def __init__(self, encoded: Sequence[Encoded], told: tuple[Conditioning, Conditioning], *, device: torch.device, budget: int):
        self.records = tuple(one.record for one in encoded)
        captions = _captions(self.records)
        conditioning, frames = told
        self._caption = {caption: place for place, caption in enumerate(captions)}
        self._files = tuple(one.file for one in encoded)
        self._device = device
        self.size_bytes = sum(path.stat().st_size for path in self._files) + sum(t.nbytes for t in conditioning.values())
        self.is_resident = self.size_bytes <= budget
        self._conditioning = {name: t.to(device) for name, t in conditioning.items()} if self.is_resident else dict(conditioning)
        # Twice six numbers a variant at most.
        self._frames = {name: t.to(device) for name, t in frames.items()}
        self.shapes = tuple(one.shape for one in encoded)
        self._counts = tuple(one.count for one in encoded)
        # Where the variants of a picture begin, among those of its shape and among all.
        self._place = {index: place for of in self.alike(len(encoded)) for index, place in zip(of, self._begins(of), strict=True)}
        self._frame = self._begins(range(len(encoded)))
        self._held = self._hold() if self.is_resident else None

    def __len__(self) -> int:
        return len(self.records)

    def fingerprint(self) -> str:
        """Hash of what is held: pictures as they were encoded, whose files are named by it, and what else is told of each."""
        told = [record.model_dump(mode="json", include={"sha256", "captions", "width_px", "height_px"}) for record in self.records]
        return fingerprint([file.name for file in self._files], told)

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
        ways = [sample.variant % self._counts[sample.index] for sample in samples]
        frames = [2 * (self._frame[index] + way) + flip for index, way, flip in zip(indexes, ways, flips, strict=True)]
        places = [self._caption[caption] for caption in self.captions(samples)]
        if self._held is None:
            latents, mask = self._joined(self._read(index, slice(way, way + 1)) for index, way in zip(indexes, ways, strict=True))
            rows = to_device(torch.tensor([list(range(len(samples))), flips, frames]), self._device)
            conditioning = {name: to_device(t[places], self._device) for name, t in self._conditioning.items()}
        else:
            # One small copy that the host does not wait for; the rest is indexing on the device.
            held = [self._place[index] + way for index, way in zip(indexes, ways, strict=True)]
            chosen = to_device(torch.tensor([held, flips, frames, places]), self._device)
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
        return {self.shapes[of[0]]: self._joined(self._read(index, slice(None)) for index in of) for of in self.alike(len(self))}

    def _begins(self, indexes: Sequence[int]) -> list[int]:
        """At which row each of these pictures begins, when all their variants stand in a row."""
        return list(accumulate((self._counts[index] for index in indexes), initial=0))[:-1]

    def _read(self, index: int, which: slice) -> tuple[Tensor, Tensor]:
        """Latents [V, flips, 2, C, h, w] and masks [V, 1, h, w] of some variants of a picture."""
        with safe_open(self._files[index], framework="pt") as file:
            if self._counts[index] == 1:
                return file.get_tensor("latents")[None], file.get_tensor("mask")[None]
            return file.get_slice("latents")[which], file.get_slice("mask")[which]

    def _joined(self, read: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Latents [N, flips, 2, C, h, w] and masks [N, 1, h, w] of pictures, on the device."""
        latents, masks = zip(*read, strict=True)
        return torch.cat(latents).to(self._device), torch.cat(masks).to(self._device, torch.float32)


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
            # With variants, as many fewer pictures at a time: their pixels are all in memory at once, and a stop waits for them.
            size = max(1, ENCODE_BATCH // self._settings.variants)
            for first in range(0, len(of), size):
                yield Progress("encoding pictures", done, len(missing))
                self._encode(dataset, of[first : first + size])
                done += len(of[first : first + size])
        if missing:
            yield Progress("encoding pictures", len(missing), len(missing))

    def examples(self, records: Sequence[Record], *, budget: int) -> Examples:
        """What `fill` made, ready to train on. budget: bytes that may be held on the device, if all of it fits."""
        captions = _captions(records)
        stride, side, fit = self._base.stride, self._settings.resolution, self._settings.fit
        encoded, frames = [], []
        for one in records:
            width, height = self._shape(one)
            crops = self._crops(one)
            encoded.append(Encoded(one, self._picture(one), (height // stride, width // stride), len(crops)))
            for across, down in crops:
                sides = ((across, down), (1 - across, down))
                frames += [pictures.frame_for(one.width_px, one.height_px, side, fit, shown) for shown in sides]
        told = (self._texts(captions), self._base.encode_frames(frames))
        return Examples(encoded, told, device=self._base.device, budget=budget)

    def texts(self, prompts: Sequence[str]) -> dict[str, Conditioning]:
        """What the denoiser is told of each prompt, without a batch axis, on the device; each set of prompts is read once."""
        asked = sorted(set(prompts))
        told = self._texts(asked)
        return {prompt: {name: rows[place].to(self._base.device) for name, rows in told.items()} for place, prompt in enumerate(asked)}

    def _crops(self, record: Record) -> list[tuple[float, float]]:
        """Where each variant of an encoded picture was cropped."""
        if self._count(record) == 1:
            return [pictures.MIDDLE]
        with safe_open(self._picture(record), framework="pt") as file:
            return [(across, down) for across, down in file.get_tensor("crops").tolist()]

    def _count(self, record: Record) -> int:
        """How many variants of a picture there may be; what is held out is measured as it is."""
        return self._settings.variants if record.split == "train" else 1

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
        greys = [self._greys(dataset, record) for record in records]
        ways = [self._variants(record, grey) for record, grey in zip(records, greys, strict=True)]
        prepared = [
            [
                pictures.fitted(pictures.load(dataset / record.file, way.ground), settings.resolution, settings.fit, way.ground, way.at)
                for way in of
            ]
            for record, of in zip(records, ways, strict=True)
        ]
        pixels = torch.stack([to_pixels(picture) for of in prepared for picture, _ in of])
        sides = [pixels, pixels.flip(-1)] if settings.flip else [pixels]
        encoded = [torch.stack(self._base.encode_pictures(side), dim=1) for side in sides]
        latents = torch.stack(encoded, dim=1).to(self._dtype).cpu()  # [N, flips, 2, C, h, w]
        each = torch.split(latents, [len(of) for of in ways])
        for record, grey, of, pads, found in zip(records, greys, ways, prepared, each, strict=True):
            if not found.isfinite().all():
                raise DataError(
                    f"dataset/{record.file}: the VAE of {self._base.name} gives values that are not finite.\n"
                    'Write train.precision = "fp32", or take the picture out.'
                )
            weights = [self._weights(record, grey, way, pad) for way, (_, pad) in zip(of, pads, strict=True)]
            made = {"latents": found.contiguous(), "mask": torch.stack(weights)}
            if len(of) == 1:
                made = {name: tensor[0] for name, tensor in made.items()}
            if self._count(record) > 1:
                made["crops"] = torch.tensor([way.at for way in of], dtype=torch.float64)
            _save(self._picture(record), made)

    def _greys(self, dataset: Path, record: Record) -> _Greys:
        size = record.width_px, record.height_px
        asks_opacity = self._count(record) > 1 or self._settings.transparent_weight != 1
        return _Greys(
            pictures.opacity(dataset / record.file) if asks_opacity else None,
            masks.sized(masks.load(dataset.parent / record.mask), size) if record.mask else None,
        )

    def _variants(self, record: Record, grey: _Greys) -> list[Variant]:
        """The ways in which a picture is encoded; one where all would be the same."""
        settings, count, mask = self._settings, self._count(record), grey.mask
        size = record.width_px, record.height_px
        if count > 1 and grey.opacity is not None:
            has_alpha = bool(np.array(grey.opacity).min() < 255)
            count = count if variants.varies(size, settings.resolution, settings.fit, has_alpha=has_alpha) else 1
        width, height = self._shape(record)
        latents = width // self._base.stride, height // self._base.stride
        ways = [variants.variant(record.sha256, 0, settings.ground)]
        for number in range(1, count):
            tried = [variants.variant(record.sha256, number, settings.ground, attempt) for attempt in range(CROPS_TRIED)]
            seen = (way for way in tried if mask is None or self._averaged(mask, way, latents).any())
            ways.append(next(seen, replace(tried[0], at=pictures.MIDDLE)))
        return ways

    def _weights(self, record: Record, grey: _Greys, way: Variant, pad: Image.Image) -> Tensor:
        """How much each place of a picture's latents counts, [1, h, w]: whether it is picture, how opaque it is, and what its mask says.

        Source of the idea: the masked training of OneTrainer, the alpha mask and the masked loss of sd-scripts.
        """
        settings, stride = self._settings, self._base.stride
        size = pad.width // stride, pad.height // stride
        # A latent counts as picture when at least half of the pixels under it are.
        covered = np.array(pad.resize(size, Image.Resampling.BOX))
        # A very long picture covers none by half; then those that it covers most count.
        inside = torch.from_numpy(covered >= min(128, int(covered.max()))).to(torch.uint8)[None]
        if settings.transparent_weight != 1 and grey.opacity is not None:
            least = settings.transparent_weight
            inside = inside * (least + (1 - least) * self._averaged(grey.opacity, way, size))
        if grey.mask is not None:
            inside = inside * self._averaged(grey.mask, way, size)
            if not inside.any():
                raise DataError(
                    f"dataset/{record.file}: its mask {record.mask} leaves nothing of it that counts.\n"
                    "Make white in it what should be learned, or take the picture out."
                )
        return inside

    def _averaged(self, grey: Image.Image, way: Variant, size: tuple[int, int]) -> Tensor:
        """As `masks.averaged`, [1, h, w], float32."""
        settings = self._settings
        return torch.from_numpy(masks.averaged(grey, size, side_px=settings.resolution, fit=settings.fit, at=way.at))[None]

    def _shape(self, record: Record) -> tuple[int, int]:
        return pictures.shape_for(record.width_px, record.height_px, self._settings.resolution, self._settings.fit)

    def _picture(self, record: Record) -> Path:
        more: list[object] = [record.mask_sha256] if record.mask else []
        more += ["variants", self._count(record)] if self._count(record) > 1 else []
        return self._folder / "pictures" / f"{fingerprint(self._pictures_key, record.sha256, *more)}.safetensors"


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
