"""What `accelerate launch` adds to a command: its own options, its configuration file, and the environment it leaves to a script.

Options go before the file, and the script's --mixed_precision before both, as in accelerate. What spreads a model over devices (DeepSpeed,
FSDP) or machines is refused with a reason. Facts: accelerate 1.15, commands/launch.py, commands/config/config_args.py, utils/launch.py;
torch 2.13, distributed/run.py.
"""

import difflib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import cast

import yaml

from decal.compat.flags import SCRIPTS, Script
from decal.errors import SettingsError
from decal.wording import printable

# Options of `accelerate launch` that change what is trained or where; True takes a value.
TAKEN = {"config_file": True, "mixed_precision": True, "num_processes": True, "num_machines": True, "gpu_ids": True, "cpu": False}
# Those that mean nothing to one process on one machine.
WITHOUT_EFFECT = {
    "num_cpu_threads_per_process": True,
    "main_process_port": True,
    "main_process_ip": True,
    "machine_rank": True,
    "main_training_function": True,
    "monitor_interval": True,
    "max_restarts": True,
    "rdzv_backend": True,
    "rdzv_conf": True,
    "tee": True,
    "log_dir": True,
    "dynamo_backend": True,
    "dynamo_mode": True,
    "downcast_bf16": False,
    "enable_cpu_affinity": False,
    "multi_gpu": False,
    "same_network": False,
    "debug": False,
    "quiet": False,
    "module": False,
}
SHORT = {"-q": "quiet", "-m": "module"}
# How many processes the MPIs say they have started.
MPI = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
REFUSED = {
    "use_deepspeed": "DeepSpeed",
    "use_fsdp": "FSDP",
    "use_megatron_lm": "Megatron-LM",
    "use_parallelism_config": "parallelism over devices",
    "tpu": "TPUs",
    "no_python": "another program than Python",
}
PRECISIONS = ("no", "fp16", "bf16")


@dataclass(frozen=True)
class Launch:
    """How a training is launched. precision: no, fp16 or bf16; None where nothing says. where: what said it, for messages.

    processes: that train together. index: which of them this one is, from 0; None where they are yet to be started. notes: what a person
    should know of it.
    """

    precision: str | None = None
    is_cpu: bool = False
    processes: int = 1
    index: int | None = None
    gpu_ids: str | None = None
    where: str = "accelerate"
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Command:
    """A command line in its parts: how it is launched, which script it names, and the words after that."""

    launch: Launch
    script: Script | None
    words: tuple[str, ...]


def split(words: Sequence[str]) -> Command:
    """A command as typed, with or without `accelerate launch`, `python` and the script's name, in its parts.

    Raises SettingsError where a configuration file is named and cannot be read.
    """
    left = list(words)
    if left[:1] and left[0].startswith("!"):
        # A line of a notebook.
        left[0] = left[0][1:]
        left = left if left[0] else left[1:]
    options: dict[str, str] = {}
    problems: list[str] = []
    is_launched = False
    if [PurePath(word).name for word in left[:1]] == ["accelerate"] and left[1:2] == ["launch"]:
        left, is_launched = left[2:], True
        problems = _take_options(left, options)
    elif left[:1] and PurePath(left[0]).name.startswith("python"):
        left = left[1:]
    script = None
    if left and left[0].endswith(".py") and not left[0].startswith("-"):
        name = PurePath(left.pop(0)).name
        script = SCRIPTS.get(name)
        if script is None:
            near = difflib.get_close_matches(name, SCRIPTS, n=1)
            told = f"Did you mean {near[0]}?" if near else f"There are {' and '.join(SCRIPTS)}."
            problems.append(f"{printable(name)} is not one of the scripts that Decal understands. {told}")
    return Command(_launch(options, problems, is_launched=is_launched), script, tuple(left))


def of_environment(environment: Mapping[str, str]) -> Launch:
    """How `accelerate launch` or torchrun has started this process, by what they leave in the environment; nothing where they have not."""
    asked = {
        "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
        "ACCELERATE_USE_FSDP": "FSDP",
        "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
        "ACCELERATE_USE_PARALLELISM_CONFIG": "parallelism over devices",
    }
    problems = [_refused(what) for name, what in asked.items() if environment.get(name, "").casefold() in ("true", "1")]
    processes = _whole(environment.get("WORLD_SIZE")) if "RANK" in environment else 1
    beside = _whole(environment.get("LOCAL_WORLD_SIZE", processes))
    problems += _too_many(processes // beside)
    notes = []
    if processes == 1 and any(_whole(environment.get(name)) > 1 for name in MPI):
        problems.append("mpirun has started several processes, which do not find each other here. Write --multi_gpu, or use torchrun.")
    elif processes == 1 and "ACCELERATE_MIXED_PRECISION" in environment and "MASTER_PORT" in environment:
        notes.append(
            "accelerate launch starts one process on processors, whatever --num_processes says, and that one trains alone: for several "
            "write --multi_gpu --num_processes=2, which needs no GPU, or torchrun --nproc_per_node=2."
        )
    return Launch(
        _precision(environment.get("ACCELERATE_MIXED_PRECISION"), problems),
        environment.get("ACCELERATE_USE_CPU", "").casefold() in ("true", "1"),
        processes,
        int(environment.get("RANK", 0)),
        where="accelerate launch",
        problems=tuple(problems),
        notes=tuple(notes),
    )


def to_start(launch: Launch, words: Sequence[str], environment: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """The program that starts the processes of a launch, each with these words of `decal`, and its environment."""
    # Not accelerate's launcher, which starts one process on a machine without GPUs.
    program = [sys.executable, "-m", "decal.processes", "--standalone", f"--nproc-per-node={launch.processes}", "-m", "decal"]
    said = {"ACCELERATE_USE_CPU": str(launch.is_cpu)}
    if launch.precision is not None:
        said["ACCELERATE_MIXED_PRECISION"] = launch.precision
    if launch.gpu_ids is not None:
        said["CUDA_VISIBLE_DEVICES"] = launch.gpu_ids
    return [*program, *words], {**environment, **said}


def config_file() -> Path:
    """Where `accelerate config` and `write_basic_config()` write, whether it is there or not."""
    cache = os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface")
    folder = Path(cache).expanduser() / "accelerate"
    old = folder / "default_config.json"
    return old if old.is_file() and not (folder / "default_config.yaml").is_file() else folder / "default_config.yaml"


def _take_options(left: list[str], options: dict[str, str]) -> list[str]:
    """Take the options of `accelerate launch` off the front of the words; what is wrong with them."""
    problems = []
    while left and left[0].startswith("-"):
        word = left.pop(0)
        typed, equals, text = word.lstrip("-").partition("=")
        name = SHORT.get(word, typed.replace("-", "_"))
        if name in REFUSED:
            problems.append(_refused(REFUSED[name]))
        elif name in TAKEN or name in WITHOUT_EFFECT:
            takes_value = TAKEN.get(name, WITHOUT_EFFECT.get(name, False))
            if takes_value and not equals:
                text = left.pop(0) if left else ""
            if name in TAKEN:
                options[name] = text if takes_value else "true"
        else:
            near = difflib.get_close_matches(name, [*TAKEN, *WITHOUT_EFFECT], n=1)
            told = f"Did you mean --{near[0]}?" if near else "Leave it out."
            problems.append(f"--{printable(typed)} is not an option of accelerate launch that Decal understands. {told}")
            if not equals and left and not left[0].startswith("-") and not left[0].endswith(".py"):
                left.pop(0)
    return problems


def _launch(options: Mapping[str, str], problems: list[str], *, is_launched: bool) -> Launch:
    """What the options say, and where they say nothing, the configuration file; several processes only the launcher starts."""
    path = Path(options["config_file"]).expanduser() if "config_file" in options else config_file()
    said = _read(path, is_named="config_file" in options)
    problems += [
        _refused(what, str(path))
        for key, what in {
            "deepspeed_config": "DeepSpeed",
            "fsdp_config": "FSDP",
            "megatron_lm_config": "Megatron-LM",
            "parallelism_config": "parallelism over devices",
        }.items()
        if said.get(key)
    ]
    if str(said.get("compute_environment", "LOCAL_MACHINE")) != "LOCAL_MACHINE":
        problems.append(_refused(str(said["compute_environment"]), str(path)))
    precision = options.get("mixed_precision", said.get("mixed_precision"))
    problems += _too_many(_whole(options.get("num_machines", said.get("num_machines"))))
    gpu_ids = options.get("gpu_ids", said.get("gpu_ids"))
    return Launch(
        _precision(precision, problems),
        "cpu" in options or bool(said.get("use_cpu")),
        _whole(options.get("num_processes", said.get("num_processes"))) if is_launched else 1,
        gpu_ids=None if gpu_ids in (None, "all") else str(gpu_ids),
        where="--mixed_precision of accelerate launch" if "mixed_precision" in options else str(path),
        problems=tuple(problems),
    )


def _read(path: Path, *, is_named: bool) -> Mapping[str, object]:
    """The configuration in a file, YAML or JSON; nothing where there is no file and none was named."""
    if not path.is_file():
        if is_named:
            raise SettingsError(f"--config_file {path} is not there.\nName the file that  accelerate config  wrote, or leave it out.")
        return {}
    try:
        # JSON, which write_basic_config() writes, is YAML too.
        said = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as problem:
        reason = str(problem).splitlines()[0]
        raise SettingsError(f"{path} cannot be read ({reason}).\nMake it anew with  accelerate config  or delete it.") from problem
    if not isinstance(said, dict):
        raise SettingsError(f"{path} is no configuration of accelerate.\nMake it anew with  accelerate config  or delete it.")
    return cast(Mapping[str, object], said)


def _precision(said: object, problems: list[str]) -> str | None:
    # An unquoted `no` is false in YAML.
    text = "no" if said is False else str(said or "").casefold()
    if not text or text in PRECISIONS:
        return text or None
    problems.append(f"mixed_precision = {text} is not known here. Write no, fp16 or bf16.")
    return None


def _whole(said: object) -> int:
    try:
        return max(1, int(str(said)))
    except ValueError:
        return 1


def _too_many(machines: int) -> list[str]:
    return [f"{machines} machines were asked for, and training runs on one. Write --num_machines=1."] if machines > 1 else []


def _refused(what: str, where: str = "accelerate launch") -> str:
    return f"{where} asks for {what}, which spreads a model that is too large for one device; a LoRA of these is not. Leave it out."
