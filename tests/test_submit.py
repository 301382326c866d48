"""The hand-in as a person makes it, on a random-weight model and pictures of simple shapes."""

import json
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from test_cli import QUICK
from typed import Call

from decal import workflow
from decal.errors import StoppedError
from decal.notebooks import Execution
from decal.project import Project
from decal.workflow.submitting import changed_since

SHOWN = {"README.md", "checklist.md", "decal.toml", "hand-in.json", "inference.ipynb", "prompts.txt", "train.ipynb"}


@pytest.fixture
def trained(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> Path:
    """A trained project of sixteen shapes."""
    folder = tmp_path / "quartz-27"
    assert call("new", folder, "--from", shapes, "--keyword", "zorb", "--base", tiny)[0] == 0
    with (folder / "decal.toml").open("a", encoding="utf-8") as file:
        file.write(QUICK)
    assert call("train", folder)[0] == 0
    return folder


def test_a_picture_that_was_left_out_as_faulty_makes_no_other_data_set(call: Call, trained: Path) -> None:
    shutil.copyfile(trained / "dataset" / "red-ring.png", trained / "dataset" / "new.png")
    with (trained / "dataset" / "metadata.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"file_name": "new.png"}\n')
    call("check", trained)
    run = Project(trained).run("run-01")
    assert changed_since(Project(trained), run) == ["1 picture not trained on (new.png)"]
    assert call("train", trained, "--new-run", "--set", "data.faulty=leave out", "--set", "train.steps=2")[0] == 0
    assert changed_since(Project(trained), Project(trained).run("run-02")) == []


@pytest.mark.slow
def test_a_hand_in_runs_elsewhere_tells_nothing_private_and_is_made_once(call: Call, trained: Path, tmp_path: Path) -> None:
    metadata = (trained / "dataset" / "metadata.jsonl").read_bytes()
    shutil.copyfile(trained / "dataset" / "red-ring.png", trained / "dataset" / "new.png")
    with (trained / "dataset" / "metadata.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"file_name": "new.png", "text": "zorb style sticker of a new ring"}\n')
    code, out, err = call("submit", trained, "--checkpoint", 4)
    assert (code, err.count("Error"), "the data set is another" in out) == (0, 0, True)
    assert "  fail         pictures         16 pictures; 20 to 50 or more are wanted" in out.splitlines()
    packed = (trained / "hand-in.zip").read_bytes()
    records = [json.loads(line) for line in call("submit", trained, "--checkpoint", 4, "--json")[1].splitlines()]
    assert [one["name"] for one in records if one.get("mark") == "fail"] == ["pictures", "same data", "checkpoints"]
    assert (trained / "hand-in.zip").read_bytes() == packed

    # A hand-in that is not what the project is now is made anew, which begins with its notebooks.
    (trained / "dataset" / "metadata.jsonl").write_bytes(metadata)
    at = Project(trained)
    with pytest.raises(StoppedError):
        list(workflow.submit(at, workflow.settings_of(at, []), workflow.Choice(), 4, None, lambda: True))
    assert (trained / "hand-in.zip").read_bytes() == packed

    elsewhere = tmp_path / "else where"
    with zipfile.ZipFile(trained / "hand-in.zip") as archive:
        assert {name for name in archive.namelist() if "/" not in name} >= SHOWN
        assert sum(name.startswith("dataset/") for name in archive.namelist()) == 17
        assert sum(name.startswith("runs/run-01/generations/") for name in archive.namelist()) == 30
        archive.extractall(elsewhere)
    private = [str(place).encode() for place in (tmp_path, Path.home(), sys.prefix, trained.name)]
    files = [path for path in elsewhere.rglob("*") if path.is_file()]
    assert not [(path, place) for path in files for place in private if place in path.read_bytes()]

    run = Execution("train.ipynb", (elsewhere / "train.ipynb").read_bytes())
    list(run.run(elsewhere, lambda: False))
    assert run.data == (elsewhere / "train.ipynb").read_bytes()


def test_without_a_run_there_is_nothing_to_hand_in(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    assert call("new", tmp_path / "p", "--from", shapes, "--keyword", "zorb", "--base", tiny)[0] == 0
    code, _, err = call("submit", tmp_path / "p")
    assert (code, err.splitlines()[0]) == (1, f"{tmp_path / 'p'} has no run yet.")
