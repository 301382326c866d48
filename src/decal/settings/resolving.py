"""Settings with nothing left to the base any more."""

import math
import re
from typing import Any

from decal.errors import SettingsError
from decal.presets import BasePreset, Targets, base_preset
from decal.schedule import Schedule
from decal.settings.dataset import BaseSettings, CaptionSettings, DataSettings, DescribeSettings, Detail
from decal.settings.drawing import CompareSettings, GridSettings
from decal.settings.section import Guidance, Sampler, Section
from decal.settings.training import Recipe, TrainSettings
from decal.settings.whole import Settings
from decal.subjects import Kind
from decal.wording import counted


class ResolvedData(DataSettings):
    """`data` with nothing left to the base."""

    resolution: int


class ResolvedTrain(TrainSettings):
    """`train` with nothing left to the base."""

    steps: int
    batch: int
    rank: int
    alpha: float
    targets: Targets
    learning_rate: float
    schedule: Schedule
    checkpoint_every: int
    recipe: Recipe = "plain"

    @property
    def scale(self) -> float:
        """What the product of the factors is multiplied by. Source of the root: Kalajdzievski 2023, arXiv:2312.03732."""
        return self.alpha / (math.sqrt(self.rank) if self.rank_stabilised else self.rank)

    @property
    def changes_texts(self) -> bool:
        """Whether what a caption is encoded to changes while it is trained, so that it cannot be encoded once."""
        return self.text_learning_rate is not None or self.learns_words


class ResolvedCompare(CompareSettings):
    """`compare` with nothing left to the base."""

    sampler: Sampler = "ddim"
    steps: int
    guidance: float


class ResolvedGrid(GridSettings):
    """`grid` with nothing left to the base."""

    sampler: Sampler = "ddim"
    steps: int
    guidance: tuple[Guidance, ...]


class ResolvedDescribe(DescribeSettings):
    """`describe` with nothing left to the base."""

    detail: Detail
    kinds: tuple[Kind, ...]
    prompt: str


class Resolved(Section):
    """Settings in which nothing depends on the base any more; what `run.json` keeps.

    base.teacher is named only where it is what the LoRA is trained on.
    """

    base: BaseSettings
    data: ResolvedData
    caption: CaptionSettings
    train: ResolvedTrain
    compare: ResolvedCompare
    grid: ResolvedGrid

    @property
    def taught(self) -> str:
        """The model that the LoRA is trained on, which is not always the one that it is drawn with."""
        return self.base.teacher or self.base.model


def resolve(settings: Settings, pictures: int) -> Resolved:
    """The settings with every base-dependent value filled in and epochs turned into steps.

    pictures: number of training pictures, > 0, which a pass holds. Raises SettingsError for what only shows now: a base of unknown size,
    or a warm-up longer than the training.
    """
    preset = base_preset(settings.base.model)
    train = settings.train
    if preset.resolution == 0 and settings.data.resolution is None:
        raise SettingsError(
            f"{settings.base.model} is not among the bases that Decal knows, so its picture size is not known.\n"
            "Write data.resolution, the side of its training pictures in px (512 for most, 768 for Stable Diffusion 2.1)."
        )
    batch = train.batch or preset.batch
    steps = train.steps or preset.steps
    if train.epochs is not None:
        steps = max(1, -(-train.epochs * pictures // (batch * train.accumulation)))
    if train.warmup_steps > steps:
        raise SettingsError(
            f"train.warmup_steps ({train.warmup_steps}) is larger than the {counted(steps, 'step')} of this training.\nLower it."
        )
    rank = train.rank or preset.rank
    table = settings.model_dump(exclude={"describe", "language", "posts"})
    _fill(table["data"], resolution=preset.resolution)
    _fill(
        table["train"],
        rank=rank,
        alpha=float(rank),
        batch=batch,
        targets=preset.targets,
        learning_rate=1.0 if train.optimizer == "prodigy" else preset.learning_rate,
        schedule="constant" if train.optimizer == "schedule_free" else "cosine",
        checkpoint_every=preset.checkpoint_every,
    )
    teacher = settings.base.teacher or preset.teach
    recipe = _recipe(settings, preset, teacher)
    table["base"]["teacher"] = teacher if recipe == "on_base" else None
    table["train"] |= {"steps": steps, "epochs": None, "recipe": recipe}
    _fill(table["compare"], sampler=preset.sampler, steps=preset.sampling_steps, guidance=preset.guidance)
    _fill(table["grid"], sampler=preset.sampler, steps=preset.sampling_steps, guidance=preset.grid_guidance)
    return Resolved.model_validate(table)


def _recipe(settings: Settings, preset: BasePreset, teacher: str | None) -> Recipe:
    """How this base is trained. Raises SettingsError where it cannot be trained in the way that is asked for."""
    model, asked = settings.base.model, settings.train.recipe
    if not preset.has_few_steps:
        if asked not in (None, "plain"):
            raise SettingsError(
                f'train.recipe = "{asked}" is for few-step models such as sdxl-turbo, and {model} is none that Decal knows.\n'
                "Leave it out. A folder is known as one by its scheduler: EulerAncestralDiscreteScheduler with trailing spacing."
            )
        return "plain"
    if asked == "on_base" and teacher is None:
        raise SettingsError(
            f'train.recipe = "on_base" needs the base that {model} was made of.\nName it in base.teacher, or write "few_steps".'
        )
    return asked or ("few_steps" if teacher is None else "on_base")


def without_keyword(template: str) -> str:
    """A caption's template for pictures whose style has no name: the slot goes, and the word "style" that it stands before."""
    return re.sub(r"\{keyword\}(?: style)?", "", template)


def resolve_describe(settings: Settings) -> ResolvedDescribe:
    """How descriptions are made, with what depends on the base and on the caption's template filled in."""
    preset = base_preset(settings.base.model)
    table = settings.describe.model_dump()
    without = without_keyword(settings.caption.template)
    without = re.sub(r"\s*,(\s*,)+", ",", " ".join(without.split())).strip(" ,;")
    _fill(table, detail=preset.detail, kinds=preset.kinds, prompt=without)
    return ResolvedDescribe.model_validate(table)


def _fill(table: dict[str, Any], **defaults: object) -> None:
    table |= {key: value for key, value in defaults.items() if table[key] is None}
