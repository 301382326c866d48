"""The section that says how the LoRA is trained, and what of it cannot work together."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from decal.presets import Targets
from decal.schedule import Schedule
from decal.settings.section import Section

Recipe = Literal["plain", "on_base", "few_steps"]
Optimizer = Literal["adamw", "adamw_8bit", "adafactor", "prodigy", "schedule_free"]
Algorithm = Literal["lora", "dora", "loha", "lokr"]
Timesteps = Literal["uniform", "stratified", "logit_normal"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
OwnWord = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*$", max_length=40)]
"""A word that gets tokens of its own; diffusers and the other tools look for it in small letters."""
Start = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)]
"""What embeddings begin as; blanks are nothing, as the tokenizer has it."""


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
    pivotal: int = Field(
        0,
        ge=0,
        le=16,
        description="Pivotal tuning: so many new tokens for the keyword, 1 or 2 as a rule, learn their embeddings beside the LoRA, for "
        "what the base has no word for; captions are then encoded in every step. 0 for none.",
    )
    pivotal_learning_rate: float = Field(3e-4, gt=0, le=1, description="Peak rate of those embeddings; prodigy wants that of the LoRA.")
    pivotal_share: float = Field(
        0.5, gt=0, le=1, description="Share of the steps after which they stay as they are, and the LoRA alone goes on."
    )
    pivotal_from: Start = Field(
        "",
        description="Word that they begin as, such as cat; empty: drawn at random as those of the base are spread.",
    )
    pivotal_words: dict[OwnWord, Start] = Field(
        {},
        max_length=16,
        description='More words of captions with tokens of their own, each with what it begins as: { goldenhour = "sunset" }; "" begins '
        "at random. They learn as the keyword does, whether it has tokens of its own or not.",
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
    fit_memory: Literal["auto", "off"] = Field(
        "auto",
        description="What is done where memory is short, before training or within: auto halves batch and doubles accumulation, then takes "
        "gradient_checkpointing, then adamw_8bit for adamw; off trains as it is set, or not at all.",
    )
    compile: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Whether the denoiser is compiled by torch, which takes minutes and makes steps faster: auto does so on CUDA GPUs once "
        "20 steps show that the rest is long enough (36 minutes), for lora and pictures of one shape; the last digits of losses change.",
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

    @property
    def learns_words(self) -> bool:
        """Whether words learn embeddings of their own, the keyword or others."""
        return self.pivotal > 0 or bool(self.pivotal_words)


def impossible(train: TrainSettings) -> list[str]:
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
    return problems + _impossible_kinds(train) + _impossible_words(train)


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
    if train.compile == "on" and train.algorithm != "lora":
        problems.append(f'train.compile = "on" belongs to train.algorithm = "lora" (it is "{train.algorithm}"). Write "auto" or "off".')
    if train.text_learning_rate is not None and train.ranks.get("text_encoder") == 0:
        problems.append("train.text_learning_rate and text_encoder = 0 in train.ranks contradict each other. Keep one.")
    return problems


def _ownerless(train: TrainSettings, moved: Sequence[str]) -> str:
    """What is said of settings of embeddings where no word has such. moved: the settings, by their names."""
    named, belong = " and ".join(moved), "belongs" if len(moved) == 1 else "belong"
    out = f"or take {named} out of [train]"
    if train.pivotal_words:
        return f"{named} {belong} to train.pivotal. Write pivotal = 1 under [train], {out}."
    owner = "train.pivotal or train.pivotal_words"
    empty = ", which is empty" if "pivotal_words" in train.model_fields_set else ""
    return (
        f"{named} {belong} to {owner}{empty}, so there is no word to learn. "
        f'Write pivotal_words = {{ goldenhour = "sunset" }} or, for the keyword, pivotal = 1 under [train], {out}.'
    )


def _impossible_words(train: TrainSettings) -> list[str]:
    """Settings of embeddings that cannot work together."""
    owned = ["pivotal_from"] if train.pivotal_words else ["pivotal_learning_rate", "pivotal_share", "pivotal_from"]
    moved = [f"train.{key}" for key in owned if getattr(train, key) != TrainSettings.model_fields[key].default]
    problems = [_ownerless(train, moved)] if moved and not train.pivotal else []
    if not train.learns_words:
        return problems
    whose = "train.pivotal" if train.pivotal else "train.pivotal_words"
    if train.text_learning_rate is not None:
        problems.append(
            f"{whose} and train.text_learning_rate teach the same text encoders the same words in two ways. Keep one, as diffusers' "
            "scripts ask as well."
        )
    if train.optimizer == "schedule_free":
        problems.append(
            f'{whose} and train.optimizer = "schedule_free" cannot go together: embeddings are kept to the size of known ones each '
            "step, which its average does not see. Take another optimizer."
        )
    if train.optimizer == "prodigy" and train.pivotal_learning_rate != (train.learning_rate or 1.0):
        problems.append(
            f'train.pivotal_learning_rate = {train.pivotal_learning_rate:g}: train.optimizer = "prodigy" finds one rate for all. '
            f"Write {train.learning_rate or 1.0:g}, or take another optimizer."
        )
    return problems
