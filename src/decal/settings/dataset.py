"""The sections that say which model is taught, from which pictures, captions and descriptions."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from decal.records import Fit
from decal.settings.section import Section, Seed
from decal.subjects import Kind


def _ground(value: str) -> str:
    if not re.fullmatch(r"white|black|grey|#[0-9a-fA-F]{6}", value):
        raise ValueError("white, black, grey or a colour such as #ffcc00")
    return value


def _masks(value: str) -> str:
    parts = value.split("/")
    is_name = re.fullmatch(r"[^/\\:]+(/[^/\\:]+)*", value) and not {".", ".."} & set(parts)
    if value and (not is_name or (parts[0] == "dataset" and parts[1:])):
        raise ValueError("dataset, or a folder beside it in the project, such as masks")
    return value


Ground = Annotated[str, AfterValidator(_ground)]
Detail = Literal["plain", "rich"]


class BaseSettings(Section):
    """Which model is taught."""

    model: str = Field(
        "mini",
        min_length=1,
        description="mini, mini-turbo, mini-xl, sd1.5, sd2.1, sd2.1-base, sdxl, sdxl-turbo, a hub id, a folder in the diffusers layout, or "
        "a .safetensors file.",
    )
    teacher: str | None = Field(
        None,
        min_length=1,
        description="The base that a few-step model (turbo) was made of, for train.recipe = on_base; left out, known ones name theirs.",
    )


class DataSettings(Section):
    """How pictures become training pictures."""

    resolution: int | None = Field(
        None, ge=16, le=2048, multiple_of=8, description="Side of the training pictures in px; left out, the base's own."
    )
    ground: Ground = Field("white", description="What stands behind transparent pixels and padding: white, black, grey or #rrggbb.")
    fit: Fit = Field(
        "pad",
        description="pad: made square on the ground, which is kept out of the loss; crop: the middle square; bucket: the nearest shape of "
        "the same area, up to 2.5:1, and every batch of one shape.",
    )
    transparent_weight: float = Field(
        1.0,
        gt=0,
        le=1,
        description="How much fully transparent pixels count in the loss, of what opaque ones do; 0.1 teaches cut-outs more than their "
        "ground, the held-out loss included.",
    )
    masks: Annotated[str, AfterValidator(_masks)] = Field(
        "",
        description="Folder in the project with a grey picture for each picture, of the same name: white counts in full in the loss, "
        'black not at all; "dataset" takes pear-masklabel.png beside pear.jpg; empty: none.',
    )
    variants: int = Field(
        1,
        ge=1,
        le=64,
        description="Learn each picture from so many fixed crops (fit = crop or bucket) or, where it is transparent, on so many plain "
        "grounds, the first as without; encoding takes as many times as long and the cache as much room.",
    )
    flip: bool = Field(True, description="Also learn from mirrored pictures; turn it off for text, logos and anything with a side.")
    holdout_share: float = Field(
        0.15,
        ge=0,
        le=0.5,
        description="Share of the pictures kept out of training to measure it, at least 6 and at most 200; 0 keeps none.",
    )
    faulty: Literal["refuse", "leave out", "keep"] = Field(
        "refuse",
        description="What training does while the check finds errors: refuse to start, leave those pictures out, or keep all that can be "
        "decoded.",
    )


class CaptionSettings(Section):
    """What captions must hold."""

    keyword: str = Field("", description="The word that calls the style; it should stand in every caption and every prompt.")
    template: str = Field(
        "{keyword} style sticker of {subject}",
        description="How a caption is made: {keyword}, {subject} (from the file name, a captioner or a description), {folder}, {name} "
        "and every other key of a line of metadata.jsonl are filled in.",
    )
    kind_words: tuple[str, ...] = Field(
        ("sticker",), description="Each caption should hold one of these words, which say what kind of picture it is; empty: not checked."
    )
    style_words: tuple[str, ...] = Field(
        (), description="Each caption should hold one of these words, which name the style; empty: the word style or the keyword will do."
    )
    min_words: int = Field(4, ge=0, description="A caption of fewer words is reported as too short.")
    captioner: str = Field(
        "names",
        description="Where the subject of a missing caption comes from: names (of files and folders), endpoint (the model of [language], "
        "which must see pictures), local (weights on this machine) or module:Name.",
    )
    captioner_model: str = Field(
        "Salesforce/blip-image-captioning-base", description="With captioner = local: a hub id, or a folder of weights for transformers."
    )


class DescribeSettings(Section):
    """The table of descriptions that a project from nothing begins with."""

    detail: Detail | None = Field(
        None, description="plain (a sleepy cat) or rich (a cat napping on a small cloud); left out, what the base can draw."
    )
    kinds: tuple[Kind, ...] | None = Field(
        None, min_length=1, description="Kinds of subject: face, heart, animal, food, plant, thing, sky; left out, what the base can draw."
    )
    subjects: tuple[str, ...] = Field((), description='Your own subjects instead of everyday ones, such as ["a red fox"].')
    theme: str = Field("", max_length=500, description="What all pictures are about; only a language model can follow it.")
    prompt: str | None = Field(
        None, description="What candidates are drawn with, {subject} filled in; left out, caption.template without the keyword."
    )
    seed: Seed = Field(0, description="Another one gives another table.")
