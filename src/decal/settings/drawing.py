"""The sections that say how pictures are drawn: to compare checkpoints, and for the sheet of one."""

from pydantic import Field

from decal.settings.section import Guidance, Sampler, Section, Seed

MOST_PROMPTS = 1000
"""That a comparison takes."""


class DrawSettings(Section):
    """How pictures are drawn; the sections `compare` and `grid` share it."""

    sampler: Sampler | None = Field(
        None, description="ddim, euler, euler_a (adds noise on the way) or dpm++ (second order, multistep); left out, the base's own."
    )
    steps: int | None = Field(None, ge=1, le=1000, description="Denoising steps a picture; left out, the base's own number.")
    negative: str = Field("", description="What to steer away from, where guidance is above 1.")
    batch: int = Field(16, ge=1, description="Pictures drawn at a time; the pictures do not depend on it.")


class CompareSettings(DrawSettings):
    """How checkpoints are compared: the base and every checkpoint on the same prompts and seeds."""

    guidance: Guidance | None = Field(None, description="Guidance of every picture; left out, the base's own.")
    seeds: tuple[Seed, ...] = Field(
        (0, 1), min_length=1, max_length=16, description="Each prompt is drawn once with each seed; more prompts say more than more seeds."
    )
    prompts: int = Field(
        32,
        ge=4,
        le=MOST_PROMPTS,
        description="How many prompts: those of compare_prompts.txt, filled up with new ones. A comparison only grows; 12 is a first look.",
    )
    embedder: str = Field(
        "squeezenet", min_length=1, description="What looks at the pictures: squeezenet, or a folder or hub id of a CLIP, SigLIP or DINOv2."
    )
    reader: str = Field(
        "",
        description="A folder or hub id of a CLIP or SigLIP that holds pictures against their prompts, and captions against their pictures "
        "in decal check; empty: the base's own pictures do, and captions are not held against anything.",
    )
    fresh: bool = Field(True, description="Measure the chosen checkpoint and its neighbours again on seeds that did not choose it.")
    sweep: bool = Field(True, description="Try other guidances and strengths of the LoRA with the checkpoints that tie for the best.")
    guidances: tuple[Guidance, ...] | None = Field(
        None, min_length=1, description="Guidances to try; left out, half of compare.guidance to twice as much."
    )
    lora_strengths: tuple[float, ...] = Field((0.6, 0.8), description="Strengths of the LoRA to try besides 1.")


class GridSettings(DrawSettings):
    """The sheet of one checkpoint: prompts x guidance x LoRA strength x seeds."""

    guidance: tuple[Guidance, ...] | None = Field(None, min_length=1, description="Guidance scales; left out, three that suit the base.")
    lora_strength: tuple[float, ...] = Field((1.0,), min_length=1, description="Factors on the LoRA; 0 is the base.")
    seeds: tuple[Seed, ...] = Field((0,), min_length=1, description="Each prompt is drawn once with each seed.")
