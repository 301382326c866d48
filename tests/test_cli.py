"""The commands as a person types them, on a random-weight model and pictures of simple shapes."""

import json
import multiprocessing
import os
import runpy
import shutil
import signal
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import projects
import pytest
import typer
from PIL import Image
from typed import Call

from decal import cli, project
from decal.cli import app
from decal.overview import Overview
from decal.presets import BASES
from decal.records import Finding, Generation, Record

QUICK = """
[train]
steps = 6
batch = 2
rank = 2
targets = "attention"
checkpoint_every = 2
trackers = []
[compare]
steps = 2
prompts = 8
seeds = [0]
fresh = false
sweep = false
[grid]
steps = 2
"""


@pytest.fixture
def made(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> Path:
    """A project of sixteen shapes on the random-weight model, with settings that take a second."""
    folder = tmp_path / "project"
    assert call("new", folder, "--from", shapes, "--keyword", "zorb", "--base", tiny)[0] == 0
    with (folder / "decal.toml").open("a", encoding="utf-8") as file:
        file.write(QUICK)
    return folder


def test_every_command_is_told_in_a_whole_sentence_in_80_columns() -> None:
    commands = typer.main.get_command(app)
    assert isinstance(commands, typer.core.TyperGroup)
    groups = [commands, *(one for one in commands.commands.values() if isinstance(one, typer.core.TyperGroup))]
    listed = [one for group in groups for one in group.commands.values()]
    # 80 columns less the longest name and the blanks beside it
    told = [one.get_short_help_str(80 - 2 - 8 - 6) for one in listed]
    assert (len(told), [one for one in told if not one.endswith(".") or one.endswith("...")]) == (32, [])


def test_the_command_after_a_rehearsal_keeps_the_settings_that_were_typed(call: Call, made: Path) -> None:
    _, out, _ = call("train", made, "--dry-run", "--set", "train.rank=1", "--set", "caption.kind_words=[]")
    assert out.splitlines()[-1] == f"next: decal train {made} --set train.rank=1 --set 'caption.kind_words=[]'"


@pytest.fixture(scope="module")
def trained_once(tiny: Path, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same project with its six steps trained."""
    return projects.trained(tmp_path_factory.mktemp("trained") / "project", tiny, shapes, QUICK)


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(trained_once, tmp_path / "trained")


def generations(folder: Path) -> list[Generation]:
    return project.read(folder / "runs" / "run-01" / "generations.jsonl", Generation)


def files(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and "findings" not in path.name
    }


def test_the_whole_flow_and_a_second_one_that_does_nothing(call: Call, made: Path) -> None:
    code, out, _ = call("run", made)
    assert code == 0
    assert out.splitlines()[-1] == f"next: decal show {made}"
    run = made / "runs" / "run-01"
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["step-000002", "step-000004", "step-000006"]
    shown = [line.cell for line in generations(made)]
    assert len({cell.prompt for cell in shown if cell.checkpoint == 0}) == 8 + 4 + 4  # the suite's, without the keyword, and captions
    assert len([cell for cell in shown if cell.prompt in (made / "prompts.txt").read_text()]) == 10 * 3
    assert {path.name.partition("-")[0] for path in (run / "sheets").iterdir()} >= {"compare.png", "grid"}
    before = files(made)
    assert call("run", made)[0] == 0
    after = files(made)
    assert {name for name in before if "sheets" not in name and before[name] != after.get(name)} == set()


def test_json_prints_the_records_and_nothing_else(call: Call, made: Path) -> None:
    code, out, _ = call("train", made, "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [line["step"] for line in lines if "is_skipped" in line] == list(range(7))
    assert sum("state_sha256" in line for line in lines) == 3


def test_new_brings_the_captions_and_writes_prompts_that_are_new(made: Path) -> None:
    assert len((made / "dataset" / "metadata.jsonl").read_text().splitlines()) == 16
    prompts = [(made / name).read_text().splitlines() for name in ("prompts.txt", "compare_prompts.txt")]
    assert [len(set(lines)) for lines in prompts] == [10, 8]
    assert not set(prompts[0]) & set(prompts[1])
    assert all("zorb" in line for lines in prompts for line in lines)


def test_new_does_not_write_over_a_project(call: Call, made: Path, shapes: Path) -> None:
    before = files(made)
    code, _, err = call("new", made, "--from", shapes, "--keyword", "other")
    assert (code, files(made)) == (2, before)
    assert f"{made} is a project already" in err


def test_pictures_without_captions_reach_a_grid_in_six_commands(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    bare, folder = tmp_path / "bare", tmp_path / "project"
    shutil.copytree(shapes, bare, ignore=shutil.ignore_patterns("*.jsonl"))
    quick = [
        word for line in ("train.steps=2", "train.batch=2", "train.rank=2", "grid.steps=1", "train.trackers=[]") for word in ("--set", line)
    ]
    commands = [
        ("new", folder, "--from", bare, "--keyword", "zorb", "--base", tiny),
        ("caption", folder),
        ("check", folder),
        ("train", folder, *quick),
        ("grid", folder, *quick),
    ]
    assert [call(*command)[0] for command in commands] == [0] * len(commands)
    assert len(generations(folder)) == 30


def test_an_error_of_the_check_stops_training_unless_it_is_left_out(call: Call, made: Path) -> None:
    (made / "dataset" / "red-ring.png").write_bytes(b"not a picture")
    code, out, err = call("train", made)
    assert code == 3
    assert "red-ring.png" in out
    assert err.splitlines()[-2:] == [
        f"1 error in {made / 'dataset'}, nothing was trained.",
        'Mend them, or train without those pictures: for this call with  --set data.faulty="leave out"  '
        f'and always with  faulty = "leave out"  under [data] in {made / "decal.toml"}.',
    ]
    assert call("train", made, "--set", 'data.faulty="leave out"')[0] == 0
    trained_on = project.read(made / "runs" / "run-01" / "dataset.jsonl", Record)
    assert len(trained_on) == 15


def test_check_ends_with_3_where_there_are_errors(call: Call, made: Path) -> None:
    (made / "dataset" / "red-ring.png").write_bytes(b"not a picture")
    code, out, _ = call("check", made)
    assert code == 3
    assert "red-ring.png" in out
    levels = [finding.level for finding in project.read(made / "findings.jsonl", Finding)]
    assert levels.count("error") == 1


def test_a_picture_that_was_taken_out_is_told_and_the_others_are_trained_on(call: Call, made: Path) -> None:
    (made / "dataset" / "red-ring.png").unlink()
    code, out, _ = call("train", made)
    assert code == 0
    assert "red-ring.png" in out
    assert len(project.read(made / "runs" / "run-01" / "dataset.jsonl", Record)) == 15


def test_a_changed_setting_is_named_and_needs_consent(call: Call, trained: Path) -> None:
    code, _, err = call("train", trained, "--set", "train.learning_rate=0.5", "--set", "train.steps=8")
    assert code == 2
    assert "train.steps: 6 -> 8" in err
    assert "train.learning_rate: 0.0001 -> 0.5" in err
    assert call("train", trained, "--set", "train.steps=8", "--accept-changes")[0] == 0
    steps = project.read_steps(trained / "runs" / "run-01" / "steps.jsonl")
    assert [(step.step, step.attempt) for step in steps] == [(step, 1) for step in range(7)] + [(7, 2), (8, 2)]


@pytest.mark.parametrize("change", ["train.rank=4", 'train.targets="all"', 'base.model="mini"'])
def test_what_the_weights_are_made_of_cannot_change_even_with_consent(change: str, call: Call, trained: Path) -> None:
    before = (trained / "runs" / "run-01" / "run.json").read_text()
    code, _, err = call("train", trained, "--set", change, "--accept-changes")
    assert (code, (trained / "runs" / "run-01" / "run.json").read_text()) == (2, before)
    assert "cannot go on with another base, recipe, rank, kind or targets" in err


def test_a_damaged_last_checkpoint_is_trained_again_to_the_same_bytes(call: Call, trained: Path) -> None:
    path = trained / "runs" / "run-01" / "checkpoints" / "step-000006" / "pytorch_lora_weights.safetensors"
    before = project.sha256(path)
    path.write_bytes(b"")
    assert call("train", trained)[0] == 0
    assert project.sha256(path) == before


def test_a_folder_called_dataset_is_never_written_over(call: Call, shapes: Path, tmp_path: Path) -> None:
    (tmp_path / "mine" / "dataset").mkdir(parents=True)
    (tmp_path / "mine" / "dataset" / "original.psd").write_text("mine")
    code, _, err = call("new", tmp_path / "mine", "--from", shapes, "--keyword", "zorb")
    assert (code, (tmp_path / "mine" / "dataset" / "original.psd").read_text()) == (2, "mine")
    assert "is there already and not empty" in err


def test_a_short_name_wins_over_a_folder_of_that_name(call: Call, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mini").mkdir()
    assert call("new", "project", "--from", shapes, "--keyword", "zorb", "--base", "mini")[0] == 0


def test_captions_that_lack_the_keyword_get_it(call: Call, shapes: Path, tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    assert call("new", folder, "--from", shapes, "--keyword", "glimp", "--base", tiny)[0] == 0
    assert call("check", folder)[0] == 3
    assert call("caption", folder, "--add-keyword")[0] == 0
    assert call("check", folder)[0] == 0


def test_a_caption_is_taken_from_a_text_file_or_else_from_the_name(call: Call, made: Path) -> None:
    dataset = made / "dataset"
    shutil.copy(dataset / "red-ring.png", dataset / "new-moon.png")
    shutil.copy(dataset / "red-ring.png", dataset / "0001.png")
    (dataset / "0001.txt").write_text("a zorb sticker of a planet")
    (dataset / "red-ring.txt").write_text("something else")
    code, out, _ = call("caption", made, "--json")
    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == [
        {"file_name": "0001.png", "text": "a zorb sticker of a planet"},
        {"file_name": "new-moon.png", "text": "zorb style sticker of new moon"},
    ]


def test_a_picture_whose_own_line_is_broken_gets_no_second_one(call: Call, made: Path, caplog: pytest.LogCaptureFixture) -> None:
    metadata = made / "dataset" / "metadata.jsonl"
    metadata.write_text(metadata.read_text().replace('{"file_name": "red-ring.png"', '{"file_name": "red-ring.png', 1))
    before = metadata.read_text()
    code, out, _ = call("caption", made)
    assert (code, out.splitlines()[0]) == (0, f"0 captions written to {metadata}")
    number = 1 + next(place for place, line in enumerate(before.splitlines()) if "red-ring" in line)
    assert f"red-ring.png (line {number})" in caplog.text
    assert metadata.read_text() == before


def test_an_unknown_tracker_is_told_before_anything_is_begun(call: Call, made: Path) -> None:
    code, _, err = call("train", made, "--set", 'train.trackers=["wandbb"]')
    assert code == 2
    assert "wandbb" in err
    assert not (made / "runs" / "run-01" / "run.json").exists()


def test_validation_pictures_that_a_kill_left_out_are_drawn_when_it_goes_on(call: Call, trained: Path) -> None:
    run = trained / "runs" / "run-01"
    for line in project.read(run / "validation.jsonl", Generation)[2:]:
        (run / line.file).unlink()
    assert call("train", trained, "--set", "train.steps=8", "--accept-changes")[0] == 0
    whole = [line for line in project.read(run / "validation.jsonl", Generation) if (run / line.file).exists()]
    assert {(line.cell.checkpoint, line.cell.prompt) for line in whole} == {
        (step, prompt) for step in (2, 4, 6, 8) for prompt in (trained / "compare_prompts.txt").read_text().splitlines()[:2]
    }


def test_tensorboard_gets_the_losses(call: Call, made: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert call("train", made, "--set", 'train.trackers=["tensorboard"]')[0] == 0
    events = EventAccumulator(str(made / "runs" / "run-01" / "trackers" / "decal"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4, 5, 6]


def test_a_changed_picture_is_named(call: Call, trained: Path) -> None:
    Image.new("RGB", (70, 90), "purple").save(trained / "dataset" / "red-ring.png")
    code, _, err = call("train", trained)
    assert code == 2
    assert "1 changed (red-ring.png)" in err


def test_a_complete_run_is_told_without_decoding_or_encoding_a_picture(call: Call, trained: Path) -> None:
    shutil.rmtree(trained / "cache")
    (trained / "findings.jsonl").unlink()
    code, out, _ = call("train", trained, "--set", "compare.prompts=8")
    assert out.splitlines()[-1] == f"next: decal compare {trained} --set compare.prompts=8"
    assert (code, out.splitlines()[0]) == (
        0,
        "run-01 is complete: settings and pictures are as they were. Nothing to train; --new-run begins another.",
    )
    assert not (trained / "findings.jsonl").exists()  # which every look at the pictures writes
    assert not (trained / "cache").exists()


def test_a_new_run_stands_beside_the_old(call: Call, trained: Path) -> None:
    assert call("train", trained, "--new-run", "--set", "train.seed=1")[0] == 0
    assert sorted(path.name for path in (trained / "runs").iterdir() if path.is_dir()) == ["run-01", "run-02"]


def test_a_deleted_picture_is_drawn_again_and_no_other(call: Call, trained: Path) -> None:
    assert call("compare", trained)[0] == 0
    first = generations(trained)[0]
    path = trained / "runs" / "run-01" / first.file
    before = np.asarray(Image.open(path), dtype=int)
    path.unlink()
    assert call("compare", trained)[0] == 0
    again = generations(trained)
    assert (again[-1].fingerprint, again[-1].file) == (first.fingerprint, first.file)
    # Alone in its batch now, so the last digits of the floats may differ: one level of 255 where rounding tips over.
    assert np.abs(np.asarray(Image.open(path), dtype=int) - before).max() <= 1


def test_a_damaged_checkpoint_is_named_and_left_out_of_the_sheet(call: Call, trained: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = trained / "runs" / "run-01" / "checkpoints" / "step-000004" / "pytorch_lora_weights.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    assert call("compare", trained)[0] == 0
    assert "step-000004/pytorch_lora_weights.safetensors is missing or damaged; step 4 is left out" in caplog.text
    assert {line.cell.checkpoint for line in generations(trained)} == {0, 2, 6}


def test_a_prompt_that_was_trained_on_is_refused(call: Call, trained: Path) -> None:
    (trained / "prompts.txt").write_text("zorb style sticker of a red circle\n")
    code, _, err = call("grid", trained)
    assert code == 2
    assert "1 of 1 prompt not new" in err


def test_draw_writes_one_picture_a_seed_and_image_to_image_keeps_the_shape(call: Call, trained: Path, tmp_path: Path) -> None:
    assert call("draw", "a zorb sticker of a boat", trained, "--count", "2", "--seed", "5")[0] == 0
    Image.new("RGBA", (300, 200), "red").save(tmp_path / "start.png")
    assert call("draw", "a zorb sticker of a boat", trained, "--image", tmp_path / "start.png", "--strength", "0.5")[0] == 0
    drawn = generations(trained)
    assert [line.cell.seed for line in drawn] == [5, 6, 0]
    assert Image.open(trained / "runs" / "run-01" / drawn[2].file).size == (64, 40)


def test_a_prompt_without_the_keyword_is_drawn_with_a_warning_and_an_empty_one_is_refused(
    call: Call, trained: Path, caplog: pytest.LogCaptureFixture
) -> None:
    warned = []
    for words in (["a boat"], ["a boat", "--checkpoint", "0"], ["a boat", "--lora-strength", "0"], ["a Zorb boat"]):
        caplog.clear()
        assert call("draw", words[0], trained, *words[1:])[0] == 0
        warned.append("lacks the keyword zorb" in caplog.text)
    assert warned == [True, False, False, False]
    code, _, err = call("draw", "  ", trained)
    assert code == 2
    assert "The prompt is empty" in err


def test_too_little_strength_for_one_step_is_refused(call: Call, trained: Path, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "start.png")
    code, _, err = call("draw", "a boat", trained, "--image", tmp_path / "start.png", "--strength", "0.2")
    assert code == 2
    assert "less than one" in err


def test_decal_says_which_one_it_is(call: Call) -> None:
    assert call("--version") == (0, f"decal {version('decal')}\n", "")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("train", "nowhere"), 1, "nowhere is not a folder, so it is not a project"),
        (("new", "x", "--from", "nowhere"), 2, "nowhere"),
        (("new", "x"), 2, "decal new needs pictures, or at least a keyword"),
        (("new", "x", "--from", ".", "--preset", "stikers"), 2, "There is no preset stikers. Did you mean stickers?"),
        (("new", "x", "--from", ".", "--base", "stabilityai/stable-diffusion-2-1"), 2, 'Write "sd2.1"'),
        (("new", "x", "--from", ".", "--base", "sd15"), 2, 'Did you mean "sd1.5"?'),
        (("trian",), 2, "trian"),
    ],
)
def test_a_wrong_word_is_one_sentence(
    words: tuple[str, ...], code: int, told: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended, _, err = call(*words)
    assert ended == code
    assert told in err
    assert "Traceback" not in err


def test_a_gpu_that_is_not_there_is_said(call: Call, made: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    code, _, err = call("train", made, "--set", 'train.device="cuda"')
    assert code == 2
    assert 'train.device is "cuda"' in err


def test_show_says_what_is_there_and_what_comes_next(call: Call, made: Path, trained: Path) -> None:
    assert call("show", made)[1].splitlines()[-1] == f"next: decal check {made}"
    out = call("show", trained)[1]
    assert "6 of 6 steps, 3 checkpoints" in out
    assert out.splitlines()[-1] == f"next: decal compare {trained}"


def test_show_and_presets_give_their_records(call: Call, made: Path) -> None:
    assert call("check", made)[0] == 0
    seen = Overview.model_validate_json(call("show", made, "--json")[1])
    assert (seen.pictures, seen.captions, seen.errors, seen.runs) == (16, 16, 0, ())
    assert seen.next == f"decal train {made}"
    lines = [json.loads(line) for line in call("presets", "--json")[1].splitlines()]
    assert [line["base"] for line in lines if "base" in line] == list(BASES)
    assert {line["setting"]: line["default"] for line in lines if "setting" in line}["data.faulty"] == '"refuse"'


def type_in(*words: str) -> None:
    """Do a command in this process, as a shell would begin it."""
    sys.argv = ["decal", *words]
    cli.main()


@pytest.mark.slow
def test_either_signal_stops_at_a_step_and_the_rest_ends_in_the_same_bytes(call: Call, made: Path) -> None:
    longer = ["--set", "train.steps=40", "--set", "train.checkpoint_every=40", "--set", "train.validation_prompts=[]"]
    run = made / "runs" / "run-01"
    for number, step in ((signal.SIGINT, 5), (signal.SIGTERM, 15)):
        # Forked, so that it need not import torch again.
        process = multiprocessing.get_context("fork").Process(target=type_in, args=("train", str(made), *longer))
        process.start()
        while process.is_alive() and not (run.exists() and [one for one in project.read_steps(run / "steps.jsonl") if one.step >= step]):
            time.sleep(0.05)
        assert process.pid is not None
        os.kill(process.pid, number)
        process.join()
        assert (process.exitcode, (run / "stopped" / "state.safetensors").exists()) == (128 + number, True)
    assert [call("train", made, *longer)[0], call("train", made, "--new-run", *longer)[0]] == [0, 0]
    hashes = {json.loads((made / "runs" / name / "checkpoints.jsonl").read_text())["sha256"] for name in ("run-01", "run-02")}
    assert len(hashes) == 1


@pytest.mark.slow
def test_killed_trainings_resume_to_the_same_bytes(tiny: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    kills = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "kills" / "run.py"))["main"]
    monkeypatch.setattr(sys, "argv", ["run.py", "--kills", "2", "--inside", "1", "--steps", "8", "--base", str(tiny)])
    with pytest.raises(SystemExit) as ended:
        kills()
    told = capsys.readouterr().out
    assert (ended.value.code, "2 of 2 resumed to the same weights and state" in told) == (0, True), told


def test_a_project_says_where_it_comes_from_and_its_data_set_goes_out_and_comes_back(call: Call, made: Path, tmp_path: Path) -> None:
    source = json.loads((made / "sources.jsonl").read_text())
    assert (source["kind"], source["pictures"], source["licence"]) == ("folder", 16, None)
    code, out, _ = call("export", made, "--dataset", tmp_path / "out", "--as", "webdataset")
    assert (code, out) == (0, f"16 pictures written to {tmp_path / 'out'} as webdataset\n")
    code, out, _ = call("new", tmp_path / "back", "--from", tmp_path / "out", "--keyword", "zorb", "--limit", "3")
    assert (code, out.splitlines()[0]) == (0, "3 pictures, 3 of 3 lines with a caption")
    assert call("export", made)[0] == 2


def test_repeats_that_would_fill_the_memory_are_refused(call: Call, made: Path) -> None:
    metadata = made / "dataset" / "metadata.jsonl"
    rows = [json.loads(line) for line in metadata.read_text().splitlines()]
    file = rows[0]["file_name"]
    lines = [
        *rows,
        *({"file_name": file, "text": f"zorb style sticker number {place}", "repeats": 997 + place % 3} for place in range(10_100)),
    ]
    metadata.write_text("".join(json.dumps(row) + "\n" for row in lines))
    code, _, err = call("train", made)
    assert (code, "an epoch, the limit is 10,000,000" in err) == (3, True)
