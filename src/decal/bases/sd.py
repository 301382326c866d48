"""Stable Diffusion 1.x and 2.x in the diffusers layout, and small models of the same layout.

Parts are loaded at first use. Prediction type, zero terminal SNR and the noise schedule are read from the model's own scheduler
configuration. `sdxl` builds on this class and says what it does otherwise.
"""

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import diffusers
import torch
import transformers
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    UNet2DConditionModel,
)
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from decal.bases import Conditioning, Outline, Prediction
from decal.bases.places import WEIGHTS, first_line, locate, weights_of
from decal.bases.words import Vocabulary, Words
from decal.errors import AdapterError, BaseModelError
from decal.pictures import Frame
from decal.presets import public_name
from decal.project import changed

# Their loading bars, and notices that torchvision is missing, tell a user nothing to act on.
diffusers.utils.logging.disable_progress_bar()
transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()

# Two pictures of 512 px: decoding them in float32 takes about 1.5 GiB.
VAE_PIXELS = 2 * 512 * 512
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
# Feed-forward, the projections around the transformer blocks, and the convolutions of residual blocks and of down- and upsampling.
OTHERS = ["ff.net.0.proj", "ff.net.2", "proj_in", "proj_out", "conv1", "conv2", "conv_shortcut", "conv"]
TEXT_ATTENTION = ["q_proj", "k_proj", "v_proj", "out_proj"]
SAMPLERS = {
    "ddim": DDIMScheduler,
    "euler": EulerDiscreteScheduler,
    "euler_a": EulerAncestralDiscreteScheduler,
    "dpm++": DPMSolverMultistepScheduler,
}


# What ModelSpec and kohya's tools call a model with this width of text states and this prediction.
# Sources: Stability-AI/ModelSpec 1.0.1; sd-scripts library/sai_model_spec.py and train_util.py.
ARCHITECTURES = {
    (768, "epsilon"): ("stable-diffusion-v1", "sd_v1"),
    (1024, "epsilon"): ("stable-diffusion-v2-512", "sd_v2"),
    (1024, "v_prediction"): ("stable-diffusion-v2-768-v", "sd_v2_v"),
}


class StableDiffusion:
    """A Stable Diffusion 1.x or 2.x model; implements `decal.bases.Base`."""

    # Text encoders with their tokenizers, by their folders.
    encoders: ClassVar[dict[str, tuple[str, Any]]] = {"text_encoder": ("tokenizer", CLIPTextModel)}

    def __init__(self, model: str, *, device: torch.device, dtype: torch.dtype) -> None:
        self.name = public_name(model)
        self.folder = locate(model)
        self.device = device
        self.dtype = dtype
        schedule = DDIMScheduler.from_config(self._config("scheduler/scheduler_config.json"))
        kind = schedule.config.prediction_type
        if kind not in ("epsilon", "v_prediction"):
            raise BaseModelError(f"{self.folder}: prediction type {kind!r} is not known.\nUse a base that predicts epsilon or v.")
        self.prediction = cast(Prediction, kind)
        self.alphas_cumprod: Tensor = schedule.alphas_cumprod.to(torch.float32)
        vae, unet = self._config("vae/config.json"), self._config("unet/config.json")
        self._require_kind(unet, vae)
        self.text_parts = tuple(part for encoder, (tokenizer, _) in self.encoders.items() for part in (encoder, tokenizer))
        self.stride = 2 ** (len(vae["block_out_channels"]) - 1)
        self.latent_channels = int(vae["latent_channels"])
        self.words: Words | None = None
        self._spoken: dict[str, CLIPTokenizer] = {}
        self._scaling = float(vae.get("scaling_factor", 0.18215))

    @cached_property
    def denoiser(self) -> nn.Module:
        return cast(nn.Module, self._load(UNet2DConditionModel, "unet", self.dtype))

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        return {"unet": self.denoiser} | {part: encoder for part, (_, encoder) in self._texts.items()}

    @cached_property
    def _vae(self) -> Any:
        # The decoder stays in float32: it is a small share of the time, and half precision costs exactness or overflows.
        return self._load(AutoencoderKL, "vae", torch.float32)

    @cached_property
    def _texts(self) -> dict[str, tuple[CLIPTokenizer, Any]]:
        """Tokenizer and text encoder, by the folder of the latter."""
        return {
            part: (
                _tokenizer(self.folder / tokenizer, changed(self.folder / tokenizer)),
                self._load(kind, part, self.dtype),
            )
            for part, (tokenizer, kind) in self.encoders.items()
        }

    def targets(self, which: Literal["attention", "all"]) -> list[str]:
        return ATTENTION if which == "attention" else ATTENTION + OTHERS

    def text_targets(self, which: Literal["attention", "all"]) -> list[str]:
        return TEXT_ATTENTION if which == "attention" else [*TEXT_ATTENTION, "fc1", "fc2"]

    def fingerprint(self, *parts: str) -> str:
        hashes = hashlib.sha256()
        for part in parts or sorted(("scheduler", "unet", "vae", *self.text_parts)):
            for path in sorted((self.folder / part).glob("*")):
                if path.suffix in (".json", ".txt") or (part in WEIGHTS and path == weights_of(self.folder, part)):
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

    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        return {"encoder_hidden_states": self._read("text_encoder", prompts)[0].to(self.dtype)}

    def speak(self, words: Words | None) -> None:
        self.words, self._spoken = None, {}
        if words is None:
            return
        for part, (tokenizer, encoder) in self._texts.items():
            width = encoder.get_input_embeddings().weight.shape[1]
            misfits = [word for word, rows in words.rows.items() if set(rows) != set(self._texts) or rows[part].shape[1:] != (width,)]
            if misfits:
                raise AdapterError(
                    f"The embeddings of {' and '.join(misfits)} are not for the text encoders of {self.name} ({part} is {width} wide).\n"
                    "Use the base that they were trained on."
                )
            if known := [token for token in words.tokens if token in tokenizer.get_vocab()]:
                raise AdapterError(f"{' and '.join(known)} is a token of {self.name} already.\nTake a word that means nothing yet.")
            self._spoken[part] = copy.deepcopy(tokenizer)
            self._spoken[part].add_tokens(words.tokens)
        self.words = words

    def embeddings(self, text: str) -> Mapping[str, Tensor]:
        found = {}
        for part, (tokenizer, encoder) in self._texts.items():
            table = encoder.get_input_embeddings().weight.detach()
            found[part] = table[tokenizer(text, add_special_tokens=False).input_ids] if text else table
        return found

    def encode_frames(self, frames: Sequence[Frame]) -> Conditioning:
        return {}

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
        self.__dict__.pop("_vae", None)
        encoders = [encoder for _, encoder in self.__dict__.get("_texts", {}).values()]
        if self.words is None and not any(parameter.requires_grad for encoder in encoders for parameter in encoder.parameters()):
            self.__dict__.pop("_texts", None)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def outline(self) -> Outline:
        """Its layers on the meta device, which holds shapes and no numbers."""
        with torch.device("meta"):
            parts: dict[str, Any] = {"unet": UNet2DConditionModel.from_config(self._config("unet/config.json"))}
            for part, (_, kind) in self.encoders.items():
                parts[part] = kind(CLIPTextConfig.from_dict(self._config(f"{part}/config.json")))
        targets: dict[Literal["attention", "all"], list[str]] = {"attention": self.targets("attention"), "all": self.targets("all")}
        return Outline(parts, targets, self.prediction, *self._architecture(int(parts["unet"].config.cross_attention_dim)))

    def _architecture(self, text_width: int) -> tuple[str, str | None]:
        """What ModelSpec and kohya's tools call the family."""
        return ARCHITECTURES.get((text_width, self.prediction), ("stable-diffusion", None))

    def _require_kind(self, unet: dict[str, Any], vae: dict[str, Any]) -> None:
        """Raise BaseModelError where the model takes other inputs than latents and text."""
        if unet["in_channels"] != vae["latent_channels"] or unet.get("addition_embed_type") or unet.get("class_embed_type"):
            raise BaseModelError(
                f"{self.folder} is not a text-to-image Stable Diffusion: its UNet takes other inputs (inpainting, depth, upscaling or "
                "a refiner).\nName a plain SD 1.x, 2.x or SDXL model in base.model."
            )

    def _read(self, part: str, prompts: Sequence[str], **how: bool) -> Any:
        """What a text encoder makes of prompts, with the words that are spoken at present."""
        tokenizer, encoder = self._texts[part]
        if self.words is None:
            return encoder(self._ids(tokenizer, encoder, prompts), **how)
        table = encoder.get_input_embeddings()
        rows = self.words.table(part).to(self.device)
        tokens = self._ids(self._spoken[part], encoder, [self.words.spelt(prompt) for prompt in prompts])
        # Put back at once, so that names of layers are ever those of the model.
        encoder.set_input_embeddings(Vocabulary(table, rows, len(tokenizer)))
        try:
            return encoder(tokens, **how)
        finally:
            encoder.set_input_embeddings(table)

    def _ids(self, tokenizer: CLIPTokenizer, encoder: Any, prompts: Sequence[str]) -> Tensor:
        """Tokens of each prompt, padded and cut to what the encoder takes."""
        limit = min(tokenizer.model_max_length, encoder.config.max_position_embeddings)
        rows = tokenizer(list(prompts), padding="max_length", max_length=limit, truncation=True, return_tensors="pt").input_ids
        return cast(Tensor, rows.to(self.device))

    def _load(self, kind: Any, part: str, dtype: torch.dtype) -> Any:
        variant = "fp16" if ".fp16" in weights_of(self.folder, part).suffixes else None
        how = {"torch_dtype": dtype, "use_safetensors": True, "local_files_only": True, "variant": variant}
        try:
            module = kind.from_pretrained(self.folder, subfolder=part, **how)
        except (OSError, ValueError, RuntimeError, KeyError) as problem:
            raise BaseModelError(
                f"{self.folder}: {part} cannot be loaded ({first_line(problem)}).\n"
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


def _slice(pixels_each: int) -> int:
    """Pictures that the VAE takes at a time, so that its memory follows a few pictures and not the batch."""
    return max(1, VAE_PIXELS // pixels_each)


@cache
def _tokenizer(folder: Path, changed: tuple[tuple[str, int], ...]) -> CLIPTokenizer:
    """Reading one takes a third of a second, and a training that draws needs it at each checkpoint; kept, it takes 20 MB."""
    return CLIPTokenizer.from_pretrained(folder, local_files_only=True)


_HASHES: dict[tuple[str, int], bytes] = {}


def _file_hash(path: str, changed_ns: int) -> bytes:
    if (path, changed_ns) not in _HASHES:
        with open(path, "rb") as file:
            _HASHES[path, changed_ns] = hashlib.file_digest(file, "sha256").digest()
    return _HASHES[path, changed_ns]
