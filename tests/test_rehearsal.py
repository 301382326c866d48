"""What a training would do, told without doing it."""

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from test_cli import QUICK
from test_train import records_of
from typed import Call

from decal.settings import parse, resolve
from decal.workflow.rehearsal import ladder, plan


def test_a_dry_run_measures_steps_and_leaves_no_run(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    call("new", folder, "--from", shapes, "--keyword", "zorb", "--base", tiny)
    with (folder / "decal.toml").open("a", encoding="utf-8") as file:
        file.write(QUICK)
    code, out, _ = call("train", folder, "--dry-run")
    assert (code, (folder / "runs").exists()) == (0, False)
    assert re.search(r"s a step \(.* to .*\): 0:0\d for 6 steps, on cpu", out)
    assert re.search(r"GiB of memory at most", out)


def test_the_ladder_keeps_the_samples_of_a_step() -> None:
    train = resolve(parse({"train": {"batch": 6, "accumulation": 2, "steps": 1}}), 1).train
    rungs = [(rung.batch, rung.accumulation, rung.gradient_checkpointing) for rung in ladder(train)]
    assert rungs == [(6, 2, False), (6, 2, True), (3, 4, True), (1, 12, True)]


@pytest.mark.parametrize(
    ("fit", "told"), [("crop", "1 picture cropped, by 50% at most"), ("bucket", "88 x 40   px  1 picture"), ("pad", "16 pictures")]
)
def test_the_plan_says_what_becomes_of_the_pictures(fit: str, told: str, shapes: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(shapes, tmp_path / "dataset"))
    first = json.loads((folder / "metadata.jsonl").read_text().splitlines()[0])["file_name"]
    Image.new("RGB", (192, 96), "red").save(folder / first)
    records = [record.model_copy(update={"split": "train"}) for record in records_of(folder)]
    lines = plan(resolve(parse({"data": {"fit": fit, "resolution": 64}}), 16), records)
    assert told in "\n".join(lines)
