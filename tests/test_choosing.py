"""A whole comparison on a random-weight model: what is drawn, what is written, and what becomes of bad input."""

import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import projects
import pytest
import torch
from evidence import Made, gone, world
from safetensors.torch import load_file, save_file
from typed import Call

from decal import axes, exhibits, judging, project, runs, workflow
from decal.compare.racing import race
from decal.compare.verdict import judge
from decal.errors import SettingsError, StoppedError
from decal.project import Project, Run
from decal.records import Gap, Generation, Score, Suite, Verdict
from decal.voting.ballots import Shown, ballots
from decal.voting.box import Box

QUICK = """
[train]
steps = 6
batch = 2
rank = 2
targets = "attention"
checkpoint_every = 2
trackers = []
validation_prompts = []
[compare]
steps = 2
prompts = 8
seeds = [0]
guidances = [2.0]
lora_strengths = [0.5]
"""


@pytest.fixture(scope="module")
def trained(tiny: Path, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained project of sixteen shapes with three checkpoints."""
    return projects.trained(tmp_path_factory.mktemp("choosing") / "project", tiny, shapes, QUICK)


@pytest.fixture(scope="module")
def compared(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, compared once."""
    folder = tmp_path_factory.mktemp("compared") / "project"
    shutil.copytree(trained, folder)
    compare(folder)
    return folder


@pytest.fixture
def fresh(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "project"))


@pytest.fixture
def again(compared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(compared, tmp_path / "project"))


def compare(folder: Path, *changes: str, only: str = "") -> tuple[Verdict, str]:
    """The verdict of a comparison, and what was told on the way."""
    at, told, verdict = Project(folder), [], None
    for event in workflow.compare(at, workflow.settings_of(at, changes), workflow.Choice(), lambda: False, only):
        told += [event.text] if hasattr(event, "text") else []
        verdict = event if isinstance(event, Verdict) else verdict
    assert verdict is not None
    return verdict, "\n".join(told)


def run_of(folder: Path) -> Run:
    return Project(folder).runs()[0]


def drawn(folder: Path) -> list[Generation]:
    return project.read(run_of(folder).generations, Generation)


def test_a_comparison_leaves_a_suite_scores_and_a_verdict(compared: Path) -> None:
    run = run_of(compared)
    suite, verdict = project.read_record(run.suite, Suite), project.read_record(run.verdict, Verdict)
    assert suite is not None
    assert verdict is not None
    assert (len(suite.prompts), [rival.checkpoint for rival in suite.rivals]) == (8, [2, 4, 6])
    assert [standing.checkpoint for standing in verdict.standings] == [2, 4, 6]
    assert {"style", "contrast"} <= {score.measure for score in project.read(run.scores, Score)}
    assert {path.name for path in run.sheets.iterdir()} >= {"compare.png"}


def test_a_second_comparison_does_nothing(again: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in again.rglob("*") if path.is_file() and path.suffix != ".lock"}
    shutil.rmtree(again.parent / "elsewhere", ignore_errors=True)
    _, told = compare(again)
    after = {path: path.stat().st_mtime_ns for path in again.rglob("*") if path.is_file() and path.suffix != ".lock"}
    assert "nothing has changed since the verdict" in told
    assert after == before


def test_votes_of_a_sitting_that_was_killed_join_at_the_next_comparison(again: Path) -> None:
    run = run_of(again)
    verdict = project.read_record(run.verdict, Verdict)
    assert verdict is not None
    near = Gap(gap=0.01, low=-0.02, high=0.04, error=0.015)
    places = {2: "chosen", 4: "tied", 6: "beaten"}
    standings = tuple(
        one.model_copy(update={"utility": 0.3, "place": places[one.checkpoint], "behind": None if one.checkpoint == 2 else near})
        for one in verdict.standings
    )
    tie = {"outcome": "tie", "checkpoint": 2, "earliest": 2, "tied": (4,), "open": (), "standings": standings}
    project.write_record(run.verdict, verdict.model_copy(update=tie))
    asked = ballots([Shown(step, "it", 0, run.folder / file, sha) for step, file, sha in pictures_of(again, 2, 4)], shuffle=0)
    Box(run.votes, asked, shuffle=0, stop_after=None).cast(asked[0].id, "left", again=False)
    joined, told = compare(again)
    assert "nothing has changed since the verdict" in told
    assert joined.people is not None
    assert joined.people.votes == 1


def pictures_of(folder: Path, *steps: int) -> list[tuple[int, str, str]]:
    """A picture of each of some checkpoints: the step, the file and its hash."""
    return [next((step, one.file, one.sha256) for one in drawn(folder) if one.cell.checkpoint == step) for step in steps]


def test_the_worst_cells_of_an_earlier_choice_are_not_left_lying(again: Path) -> None:
    case = judging.bench(Project(again), run_of(again), "squeezenet")
    evidence, _, verdict = judging.of_pictures(case)
    sheet = case.run.sheets / "worst.png"
    sheet.write_bytes(b"of an earlier verdict")
    assert list(exhibits.worst(case, case.drawn(), evidence, verdict.model_copy(update={"checkpoint": None}))) == []
    assert not sheet.exists()


def test_the_next_step_is_told_of_a_folder_with_a_backslash(again: Path, call: Call) -> None:
    folder = again.rename(again.with_name("a\\d"))
    code, out, _ = call("compare", folder)
    assert (code, out.splitlines()[-1].partition(" ")[0]) == (0, "next:")


def test_more_prompts_add_their_own_cells_and_no_others(again: Path) -> None:
    before, cells = run_of(again).suite.read_text(), {one.fingerprint for one in drawn(again)}
    compare(again, "compare.prompts=10", "compare.fresh=false", "compare.sweep=false")
    frozen = Suite.model_validate_json(run_of(again).suite.read_text())
    added = [one for one in drawn(again) if one.fingerprint not in cells]
    assert frozen.prompts[:8] == Suite.model_validate_json(before).prompts
    assert {one.cell.prompt for one in added} == {prompt.text for prompt in frozen.prompts[8:]}
    assert len(added) == 2 * (4 + 3)


def test_a_comparison_that_was_stopped_goes_on(fresh: Path) -> None:
    at = Project(fresh)
    with pytest.raises(StoppedError, match="the same command draws the rest"):
        list(workflow.compare(at, workflow.settings_of(at, []), workflow.Choice(), lambda: len(drawn(fresh)) >= 10))
    stopped = len(drawn(fresh))
    compare(fresh, "compare.fresh=false", "compare.sweep=false")
    cells = [one.fingerprint for one in drawn(fresh)]
    assert 10 <= stopped < len(cells)
    assert len(set(cells)) == len(cells)


def test_another_prompt_is_noticed(again: Path) -> None:
    path = again / "compare_prompts.txt"
    path.write_text(path.read_text().replace(path.read_text().splitlines()[0], "zorb style sticker of a lighthouse"))
    assert "1 prompt gone or changed" in compare(again)[1]


def test_a_prompt_of_one_s_own_takes_nobody_s_place(again: Path) -> None:
    before = project.read_record(run_of(again).suite, Suite)
    assert before is not None
    with (again / "compare_prompts.txt").open("a") as file:
        file.write("zorb style sticker of a lighthouse\n")
    compare(again, "compare.fresh=false", "compare.sweep=false")
    after = project.read_record(run_of(again).suite, Suite)
    assert after is not None
    assert (len(after.prompts), set(before.prompts) - set(after.prompts)) == (9, set())


def test_looking_hears_a_stop_and_what_was_seen_is_kept(again: Path) -> None:
    at, asked = Project(again), itertools.count()
    shutil.rmtree(at.cache / "looks")
    (again / "dataset" / "red-ring.png").unlink()  # so that the verdict does not stand
    with pytest.raises(StoppedError, match="looking at pictures: 32 of"):
        list(workflow.compare(at, workflow.settings_of(at, []), workflow.Choice(), lambda: next(asked) >= 2))
    assert [len(np.load(path)["keys"]) for path in (at.cache / "looks").rglob("*.npz")] == [32]


def test_the_next_comparison_is_asked_as_this_one_was(fresh: Path, call: Call) -> None:
    (fresh / "compare_prompts.txt").write_text("zorb style sticker of a lighthouse\n")
    given = ["--quick", "--checkpoints", "2, 4", "--set", "compare.steps=1"]
    _, out, _ = call("compare", fresh, "--prompts", "4", *given)
    assert out.splitlines()[-1] == f"next: decal compare {fresh} --prompts 32 --quick --checkpoints '2, 4' --set compare.steps=1"


def test_a_missing_picture_is_named_and_the_rest_compared(again: Path, caplog: pytest.LogCaptureFixture) -> None:
    (again / "dataset" / "red-ring.png").unlink()
    verdict, told = compare(again)
    assert "1 picture of" in caplog.text
    assert "red-ring.png" in caplog.text
    assert "1 picture of yours changed, gone or new" in told
    assert verdict.references == 15


def test_pictures_that_are_not_finite_break_their_checkpoint_and_no_other(fresh: Path) -> None:
    run = run_of(fresh)
    lines = runs.checkpoints(run)
    path = run.folder / lines[1].file
    tensors = {name: torch.full_like(tensor, 1e25) for name, tensor in load_file(path).items()}
    save_file(tensors, path)
    lines[1] = lines[1].model_copy(update={"sha256": project.sha256(path)})
    project.write_lines(run.checkpoints, lines)
    verdict, _ = compare(fresh, "compare.fresh=false", "compare.sweep=false")
    assert [standing.place == "broken" for standing in verdict.standings] == [False, True, False]
    assert "step 4 drew 8 of 8 pictures that cannot be used" in verdict.reason


def test_an_adapter_that_cannot_be_read_is_dropped_as_broken(fresh: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = run_of(fresh)
    lines = runs.checkpoints(run)
    path = run.folder / lines[1].file
    save_file({name: torch.full_like(tensor, torch.nan) for name, tensor in load_file(path).items()}, path)
    lines[1] = lines[1].model_copy(update={"sha256": project.sha256(path)})
    project.write_lines(run.checkpoints, lines)
    verdict, _ = compare(fresh, "compare.fresh=false", "compare.sweep=false")
    assert [standing.place == "broken" for standing in verdict.standings] == [False, True, False]
    assert caplog.text.count("step 4 cannot be drawn with, so it counts as broken") == 1


def test_one_checkpoint_is_judged_against_the_base(again: Path) -> None:
    verdict, told = compare(again, only="4")
    assert [standing.checkpoint for standing in verdict.standings] == [4]
    assert "2 checkpoints left out (step 2, 6); with all of them, nothing is drawn again" in told


def test_without_held_out_pictures_it_is_said_what_style_is_measured_by(fresh: Path) -> None:
    run = run_of(fresh)
    records = [json.loads(line) | {"split": "train"} for line in run.dataset.read_text().splitlines()]
    run.dataset.write_text("".join(json.dumps(record, sort_keys=True) + "\n" for record in records))
    assert "no picture is held out" in compare(fresh, "compare.fresh=false", "compare.sweep=false")[1]


def test_pictures_that_are_all_equal_keep_nothing() -> None:
    evidence = world({100: Made(), 200: Made()}, prompts=8)
    table, row = np.zeros((8, 2), int), np.zeros(6, int)
    drawn = {step: looks.rows((table, table)) for step, looks in evidence.drawn.items()}
    equal = replace(evidence, drawn=drawn, heldout=evidence.heldout.rows(row), training=evidence.training.rows(0 * np.arange(18)))
    verdict = judge(equal, race(equal))
    assert verdict.reason.startswith("Keep none: no checkpoint is nearer to your style than the base is.")


def test_each_checkpoint_is_tried_at_each_guidance_and_strength_but_not_at_both(compared: Path) -> None:
    at = Project(compared)
    table = judging.bench(at, run_of(compared), "squeezenet").sweep_table([2, 4], [7.5, 2.0], [1.0, 0.5])
    tried = [setting for step in (2, 4) for setting in ((step, 7.5, 1.0), (step, 2.0, 1.0), (step, 7.5, 0.5))]
    assert list(table.made_with.values()) == tried
    assert not set(table.made_with) & {2, 4, 6}


def test_a_strength_whose_pictures_cannot_be_used_is_left_out() -> None:
    made_with = {-3: (200, 3.0, 1.0), -2: (200, 6.0, 1.0), -1: (200, 3.0, 2.0)}
    evidence = world(dict.fromkeys(made_with, Made(style=0.9)), prompts=8)
    lost = np.ones((8, 2), bool)
    evidence = replace(evidence, drawn={**evidence.drawn, -1: gone(evidence.drawn[-1], lost)}, broken={-1: lost})
    table = judging.Table(evidence.prompts, (0,), (0, 1), tuple(made_with), made_with)
    assert [(trial.guidance, trial.strength) for trial in judging.trials(evidence, table)] == [(3.0, 1.0), (6.0, 1.0)]


def test_grid_takes_the_checkpoint_of_the_verdict(again: Path, call: Call) -> None:
    verdict = project.read_record(run_of(again).verdict, Verdict)
    assert verdict is not None
    project.write_record(run_of(again).verdict, verdict.model_copy(update={"outcome": "winner", "checkpoint": 4}))
    code, out, _ = call("grid", again, "--set", "grid.steps=1")
    assert code == 0
    assert "run-01, step 4 (the choice of the comparison; --checkpoint takes another)" in out


def test_another_checkpoint_does_not_stand_in_for_a_chosen_one_that_is_damaged(again: Path, call: Call) -> None:
    run = run_of(again)
    verdict = project.read_record(run.verdict, Verdict)
    assert verdict is not None
    project.write_record(run.verdict, verdict.model_copy(update={"outcome": "winner", "checkpoint": 4}))
    (run.folder / runs.checkpoints(run)[1].file).write_bytes(b"damaged")
    code, _, err = call("grid", again, "--set", "grid.steps=1")
    assert code != 0
    assert "the file of step 4, which the comparison chose, is missing or damaged" in err


def test_grid_takes_the_last_one_where_nothing_was_compared(fresh: Path, call: Call) -> None:
    out = call("grid", fresh, "--set", "grid.steps=1")[1]
    assert "step 6 (the last, for nothing was compared yet; --checkpoint takes another)" in out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("75, 150", [75, 150]),
        ("75-225", [75, 150, 225]),
        ("75-300 (+150)", [75, 225]),
        ("300-75 (-75)", [75, 150, 225, 300]),
        ("75-300 [2]", [75, 300]),
        ("75-300 [3]", [75, 150, 300]),
    ],
)
def test_checkpoints_are_written_as_in_a1111(text: str, expected: list[int]) -> None:
    assert axes.steps(text, [75, 150, 225, 300]) == expected


def test_lists_of_numbers_are_written_as_in_a1111() -> None:
    assert axes.numbers("1, 2.5, 5-8, 1-3 (+0.5), 0-1 [3], 1-10 [4]", "--guidance") == [1, 2.5, 5, 6, 7, 8, 1.5, 2, 3, 0, 4, 10]


@pytest.mark.parametrize("text", ["80", "400-500", "75-300 (+60)", "a", "", "75-300 (-75)", "75-300 [0]", "1-2 (+0)"])
def test_checkpoints_that_are_not_there_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"(?i)there are|write numbers|mend the step|can be had"):
        axes.steps(text, [75, 150, 225, 300])
