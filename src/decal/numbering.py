"""Which step each LoRA file of a finished training is from: as its header says, as its name says, or else by the order of names.

Tools write `fox-step00000400`, `fox-000004` (an epoch), `checkpoint-400/pytorch_lora_weights`, `fox_000000400`, and the last one without
any number. A header that names the step is believed before a name, since a number in a name may be an epoch. Nothing is loaded.
Sources: sd-scripts library/train_util.py, ai-toolkit jobs/process, OneTrainer, SimpleTuner and diffusers' examples.
"""

import glob
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from decal.errors import SettingsError
from decal.wording import counted

MAX_HEADER_BYTES = 100 * 2**20
# From the surest to the least; the last number of a name is all that is left.
IN_NAMES = (
    re.compile(r"steps?[-_ ]?0*(\d+)", re.IGNORECASE),
    re.compile(r"(?:checkpoint|ckpt)[-_ ]?0*(\d+)", re.IGNORECASE),
    re.compile(r"-save-0*(\d+)-\d+-\d+$"),
    re.compile(r"(?:epochs?|[-_ e])0*(\d+)$", re.IGNORECASE),
)


@dataclass(frozen=True)
class Numbered:
    """A file and its step. how: what says so: header, name, last (it has no number and others have) or order."""

    path: Path
    step: int
    how: str


def files(patterns: Sequence[str]) -> list[Path]:
    """The LoRA files that paths, patterns and folders name, each once, in the order of their names with numbers as numbers.

    Raises SettingsError where a pattern names none.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern).expanduser()
        named = sorted(path.rglob("*.safetensors")) if path.is_dir() else [Path(one) for one in glob.glob(str(path), recursive=True)]
        if not named:
            raise SettingsError(
                f"--adapters {pattern} names no file.\nWrite a folder, a file or a pattern in quotes, such as 'out/*.safetensors'."
            )
        found |= dict.fromkeys(one for one in named if one.is_file())
    return sorted(found, key=_natural)


def number(paths: Sequence[Path]) -> list[Numbered]:
    """The files by step, each with a step of its own."""
    for how, steps in (("header", _by_header(paths)), ("name", _by_name(paths))):
        known = [step for step in steps.values() if step is not None]
        missing = [path for path, step in steps.items() if step is None]
        # A file without a number among numbered ones is the end of the training; two of them say that the numbers mean something else.
        if known and len(set(known)) == len(known) and 0 not in known and len(missing) <= 1:
            numbered = [Numbered(path, step, how) for path, step in steps.items() if step is not None]
            numbered += [Numbered(path, max(known) + 1, "last") for path in missing]
            return sorted(numbered, key=lambda one: one.step)
    return [Numbered(path, place, "order") for place, path in enumerate(paths, start=1)]


def told(numbered: Sequence[Numbered]) -> list[str]:
    """The files with their steps as lines to print."""
    hows = {
        "header": "steps as the files say",
        "name": "steps as the names say",
        "order": "no steps in files or names, so they are numbered in the order of their names",
    }
    how = next((one.how for one in numbered if one.how != "last"), "order")
    width = len(str(max(one.step for one in numbered)))
    lines = [f"{counted(len(numbered), 'LoRA')}, {hows[how]}"]
    for one in numbered:
        name = (
            one.path.name if one.path.stem not in ("pytorch_lora_weights", "adapter_model") else f"{one.path.parent.name}/{one.path.name}"
        )
        lines.append(f"  {one.step:{width}}  {name}" + ("  (no number, so the last)" if one.how == "last" else ""))
    return lines


def header(path: Path) -> Mapping[str, str]:
    """The text entries of a safetensors file; none where it cannot be read, which the reader will say."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            told = json.loads(file.read(size)) if size <= MAX_HEADER_BYTES else {}
    except (OSError, ValueError):
        return {}
    entries = told.get("__metadata__", {}) if isinstance(told, dict) else {}
    return {str(key): str(value) for key, value in entries.items()} if isinstance(entries, dict) else {}


def _by_header(paths: Sequence[Path]) -> dict[Path, int | None]:
    found: dict[Path, int | None] = {}
    for path in paths:
        entries = header(path)
        text = entries.get("ss_steps", "")
        if "training_info" in entries:
            match = re.search(r'"step": *(\d+)', entries["training_info"])
            text = match[1] if match else text
        found[path] = int(text) if text.isdecimal() else None
    return found


def _by_name(paths: Sequence[Path]) -> dict[Path, int | None]:
    """The number in each name, all by the same way of writing it."""
    best: dict[Path, int | None] = {}
    for pattern in IN_NAMES:
        found: dict[Path, int | None] = {}
        for path in paths:
            match = pattern.search(path.stem) or pattern.search(path.parent.name)
            found[path] = int(match[1]) if match else None
        if sum(step is not None for step in found.values()) > sum(step is not None for step in best.values()):
            best = found
    return best or dict.fromkeys(paths)


def _natural(path: Path) -> list[tuple[int, int, str]]:
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in re.split(r"(\d+)", str(path))]
