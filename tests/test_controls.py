"""Words of engagement: runs with buckets by lot remember what they are, and prompts say the words that were learnt."""

import shutil
from pathlib import Path

import projects
import pytest
from PIL import Image
from typed import Call

from decal import dataset, grid, workflow
from decal.errors import ProjectError
from decal.posts.downloads import Downloader
from decal.project import Project
from decal.runs import newest

QUICK = [
    'posts.conditions=["engagement"]', "data.holdout_share=0", "data.faulty=keep", "train.steps=2", "train.batch=2", "train.rank=2",
    "train.targets=attention", "train.validation_prompts=[]", "grid.steps=1",
]  # fmt: skip
SET = [word for change in QUICK for word in ("--set", change)]


def build(at: Project, changes: list[str]) -> None:
    settings = workflow.settings_of(at, [*QUICK, *changes])
    for stage in (workflow.plan_posts, workflow.build_posts):
        list(stage(at, settings, lambda: False))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Path:
    """A project of 24 posts with a run, a control after it, and the data set of the control."""
    folder = tmp_path_factory.mktemp("posts")
    things = ("pizza", "penguin", "bicycle", "rainbow", "guitar", "tulip", "robot", "candle")
    lines = [f"{number},Our {things[number % 8]} no {number * 7919},shop,{number},{number}.png" for number in range(24)]
    (folder / "posts.csv").write_text("\n".join(["id,content,username,likes,media", *lines]))
    (folder / "pictures").mkdir()
    for number in range(24):
        Image.effect_noise((64, 64), 20 + 9 * number).save(folder / f"pictures/{number}.png")
    order = workflow.PostOrder(folder / "posts.csv", {}, str(tiny), "zorb")
    at = workflow.begin_posts(folder / "shop", order)
    list(workflow.import_posts(at, workflow.settings_of(at, []), order, lambda: False))
    list(workflow.get_pictures(at, folder / "pictures", Downloader(), lambda: False))
    for buckets in ("real", "shuffled"):
        build(at, [f"posts.buckets={buckets}"])
        list(workflow.train(at, workflow.settings_of(at, QUICK), workflow.Choice(), lambda: False))
    return at.folder


@pytest.fixture
def at(trained: Path, tmp_path: Path) -> Project:
    return Project(shutil.copytree(trained, tmp_path / "shop"))


def test_training_on_buckets_by_lot_begins_a_control_and_leaves_the_run_alone(at: Project) -> None:
    assert [(run.name, run.is_control) for run in at.runs()] == [("run-01", False), ("run-02", True)]


def test_the_newest_run_is_one_that_is_no_control(at: Project) -> None:
    assert (newest(at, None).name, newest(at, "run-02").name) == ("run-01", "run-02")


def test_a_command_says_that_it_passes_a_newer_control_over(at: Project, call: Call, caplog: pytest.LogCaptureFixture) -> None:
    code, out, err = call("export", at.folder, "--format", "kohya")
    assert (code, "step 2 of run-01" in out) == (0, True), err
    assert caplog.messages == ["run-01 is taken: run-02 is newer, but a control with buckets by lot; --run run-02 takes it"]


def test_a_control_that_is_named_leaves_the_house_with_a_warning(at: Project, call: Call, caplog: pytest.LogCaptureFixture) -> None:
    code, out, err = call("export", at.folder, "--format", "kohya", "--run", "run-02")
    assert (code, "step 2 of run-02" in out) == (0, True), err
    assert caplog.messages == ["run-02 is a control: its buckets were drawn by lot, so its words of engagement mean nothing"]


def test_posts_are_drawn_with_the_run_that_is_no_control(at: Project, call: Call, caplog: pytest.LogCaptureFixture) -> None:
    (at.folder / "next.csv").write_text("id,content,username\n1,Our new pizza,shop\n")
    code, out, err = call("posts", "draw", at.folder / "next.csv", at.folder, "-k", 1, *SET)
    assert (code, "run-01 step 2" in out, len(caplog.messages)) == (0, True, 1), out + err


def test_a_control_alone_is_not_taken_either(at: Project) -> None:
    shutil.rmtree(at.folder / "runs/run-01")
    with pytest.raises(ProjectError, match="has no run but run-02, a control"):
        newest(at, None)


def test_training_goes_on_with_the_kind_of_run_that_the_data_set_is_for(at: Project, call: Call) -> None:
    code, out, err = call("train", at.folder, *SET)
    assert (code, "run-02 is complete" in out, f"next: decal posts plan {at.folder} && decal posts build" in out) == (0, True, True), err
    build(at, [])
    assert "run-01 is complete" in call("train", at.folder, *SET)[1]


def test_prompts_of_posts_are_new_by_what_they_show_and_say_the_words_that_are_learnt(at: Project) -> None:
    for path in (at.prompts, at.compare_prompts, at.built):
        path.unlink()
    (at.dataset / "metadata.jsonl").unlink()
    build(at, ['train.pivotal_words={highengagement="good",lowengagement="bad"}'])
    prompts = [line for path in (at.prompts, at.compare_prompts) for line in path.read_text().splitlines()]
    words = ("highengagement", "lowengagement")
    assert (len(prompts), {prompt.partition(", ")[0] for prompt in prompts}) == (18, set(words))
    captions = [row.caption for row in dataset.scan(at.dataset).rows if row.caption]
    assert grid.seen(prompts, captions, [*words, "medium engagement", "zorb"]) == []


def test_a_grid_says_where_no_prompt_holds_a_word_that_was_learnt(tiny: Path, shapes: Path, tmp_path: Path, call: Call) -> None:
    settings = '[train]\nsteps = 2\nbatch = 2\nrank = 2\nvalidation_prompts = []\npivotal_words = { triangl = "" }\n[grid]\nsteps = 1\n'
    folder = projects.trained(tmp_path / "p", tiny, shapes, settings)
    one = ["--guidance", "1", "--set", "grid.batch=8"]
    out = call("grid", folder, *one)[1]
    assert "  prompts.txt holds none of the words that were learnt (triangl); write them into some of its lines" in out
    path = folder / "prompts.txt"
    path.write_text(path.read_text().replace("\n", ", triangl\n", 1))
    assert "holds none" not in call("grid", folder, *one)[1]
    told = call("export", folder, "--format", "kohya")[1].splitlines()
    assert (sum("load_textual_inversion" in line for line in told), sum("as triangl.safetensors" in line for line in told)) == (1, 1)


def test_show_marks_controls_and_a_data_set_for_one(at: Project, call: Call) -> None:
    out = call("show", at.folder)[1]
    assert ("data set  of a control" in out, "1 checkpoint, 0 pictures, a control" in out) == (True, True), out
    build(at, [])
    assert "data set  of a control" not in call("show", at.folder)[1]
