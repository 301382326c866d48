"""A file of settings, or a table, to typed settings: every problem is collected, and then they are told together."""

import difflib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from decal.errors import SettingsError
from decal.settings.telling import fields
from decal.settings.whole import SECTIONS, Settings
from decal.wording import counted

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
    "train_text_encoder_ti": "pivotal",
    "train_text_encoder_ti_frac": "pivotal_share",
    "num_new_tokens_per_abstraction": "pivotal",
    "initializer_concept": "pivotal_from",
    "ti_lr": "pivotal_learning_rate",
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
    "masked_loss": "masks",
    "random_crop": "variants",
    "masked_training": "masks",
    "conditioning_data_dir": "masks",
    "mask_path": "masks",
    "unmasked_weight": "transparent_weight",
    "pretrained_model_name_or_path": "model",
    "report_to": "trackers",
}


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
        known = [name for name, _, _ in fields()] if "." in place else list(SECTIONS)
        key = place.rpartition(".")[2]
        near = [name for name in known if name.endswith(f".{PEER_NAMES.get(key)}")]
        near = near or difflib.get_close_matches(place, known, n=1, cutoff=0.5)
        return [f"{place} is not a setting." + (f" Did you mean {near[0]}?" if near else " `decal presets` lists them all.")]
    message = str(detail["msg"]).removeprefix("Value error, ")
    if not place:
        return message.split("\n")
    if detail["type"] == "string_pattern_mismatch":
        place = place.removesuffix(".[key]")
        return [f"{place} must be one word of small letters and digits, a letter first (it is {detail['input']!r})."]
    message = message.removeprefix("Input should be ")
    return [f"{place} must be {message} (it is {detail['input']!r})."]
