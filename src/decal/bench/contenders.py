"""What is measured: the same work as a command of ours and as one of diffusers' script, whose file the user names.

The script is neither part of the diffusers package nor of Decal; it runs unmodified, in an environment of its own where one is named.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from decal.errors import SettingsError

LEARNING_RATE = 1e-4
RANK = 16


@dataclass(frozen=True)
class Work:
    """What every contender does. base: a model's folder. project: one of ours, whose `dataset/` is an imagefolder for others."""

    base: Path
    project: Path
    resolution: int
    batch: int


@dataclass(frozen=True)
class Contender:
    """One program. command: its arguments for so many steps, with a folder of its own. said: how it trains, in a line."""

    name: str
    python: Path
    program: str
    said: str
    command: Callable[[int, Path], list[str]]


def ours(work: Work, *, is_equal: bool) -> Contender:
    """`decal train`: with the mathematics of diffusers' script in fp32, or as it is where only steps and batch are set."""
    equal = [
        "data.flip=false",
        'data.fit="crop"',
        "data.holdout_share=0",
        f"train.rank={RANK}",
        'train.targets="attention"',
        f"train.learning_rate={LEARNING_RATE}",
        'train.schedule="constant"',
        "train.caption_dropout=0",
        'train.precision="fp32"',
        "train.validation_prompts=[]",
    ]

    def command(steps: int, folder: Path) -> list[str]:
        changes = [*(equal if is_equal else []), f"train.batch={work.batch}", f"train.steps={steps}"]
        if is_equal:
            changes.append(f"train.checkpoint_every={steps}")
        return ["train", str(work.project), "--new-run", *(word for change in changes for word in ("--set", change))]

    said = (
        f"fp32, rank {RANK} on attention, constant rate, no flips, one checkpoint; gradients are clipped"
        if is_equal
        else "as it is set where nothing is said: its own rank, targets, flips, held-out pictures and checkpoints"
    )
    return Contender("decal, equal" if is_equal else "decal, as set", Path(sys.executable), "decal", said, command)


def diffusers_script(work: Work, *, python: Path, script: Path) -> Contender:
    """diffusers' text-to-image LoRA script. Raises SettingsError where it or its Python is not there."""
    for path, option in ((script, "--peer-script"), (python, "--peer-python")):
        if not path.is_file():
            raise SettingsError(f"{option} {path}: there is no such file.\nName the file, or leave the script out of the measurement.")
    if "def main(" not in script.read_text("utf-8", errors="replace"):
        raise SettingsError(f"--peer-script {script} has no function main.\nName diffusers' train_text_to_image_lora.py.")

    def command(steps: int, folder: Path) -> list[str]:
        options = {
            "pretrained_model_name_or_path": work.base,
            "train_data_dir": work.project / "dataset",
            "caption_column": "text",
            "resolution": work.resolution,
            "train_batch_size": work.batch,
            "max_train_steps": steps,
            "checkpointing_steps": steps,
            "rank": RANK,
            "learning_rate": LEARNING_RATE,
            "seed": 0,
            "output_dir": folder / "out",
            "cache_dir": folder / "cache",
        }
        return ["--center_crop", *(f"--{name}={value}" for name, value in options.items())]

    said = f"fp32, rank {RANK} on attention, constant rate, no flips, one checkpoint; its clipping reaches no gradient"
    return Contender("diffusers script", python, str(script.resolve()), said, command)
