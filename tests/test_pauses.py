"""Drawing between checkpoints, pictures that are kept in spite of the check, and the numbers of Adam."""

import json
from pathlib import Path

import torch
from torch import nn
from typed import Call

from decal import optimizers, project
from decal.records import Checkpoint, Generation, Record
from decal.settings import parse, resolve

QUICK = """
[train]
steps = 6
batch = 2
rank = 2
targets = "attention"
checkpoint_every = 4
validate_every = 3
validation_images = 2
validation_prompts = ["zorb style sticker of a house"]
trackers = []
[compare]
steps = 2
"""


def made(call: Call, tiny: Path, shapes: Path, folder: Path, settings: str = QUICK) -> Path:
    assert call("new", folder, "--from", shapes, "--keyword", "zorb", "--base", tiny)[0] == 0
    with (folder / "decal.toml").open("a", encoding="utf-8") as file:
        file.write(settings)
    return folder / "runs" / "run-01"


def drawn(run: Path) -> list[tuple[int, int]]:
    return [(one.cell.checkpoint, one.cell.seed) for one in project.read(run / "validation.jsonl", Generation)]


def weights(run: Path) -> list[str]:
    return [one.sha256 for one in project.read(run / "checkpoints.jsonl", Checkpoint)]


def test_validation_prompts_are_drawn_between_checkpoints_and_at_the_end(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    run = made(call, tiny, shapes, tmp_path / "often")
    assert call("train", tmp_path / "often")[0] == 0
    assert drawn(run) == [(3, 0), (3, 1), (6, 0), (6, 1)]


def test_drawing_between_checkpoints_changes_no_weights(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    often, never = (made(call, tiny, shapes, tmp_path / name) for name in ("often", "never"))
    assert call("train", tmp_path / "often")[0] == 0
    assert call("train", tmp_path / "never", "--set", "train.validation_prompts=[]")[0] == 0
    assert weights(often) == weights(never)


def test_pictures_that_a_pause_drew_are_not_drawn_again_after_a_kill(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    run = made(call, tiny, shapes, tmp_path / "killed")
    assert call("train", tmp_path / "killed")[0] == 0
    (run / "checkpoints.jsonl").write_text("")
    assert call("train", tmp_path / "killed")[0] == 0
    assert drawn(run) == [(3, 0), (3, 1), (6, 0), (6, 1)]


def test_keep_trains_on_pictures_with_faulty_captions(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    run = made(call, tiny, shapes, tmp_path / "kept")
    metadata = tmp_path / "kept" / "dataset" / "metadata.jsonl"
    rows = [json.loads(line) | {"text": ""} for line in metadata.read_text().splitlines()]
    metadata.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert call("train", tmp_path / "kept")[0] == 3
    assert call("train", tmp_path / "kept", "--set", "data.faulty=keep", "--set", "train.validation_prompts=[]")[0] == 0
    assert {record.caption for record in project.read(run / "dataset.jsonl", Record)} == {""}


def test_the_numbers_of_adam_reach_the_optimizer() -> None:
    settings = resolve(parse({"train": {"beta1": 0.8, "beta2": 0.9, "epsilon": 1e-6}}), 1).train
    optimizer = optimizers.make(settings, [nn.Parameter(torch.zeros(2))], torch.device("cpu"))
    group = optimizer.param_groups[0]
    assert (group["betas"], group["eps"]) == ((0.8, 0.9), 1e-6)
