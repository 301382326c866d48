"""Stable Diffusion 1.x and 2.x in the diffusers layout, and small models of the same layout.

A hub id is first brought onto the disk, so that from there on every base is a folder and its fingerprint is that of its files. Parts are
loaded at first use. Prediction type, zero terminal SNR and the noise schedule are read from the model's own scheduler configuration.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import diffusers
import torch
import transformers
from diffusers import AutoencoderKL, DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler, UNet2DConditionModel
from huggingface_hub import snapshot_download
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from decal.bases import Conditioning, Outline, Prediction
from decal.errors import BaseModelError
from decal.presets import base_preset, public_name

# Their loading bars, and notices that torchvision is missing, tell a user nothing to act on.
diffusers.utils.logging.disable_progress_bar()
transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()

WEIGHTS = {
    "unet": "unet/diffusion_pytorch_model.safetensors",
    "vae": "vae/diffusion_pytorch_model.safetensors",
    "text_encoder": "text_encoder/model.safetensors",
}
# Two pictures of 512 px: decoding them in float32 takes about 1.5 GiB.
VAE_PIXELS = 2 * 512 * 512
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
# Feed-forward, the projections around the transformer blocks, and the convolutions of residual blocks and of down- and upsampling.
OTHERS = ["ff.net.0.proj", "ff.net.2", "proj_in", "proj_out", "conv1", "conv2", "conv_shortcut", "conv"]
SAMPLERS = {"ddim": DDIMScheduler, "euler": EulerDiscreteScheduler, "dpm++": DPMSolverMultistepScheduler}


class StableDiffusion:
    """A Stable Diffusion 1.x or 2.x model; implements `decal.bases.Base`."""

    def __init__(self, model: str, *, device: torch.device, dtype: torch.dtype) -> None:
        self.name = public_name(model)
        self.folder = _folder(model)
        self.device = device
        self.dtype = dtype
        schedule = DDIMScheduler.from_config(self._config("scheduler/scheduler_config.json"))
        kind = schedule.config.prediction_type
        if kind not in ("epsilon", "v_prediction"):
            raise BaseModelError(f"{self.folder}: prediction type {kind!r} is not known.\nUse a base that predicts epsilon or v.")
        self.prediction = cast(Prediction, kind)
        self.alphas_cumprod: Tensor = schedule.alphas_cumprod.to(torch.float32)
        vae, unet = self._config("vae/config.json"), self._config("unet/config.json")
        if unet["in_channels"] != vae["latent_channels"] or unet.get("addition_embed_type") or unet.get("class_embed_type"):
            raise BaseModelError(
                f"{self.folder} is not a text-to-image Stable Diffusion 1.x or 2.x: its UNet takes other inputs "
                "(SDXL, inpainting, depth or upscaling).\nName a plain 1.x or 2.x model in base.model."
            )
        self.stride = 2 ** (len(vae["block_out_channels"]) - 1)
        self.latent_channels = int(vae["latent_channels"])
        self._scaling = float(vae.get("scaling_factor", 0.18215))

    @cached_property
    def denoiser(self) -> nn.Module:
        return cast(nn.Module, self._load(UNet2DConditionModel, "unet", self.dtype))

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        return {"unet": self.denoiser, "text_encoder": self._text[1]}

    @cached_property
    def _vae(self) -> Any:
        # The decoder stays in float32: it is a small share of the time, and half precision costs exactness or overflows.
        return self._load(AutoencoderKL, "vae", torch.float32)

    @cached_property
    def _text(self) -> tuple[CLIPTokenizer, Any]:
        tokenizer = CLIPTokenizer.from_pretrained(self.folder / "tokenizer", local_files_only=True)
        return tokenizer, self._load(CLIPTextModel, "text_encoder", self.dtype)

    def targets(self, which: Literal["attention", "all"]) -> list[str]:
        return ATTENTION if which == "attention" else ATTENTION + OTHERS

    def fingerprint(self, *parts: str) -> str:
        hashes = hashlib.sha256()
        for part in parts or ("scheduler", "text_encoder", "tokenizer", "unet", "vae"):
            for path in sorted((self.folder / part).glob("*")):
                if path.suffix in (".json", ".txt") or str(path.relative_to(self.folder)) == WEIGHTS.get(part):
                    hashes.update(path.name.encode())
                    hashes.update(_file_hash(str(path.resolve()), path.stat().st_mtime_ns))
        return hashes.hexdigest()

    @torch.no_grad()
    def encode_pictures(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        means, stds = [], []
        for part in torch.split(pixels, _slice(pixels.shape[-2] * pixels.shape[-1])):
            posterior = self._vae.encode(part.to(self.device, torch.float32)).latent_dist
            means.append(posterior.mean * self._scaling)
            stds.append(posterior.std * self._scaling)
        return torch.cat(means), torch.cat(stds)

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        tokenizer, encoder = self._text
        limit = min(tokenizer.model_max_length, encoder.config.max_position_embeddings)
        ids = tokenizer(list(prompts), padding="max_length", max_length=limit, truncation=True, return_tensors="pt").input_ids
        return {"encoder_hidden_states": encoder(ids.to(self.device))[0].to(self.dtype)}

    def predict(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        states = conditioning["encoder_hidden_states"].to(self.dtype)
        return cast(Tensor, self.denoiser(latents.to(self.dtype), timesteps, encoder_hidden_states=states, return_dict=False)[0])

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        size = _slice(latents.shape[-2] * latents.shape[-1] * self.stride**2)
        parts = torch.split(latents.to(self.device, torch.float32), size)
        pixels = torch.cat([self._vae.decode(part / self._scaling, return_dict=False)[0] for part in parts])
        return (pixels / 2 + 0.5).clamp(0, 1)

    def scheduler(self, sampler: str) -> Any:
        return SAMPLERS[sampler].from_config(self._config("scheduler/scheduler_config.json"))

    def release_encoders(self) -> None:
        for part in ("_vae", "_text"):
            self.__dict__.pop(part, None)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _load(self, kind: Any, part: str, dtype: torch.dtype) -> Any:
        try:
            module = kind.from_pretrained(self.folder, subfolder=part, torch_dtype=dtype, use_safetensors=True, local_files_only=True)
        except (OSError, ValueError, RuntimeError, KeyError) as problem:
            raise BaseModelError(
                f"{self.folder}: {part} cannot be loaded ({_first_line(problem)}).\n"
                f"The model is incomplete or damaged, or has its weights in another form than {WEIGHTS[part]}; get that file."
            ) from problem
        return module.requires_grad_(False).eval().to(self.device)

    def _config(self, name: str) -> dict[str, Any]:
        try:
            return cast(dict[str, Any], json.loads((self.folder / name).read_text("utf-8")))
        except (OSError, ValueError) as problem:
            raise BaseModelError(
                f"{self.folder / name} cannot be read ({problem}).\nName a complete Stable Diffusion folder in base.model."
            ) from problem


def outline(model: str) -> Outline:
    """The layers of a Stable Diffusion on the meta device, which holds shapes and no numbers."""
    base = StableDiffusion(model, device=torch.device("meta"), dtype=torch.float32)
    with torch.device("meta"):
        unet: Any = UNet2DConditionModel.from_config(base._config("unet/config.json"))
        text = CLIPTextModel(CLIPTextConfig.from_dict(base._config("text_encoder/config.json")))
    targets: dict[Literal["attention", "all"], list[str]] = {"attention": base.targets("attention"), "all": base.targets("all")}
    return Outline({"unet": unet, "text_encoder": text}, targets, base.prediction, int(unet.config.cross_attention_dim))


def _slice(pixels_each: int) -> int:
    """Pictures that the VAE takes at a time, so that its memory follows a few pictures and not the batch."""
    return max(1, VAE_PIXELS // pixels_each)


def _first_line(problem: Exception) -> str:
    return (str(problem).strip() or type(problem).__name__).splitlines()[0]


_HASHES: dict[tuple[str, int], bytes] = {}


def _file_hash(path: str, changed_ns: int) -> bytes:
    if (path, changed_ns) not in _HASHES:
        with open(path, "rb") as file:
            _HASHES[path, changed_ns] = hashlib.file_digest(file, "sha256").digest()
    return _HASHES[path, changed_ns]


def _folder(model: str) -> Path:
    """The folder of a model, fetched from the hub where it is an id. Raises BaseModelError that says what to do."""
    preset = base_preset(model)
    folder = Path(preset.where).expanduser()
    if folder.is_dir():
        return folder
    problems = []
    for where in (preset.where, *preset.mirrors):
        try:
            return Path(snapshot_download(where, allow_patterns=["*.json", "tokenizer/*", *WEIGHTS.values()]))
        # The client passes on the errors of the HTTP library that it happens to be built on, so they cannot be named.
        except Exception as problem:
            problems.append(f"{where}: {_first_line(problem)}")
    raise BaseModelError(
        f"The base model {model!r} is neither a folder here nor to be had from the hub.\n  "
        + "\n  ".join(problems)
        + "\nCheck the spelling and the network, accept the licence on its page and log in where it is gated, "
        'or name a folder with the model. base.model = "mini" needs no hub.'
    )
