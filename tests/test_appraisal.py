"""What pictures of posts reach: reached, missed, or cannot be told; whoever chooses never judges; and the page that says so."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typed import Call

from decal import project, report
from decal.posts.appraisal import Way, differences, headline, targets, ways
from decal.project import Project
from decal.records import Appraisal, AppraisedPost

POSTS = 30


def way(fit: float, adds: float, seed: int = 0) -> Way:
    """Posts with three candidates around these values, scored by both halves with some noise."""
    dice = np.random.default_rng(seed)
    truth = adds + dice.normal(0, 0.3, (POSTS, 3))
    halves = (truth + dice.normal(0, 0.1, truth.shape), truth + dice.normal(0, 0.1, truth.shape))
    return Way(np.clip(fit + dice.normal(0, 0.02, truth.shape), 0, 1), truth, halves, (0.5, 0.5))


@pytest.mark.parametrize(("adds", "outcome"), [(1.0, "reached"), (-1.0, "missed"), (0.3, "cannot be told")])
def test_a_target_is_reached_missed_or_cannot_be_told(adds: float, outcome: str) -> None:
    (found,) = targets(way(0.9, adds), {"high": 0.6}, is_told=True, reason="")
    assert found.outcome == outcome


def test_eight_posts_that_all_did_it_are_not_sure_of_a_high_target() -> None:
    one = Way(np.ones((8, 2)), np.ones((8, 2)), (np.ones((8, 2)), np.ones((8, 2))), (0.5, 0.5))
    found = targets(one, {"high": 0.75, "fit": 0.6}, is_told=True, reason="")
    # Clopper and Pearson, 8 of 8 at 95 %: 0.6306.
    assert [(row.outcome, round(row.low or 0, 4)) for row in found] == [("cannot be told", 0.6306), ("reached", 0.6306)]


def test_nothing_is_said_of_likes_where_pictures_say_nothing_of_them() -> None:
    found = {"none": way(0.6, 0.0), "prompt": way(0.9, 5.0)}
    high, fit = targets(found["prompt"], {"high": 0.1, "fit": 0.75}, is_told=False, reason="no taste")
    assert (high.outcome, high.value, high.reason, fit.outcome) == ("cannot be told", None, "no taste", "reached")
    assert {one.outcome for one in differences(found, is_told=False) if one.measure == "adds"} == {"cannot be told"}
    assert [one.high for one in ways(found, is_told=False)] == [(None, None, None)] * 2


def test_pictures_unlike_all_that_was_posted_are_not_judged() -> None:
    strange = way(0.9, 5.0)
    strange.adds[: POSTS // 2] = np.nan
    (found,) = targets(strange, {"high": 0.6}, is_told=True, reason="")
    assert (found.outcome, found.reason) == ("cannot be told", "too many pictures are unlike all that was posted")


def test_the_best_is_judged_by_who_did_not_choose_it() -> None:
    dice = np.random.default_rng(0)
    # The halves agree on nothing, so whoever chooses by the one gains nothing with the other.
    noise = Way(np.ones((400, 4)), np.zeros((400, 4)), (dice.normal(size=(400, 4)), dice.normal(size=(400, 4))), (0.5, 0.5))
    (lead,) = [one for one in differences({"prompt": noise}, is_told=True) if one.name.startswith("best of 4")]
    assert lead.outcome == "cannot be told"
    assert [one.outcome for one in differences({"prompt": way(0.9, 0.0)}, is_told=True)] == ["better"]


def test_a_picture_that_does_not_show_the_post_is_not_chosen() -> None:
    one = Way(np.array([[0.9, 0.2]]), np.zeros((1, 2)), (np.array([[0.0, 9.0]]), np.array([[0.0, 9.0]])), (0.5, 0.5))
    assert [chosen.tolist() for chosen in one.chosen()] == [[0], [0]]


def test_the_page_holds_the_verdicts_and_no_stranger_s_markup(tmp_path: Path) -> None:
    found = {"none": way(0.6, 0.0), "prompt": way(0.9, 1.0)}
    verdicts = targets(found["prompt"], {"high": 0.6, "fit": 0.75}, is_told=True, reason="")
    post = AppraisedPost(post="1", text="<script>alert(1)</script>", prompt="a cake", files={"none": "../../etc/passwd"})
    appraisal = Appraisal(
        posts=POSTS, candidates=3, drawn_with="mini", is_told=True, reason="", targets=verdicts, ways=ways(found, is_told=True),
        differences=differences(found, is_told=True), shown=(post,), made_of="",
    )  # fmt: skip
    page = report.posts_page(Project(tmp_path / "shop"), appraisal, None, None)
    assert headline(verdicts) == "High engagement: reached. Fit: reached."
    assert ("<h1>High engagement: reached. Fit: reached.</h1>" in page, "<script" in page, "passwd" in page) == (True, False, False)


def shop(folder: Path, tiny: Path, call: Call) -> Path:
    """A project of 200 posts of 20 accounts about six things."""
    things = ("pizza", "penguin", "bicycle", "rainbow", "guitar", "tulip")
    lines = [
        f"Look at our {things[number % 6]} {number * 7919} and {number * 104729},shop{number % 20},2020-01-{number % 28 + 1:02},{number},"
        f"https://p.example/{number}.png"
        for number in range(200)
    ]
    (folder / "posts.csv").write_text("\n".join(["content,username,date,likes,media", *lines]))
    call("posts", "import", folder / "posts.csv", folder / "shop", "--base", tiny, "--keyword", "zorbfox")
    return folder / "shop"


def test_no_report_is_made_of_posts_of_which_no_word_is_known(tmp_path: Path, call: Call) -> None:
    lines = [f"Gießkanne {number * 7919} für {number * 104729},shop{number % 20}" for number in range(200)]
    (tmp_path / "posts.csv").write_text("\n".join(["content,username", *lines]))
    call("posts", "import", tmp_path / "posts.csv", tmp_path / "shop")
    code, out, err = call("posts", "report", tmp_path / "shop", "--posts", 9)
    assert (code, out.splitlines()[0]) == (3, "9 kept-out posts of which no word is known left out (posts/words.csv)")
    assert "of these, 0 posts kept out; decal posts report  needs 8" in err


@pytest.mark.slow
def test_kept_out_posts_are_drawn_in_every_way_once(tmp_path: Path, tiny: Path, call: Call) -> None:
    at = shop(tmp_path, tiny, call)
    fast = ["--posts", 8, "-k", 2, "--set", "grid.steps=2"]
    code, out, err = call("posts", "report", at, *fast)
    assert (code, "8 kept-out posts, 2 candidates of each in these ways: none, prompt" in out) == (0, True), err
    assert "target high 60%: cannot be told; nothing was learnt of the audience (decal posts learn)" in out
    before = (at / "posts/report.html").stat().st_mtime_ns
    assert "all of them are there already" in call("posts", "report", at, *fast)[1]
    assert (at / "posts/report.html").stat().st_mtime_ns == before
    assert out.splitlines()[-1] == f"next: decal posts learn {at} --set grid.steps=2"
    assert Appraisal.model_validate(project.read_json(at / "posts/appraisal.json")).posts == 8


@pytest.mark.slow
def test_real_buckets_are_held_against_shuffled_ones(tmp_path: Path, tiny: Path, call: Call) -> None:
    at = shop(tmp_path, tiny, call)
    (tmp_path / "pictures").mkdir()
    for number in range(200):
        noise = np.random.default_rng(number).integers(0, 255, (64, 64, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / f"pictures/{number}.png")
    fast = ["--set", "train.steps=2", "--set", "train.batch=8", "--set", "data.faulty=keep", "--set", "grid.steps=1"]
    call("posts", "media", at, "--from", tmp_path / "pictures")
    for buckets in ("real", "shuffled"):
        given = ["--set", 'posts.conditions=["engagement"]', "--set", f"posts.buckets={buckets}"]
        for words in (["posts", "plan", at, *given], ["posts", "build", at, *given], ["train", at, "--new-run", *fast, *given]):
            code, out, err = call(*words)
            assert code == 0, out + err
    wish = ["posts", "report", at, "--posts", 8, "-k", 2, "--control"]
    assert "names no engagement" in call(*wish, "run-02", *fast)[2]
    assert "cannot be its own control" in call(*wish, "run-01", "--run", "run-01", *fast, *given[:2])[2]
    code, out, err = call(*wish, "run-02", *fast, *given[:2])
    assert (code, "in these ways: none, prompt, LoRA, both, control" in out) == (0, True), out + err
    assert "real buckets against shuffled" in out
