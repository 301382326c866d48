"""Flags -> settings, with every step that a person should know of as a sentence.

What the scripts count in epochs becomes steps as they count them: `epochs x ceil(ceil(pictures / batch) / accumulation)`. Where a flag is
left out, the scripts' default holds (rank 4, constant rate, no caption dropout), except for the size of pictures, which is the base's own.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from decal.compat.flags import FLAGS, PURPOSES, SCRIPTS, Script, Typed
from decal.compat.launching import Launch
from decal.presets import BASES, DEAD_IDS, as_folder, base_preset, why_unknown
from decal.wording import printable

Family = Literal["sd", "sdxl"]
# Side of the pictures where neither a flag nor the base says it; the scripts' defaults.
SIDES: dict[Family, int] = {"sd": 512, "sdxl": 1024}
FAMILIES: dict[Script, Family] = {"sd": "sd", "sdxl": "sdxl", "dreambooth": "sd", "dreambooth_sdxl": "sdxl"}
# VAEs that are a repair of SDXL's for half precision, which is not needed where the VAE computes in float32.
HALF_PRECISION_VAES = ("madebyollin/sdxl-vae-fp16-fix",)
SCHEDULES = {"constant_with_warmup": "constant"}
PRECISIONS = {"no": "fp32", "fp16": "fp16", "bf16": "bf16"}


@dataclass(frozen=True)
class Plan:
    """What a command asks for, in our words.

    model: the base. revision: of the hub; None for the newest. source: where the pictures come from, as `decal new --from` takes it.
    caption_column: None for the usual names. prompt: the caption of all pictures, or of those without one where `has_captions`; None where
    each has its own. output: the scripts' folder;
    the project is `decal/` in it. notes: what a person should know.
    """

    typed: Typed
    launch: Launch
    family: Family
    model: str
    revision: str | None
    source: str
    caption_column: str | None
    limit: int | None
    output: Path
    notes: tuple[str, ...]
    prompt: str | None = None

    @property
    def has_captions(self) -> bool:
        """Whether pictures bring captions of their own."""
        return self.prompt is None or self.caption_column is not None

    @property
    def project(self) -> Path:
        return self.output / "decal"

    def steps_an_epoch(self, pictures: int) -> int:
        """Optimizer steps of one pass over the pictures, as the scripts count them."""
        typed, shown = self.typed, pictures
        if typed.is_dreambooth:
            # The scripts show as many as there are of the kind in general, where those are more.
            shown = max(pictures * typed.whole("repeats"), typed.whole("num_class_images") if typed.is_on("with_prior_preservation") else 0)
        batches = math.ceil(shown / (typed.whole("train_batch_size") * self.launch.processes))
        return max(1, math.ceil(batches / self.typed.whole("gradient_accumulation_steps")))

    def steps(self, pictures: int) -> int:
        """Optimizer steps of the whole training."""
        asked = self.typed["max_train_steps"]
        return int(asked) if asked is not None else self.typed.whole("num_train_epochs") * self.steps_an_epoch(pictures)

    @property
    def warms_up(self) -> bool:
        """Whether the schedule has a warm-up, or one was typed for `constant`, which has none in the scripts."""
        return self.typed["lr_scheduler"] != "constant" or "lr_warmup_steps" in self.typed.given

    def warmup(self, pictures: int) -> int:
        """Steps over which the rate rises: of the default 500 only where the schedule has a warm-up and the training is longer."""
        is_typed, asked = "lr_warmup_steps" in self.typed.given, self.typed.whole("lr_warmup_steps")
        if not self.warms_up or (not is_typed and self.steps(pictures) < asked):
            return 0
        return min(asked, self.steps(pictures))

    def settings(self, pictures: int, *, keyword: str, has_cuda: bool) -> dict[str, dict[str, object]]:
        """The settings of the project, by section. pictures: how many there are, > 0. has_cuda: whether fp16 can be computed."""
        typed = self.typed
        prompt = typed.text("validation_prompt")
        size = typed.whole("train_batch_size") * typed.whole("gradient_accumulation_steps") * self.launch.processes
        trackers = typed.text("report_to") or ""
        is_prodigy = str(typed["optimizer"]).casefold() == "prodigy"
        rate = typed.number("learning_rate") * (size if typed.is_on("scale_lr") else 1)
        if is_prodigy and "learning_rate" not in typed.given:
            rate = 1.0
        has_own = typed.script == "dreambooth_sdxl" or "text_encoder_lr" in typed.given
        of_text = typed.number("text_encoder_lr") if has_own and not is_prodigy else rate
        train: dict[str, object] = {
            "steps": self.steps(pictures),
            "batch": typed["train_batch_size"],
            # Each process of the scripts has a batch of its own; here the settings say what all of them do in a step.
            "accumulation": typed.whole("gradient_accumulation_steps") * self.launch.processes,
            "rank": typed["rank"],
            "targets": "attention",
            "algorithm": "dora" if typed.is_on("use_dora") else "lora",
            "optimizer": "prodigy" if is_prodigy else "adamw_8bit" if typed.is_on("use_8bit_adam") else "adamw",
            "learning_rate": rate,
            "text_learning_rate": of_text if typed.is_on("train_text_encoder") else None,
            "schedule": SCHEDULES.get(str(typed["lr_scheduler"]), typed["lr_scheduler"]),
            "warmup_steps": self.warmup(pictures),
            "restarts": typed["lr_num_cycles"],
            "beta1": typed["adam_beta1"],
            "beta2": typed["adam_beta2"],
            "epsilon": typed["adam_epsilon"],
            "weight_decay": typed["adam_weight_decay"],
            "max_grad_norm": typed["max_grad_norm"],
            "min_snr_gamma": typed["snr_gamma"],
            "noise_offset": typed["noise_offset"],
            "gradient_checkpointing": typed.is_on("gradient_checkpointing"),
            "caption_dropout": 0.0,
            "precision": PRECISIONS[self.precision(has_cuda=has_cuda)],
            "device": "cpu" if self.launch.is_cpu else "auto",
            "seed": typed["seed"] or 0,
            "checkpoint_every": typed["checkpointing_steps"],
            "validation_prompts": [prompt] if prompt and typed.whole("num_validation_images") else [],
            "validate_every": typed.whole("validation_epochs") * self.steps_an_epoch(pictures),
            "validation_images": max(1, typed.whole("num_validation_images")),
            "trackers": [] if trackers in ("", "none") else [trackers],
        }
        if typed.is_on("with_prior_preservation"):
            train |= {
                "prior_prompt": typed["class_prompt"],
                "prior_weight": typed["prior_loss_weight"],
                "prior_images": typed["num_class_images"],
            }
        data: dict[str, object] = {
            "resolution": self.side,
            "fit": "crop" if typed.is_on("center_crop") else "pad",
            "flip": typed.is_on("random_flip"),
            "holdout_share": 0.0,
            "faulty": "keep",
        }
        return {
            "base": {"model": self.model},
            "data": data,
            "caption": {"keyword": keyword, "kind_words": [], "template": self.template(keyword)},
            "train": train,
            **({"compare": {"batch": typed["sample_batch_size"]}} if "sample_batch_size" in typed.given else {}),
        }

    def template(self, keyword: str) -> str:
        """What new prompts are made by: the one thing of a DreamBooth training beside others, or others in the style."""
        if self.prompt and not {"{", "}"} & set(self.prompt):
            return f"{self.prompt} beside {{subject}}"
        return f"{{subject}}, {keyword} style" if keyword else "{subject}"

    def precision(self, *, has_cuda: bool) -> str:
        """What is computed in: no, fp16 or bf16; the script's flag goes before accelerate's configuration, and a CPU has no fp16."""
        asked = self.typed.text("mixed_precision") or self.launch.precision or "no"
        return "no" if asked == "fp16" and (self.launch.is_cpu or not has_cuda) else asked

    @property
    def side(self) -> int | None:
        """Side of the training pictures; None for the base's own."""
        asked = self.typed["resolution"]
        if asked is None and base_preset(self.model).resolution == 0:
            return SIDES[self.family]
        return None if asked is None else int(asked)


def family_of(model: str) -> Family | None:
    """The family of a base by its folder or its name; None where neither tells."""
    folder = as_folder(model)
    if folder is not None:
        try:
            unet = json.loads((folder / "unet" / "config.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return "sdxl" if unet.get("addition_embed_type") == "text_time" else "sd"
    if re.search(r"sd[-_]?xl|xl[-_]base|stable-diffusion-xl", model.casefold()):
        return "sdxl"
    if DEAD_IDS.get(model, model) in BASES or base_preset(DEAD_IDS.get(model, model)).resolution:
        return "sd"
    return None


def translate(typed: Typed, launch: Launch) -> tuple[Plan, tuple[str, ...]]:
    """The plan of a command, and what is wrong with it, a sentence each; the plan is of use where nothing is."""
    problems = [*typed.problems, *launch.problems]
    notes: list[str] = []
    named = typed.text("pretrained_model_name_or_path") or "mini"
    folder = as_folder(named)
    model = str(folder) if folder is not None else DEAD_IDS.get(named, named)
    known = family_of(named)
    family: Family = known or (FAMILIES[typed.script] if typed.script else "sd")
    meant: Script = next(
        script for script, of in FAMILIES.items() if of == family and (PURPOSES[script] == "DreamBooth") is typed.is_dreambooth
    )
    unknown = why_unknown(model)
    if unknown is not None:
        problems.append(f"--pretrained_model_name_or_path={unknown}")
    if typed.script and meant != typed.script:
        name = next(name for name, script in SCRIPTS.items() if script == meant)
        notes.append(f"{printable(named)} is of the family of {name}; it is trained as that, whichever script was named.")
    # The defaults of the script that is meant hold.
    typed = replace(typed, script=meant)
    source = _source(typed, problems)
    if launch.processes > 1:
        notes.append(
            f"{launch.processes} processes: --train_batch_size is that of each, as in the scripts, so a step learns from "
            f"{typed.whole('train_batch_size') * typed.whole('gradient_accumulation_steps') * launch.processes} pictures."
        )
    notes += [*_without_effect(typed, problems), *_without_company(typed, source, is_folder=folder is not None)]
    kind = typed.text("class_data_dir")
    if kind is not None and typed.is_on("with_prior_preservation") and not Path(kind).is_dir():
        notes.append(f"--class_data_dir={printable(kind)} is not there, so the base draws all {typed['num_class_images']} pictures.")
    caption_column = typed.text("caption_column") if "caption_column" in typed.given else None
    prompt = typed.text("instance_prompt") if typed.is_dreambooth else None
    output = Path(typed.text("output_dir") or "")
    revision = None if folder is not None else typed.text("revision")
    limit = typed["max_train_samples"]
    rows = None if limit is None else int(limit)
    plan = Plan(typed, launch, family, model, revision, source, caption_column, rows, output, tuple(notes), prompt)
    return plan, tuple(problems)


def _source(typed: Typed, problems: list[str]) -> str:
    """Where the pictures come from, as `decal new --from` takes it."""
    where = "instance_data_dir" if typed.is_dreambooth else "train_data_dir"
    name, folder = typed.text("dataset_name"), typed.text(where)
    if name is not None:
        if Path(name).exists():
            return name
        if re.fullmatch(r"[\w.-]+/[\w.-]+", name):
            config = typed.text("dataset_config_name")
            return f"hf:{name}" + (f"/{config}" if config else "")
        problems.append(
            f"--dataset_name={printable(name)} is no folder here and no data set of the hub, which is written owner/name. "
            f"Write that, or put a folder of pictures into --{where}."
        )
    elif folder is not None and not Path(folder).exists():
        problems.append(f"--{where}={printable(folder)} is not there. Write the folder of your pictures.")
    return folder or name or ""


def _without_effect(typed: Typed, problems: list[str]) -> list[str]:
    """What is to be said of flags that were typed and change nothing."""
    notes = []
    for name, value in typed.given.items():
        does, default = FLAGS[name].does, FLAGS[name].default_of(typed.script)
        if does.startswith("Nothing") and value != default:
            notes.append(f"--{name}={value} has no effect: {does.removeprefix('Nothing').removeprefix(': ').removeprefix(' ')}")
    vae = typed.text("pretrained_vae_model_name_or_path")
    if vae in HALF_PRECISION_VAES:
        notes.append(f"--pretrained_vae_model_name_or_path={vae} is not needed: the base's own VAE computes in float32 here.")
    elif vae is not None:
        problems.append(
            f"--pretrained_vae_model_name_or_path={printable(vae)}: pictures are encoded with the base's own VAE. "
            "Leave it out, or name a base that holds this VAE."
        )
    if typed["max_train_samples"] is not None:
        notes.append(f"--max_train_samples={typed['max_train_samples']}: the first rows are taken, the same ones at every call.")
    if "seed" not in typed.given:
        notes.append("no --seed: it is 0, so that the same command gives the same LoRA.")
    return notes


def _without_company(typed: Typed, source: str, *, is_folder: bool) -> list[str]:
    """What is to be said of flags that were typed and mean nothing beside the others, or without them."""
    given = typed.given
    reasons = {
        "revision": "a base that is a folder has no revision" if is_folder else "",
        "dataset_config_name": "only a data set of the hub has configurations" if not source.startswith("hf:") else "",
        "train_data_dir": "--dataset_name goes before it" if "dataset_name" in given else "",
        "num_train_epochs": "--max_train_steps goes before it" if "max_train_steps" in given else "",
        "num_validation_images": "there is no --validation_prompt" if "validation_prompt" not in given else "",
        "validation_epochs": "there is no --validation_prompt" if "validation_prompt" not in given else "",
        "hub_model_id": "there is no --push_to_hub" if not typed.is_on("push_to_hub") else "",
        "lr_num_cycles": "only cosine_with_restarts has cycles" if typed["lr_scheduler"] != "cosine_with_restarts" else "",
        "text_encoder_lr": "there is no --train_text_encoder" if not typed.is_on("train_text_encoder") else "",
        **dict.fromkeys(
            ("class_prompt", "class_data_dir", "prior_loss_weight", "num_class_images"),
            "there is no --with_prior_preservation" if not typed.is_on("with_prior_preservation") else "",
        ),
    }
    notes = [f"--{name}={given[name]} has no effect: {why}." for name, why in reasons.items() if name in given and why]
    if typed.token is not None and not typed.is_on("push_to_hub"):
        notes.append("--hub_token has no effect: there is no --push_to_hub.")
    return notes


def shown(settings: Mapping[str, Mapping[str, object]]) -> list[str]:
    """The settings that a command stands for, as lines to print."""
    return [
        f"  {section}.{key} = {json.dumps(value, ensure_ascii=False)}"
        for section, values in settings.items()
        for key, value in values.items()
        if value is not None
    ]
