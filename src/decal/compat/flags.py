"""Every flag of the two scripts of diffusers 0.42, and a reader of command lines that collects all problems before it complains.

The names, types, defaults and choices are facts of `examples/text_to_image/train_text_to_image_lora.py` and `..._lora_sdxl.py`; what
becomes of each flag is said here in a sentence, which `decal compat --help` and docs/diffusers.md show. A flag without effect says so.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from decal.wording import printable

Kind = Literal["text", "whole", "number", "switch"]
Value = str | int | float | bool
Script = Literal["sd", "sdxl"]
SCRIPTS: dict[str, Script] = {"train_text_to_image_lora.py": "sd", "train_text_to_image_lora_sdxl.py": "sdxl"}
# What people write where a value is to be put in, besides <...> and {...}.
PLACEHOLDERS = ("your_", "my_", "todo", "xxx")


@dataclass(frozen=True)
class Flag:
    """One flag. default: None where leaving it out means something of its own. does: what becomes of it here.

    least: the smallest number that makes sense; `above` is not allowed itself. only: the script that has it; None for both.
    """

    kind: Kind
    default: Value | None
    does: str
    choices: tuple[str, ...] = ()
    least: float | None = None
    above: float | None = None
    only: Script | None = None


SCHEDULERS = ("linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "piecewise_constant")
INTERPOLATIONS = ("nearest", "nearest_exact", "bilinear", "bicubic", "box", "hamming", "lanczos")

FLAGS: dict[str, Flag] = {
    "pretrained_model_name_or_path": Flag(
        "text", None, "base.model; an id that has left the hub is replaced by a mirror of the same weights."
    ),
    "pretrained_vae_model_name_or_path": Flag(
        "text", None, "The fp16-fix VAE is not needed, the base's own stays in float32; any other VAE is refused.", only="sdxl"
    ),
    "revision": Flag("text", None, "The base at that revision of the hub."),
    "variant": Flag("text", None, "Nothing: the weights are read from the files without a variant, and computed in --mixed_precision."),
    "dataset_name": Flag("text", None, "A data set of the hub, owner/name, or a folder here; goes before --train_data_dir."),
    "dataset_config_name": Flag("text", None, "The configuration of the data set on the hub."),
    "train_data_dir": Flag("text", None, "A folder of pictures with metadata.jsonl, or anything else that decal new --from takes."),
    "image_column": Flag("text", "image", "Nothing where it is image; Decal finds the column of pictures by what is in it."),
    "caption_column": Flag("text", "text", "The column or key that holds the captions."),
    "validation_prompt": Flag("text", None, "train.validation_prompts; drawn with the base's own sampler, steps and guidance."),
    "num_validation_images": Flag("whole", 4, "train.validation_images.", least=0),
    "validation_epochs": Flag("whole", 1, "train.validate_every, in steps; the end is always drawn.", least=1),
    "max_train_samples": Flag("whole", None, "The first so many rows; the scripts take them at random.", least=1),
    "output_dir": Flag("text", "sd-model-finetuned-lora", "The folder with the scripts' layout; the project is its folder decal/."),
    "cache_dir": Flag("text", None, "Nothing: a data set of the hub is streamed into the project, and no copy of it is cached."),
    "seed": Flag("whole", None, "train.seed; left out it is 0, so that every training repeats.", least=0),
    "resolution": Flag("whole", None, "data.resolution, a multiple of 8; left out, that of the base.", least=16),
    "center_crop": Flag("switch", False, 'data.fit = "crop"; left out, pictures are padded instead of cropped at random.'),
    "random_flip": Flag("switch", False, "data.flip."),
    "train_text_encoder": Flag("switch", False, "train.text_learning_rate, which is then the rate of all.", only="sdxl"),
    "train_batch_size": Flag("whole", 16, "train.batch.", least=1),
    "num_train_epochs": Flag("whole", 100, "train.steps: as many as the scripts count for these pictures.", least=1),
    "max_train_steps": Flag("whole", None, "train.steps; goes before --num_train_epochs.", least=1),
    "gradient_accumulation_steps": Flag("whole", 1, "train.accumulation.", least=1),
    "gradient_checkpointing": Flag("switch", False, "train.gradient_checkpointing."),
    "learning_rate": Flag("number", 1e-4, "train.learning_rate.", above=0),
    "scale_lr": Flag("switch", False, "The learning rate is multiplied by batch, accumulation and processes."),
    "lr_scheduler": Flag("text", "constant", "train.schedule; piecewise_constant needs rules that no flag can give.", SCHEDULERS),
    "lr_warmup_steps": Flag(
        "whole", 500, "train.warmup_steps, which every schedule honours; of constant only where it was typed.", least=0
    ),
    "snr_gamma": Flag("number", None, "train.min_snr_gamma.", above=0),
    "use_8bit_adam": Flag("switch", False, 'train.optimizer = "adamw_8bit", which needs a CUDA GPU.'),
    "allow_tf32": Flag("switch", False, "Matrix products of float32 may be rounded to TF32 on an NVIDIA GPU."),
    "dataloader_num_workers": Flag("whole", 0, "Nothing: pictures and captions are encoded once, before training.", least=0),
    "adam_beta1": Flag("number", 0.9, "train.beta1.", least=0),
    "adam_beta2": Flag("number", 0.999, "train.beta2.", least=0),
    "adam_weight_decay": Flag("number", 1e-2, "train.weight_decay.", least=0),
    "adam_epsilon": Flag("number", 1e-8, "train.epsilon.", above=0),
    "max_grad_norm": Flag("number", 1.0, "train.max_grad_norm.", above=0),
    "push_to_hub": Flag("switch", False, "decal publish at the end: the LoRA, its card and pictures, in one commit, private."),
    "hub_token": Flag("text", None, "The token for --push_to_hub; it is written nowhere. hf auth login keeps it out of the command."),
    "prediction_type": Flag("text", None, "Refused where the base predicts something else.", ("epsilon", "v_prediction")),
    "hub_model_id": Flag("text", None, "The repository that --push_to_hub writes to; left out, the name of --output_dir."),
    "logging_dir": Flag("text", "logs", "A link in --output_dir to what the trackers write."),
    "mixed_precision": Flag("text", None, "train.precision; left out, what accelerate is configured to.", ("no", "fp16", "bf16")),
    "report_to": Flag("text", "tensorboard", "train.trackers; none for none, all for those that are installed."),
    "local_rank": Flag("whole", -1, "Nothing: launchers say it by the environment."),
    "checkpointing_steps": Flag("whole", 500, "train.checkpoint_every.", least=1),
    "checkpoints_total_limit": Flag("whole", None, "How many checkpoint-N folders are kept.", least=1),
    "resume_from_checkpoint": Flag("text", None, "latest or checkpoint-N. A training that was stopped goes on without it, too."),
    "enable_xformers_memory_efficient_attention": Flag("switch", False, "Nothing: torch's own attention needs as little memory."),
    "enable_npu_flash_attention": Flag("switch", False, "Refused: Decal runs on no Ascend NPU.", only="sdxl"),
    "noise_offset": Flag("number", 0.0, "train.noise_offset.", least=0),
    "rank": Flag("whole", 4, "train.rank.", least=1),
    "debug_loss": Flag("switch", False, "Nothing: runs/run-01/steps.jsonl has the loss of every step.", only="sdxl"),
    "image_interpolation_mode": Flag(
        "text", "lanczos", "Nothing: pictures are resized by Lanczos, which is also the default.", INTERPOLATIONS
    ),
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
        return self.given.get(name, FLAGS[name].default)

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
    while left:
        took = _take(left)
        if isinstance(took, _Problem):
            problems.append(took.text)
        else:
            given |= took
    problems += _together(given, problems)
    token = given.pop("hub_token", None)
    if script is None and any(FLAGS[name].only == "sdxl" for name in given):
        script = "sdxl"
    return Typed(given, script, tuple(problems), None if token is None else str(token))


@dataclass(frozen=True)
class _Problem:
    text: str


def _take(left: list[str]) -> dict[str, Value] | _Problem:
    """Take a flag with its value off the front of the words."""
    word = left.pop(0)
    if not word.startswith("--"):
        told = "Put quotes around a value with spaces, and a \\ at the end of every line but the last."
        return _Problem(f'"{printable(word)}" belongs to no flag. {told}')
    typed, equals, text = word[2:].partition("=")
    name = _named(typed)
    is_alone = not left or left[0].startswith("--")
    if name is None:
        if not equals and not is_alone:
            left.pop(0)
        return _Problem(_unknown(typed))
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


def _named(typed: str) -> str | None:
    """The flag of that name, with - for _ too, or the only one that begins so."""
    name = typed.replace("-", "_")
    if name in FLAGS:
        return name
    begun = [known for known in FLAGS if known.startswith(name)] if name else []
    return begun[0] if len(begun) == 1 else None


def _unknown(typed: str) -> str:
    name = typed.replace("-", "_")
    begun = [known for known in FLAGS if name and known.startswith(name)]
    if begun:
        return f"--{printable(typed)} may be {' or '.join(f'--{known}' for known in begun)}. Write it in full."
    near = difflib.get_close_matches(name, FLAGS, n=1, cutoff=0.6) or difflib.get_close_matches(PEERS.get(name, ""), FLAGS, n=1)
    told = f"Did you mean --{near[0]}?" if near else "decal compat --help  lists the flags."
    return f"--{printable(typed)} is not a flag of these scripts. {told}"


# What the same is called in other trainers and in diffusers' DreamBooth scripts.
PEERS = {
    "instance_data_dir": "train_data_dir",
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


def _together(given: Mapping[str, Value], problems: Sequence[str]) -> list[str]:
    """What is missing or contradicts itself among the flags. problems: those found before, which may be the reason."""
    found = []
    told = " ".join(problems)
    if "pretrained_model_name_or_path" not in given and "--pretrained_model_name_or_path" not in told:
        found.append(
            "--pretrained_model_name_or_path is missing. Write the base: an id of the hub, a folder, or a short name such as sd1.5."
        )
    if not {"dataset_name", "train_data_dir"} & given.keys() and "--train_data_dir" not in told and "--dataset_name" not in told:
        found.append("--train_data_dir is missing. Write the folder of your pictures, or --dataset_name for a data set of the hub.")
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
