"""What a training would do, told without doing it, and when it ends by itself."""

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from test_cli import QUICK
from test_train import records_of
from typed import Call

from decal import runs
from decal.errors import SettingsError
from decal.project import open_project
from decal.records import Checkpoint
from decal.runs import is_past_minimum
from decal.settings import parse, resolve
from decal.workflow.rehearsal import plan


def test_a_dry_run_measures_steps_and_leaves_no_run(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    call("new", folder, "--from", shapes, "--keyword", "zorb", "--base", tiny)
    with (folder / "decal.toml").open("a", encoding="utf-8") as file:
        file.write(QUICK)
    code, out, _ = call("train", folder, "--dry-run")
    assert (code, (folder / "runs").exists()) == (0, False)
    assert re.search(r"s a step \(.* to .*\): 0:0\d for 6 steps, on cpu", out)
    assert re.search(r"GiB of memory at most", out)


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


def checkpoints(*losses: float | None) -> list[Checkpoint]:
    return [
        Checkpoint(step=10 * (place + 1), attempt=1, file="", sha256="", state_sha256="", holdout_loss=loss)
        for place, loss in enumerate(losses)
    ]


@pytest.mark.parametrize(
    ("losses", "is_past"),
    [
        ((0.5, 0.6, 0.7), True),  # lowest at 10, now at 30
        ((0.5, 0.6), False),
        ((0.6, 0.5, 0.6, 0.6, 0.6), False),  # lowest at 20: 60 are needed
        ((0.6, 0.5, 0.6, 0.6, 0.6, 0.6), True),
        ((0.6, 0.5, 0.4), False),
        ((None, None, None), False),
    ],
)
def test_a_training_is_past_its_minimum_at_three_times_its_step(losses: tuple[float | None, ...], is_past: bool) -> None:
    assert is_past_minimum(checkpoints(*losses)) == is_past


def test_a_training_that_is_past_its_minimum_ends_and_is_complete(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    """At such a rate the held-out loss is lowest after a few steps and comes back no more."""
    folder = tmp_path / "project"
    call("new", folder, "--from", shapes, "--keyword", "zorb", "--base", tiny)
    with (folder / "decal.toml").open("a", encoding="utf-8") as file:
        rising = 'steps = 120\nstop = "auto"\nlearning_rate = 1.0\nschedule = "constant"\nwarmup_steps = 40\n'
        more = "weight_decay = 0\nvalidation_prompts = []"
        file.write(QUICK.replace("steps = 6", rising + more))
    assert call("train", folder)[0] == 0
    run = open_project(folder).runs()[-1]
    assert is_past_minimum(runs.checkpoints(run))
    assert runs.checkpoints(run)[-1].step < 120
    assert "Nothing to train" in call("train", folder)[1]


def test_ending_by_held_out_loss_needs_held_out_pictures() -> None:
    with pytest.raises(SettingsError, match="needs held-out pictures"):
        parse({"train": {"stop": "auto"}, "data": {"holdout_share": 0.0}})
