"""The presets of decal new: what the documents have, what we recommend, and a reason for every line."""

import shlex
from pathlib import Path

import pytest
from test_compat import POSTS, STICKERS
from typed import Call

from decal import kinds
from decal.compat import read, split, translate
from decal.settings import parse, resolve
from decal.settings import read as read_settings

# What a preset says otherwise than the command of its document, and why.
OTHERWISE = {
    "seed-stickers": {"data.fit", "data.ground", "caption.kind_words", "train.epochs"},
    "seed-posts": {"caption.kind_words", "posts.writer", "base.model"},
}


def from_command(command: str) -> dict[str, object]:
    """The settings that a command stands for, by name; 30 pictures on a GPU."""
    words = shlex.split(command.replace("your_resolution", "768").replace("your_lr", "1e-4"))
    plan, _ = translate(read(split(words).words), split(words).launch)
    table = plan.settings(30, keyword="", has_cuda=True)
    return {f"{section}.{key}": value for section, values in table.items() for key, value in values.items()}


@pytest.mark.parametrize(("name", "command"), [("seed-stickers", STICKERS), ("seed-posts", POSTS)])
def test_a_seed_preset_holds_the_values_of_its_command(name: str, command: str) -> None:
    said = from_command(command)
    kept = {setting: given.value for setting, given in kinds.KINDS[name].items() if setting not in OTHERWISE[name]}
    assert kept == {setting: said[setting] for setting in kept}
    assert len(kept) >= 14


def test_epochs_of_the_sticker_preset_are_the_steps_of_the_command() -> None:
    settings = parse({name: dict(values) for name, values in kinds.sections("seed-stickers").items()})
    assert resolve(settings, 30).train.steps == from_command(STICKERS)["train.steps"] == 6600


@pytest.mark.parametrize("name", kinds.KINDS)
def test_every_preset_is_settings(name: str) -> None:
    assert parse({section: dict(values) for section, values in kinds.sections(name).items()})
    assert name in kinds.ABOUT


def test_every_difference_has_a_reason() -> None:
    pairs = [(one, other) for one in kinds.KINDS for other in kinds.KINDS if one != other]
    assert all(difference.why for pair in pairs for difference in kinds.differences(*pair))
    assert len(pairs) == 20


def test_presets_diff_says_what_differs_and_why(call: Call) -> None:
    code, out, _ = call("presets", "diff", "seed-stickers", "stickers")
    lines = out.splitlines()
    assert (code, lines[0]) == (0, "seed-stickers -> stickers: 16 differences")
    assert [line.split()[0] for line in lines[1:4]] == ["base.model", "data.ground", "data.fit"]
    assert "300 -> left to the base  400 on Stable Diffusion" in out


def test_a_preset_that_is_not_there_is_told_with_what_was_meant(call: Call) -> None:
    assert call("presets", "diff", "sticker", "posts")[2].splitlines()[0] == "There is no preset sticker. Did you mean stickers?"
    assert call("presets", "dif", "stickers", "posts")[0] == 2


def test_a_project_of_a_preset_has_its_base_unless_another_is_named(call: Call, shapes: Path, tmp_path: Path) -> None:
    assert call("new", tmp_path / "a", "--from", shapes, "--keyword", "zorb", "--preset", "seed-stickers")[0] == 0
    assert call("new", tmp_path / "b", "--from", shapes, "--keyword", "zorb", "--preset", "seed-stickers", "--base", "sd1.5")[0] == 0
    assert call("new", tmp_path / "c", "--from", shapes, "--keyword", "zorb")[0] == 0
    made = [read_settings(tmp_path / name / "decal.toml") for name in "abc"]
    assert [(one.base.model, one.train.epochs, one.caption.keyword) for one in made] == [
        ("sd2.1", 220, "zorb"),
        ("sd1.5", 220, "zorb"),
        ("mini", None, "zorb"),
    ]
