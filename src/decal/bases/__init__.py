"""The families of base models, behind one protocol.

What differs between families stays in here: text encoders, conditioning, latent scaling, samplers. The training loop and the drawing
loop know only `Base`. Conditioning is a named bundle of tensors, so neither needs to know what a family puts into it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from torch import Tensor, nn

from decal.bases.words import Words
from decal.errors import MemoryFullError
from decal.pictures import Frame

if TYPE_CHECKING:
    from decal.bases.sd import StableDiffusion

Prediction = Literal["epsilon", "v_prediction"]
Conditioning = Mapping[str, Tensor]
"""What the denoiser is told about each sample: name -> tensor [B, ...]."""


class Base(Protocol):
    """A diffusion model that can be taught and drawn with.

    stride: pixels a latent, along each side. prediction: what the denoiser gives. alphas_cumprod: [T], share of signal at each
    timestep; 0 at the last one where the model was trained to zero terminal SNR. text_parts: the parts that decide how prompts are encoded.
    words: those that have embeddings of their own at present, if any.
    """

    name: str
    device: torch.device
    dtype: torch.dtype
    stride: int
    latent_channels: int
    prediction: Prediction
    alphas_cumprod: Tensor
    text_parts: tuple[str, ...]
    words: Words | None

    @property
    def denoiser(self) -> nn.Module:
        """The network that a LoRA is attached to; loaded at first use."""

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        """What an adapter may change, by its name in diffusers: unet, text_encoder, text_encoder_2; loaded at first use."""

    def targets(self, which: Literal["attention", "all"]) -> list[str]:
        """Ends of the names of the denoiser's layers that get a LoRA."""

    def text_targets(self, which: Literal["attention", "all"]) -> list[str]:
        """Ends of the names of the text encoders' layers that get a LoRA, where they are trained."""

    def fingerprint(self, *parts: str) -> str:
        """Hash of the files of these parts of the model (all of them where none is named), hex."""

    def encode_pictures(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the latents, [B, C, h, w] each, of pixels [B, 3, H, W] in -1..1."""

    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """Conditioning of each prompt; text beyond the token limit is cut. Gradients flow where something of text encoders is trained."""

    def speak(self, words: Words | None) -> None:
        """Encode prompts with these embeddings for their words from now on; None with those of the model alone.

        Raises AdapterError where a word is a token of the model, or the embeddings are of another width or of other encoders.
        """

    def embeddings(self, text: str) -> Mapping[str, Tensor]:
        """What each text encoder's table holds for the tokens of a text, [L, width]; for "" all of it."""

    def encode_frames(self, frames: Sequence[Frame]) -> Conditioning:
        """What the denoiser is told of each picture's size and crop; empty where it is told nothing of them."""

    def predict(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The denoiser's output for noisy latents [B, C, h, w] at timesteps [B]."""

    def decode(self, latents: Tensor) -> Tensor:
        """Pixels [B, 3, H, W] in 0..1, float32, of clean latents [B, C, h, w]."""

    def scheduler(self, sampler: str) -> Any:
        """A fresh diffusers scheduler for `ddim`, `euler`, `euler_a` or `dpm++`, with this model's noise schedule."""

    def release_encoders(self) -> None:
        """Let go of the VAE, and of text encoders of which nothing is trained; they are loaded again when next needed."""


@dataclass(frozen=True)
class Outline:
    """The layers of a base by name and shape, without weights.

    targets: ends of the names of the layers that each kind of training takes. architecture: what ModelSpec calls the family.
    kohya_version: what kohya's tools call it; None where they have no word for it.
    """

    parts: Mapping[str, nn.Module]
    targets: Mapping[Literal["attention", "all"], Sequence[str]]
    prediction: Prediction
    architecture: str
    kohya_version: str | None


def outline(model: str) -> Outline:
    """What a base is built like, read from its configuration alone. Raises BaseModelError where it cannot be had."""
    return _family(model)(model, device=torch.device("meta"), dtype=torch.float32).outline()


def load(model: str, *, device: torch.device, dtype: torch.dtype) -> Base:
    """The base of that name, hub id or folder. Raises BaseModelError where it cannot be had."""
    return _family(model)(model, device=device, dtype=dtype)


def _family(model: str) -> "type[StableDiffusion]":
    """The class of a base, told by what its UNet takes besides latents and text."""
    from decal.bases.sd import StableDiffusion
    from decal.bases.sdxl import StableDiffusionXL

    return StableDiffusionXL if StableDiffusionXL.fits(model) else StableDiffusion


FULL = (torch.OutOfMemoryError, MemoryError, RuntimeError)
"""What is raised where memory is full; of the last, `is_full` says whether it was that."""


def is_full(problem: BaseException) -> bool:
    """Whether this was raised because the device, or the machine, is out of memory. torch has a type for it on CUDA alone."""
    said = str(problem)
    told = "DefaultCPUAllocator: can't allocate memory" in said or "MPS backend out of memory" in said
    return isinstance(problem, torch.OutOfMemoryError | MemoryError) or (isinstance(problem, RuntimeError) and told)


@contextmanager
def told_when_full(doing: str, remedy: str) -> Iterator[None]:
    """Turn a device that is out of memory into a MemoryFullError with what to do next."""
    try:
        yield
    except FULL as problem:
        if not is_full(problem):
            raise
        raise MemoryFullError(f"The device ran out of memory while {doing}.\n{remedy}") from problem
