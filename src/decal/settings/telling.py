"""Settings as text: all that there are, a file of them, and how two trainings differ."""

import json
import shlex
from typing import Any

from decal.settings.resolving import Resolved
from decal.settings.whole import SECTIONS

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
    "train.fit_memory",
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
        for name, section in SECTIONS.items()
        for key, field in section.model_fields.items()
    ]


def to_toml(sections: dict[str, dict[str, Any]]) -> str:
    """The text of a `decal.toml` that holds these values; None is left out."""
    lines = ["# What this project is made with. `decal presets` lists every setting, its default and what it does."]
    for name, values in sections.items():
        lines += ["", f"[{name}]"]
        lines += [f"{key} = {written(value)}" for key, value in values.items() if value is not None]
    return "\n".join(lines) + "\n"


def written(value: object) -> str:
    """A value as TOML writes it; lists and strings as JSON, which TOML reads alike."""
    if isinstance(value, tuple | list):
        return "[" + ", ".join(written(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{written(str(key))} = {written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    return repr(value)
