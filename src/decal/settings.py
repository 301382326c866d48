"""`decal.toml` -> typed settings, with every problem reported at once.

A person writes the file; what stands there is what runs. One frozen class a section, unknown keys refused, one sentence of help a field,
written here and shown everywhere. A value that is left out and depends on the base (`None` here) is filled by `resolve` from
`presets.BASES`, so one line moves a project to another base; the resolved settings are kept in `run.json`.
"""

import difflib
import json
import math
import re
import shlex
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from decal.errors import SettingsError
from decal.presets import DEAD_IDS, BasePreset, Targets, base_preset, why_unknown
from decal.records import Fit
from decal.schedule import Schedule
from decal.subjects import Kind
from decal.wording import counted

MOST_PROMPTS = 1000
"""That a comparison takes."""
# What the settings are called in diffusers' scripts and in sd-scripts.
PEER_NAMES = {
    "lr": "learning_rate",
    "lr_scheduler": "schedule",
    "lr_warmup_steps": "warmup_steps",
    "lr_scheduler_num_cycles": "restarts",
    "optimizer_type": "optimizer",
    "use_rslora": "rank_stabilised",
    "use_dora": "algorithm",
    "text_encoder_lr": "text_learning_rate",
    "train_text_encoder": "text_learning_rate",
    "rank_pattern": "ranks",
    "conv_dim": "ranks",
    "ema": "ema_decay",
    "multires_noise_iterations": "pyramid_noise_levels",
    "multires_noise_discount": "pyramid_noise_discount",
    "ip_noise_gamma": "input_perturbation",
    "huber_c": "huber",
    "debiased_estimation_loss": "debiased",
    "max_train_steps": "steps",
    "num_train_epochs": "epochs",
    "max_train_epochs": "epochs",
    "train_batch_size": "batch",
    "gradient_accumulation_steps": "accumulation",
    "network_dim": "rank",
    "network_alpha": "alpha",
    "lora_alpha": "alpha",
    "snr_gamma": "min_snr_gamma",
    "mixed_precision": "precision",
    "checkpointing_steps": "checkpoint_every",
    "save_every_n_steps": "checkpoint_every",
    "random_flip": "flip",
    "class_prompt": "prior_prompt",
    "num_class_images": "prior_images",
    "prior_loss_weight": "prior_weight",
    "with_prior_preservation": "prior_prompt",
    "alpha_mask": "transparent_weight",
    "masked_loss": "transparent_weight",
    "unmasked_weight": "transparent_weight",
    "pretrained_model_name_or_path": "model",
    "report_to": "trackers",
}


def _ground(value: str) -> str:
    if not re.fullmatch(r"white|black|grey|#[0-9a-fA-F]{6}", value):
        raise ValueError("white, black, grey or a colour such as #ffcc00")
    return value


Ground = Annotated[str, AfterValidator(_ground)]
Guidance = Annotated[float, Field(ge=0, le=50)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Sampler = Literal["ddim", "euler", "euler_a", "dpm++"]
Recipe = Literal["plain", "on_base", "few_steps"]
Optimizer = Literal["adamw", "adamw_8bit", "adafactor", "prodigy", "schedule_free"]
Algorithm = Literal["lora", "dora", "loha", "lokr"]
Timesteps = Literal["uniform", "stratified", "logit_normal"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Detail = Literal["plain", "rich"]


class Section(BaseModel):
    """One table of `decal.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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


class LanguageSettings(Section):
    """The language model that describes and captions; without an endpoint the built-in grammar does."""

    endpoint: str = Field("", description="Address of an OpenAI-compatible server, such as http://127.0.0.1:8080/v1; empty: none is asked.")
    model: str = Field("", description="Name of the model there; some local servers need none.")
    api: Literal["chat", "completion"] = Field(
        "chat", description="chat for models that follow instructions; completion for base models, which go on with examples."
    )
    key_variable: str = Field(
        "", description="Name of the environment variable that holds the key; the key itself is read from there and written nowhere."
    )
    timeout_seconds: float = Field(120.0, gt=0, le=3600, description="Longest wait for one whole answer.")
    retries: int = Field(4, ge=0, le=20, description="How often a question is asked again after a fault or an answer of no use.")
    concurrency: int = Field(4, ge=1, le=64, description="Questions under way at a time.")
    temperature: float = Field(0.8, ge=0, le=2, description="0 for the likeliest words, higher for more variety.")


class PostsSettings(Section):
    """How posts become prompts."""

    writer: Literal["grammar", "seed", "llm"] = Field(
        "grammar",
        description="grammar (the built-in rules), llm (the model of [language]) or seed (the post in one fixed sentence, to compare).",
    )
    goal: Literal["auto", "announce", "promo", "event", "greeting", "mood", "plain"] = Field(
        "auto", description="What the pictures are to do for the post; auto reads it from each post."
    )
    medium: str = Field("", max_length=80, description='What kind of picture is asked for, such as "product photograph"; empty: not said.')
    conditions: tuple[Literal["brand", "engagement"], ...] = Field(
        ("brand",),
        description="What every prompt ends with, whatever is cut: brand (colours and look of brands.csv), engagement (how a post did "
        "among those of its own account; only a LoRA that was trained with it knows what that means).",
    )
    buckets: Literal["real", "shuffled"] = Field(
        "real",
        description="With the condition engagement: real, or shuffled, which gives every post the bucket of a lot drawn for it: a control "
        "that shows what the words do by themselves.",
    )
    aim: Literal["low", "medium", "high"] = Field("high", description="With the condition engagement: what new posts are drawn for.")
    negative: str = Field(
        "text, letters, words, watermark, logo, signature", max_length=300, description="What pictures of posts steer away from."
    )
    target_high: float = Field(
        0.6,
        ge=0,
        le=1,
        description="Target of decal posts report: share of chosen pictures that count as high by what the audience likes.",
    )
    target_fit: float = Field(
        0.75, ge=0, le=1, description="Target of decal posts report: how well chosen pictures show what was asked for; chance is 0.5."
    )
    crop: Literal["social", "none"] = Field(
        "social",
        description="social: each picture is cut to the nearest of 1:1, 16:9 and 4:5, where it has the most detail, for training in "
        "buckets (data.fit); none: pictures keep their shape.",
    )
    seed: Seed = Field(0, description="Decides which accounts are kept out of training.")


class TrainSettings(Section):
    """How the LoRA is trained."""

    steps: int | None = Field(None, ge=1, description="Optimizer steps; left out, `epochs` or else the base's own number.")
    epochs: int | None = Field(None, ge=1, description="Passes over the training pictures, instead of `steps`.")
    stop: Literal["steps", "auto"] = Field(
        "steps",
        description="steps: train them all; auto: end once three times as many steps are done as it took to the lowest held-out loss.",
    )
    batch: int | None = Field(None, ge=1, le=4096, description="Pictures a forward pass.")
    accumulation: int = Field(1, ge=1, description="Forward passes whose gradients are added up to one step.")
    algorithm: Algorithm = Field(
        "lora",
        description="lora; dora (directions and lengths apart, nearer to full training, slower); loha and lokr (products that reach a "
        "higher rank with as many numbers; for A1111 and ComfyUI, diffusers does not read them).",
    )
    rank: int | None = Field(None, ge=1, le=1024, description="Rank of the LoRA: its size and its freedom.")
    ranks: dict[str, Annotated[int, Field(ge=0, le=1024)]] = Field(
        {},
        description="Other ranks by parts of layers' names, such as { attn1 = 4, resnets = 8, text_encoder = 4 }; the longest that fits "
        "counts, 0 leaves layers out; all are scaled alike.",
    )
    alpha: float | None = Field(None, gt=0, description="The LoRA is scaled by alpha / rank; left out, alpha is the rank.")
    targets: Targets | None = Field(
        None,
        description="Layers that get a LoRA: attention, or all (attention, feed-forward and convolutions); imported stands for those of a "
        "LoRA that decal import brought.",
    )
    rank_stabilised: bool = Field(
        False, description="rsLoRA: scaled by alpha / sqrt(rank) instead, so that a larger rank does not learn more slowly."
    )
    recipe: Recipe | None = Field(
        None,
        description="For few-step models (turbo): on_base trains on the base that it was made of and draws with the model itself; "
        "few_steps trains the model at its own timesteps, on the picture and not the noise; plain trains as ever, which undoes its few "
        "steps. Left out, on_base where that base is known, else few_steps; plain for all other models.",
    )
    optimizer: Optimizer = Field(
        "adamw",
        description="adamw, adamw_8bit (less GPU memory), adafactor (less memory), prodigy (finds its own rate) or schedule_free "
        "(an average instead of a schedule).",
    )
    learning_rate: float | None = Field(
        None, gt=0, le=1, description="Peak learning rate; prodigy multiplies its own by it and wants 1, which is its default."
    )
    text_learning_rate: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Train the text encoders as well, at this peak rate, such as half the other; for words that mean nothing yet. Captions "
        "are then encoded in every step. Left out, they stay as they are.",
    )
    schedule: Schedule | None = Field(
        None, description="How the learning rate goes on after the warm-up; left out, cosine, or constant for schedule_free."
    )
    warmup_steps: int = Field(0, ge=0, description="Steps over which the learning rate rises from 0; honoured by every schedule.")
    restarts: int = Field(1, ge=1, le=1000, description="How often cosine_with_restarts goes from the peak to its end.")
    final_rate: float = Field(0.0, ge=0, lt=1, description="Where the schedule ends, as a share of the peak.")
    weight_decay: float = Field(0.01, ge=0, description="Weight decay, decoupled from the gradient.")
    beta1: float = Field(0.9, ge=0, lt=1, description="How much of the mean gradient is kept each step; not for adafactor.")
    beta2: float = Field(0.999, ge=0, lt=1, description="How much of the mean squared gradient is kept each step; not for adafactor.")
    epsilon: float = Field(1e-8, gt=0, description="Added to the root of the mean squared gradient; not for adafactor.")
    ema_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Measure, draw and save a moving average of the weights that keeps this share of itself each step, such as 0.99; "
        "left out, the weights themselves.",
    )
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients whose norm over all LoRA weights is larger are scaled down to it.")
    min_snr_gamma: float | None = Field(
        None, gt=0, description="Cap on the signal-to-noise weight of nearly clean timesteps (the paper uses 5); left out, no weighting."
    )
    debiased: bool = Field(False, description="Weigh each timestep by 1 / sqrt(signal-to-noise), so that noisy ones count more.")
    huber: float | None = Field(
        None, gt=0, description="Pseudo-Huber loss that is squared below about this error and linear above, such as 0.1; left out, squared."
    )
    timesteps: Timesteps = Field(
        "uniform",
        description="How timesteps are drawn: uniform, stratified (spread over each step) or logit_normal (mostly in the middle).",
    )
    timestep_mean: float = Field(
        0.0, ge=-5, le=5, description="With logit_normal: where the middle lies, above 0 for noisier timesteps and below for cleaner ones."
    )
    noise_offset: float = Field(
        0.0, ge=0, le=1, description="Moves the noise of each channel as a whole, for very dark and very light pictures; 0.05 is usual."
    )
    pyramid_noise_levels: int = Field(0, ge=0, le=10, description="Coarser noises added to the noise, for large even areas; 0 for none.")
    pyramid_noise_discount: float = Field(0.3, gt=0, lt=1, description="How strong each of them is, of the one before.")
    input_perturbation: float = Field(
        0.0, ge=0, le=1, description="Noise on top of what the denoiser is asked to find, against its own mistakes; the paper uses 0.1."
    )
    gradient_checkpointing: bool = Field(
        False, description="Compute parts of the forward pass twice instead of keeping them: less memory, about a third slower."
    )
    caption_dropout: float = Field(0.1, ge=0, lt=1, description="Share of samples trained on the empty caption, which guidance needs.")
    prior_prompt: str = Field(
        "",
        max_length=500,
        description="What pictures of the kind in general are called, without the keyword, such as a sticker: the base's own pictures "
        "of it are learnt in every step as well, so that it is not forgotten, at twice the time; empty: none.",
    )
    prior_images: int = Field(
        50, ge=1, le=10000, description="How many of those: the pictures in the project's folder prior/, filled up with drawn ones."
    )
    prior_weight: float = Field(1.0, gt=0, le=100, description="Weight of their loss.")
    precision: Precision = Field("auto", description="fp32, bf16, fp16 (GPU only), or auto: bf16 or fp16 on a GPU, fp32 on a CPU.")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="Where to train; auto takes a GPU where there is one.")
    seed: int = Field(0, ge=0, lt=2**63, description="Decides the split, the order, the noise and the first weights.")
    checkpoint_every: int | None = Field(None, ge=1, description="Steps between checkpoints; the last step is always one.")
    cache_gib: float = Field(2.0, ge=0, description="Encoded pictures and captions up to this many GiB are held on the device.")
    validation_prompts: tuple[str, ...] | None = Field(
        None, description="Prompts drawn at every checkpoint; left out, the first two of compare_prompts.txt; an empty list draws none."
    )
    validate_every: int | None = Field(
        None, ge=1, description="Steps between drawings of those prompts, and at the end; left out, at every checkpoint."
    )
    validation_images: int = Field(1, ge=1, le=64, description="Pictures of each of those prompts, each with a seed of its own.")
    trackers: tuple[str, ...] = Field(
        ("tensorboard",),
        description="Where steps are logged besides steps.jsonl: names accelerate knows, such as wandb.",
    )


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


class Settings(Section):
    """All of `decal.toml`."""

    base: BaseSettings = BaseSettings()
    data: DataSettings = DataSettings()
    caption: CaptionSettings = CaptionSettings()
    train: TrainSettings = TrainSettings()
    compare: CompareSettings = CompareSettings()
    grid: GridSettings = GridSettings()
    describe: DescribeSettings = DescribeSettings()
    language: LanguageSettings = LanguageSettings()
    posts: PostsSettings = PostsSettings()

    @model_validator(mode="after")
    def _contradictions(self) -> "Settings":
        problems: list[str] = []
        train = self.train
        if train.steps is not None and train.epochs is not None:
            problems.append("train.steps and train.epochs contradict each other. Keep one.")
        if train.precision == "fp16" and train.device == "cpu":
            problems.append('train.precision = "fp16" needs a GPU, and train.device is "cpu". Write "fp32" or "bf16".')
        problems += _impossible(train)
        if train.stop == "auto" and self.data.holdout_share == 0:
            problems.append('train.stop = "auto" needs held-out pictures, and data.holdout_share is 0. Raise it, or write stop = "steps".')
        keyword = self.caption.keyword.strip()
        if keyword and keyword.casefold() in train.prior_prompt.casefold().split():
            problems.append(f'train.prior_prompt holds the keyword "{keyword}", which the base does not know. Leave the keyword out of it.')
        if train.steps is not None and train.warmup_steps > train.steps:
            problems.append(f"train.warmup_steps ({train.warmup_steps}) is larger than train.steps ({train.steps}). Lower it.")
        if self.base.model in DEAD_IDS:
            problems.append(
                f'base.model = "{self.base.model}" has left the hub. Write "{DEAD_IDS[self.base.model]}", a mirror of the same weights.'
            )
        for name, model in (("model", self.base.model), ("teacher", self.base.teacher)):
            if model is not None and (why := why_unknown(model)) is not None:
                problems.append(f"base.{name} = {why}")
        problems += _language_problems(self)
        if problems:
            raise ValueError("\n".join(problems))
        return self


def _impossible(train: TrainSettings) -> list[str]:
    """Settings of the training that cannot work together."""
    problems = []
    if train.optimizer == "schedule_free" and train.schedule not in (None, "constant"):
        problems.append(
            f'train.schedule = "{train.schedule}" and train.optimizer = "schedule_free" contradict each other. Leave the schedule out.'
        )
    if train.optimizer == "schedule_free" and train.ema_decay is not None:
        problems.append('train.ema_decay and train.optimizer = "schedule_free" are two averages of the same weights. Keep one.')
    if train.optimizer == "prodigy" and train.learning_rate is not None and train.learning_rate < 0.1:
        problems.append(
            f'train.learning_rate = {train.learning_rate:g} would keep train.optimizer = "prodigy" from learning, since it multiplies the '
            "rate that prodigy finds. Leave it out, or write 1.0."
        )
    if train.optimizer == "prodigy" and train.text_learning_rate not in (None, train.learning_rate or 1.0):
        problems.append(
            f'train.text_learning_rate = {train.text_learning_rate:g}: train.optimizer = "prodigy" finds one rate for all. '
            f"Write {train.learning_rate or 1.0:g}, or take another optimizer."
        )
    if train.min_snr_gamma is not None and train.debiased:
        problems.append("train.min_snr_gamma and train.debiased are two weightings of the same timesteps. Keep one.")
    if train.recipe == "few_steps" and (train.min_snr_gamma is not None or train.debiased or train.timesteps != "uniform"):
        problems.append(
            'train.recipe = "few_steps" has its own timesteps and weights them by what they do to the picture. Leave min_snr_gamma, '
            "debiased and timesteps out."
        )
    if train.timestep_mean and train.timesteps != "logit_normal":
        problems.append(f'train.timestep_mean belongs to train.timesteps = "logit_normal" (it is "{train.timesteps}"). Leave it out.')
    named = {"beta1": train.beta1, "beta2": train.beta2, "epsilon": train.epsilon}
    moved = [f"train.{key}" for key, value in named.items() if value != TrainSettings.model_fields[key].default]
    if train.optimizer == "adafactor" and moved:
        problems.append(f'{" and ".join(moved)} belong to other optimizers than train.optimizer = "adafactor". Leave them out.')
    if train.restarts > 1 and train.schedule != "cosine_with_restarts":
        problems.append('train.restarts belongs to train.schedule = "cosine_with_restarts". Write that, or leave restarts out.')
    return problems + _impossible_kinds(train)


def _impossible_kinds(train: TrainSettings) -> list[str]:
    """Settings of what is trained that cannot work together."""
    problems = []
    if train.algorithm in ("loha", "lokr") and train.rank_stabilised:
        problems.append(f'train.rank_stabilised belongs to lora and dora, and train.algorithm is "{train.algorithm}". Leave it out.')
    if not train.prior_prompt and (train.prior_images, train.prior_weight) != (50, 1.0):
        problems.append("train.prior_images and train.prior_weight belong to train.prior_prompt. Write that, or leave them out.")
    if train.targets == "imported" and (train.algorithm != "lora" or train.ranks):
        problems.append('train.targets = "imported" goes on with a plain LoRA of one rank. Leave train.algorithm and train.ranks out.')
    if train.text_learning_rate is not None and train.algorithm == "dora":
        problems.append(
            'train.text_learning_rate and train.algorithm = "dora" cannot go together, because diffusers leaves the DoRA of text encoders '
            'out. Take "lora", or leave the rate out.'
        )
    if train.text_learning_rate is not None and train.ranks.get("text_encoder") == 0:
        problems.append("train.text_learning_rate and text_encoder = 0 in train.ranks contradict each other. Keep one.")
    return problems


def _language_problems(settings: Settings) -> list[str]:
    """What is wrong with `language` and what needs it. No value of it is repeated: a key may have been put in the wrong place."""
    problems, language = [], settings.language
    if language.endpoint and not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s@?#]*)?", language.endpoint):
        problems.append(
            "language.endpoint is no address of a server. Write http:// or https://, a host and a path, and no key or password in it."
        )
    if language.key_variable and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", language.key_variable):
        problems.append("language.key_variable is no name of an environment variable. Put the key into one, and write its name here.")
    if settings.caption.captioner not in ("names", "endpoint", "local") and ":" not in settings.caption.captioner:
        problems.append(f'caption.captioner must be names, endpoint, local or module:Name (it is "{settings.caption.captioner}").')
    for name, needs in {
        "describe.theme": bool(settings.describe.theme),
        'posts.writer = "llm"': settings.posts.writer == "llm",
        'caption.captioner = "endpoint"': settings.caption.captioner == "endpoint",
    }.items():
        if needs and not language.endpoint:
            problems.append(f"{name} needs a language model. Write language.endpoint, and language.model where the server has several.")
    return problems


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


def read(path: Path, changes: Sequence[str] = ()) -> Settings:
    """The settings of a `decal.toml` with `--set section.key=value` changes applied over it.

    Raises SettingsError that lists every problem at once, each with a suggestion where one is near.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as problem:
        raise SettingsError(
            f"{path} cannot be read ({problem.strerror}).\nMake a project with  decal new FOLDER --from PICTURES"
        ) from problem
    except UnicodeDecodeError as problem:
        raise SettingsError(f"{path} is not UTF-8 text (byte {problem.start}).\nSave it as UTF-8.") from problem
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise SettingsError(f"{path}: {problem}.\nMend that line; strings stand in quotes, lists in [ ].") from problem
    return parse(table, changes, where=f"{path.name} with --set" if changes else path.name)


def parse(table: dict[str, Any], changes: Sequence[str] = (), *, where: str = "settings") -> Settings:
    """Settings from a table as TOML gives it. Raises SettingsError as `read` does."""
    problems = [problem for change in changes if (problem := _apply(table, change))]
    try:
        settings = Settings.model_validate(table)
    except ValidationError as error:
        problems += [line for detail in error.errors() for line in _sentences(cast(dict[str, Any], detail))]
        settings = None
    if settings is None or problems:
        count = f"{counted(len(problems), 'problem')}, nothing was started."
        raise SettingsError("\n".join([*(f"{where}: {problem}" for problem in problems), count]))
    return settings


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


# What may change between two sittings of a run without changing its weights.
FREE = {
    "data.faulty",
    "caption.template",
    "caption.kind_words",
    "caption.style_words",
    "caption.min_words",
    "caption.captioner",
    "caption.captioner_model",
    "train.stop",
    "train.device",
    "train.checkpoint_every",
    "train.cache_gib",
    "train.validation_prompts",
    "train.validate_every",
    "train.validation_images",
    "train.trackers",
}


def changed(before: Resolved, after: Resolved) -> list[str]:
    """The settings that differ and decide the weights, as `train.rank: 8 -> 16`, in the order of the file."""
    return [
        f"{section}.{key}: {old!r} -> {new!r}"
        for section in ("base", "data", "caption", "train")
        for key, old in getattr(before, section).model_dump().items()
        if f"{section}.{key}" not in FREE
        if (new := getattr(after, section).model_dump()[key]) != old
    ]


def options(now: Resolved, then: Resolved) -> str:
    """What to add to a command so that it works with the settings of then: ` --set train.steps=20 ...`, or nothing."""
    told = ""
    for section in ("base", "data", "caption", "train"):
        today = getattr(now, section).model_dump()
        for key, value in getattr(then, section).model_dump().items():
            if value != today[key] and value is not None:
                told += f" --set {shlex.quote(f'{section}.{key}={written(value)}')}"
    return told


def fields() -> list[tuple[str, str, str]]:
    """Every setting as (`section.key`, default as TOML, help)."""
    return [
        (f"{name}.{key}", "left to the base" if field.default is None else written(field.default), field.description or "")
        for name, section in _SECTIONS.items()
        for key, field in section.model_fields.items()
    ]


def to_toml(sections: dict[str, dict[str, Any]]) -> str:
    """The text of a `decal.toml` that holds these values; None is left out."""
    lines = ["# What this project is made with. `decal presets` lists every setting, its default and what it does."]
    for name, values in sections.items():
        lines += ["", f"[{name}]"]
        lines += [f"{key} = {written(value)}" for key, value in values.items() if value is not None]
    return "\n".join(lines) + "\n"


_SECTIONS: dict[str, type[Section]] = {
    "base": BaseSettings,
    "data": DataSettings,
    "caption": CaptionSettings,
    "train": TrainSettings,
    "compare": CompareSettings,
    "grid": GridSettings,
    "describe": DescribeSettings,
    "language": LanguageSettings,
    "posts": PostsSettings,
}


def _fill(table: dict[str, Any], **defaults: object) -> None:
    table |= {key: value for key, value in defaults.items() if table[key] is None}


def _apply(table: dict[str, Any], change: str) -> str | None:
    """Put one `section.key=value` into the table; the problem, if it cannot be read."""
    name, equals, text = change.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (equals and dot and section and key):
        return f"--set {change!r} is not of the form section.key=value, such as train.rank=16."
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    if not isinstance(table.setdefault(section, {}), dict):
        return f"{section} must be a table, [{section}]."
    table[section][key] = value
    return None


def _sentences(detail: dict[str, Any]) -> list[str]:
    """What pydantic found, as sentences that name the setting, its value and what to do."""
    place = ".".join(str(part) for part in detail["loc"] if not isinstance(part, int))
    if detail["type"] == "extra_forbidden":
        known = [name for name, _, _ in fields()] if "." in place else list(_SECTIONS)
        key = place.rpartition(".")[2]
        near = [name for name in known if name.endswith(f".{PEER_NAMES.get(key)}")]
        near = near or difflib.get_close_matches(place, known, n=1, cutoff=0.5)
        return [f"{place} is not a setting." + (f" Did you mean {near[0]}?" if near else " `decal presets` lists them all.")]
    message = str(detail["msg"]).removeprefix("Value error, ")
    if not place:
        return message.split("\n")
    message = message.removeprefix("Input should be ")
    return [f"{place} must be {message} (it is {detail['input']!r})."]


def written(value: object) -> str:
    """A value as TOML writes it; lists and strings as JSON, which TOML reads alike."""
    if isinstance(value, tuple | list):
        return "[" + ", ".join(written(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{written(str(key))} = {written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    return repr(value)
