"""Finished trainings of other tools, compared without training, on a random-weight model and pictures of simple shapes."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from test_adapters import CONV, Q, factors
from test_lora import base_of
from typed import Call

from decal import project, runs
from decal.project import Run
from decal.records import Checkpoint, Generation, Record, Verdict

QUICK = ("--quick", "--set", "compare.steps=1", "--set", "compare.prompts=8")


@pytest.fixture(scope="module")
def theirs(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three files in kohya's form, the first of them LoHa."""
    folder = tmp_path_factory.mktemp("theirs")
    unet = base_of(tiny).denoiser
    stem = f"lora_unet_{Q.replace('.', '_')}"
    a, b = factors(unet.get_parameter(f"{Q}.weight"))
    loha = {f"{stem}.hada_w{i}_{x}": tensor * i for i in (1, 2) for x, tensor in (("a", b), ("b", a))}
    save_file(loha, folder / "fox-step00000100.safetensors")
    for step in (200, 300):
        down, up = factors(unet.get_parameter(f"{CONV}.weight"))
        stem = f"lora_unet_{CONV.replace('.', '_')}"
        tensors = {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up * step / 100, f"{stem}.alpha": torch.tensor(4.0)}
        save_file(tensors, folder / f"fox-step00000{step}.safetensors")
    return folder


def compared(call: Call, theirs: Path, tiny: Path, shapes: Path, out: Path, *words: str) -> tuple[int, str, str]:
    return call("compare", "--adapters", theirs / "*.safetensors", "--base", tiny, "--data", shapes, "--out", out, *words, *QUICK)


def test_a_finished_training_is_compared_without_a_project(call: Call, theirs: Path, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    code, _, err = compared(call, theirs, tiny, shapes, tmp_path / "out")
    run = Run(tmp_path / "out" / "runs" / "run-01")
    assert (code, err[-300:] if code else "") == (0, "")
    assert [(one.step, Path(one.file).name, runs.is_whole(run, one)) for one in runs.checkpoints(run)] == [
        (step, f"fox-step00000{step}.safetensors", True) for step in (100, 200, 300)
    ]
    assert 'keyword: "zorb"' in err
    assert "nothing is held out" in err
    assert len({one.cell.checkpoint for one in project.read(run.generations, Generation)}) == 4
    verdict = project.read_record(run.verdict, Verdict)
    assert verdict is not None
    assert {standing.checkpoint for standing in verdict.standings} == {100, 200, 300}
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*.png")}
    assert compared(call, theirs, tiny, shapes, tmp_path / "out")[0] == 0
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("generations/*.png")}.items() <= before.items()


def test_new_files_join_and_held_out_pictures_are_kept_apart(call: Call, theirs: Path, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    from decal import workflow

    first, other, held = tmp_path / "first", tmp_path / "other", tmp_path / "held"
    for folder in (first, other, held):
        folder.mkdir()
    shutil.copy(theirs / "fox-step00000300.safetensors", first)
    rows = [json.loads(line) for line in (shapes / "metadata.jsonl").read_text().splitlines()]
    for folder, part in ((other, rows[:10]), (held, rows[10:])):
        for row in part:
            shutil.copy(shapes / row["file_name"], folder)
            (folder / row["file_name"]).with_suffix(".txt").write_text(row["text"])
    order = workflow.Finished((str(first),), str(tiny), str(other), str(held), "", tmp_path / "out")
    workflow.take_in(order)
    shutil.copy(theirs / "fox-step00000100.safetensors", first)
    workflow.take_in(order)
    run = Run(tmp_path / "out" / "runs" / "run-01")
    assert [one.step for one in project.read(run.checkpoints, Checkpoint)] == [100, 300]
    splits = [record.split for record in project.read(run.dataset, Record)]
    assert (splits.count("train"), splits.count("holdout")) == (10, 6)


def test_pictures_without_captions_are_compared_with_all_the_same(theirs: Path, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    from decal import workflow

    for number, picture in enumerate(sorted(shapes.glob("*.png"))):
        folder = tmp_path / ("held" if number < 6 else "data")
        folder.mkdir(exist_ok=True)
        shutil.copy(picture, folder)
    order = workflow.Finished((str(theirs),), str(tiny), str(tmp_path / "data"), str(tmp_path / "held"), "sks", tmp_path / "out")
    told = workflow.take_in(order)
    assert told[-1] == "no picture has a caption, so no prompt can be held against what was trained on"
    splits = [record.split for record in project.read(Run(tmp_path / "out" / "runs" / "run-01").dataset, Record)]
    assert (splits.count("train"), splits.count("holdout")) == (10, 6)


def test_a_file_that_does_not_fit_is_left_out_by_name(
    theirs: Path, tiny: Path, shapes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from decal import workflow

    shutil.copytree(theirs, tmp_path / "in")
    (tmp_path / "in" / "fox-step00000200.safetensors").write_bytes(b"torn")
    workflow.take_in(workflow.Finished((str(tmp_path / "in"),), str(tiny), str(shapes), None, "zorb", tmp_path / "out"))
    assert [one.step for one in runs.checkpoints(Run(tmp_path / "out" / "runs" / "run-01"))] == [100, 300]
    assert "fox-step00000200.safetensors cannot be read as a LoRA" in caplog.text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--data", "x"), "--data and --out go with --adapters"),
        (("--adapters", "nowhere/*.safetensors"), "names no file"),
        (("--adapters", "HERE"), "--data and --base are missing"),
    ],
)
def test_a_wrong_comparison_is_one_sentence(words: tuple[str, ...], told: str, call: Call, theirs: Path, tmp_path: Path) -> None:
    typed = [str(theirs) if word == "HERE" else word for word in words]
    code, _, err = call("compare", *typed, "--out", tmp_path / "out")
    assert (code, told in err) == (2, True)
