"""Every flag of the four scripts of diffusers 0.42, and a reader of command lines that collects all problems before it complains.

The names, types, defaults and choices are facts of `examples/text_to_image/train_text_to_image_lora.py`, `examples/dreambooth/
train_dreambooth_lora.py` and their twins for SDXL; what becomes of each flag is said here in a sentence, which `decal compat --help` and
docs/diffusers.md show. A flag without effect says so. Of two twins either takes the flags of both, since the base says which is meant.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from decal.wording import printable

Kind = Literal["text", "whole", "number", "switch"]
Value = str | int | float | bool
Script = Literal["sd", "sdxl", "dreambooth", "dreambooth_sdxl"]
Purpose = Literal["text to image", "DreamBooth"]
SCRIPTS: dict[str, Script] = {
    "train_text_to_image_lora.py": "sd",
    "train_text_to_image_lora_sdxl.py": "sdxl",
    "train_dreambooth_lora.py": "dreambooth",
    "train_dreambooth_lora_sdxl.py": "dreambooth_sdxl",
}
PURPOSES: dict[Script, Purpose] = {
    "sd": "text to image",
    "sdxl": "text to image",
    "dreambooth": "DreamBooth",
    "dreambooth_sdxl": "DreamBooth",
}
# What people write where a value is to be put in, besides <...> and {...}.
PLACEHOLDERS = ("your_", "my_", "todo", "xxx")


@dataclass(frozen=True)
class Flag:
    """One flag. default: None where leaving it out means something of its own. does: what becomes of it here.

    least: the smallest number that makes sense; `above` is not allowed itself. only: the scripts that have it; none for all four.
    otherwise: the default of those scripts that have another one.
    """

    kind: Kind
    default: Value | None
    does: str
    choices: tuple[str, ...] = ()
    least: float | None = None
    above: float | None = None
    only: tuple[Script, ...] = ()
    otherwise: Mapping[Script, Value | None] = field(default_factory=dict)

    def default_of(self, script: Script | None) -> Value | None:
        """What leaving it out means to a script; None for those whose defaults are usual."""
        return self.otherwise.get(script, self.default) if script else self.default

    @property
    def purposes(self) -> set[Purpose]:
        """What the scripts that have it are for."""
        return {PURPOSES[script] for script in self.only or PURPOSES}


SCHEDULERS = ("linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "piecewise_constant")
INTERPOLATIONS = ("nearest", "nearest_exact", "bilinear", "bicubic", "box", "hamming", "lanczos")

PLAIN: tuple[Script, ...] = ("sd", "sdxl")
DREAMBOOTH: tuple[Script, ...] = ("dreambooth", "dreambooth_sdxl")
LARGE: tuple[Script, ...] = ("sdxl", "dreambooth_sdxl")
NOT_DREAMBOOTH: tuple[Script, ...] = ("sd", "sdxl", "dreambooth_sdxl")


def _both(value: Value | None) -> dict[Script, Value | None]:
    """A default that both DreamBooth scripts have and the others have not."""
    return {"dreambooth": value, "dreambooth_sdxl": value}


FLAGS: dict[str, Flag] = {
    "pretrained_model_name_or_path": Flag(
        "text", None, "base.model; an id that has left the hub is replaced by a mirror of the same weights."
    ),
    "pretrained_vae_model_name_or_path": Flag(
        "text", None, "The fp16-fix VAE is not needed, the base's own stays in float32; any other VAE is refused.", only=LARGE
    ),
    "revision": Flag("text", None, "The base at that revision of the hub."),
    "variant": Flag("text", None, "Nothing: the weights are read from the files without a variant, and computed in --mixed_precision."),
    "dataset_name": Flag(
        "text", None, "A data set of the hub, owner/name, or a folder here; goes before --train_data_dir.", only=NOT_DREAMBOOTH
    ),
    "dataset_config_name": Flag("text", None, "The configuration of the data set on the hub.", only=NOT_DREAMBOOTH),
    "train_data_dir": Flag(
        "text", None, "A folder of pictures with metadata.jsonl, or anything else that decal new --from takes.", only=PLAIN
    ),
    "image_column": Flag(
        "text", "image", "Nothing where it is image; Decal finds the column of pictures by what is in it.", only=NOT_DREAMBOOTH
    ),
    "caption_column": Flag(
        "text", "text", "The column or key that holds the captions.", only=NOT_DREAMBOOTH, otherwise={"dreambooth_sdxl": None}
    ),
    "validation_prompt": Flag("text", None, "train.validation_prompts; drawn with the base's own sampler, steps and guidance."),
    "num_validation_images": Flag("whole", 4, "train.validation_images.", least=0),
    "validation_epochs": Flag("whole", 1, "train.validate_every, in steps; the end is always drawn.", least=1, otherwise=_both(50)),
    "max_train_samples": Flag("whole", None, "The first so many rows; the scripts take them at random.", least=1, only=PLAIN),
    "output_dir": Flag(
        "text",
        "sd-model-finetuned-lora",
        "The folder with the scripts' layout; the project is its folder decal/.",
        otherwise=_both("lora-dreambooth-model"),
    ),
    "cache_dir": Flag(
        "text", None, "Nothing: a data set of the hub is streamed into the project, and no copy of it is cached.", only=NOT_DREAMBOOTH
    ),
    "seed": Flag("whole", None, "train.seed; left out it is 0, so that every training repeats.", least=0),
    "resolution": Flag("whole", None, "data.resolution, a multiple of 8; left out, that of the base.", least=16),
    "center_crop": Flag("switch", False, 'data.fit = "crop"; left out, pictures are padded instead of cropped at random.'),
    "random_flip": Flag("switch", False, "data.flip.", only=NOT_DREAMBOOTH),
    "train_text_encoder": Flag(
        "switch", False, "train.text_learning_rate: --text_encoder_lr where there is one, else the rate of all.", only=("sdxl", *DREAMBOOTH)
    ),
    "train_batch_size": Flag("whole", 16, "train.batch, of each process.", least=1, otherwise=_both(4)),
    "num_train_epochs": Flag("whole", 100, "train.steps: as many as the scripts count for these pictures.", least=1, otherwise=_both(1)),
    "max_train_steps": Flag("whole", None, "train.steps; goes before --num_train_epochs.", least=1),
    "gradient_accumulation_steps": Flag("whole", 1, "train.accumulation.", least=1),
    "gradient_checkpointing": Flag("switch", False, "train.gradient_checkpointing."),
    "learning_rate": Flag("number", 1e-4, "train.learning_rate.", above=0, otherwise={"dreambooth": 5e-4}),
    "scale_lr": Flag("switch", False, "The learning rate is multiplied by batch, accumulation and processes."),
    "lr_scheduler": Flag("text", "constant", "train.schedule; piecewise_constant needs rules that no flag can give.", SCHEDULERS),
    "lr_warmup_steps": Flag(
        "whole", 500, "train.warmup_steps, which every schedule honours; of constant only where it was typed.", least=0
    ),
    "snr_gamma": Flag("number", None, "train.min_snr_gamma.", above=0, only=NOT_DREAMBOOTH),
    "use_8bit_adam": Flag("switch", False, 'train.optimizer = "adamw_8bit", which needs a CUDA GPU.'),
    "allow_tf32": Flag("switch", False, "Matrix products of float32 may be rounded to TF32 on an NVIDIA GPU."),
    "dataloader_num_workers": Flag("whole", 0, "Nothing: pictures and captions are encoded once, before training.", least=0),
    "adam_beta1": Flag("number", 0.9, "train.beta1.", least=0),
    "adam_beta2": Flag("number", 0.999, "train.beta2.", least=0),
    "adam_weight_decay": Flag("number", 1e-2, "train.weight_decay.", least=0, otherwise={"dreambooth_sdxl": 1e-4}),
    "adam_epsilon": Flag("number", 1e-8, "train.epsilon.", above=0),
    "max_grad_norm": Flag("number", 1.0, "train.max_grad_norm.", above=0),
    "push_to_hub": Flag("switch", False, "decal publish at the end: the LoRA, its card and pictures, in one commit, private."),
    "hub_token": Flag("text", None, "The token for --push_to_hub; it is written nowhere. hf auth login keeps it out of the command."),
    "prediction_type": Flag("text", None, "Refused where the base predicts something else.", ("epsilon", "v_prediction"), only=PLAIN),
    "hub_model_id": Flag("text", None, "The repository that --push_to_hub writes to; left out, the name of --output_dir."),
    "logging_dir": Flag("text", "logs", "A link in --output_dir to what the trackers write."),
    "mixed_precision": Flag("text", None, "train.precision; left out, what accelerate is configured to.", ("no", "fp16", "bf16")),
    "report_to": Flag("text", "tensorboard", "train.trackers; none for none, all for those that are installed."),
    "local_rank": Flag("whole", -1, "Nothing: launchers say it by the environment."),
    "checkpointing_steps": Flag("whole", 500, "train.checkpoint_every.", least=1),
    "checkpoints_total_limit": Flag("whole", None, "How many checkpoint-N folders are kept.", least=1),
    "resume_from_checkpoint": Flag("text", None, "latest or checkpoint-N. A training that was stopped goes on without it, too."),
    "enable_xformers_memory_efficient_attention": Flag("switch", False, "Nothing: torch's own attention needs as little memory."),
    "enable_npu_flash_attention": Flag("switch", False, "Refused: Decal runs on no Ascend NPU.", only=("sdxl",)),
    "noise_offset": Flag("number", 0.0, "train.noise_offset.", least=0, only=PLAIN),
    "rank": Flag("whole", 4, "train.rank.", least=1),
    "debug_loss": Flag("switch", False, "Nothing: runs/run-01/steps.jsonl has the loss of every step.", only=("sdxl",)),
    "image_interpolation_mode": Flag(
        "text", "lanczos", "Nothing: pictures are resized by Lanczos, which is also the default.", INTERPOLATIONS
    ),
    "instance_data_dir": Flag("text", None, "A folder of pictures, or anything else that decal new --from takes.", only=DREAMBOOTH),
    "instance_prompt": Flag("text", None, "The caption of every picture, except with --caption_column.", only=DREAMBOOTH),
    "with_prior_preservation": Flag("switch", False, "Prior preservation: train.prior_prompt is --class_prompt.", only=DREAMBOOTH),
    "class_prompt": Flag("text", None, "train.prior_prompt.", only=DREAMBOOTH),
    "class_data_dir": Flag(
        "text", None, "Its pictures are copied into prior/ of the project; what is drawn besides lies in its cache.", only=DREAMBOOTH
    ),
    "prior_loss_weight": Flag("number", 1.0, "train.prior_weight.", above=0, only=DREAMBOOTH),
    "num_class_images": Flag("whole", 100, "train.prior_images.", least=1, only=DREAMBOOTH),
    "prior_generation_precision": Flag(
        "text", None, "Nothing: they are drawn in --mixed_precision.", ("no", "fp32", "fp16", "bf16"), only=DREAMBOOTH
    ),
    "sample_batch_size": Flag("whole", 4, "compare.batch: how many pictures are drawn at once.", least=1, only=DREAMBOOTH),
    "repeats": Flag("whole", 1, "Lengthens an epoch, and so the training; all are shown alike.", least=1, only=("dreambooth_sdxl",)),
    "text_encoder_lr": Flag("number", 5e-6, "train.text_learning_rate, with --train_text_encoder.", above=0, only=("dreambooth_sdxl",)),
    "lr_num_cycles": Flag("whole", 1, "train.restarts, of cosine_with_restarts.", least=1, only=DREAMBOOTH),
    "lr_power": Flag("number", 1.0, "Refused but for 1: polynomial falls in a line, which is also its default.", above=0, only=DREAMBOOTH),
    "optimizer": Flag("text", "AdamW", "train.optimizer; prodigy takes a rate of 1 where none was typed.", only=("dreambooth_sdxl",)),
    "prodigy_beta3": Flag("number", None, "Nothing: it is the root of --adam_beta2, Prodigy's own choice.", only=("dreambooth_sdxl",)),
    "prodigy_decouple": Flag("text", "True", "Nothing: it is on, as in the script whatever is written.", only=("dreambooth_sdxl",)),
    "prodigy_use_bias_correction": Flag(
        "text", "True", "Nothing: it is on, as in the script whatever is written.", only=("dreambooth_sdxl",)
    ),
    "prodigy_safeguard_warmup": Flag("text", "True", "Nothing: it is on, as in the script whatever is written.", only=("dreambooth_sdxl",)),
    "adam_weight_decay_text_encoder": Flag(
        "number", 1e-3, "Nothing: text encoders decay like the rest, by --adam_weight_decay.", least=0, only=("dreambooth_sdxl",)
    ),
    "lora_dropout": Flag("number", 0.0, "Refused but for 0: a LoRA is trained without dropout here.", least=0, only=DREAMBOOTH),
    "use_dora": Flag("switch", False, 'train.algorithm = "dora".', only=("dreambooth_sdxl",)),
    "output_kohya_format": Flag(
        "switch", False, "Also writes pytorch_lora_weights_kohya.safetensors, as decal export does.", only=("dreambooth_sdxl",)
    ),
    "do_edm_style_training": Flag("switch", False, "Refused: Decal trains no EDM-style model.", only=("dreambooth_sdxl",)),
    "pre_compute_text_embeddings": Flag("switch", False, "Nothing: captions are encoded once in any case.", only=("dreambooth",)),
    "tokenizer_name": Flag("text", None, "Refused: captions are read with the base's own tokenizer.", only=("dreambooth",)),
    "tokenizer_max_length": Flag("whole", None, "Nothing: captions are as long as the base reads.", least=1, only=("dreambooth",)),
    "text_encoder_use_attention_mask": Flag("switch", False, "Refused: only models with T5 read one.", only=("dreambooth",)),
    "validation_images": Flag("text", None, "Refused: only models that begin with a picture need some.", only=("dreambooth",)),
    "class_labels_conditioning": Flag("text", None, "Refused: no model of these families has class labels.", only=("dreambooth",)),
    "dry_run": Flag("switch", False, "Ours: say what the command means and where it does not do what it seems to, and train nothing."),
}


@dataclass(frozen=True)
class Typed:
    """A command line of one of the scripts.

    given: the flags that were typed. script: whose name was typed, or whose flags are there. problems: what is wrong, a sentence each.
    """

    given: Mapping[str, Value]
    script: Script | None = None
    problems: tuple[str, ...] = ()
    token: str | None = field(default=None, repr=False)

    def __getitem__(self, name: str) -> Value | None:
        return self.given.get(name, FLAGS[name].default_of(self.script))

    @property
    def is_dreambooth(self) -> bool:
        """Whether it is a command of a DreamBooth script."""
        return self.script in DREAMBOOTH

    def text(self, name: str) -> str | None:
        """A flag of text, its default where it was not typed."""
        value = self[name]
        return None if value is None else str(value)

    def whole(self, name: str) -> int:
        """A flag that holds a whole number and has a default, or was typed."""
        value = self[name]
        assert isinstance(value, int), f"{name} is a whole number"
        return value

    def number(self, name: str) -> float:
        """A flag that holds a number and has a default, or was typed."""
        value = self[name]
        assert isinstance(value, int | float), f"{name} is a number"
        return float(value)

    def is_on(self, name: str) -> bool:
        """Whether a switch was typed."""
        return bool(self[name])


def read(words: Sequence[str], script: Script | None = None) -> Typed:
    """The flags of a command line, as argparse would understand them: `--flag value`, `--flag=value`, unique beginnings of names.

    Nothing is raised: what is wrong stands in `problems`, so that everything can be told at once.
    """
    given: dict[str, Value] = {}
    problems: list[str] = []
    left = list(words)
    purpose = PURPOSES[script] if script else _purpose(words)
    while left:
        took = _take(left, purpose)
        if isinstance(took, _Problem):
            problems.append(took.text)
        else:
            given |= took
    problems += _together(given, problems, purpose)
    token = given.pop("hub_token", None)
    if script is None and purpose == "DreamBooth":
        script = "dreambooth_sdxl" if any(FLAGS[name].only == ("dreambooth_sdxl",) for name in given) else "dreambooth"
    elif script is None and any(FLAGS[name].only and "sd" not in FLAGS[name].only for name in given):
        script = "sdxl"
    return Typed(given, script, tuple(problems), None if token is None else str(token))


def _purpose(words: Sequence[str]) -> Purpose:
    """What a command without the name of a script is for."""
    names = {word[2:].partition("=")[0].replace("-", "_") for word in words if word.startswith("--")}
    return "DreamBooth" if names & {"instance_data_dir", "instance_prompt"} else "text to image"


@dataclass(frozen=True)
class _Problem:
    text: str


def _take(left: list[str], purpose: Purpose) -> dict[str, Value] | _Problem:
    """Take a flag with its value off the front of the words."""
    word = left.pop(0)
    if not word.startswith("--"):
        told = "Put quotes around a value with spaces, and a \\ at the end of every line but the last."
        return _Problem(f'"{printable(word)}" belongs to no flag. {told}')
    typed, equals, text = word[2:].partition("=")
    name = _named(typed, purpose)
    is_alone = not left or left[0].startswith("--")
    if name is None:
        if not equals and not is_alone:
            left.pop(0)
        return _Problem(_unknown(typed, purpose))
    if FLAGS[name].kind == "switch":
        if equals:
            return _Problem(f"--{name} is a switch and takes no value (it has {text!r}). Leave the value out, or the whole flag.")
        return {name: True}
    if not equals:
        if is_alone:
            return _Problem(f"--{name} has no value. Write one after it.")
        text = left.pop(0)
    value = _value(name, FLAGS[name], text)
    return value if isinstance(value, _Problem) else {name: value}


def _named(typed: str, purpose: Purpose) -> str | None:
    """The flag of that name, with - for _ too, or the only one that begins so."""
    name = typed.replace("-", "_")
    known = _known(purpose)
    if name in known:
        return name
    begun = [one for one in known if one.startswith(name)] if name else []
    return begun[0] if len(begun) == 1 else None


def _known(purpose: Purpose) -> list[str]:
    return [name for name, flag in FLAGS.items() if purpose in flag.purposes]


def _unknown(typed: str, purpose: Purpose) -> str:
    name, known = typed.replace("-", "_"), _known(purpose)
    begun = [one for one in known if name and one.startswith(name)]
    if begun:
        return f"--{printable(typed)} may be {' or '.join(f'--{one}' for one in begun)}. Write it in full."
    near = difflib.get_close_matches(PEERS.get(name, ""), known, n=1) or difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    told = "decal compat --help  lists the flags."
    if near:
        told = f"Did you mean --{near[0]}?"
    elif name in FLAGS:
        told = f"It is one of those for {' and '.join(sorted(FLAGS[name].purposes))}."
    return f"--{printable(typed)} is not a flag of these scripts. {told}"


# What the same is called in other trainers and in the scripts of the other purpose.
PEERS = {
    "instance_data_dir": "train_data_dir",
    "train_data_dir": "instance_data_dir",
    "caption": "instance_prompt",
    "reg_data_dir": "class_data_dir",
    "num_cycles": "lr_num_cycles",
    "network_dim": "rank",
    "lora_rank": "rank",
    "lr": "learning_rate",
    "batch_size": "train_batch_size",
    "epochs": "num_train_epochs",
    "max_train_epochs": "num_train_epochs",
    "save_every_n_steps": "checkpointing_steps",
    "save_steps": "checkpointing_steps",
    "model": "pretrained_model_name_or_path",
    "min_snr_gamma": "snr_gamma",
    "fp16": "mixed_precision",
    "bf16": "mixed_precision",
    "log_with": "report_to",
    "flip_aug": "random_flip",
}


def _value(name: str, flag: Flag, text: str) -> Value | _Problem:
    """The value of a flag from its text, or what is wrong with it."""
    if flag.kind == "text":
        if flag.choices and text not in flag.choices:
            near = difflib.get_close_matches(text.casefold(), flag.choices, n=1)
            told = f"Did you mean {near[0]}?" if near else f"There are {', '.join(flag.choices)}."
            return _Problem(f"--{name} cannot be {text!r}. {told}")
        return text
    try:
        value: int | float = int(text) if flag.kind == "whole" else float(text)
    except ValueError:
        what = "a whole number" if flag.kind == "whole" else "a number"
        if text.casefold().startswith(PLACEHOLDERS) or text[:1] in "<{[":
            usual = "or leave it out, for the default" if flag.default is None else f"such as {flag.default:g}"
            return _Problem(f"--{name}={text} is a placeholder. Write {what} in its place, {usual}.")
        return _Problem(f"--{name} must be {what} (it is {text!r}).")
    if value != value or value in (float("inf"), float("-inf")):
        return _Problem(f"--{name} must be a finite number (it is {text}).")
    if flag.least is not None and value < flag.least:
        return _Problem(f"--{name} must be at least {flag.least:g} (it is {text}).")
    if flag.above is not None and value <= flag.above:
        return _Problem(f"--{name} must be greater than {flag.above:g} (it is {text}).")
    return value


def _together(given: Mapping[str, Value], problems: Sequence[str], purpose: Purpose) -> list[str]:
    """What is missing or contradicts itself among the flags. problems: those found before, which may be the reason."""
    found = []
    told = " ".join(problems)
    if "pretrained_model_name_or_path" not in given and "--pretrained_model_name_or_path" not in told:
        found.append(
            "--pretrained_model_name_or_path is missing. Write the base: an id of the hub, a folder, or a short name such as sd1.5."
        )
    folder = "train_data_dir" if purpose == "text to image" else "instance_data_dir"
    if not {"dataset_name", folder} & given.keys() and f"--{folder}" not in told and "--dataset_name" not in told:
        found.append(f"--{folder} is missing. Write the folder of your pictures, or --dataset_name for a data set of the hub.")
    if purpose == "DreamBooth":
        found += _together_in_dreambooth(given, told)
    resolution = given.get("resolution")
    if isinstance(resolution, int) and resolution % 8:
        found.append(f"--resolution={resolution} is no multiple of 8. Write {resolution // 8 * 8} or {resolution // 8 * 8 + 8}.")
    if given.get("lr_scheduler") == "piecewise_constant":
        found.append("--lr_scheduler=piecewise_constant needs steps and rates that no flag of the scripts gives. Write another one.")
    if given.get("enable_npu_flash_attention"):
        found.append("--enable_npu_flash_attention needs an Ascend NPU, which Decal does not run on. Leave it out.")
    for name in ("adam_beta1", "adam_beta2"):
        value = given.get(name, 0)
        if isinstance(value, float) and value >= 1:
            found.append(f"--{name} must be below 1 (it is {value:g}).")
    return found


# Flags of the DreamBooth scripts that only other families need or that Decal has nothing for, and the value that asks for nothing.
REFUSED: dict[str, Value | None] = {
    "lr_power": 1.0,
    "lora_dropout": 0.0,
    "do_edm_style_training": False,
    "tokenizer_name": None,
    "text_encoder_use_attention_mask": False,
    "validation_images": None,
    "class_labels_conditioning": None,
}


def _together_in_dreambooth(given: Mapping[str, Value], told: str) -> list[str]:
    """What is missing, contradicts itself or cannot be had among the flags of the DreamBooth scripts."""
    found = []
    if "instance_prompt" not in given and "--instance_prompt" not in told:
        found.append('--instance_prompt is missing. Write the caption of your pictures, such as "a photo of sks dog".')
    if "dataset_name" in given and "instance_data_dir" in given:
        found.append("--dataset_name and --instance_data_dir both say where the pictures are. Keep one.")
    if given.get("with_prior_preservation") and "class_prompt" not in given and "--class_prompt" not in told:
        found.append('--with_prior_preservation needs --class_prompt, what the pictures are in general, such as "a photo of a dog".')
    if given.get("train_text_encoder") and given.get("use_dora"):
        found.append("--use_dora and --train_text_encoder: diffusers leaves the DoRA of text encoders out. Keep one.")
    if given.get("train_text_encoder") and given.get("pre_compute_text_embeddings"):
        found.append("--pre_compute_text_embeddings and --train_text_encoder contradict each other. Keep one.")
    optimizer = str(given.get("optimizer", "AdamW"))
    if optimizer.casefold() not in ("adamw", "prodigy"):
        found.append(f"--optimizer cannot be {optimizer!r}. There are AdamW and prodigy.")
    for name, nothing in REFUSED.items():
        if given.get(name, nothing) != nothing:
            does = FLAGS[name].does.partition(": ")[2].removesuffix(".")
            found.append(f"--{name} cannot be had: {does}. Leave it out.")
    return found
