"""What an audience likes: found where there is a taste, and not claimed where there is none."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typed import Call

from decal import project
from decal.posts.audience import Audience, Part, Published
from decal.posts.engagement import Ranker, _folds, learn, ranks
from decal.posts.predictors import Boosted, Ridge
from decal.project import Project
from decal.records import EngagementReport, ObservedLikes, Post, PostPlace, PostVariant
from decal.scores.looks import Looks
from decal.settings import Settings
from decal.viewing import Shown
from decal.workflow.learning import _came_back, _liked


def audience(seed: int, taste: float, accounts: int = 40, posts: int = 20) -> Audience:
    """Accounts of different size that like chroma, each as much as it does, besides noise as on public tables (deviation 0.9)."""
    dice, size = np.random.default_rng(seed), accounts * posts
    content, histogram = (np.abs(dice.normal(size=(size, width))) for width in (32, 233))
    tone, account = dice.normal(size=(size, 4)), np.repeat(np.arange(accounts), posts)
    level, strength = dice.normal(6, 2, accounts), dice.uniform(0.5, 1.5, accounts)
    likes = np.maximum(0, level[account] + taste * strength[account] * tone[:, 1] + dice.normal(0, 0.9, size))
    sides = np.where(account < 4, "unseen account", "train").tolist()
    looks = Looks(content, content, histogram, tone)
    names = tuple(f"account {one}" for one in account)
    return Audience(names, ("",) * size, names, tuple(sides), likes, looks, dice.normal(size=(size, 8)))


def test_a_taste_is_found_with_its_sign() -> None:
    learnt = learn(audience(0, -0.6), "none", "")
    assert learnt is not None
    assert (learnt.report.is_told, learnt.report.reason.startswith("Pictures say something of likes")) == (True, True)
    looks = audience(1, 0).picture
    assert np.corrcoef(learnt.ranker.scores(looks), looks.tone[:, 1])[0, 1] < -0.8


def test_every_figure_stands_beside_the_constant_and_the_mean_of_the_account() -> None:
    learnt = learn(audience(2, 0.5), "none", "")
    assert learnt is not None
    names = ["constant", "account mean", "ridge", "boosting", "without picture", "picture alone", "shuffled"]
    for split in ("accounts in turn", "kept-out accounts"):
        r2 = [one for one in learnt.report.figures if (one.split, one.measure) == (split, "r2")]
        assert [one.predictor for one in r2] == names
        # Of an account that nothing was learnt from, the mean is everybody's.
        assert r2[0].value == pytest.approx(0, abs=1e-9) == r2[1].value


def test_few_accounts_say_nothing_of_others() -> None:
    learnt = learn(audience(0, 2.0, accounts=9), "none", "")
    assert learnt is not None
    assert learnt.report.reason.startswith("Cannot be told: only 5 accounts")


def test_ranks_of_ties_are_their_middle() -> None:
    assert ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]


def test_ridge_finds_a_line_and_shrinks_noise() -> None:
    dice = np.random.default_rng(0)
    x = dice.normal(size=(500, 20))
    line = Ridge.fit(x, 2 * x[:, 3] + 1)
    assert [line.weights[3], line.constant] == pytest.approx([2, 1], abs=0.02)
    assert np.abs(Ridge.fit(x, dice.normal(size=500)).predict(x)).mean() < 0.2


def test_boosting_finds_what_no_line_can() -> None:
    x = np.random.default_rng(0).normal(size=(2000, 5))
    y = np.where(x[:, 0] * x[:, 1] > 0, 1.0, -1.0)
    left = y[1000:] - Boosted.fit(x[:1000], y[:1000]).predict(x[1000:])
    assert (left**2).mean() < 0.5 < 0.9 < ((y[1000:] - Ridge.fit(x[:1000], y[:1000]).predict(x[1000:])) ** 2).mean()


def test_a_ranker_comes_back_from_its_file_and_a_damaged_one_does_not() -> None:
    learnt = learn(audience(3, 0.5), "none", "")
    assert learnt is not None
    data, looks = learnt.ranker.to_bytes(), audience(4, 0).picture
    again = Ranker.from_bytes(data)
    assert again is not None
    assert again.scores(looks).tolist() == learnt.ranker.scores(looks).tolist()
    assert Ranker.from_bytes(data[:1000]) is None


def shop(folder: Path, accounts: int = 14, posts: int = 10) -> Path:
    """A project of posts whose audience likes red grounds more than blue ones."""
    dice = np.random.default_rng(0)
    (folder / "pictures").mkdir()
    rows = []
    for number in range(accounts * posts):
        is_red = bool(dice.random() < 0.5)
        picture = Image.effect_noise((130, 130), 60).convert("RGB")
        Image.blend(picture, Image.new("RGB", picture.size, "red" if is_red else "blue"), 0.7).save(folder / f"pictures/{number}.png")
        likes = int(np.exp(3 + number % accounts / 3 + 1.5 * is_red + dice.normal(0, 0.5)))
        words = f"A pizza number {number * 7919} for table {number * 104729}"
        rows.append([number, f"2020-01-{number % 28 + 1:02}", likes, words, f"shop{number % accounts}", f"https://p.example/{number}.png"])
    with (folder / "posts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "date", "likes", "content", "username", "media"], *rows])
    return folder / "shop"


@pytest.mark.slow
def test_what_is_liked_is_learnt_from_pictures_once(tmp_path: Path, call: Call) -> None:
    at = shop(tmp_path)
    call("posts", "import", tmp_path / "posts.csv", at)
    assert "Call  decal posts media" in call("posts", "learn", at)[2]
    call("posts", "media", at, "--from", tmp_path / "pictures")
    code, out, err = call("posts", "learn", at)
    assert (code, "Pictures say something of likes" in out) == (0, True), out + err
    assert out.splitlines()[-1] == f"next: decal posts draw NEXT.csv {at}"
    report = EngagementReport.model_validate(project.read_json(at / "posts/engagement.json"))
    assert 100 < report.posts <= 140
    before = (at / "posts/engagement.json").stat().st_mtime_ns
    assert "nothing changed since" in call("posts", "learn", at)[1]
    assert (at / "posts/engagement.json").stat().st_mtime_ns == before


def observed(at: Path, name: str, picture: Path, **told: str) -> None:
    """A variant that was drawn for some post, published, and liked twice."""
    rest = {"number": 1, "prompt": "", "seed": 0, "checkpoint": 0, "fit": 1.0, "adds": None, "rank": 1, "standing": "best", "bucket": None}
    rest |= {"variant": name, "drawing": name, "post": "row-1", "file": picture.relative_to(at).as_posix(), "sha256": "", "reason": ""}
    one = PostVariant.model_validate(rest | told)
    (at / "posts/new" / name).mkdir(parents=True)
    project.write_lines(at / f"posts/new/{name}/variants.jsonl", [one])
    before = project.read(at / "posts/observed.jsonl", ObservedLikes)
    project.write_lines(at / "posts/observed.jsonl", [*before, ObservedLikes(variant=name, drawing=name, rank=1, likes=2)])


@pytest.mark.slow
def test_variants_of_kept_out_companies_teach_nothing_and_what_came_back_counts_once(tmp_path: Path, call: Call) -> None:
    at = shop(tmp_path, posts=4)
    for number, picture in enumerate((Image.linear_gradient("L"), Image.radial_gradient("L"))):
        picture.convert("RGB").save(tmp_path / f"pictures/{number}.png")
    (at / "posts").mkdir(parents=True)
    (at / "posts/companies.csv").write_text("\n".join(["username,company", *(f"shop{one},brand {one}" for one in range(14))]))
    call("posts", "import", tmp_path / "posts.csv", at)
    call("posts", "media", at, "--from", tmp_path / "pictures")
    rows = project.read(at / "posts/rows/00000.jsonl", Post)
    sides = {one.number: one.side for one in project.read(at / "posts/places/00000.jsonl", PostPlace)}
    out = next(one for one in rows if sides[one.number] == "unseen account")
    kept = next(one for one in rows if sides[one.number] == "train")
    Image.effect_noise((130, 130), 60).convert("RGB").save(at / "new.png")
    Image.open(tmp_path / f"pictures/{kept.id}.png").resize((100, 100)).save(at / "again.jpg")
    observed(at, "leak", at / "new.png", account="fresh", company=out.company)
    observed(at, "fine", at / "new.png", account="other", company=kept.company)
    observed(at, "back", at / "again.jpg", account=kept.account)
    liked = _liked(Project(at), Settings())
    assert [(one.account, one.company) for one in liked.published] == [("other", kept.company), (kept.account, "")]
    assert (liked.kept_out, liked.came_back, kept in liked.posts) == (1, 1, False)


def test_a_post_of_another_account_with_the_same_file_is_no_variant_that_came_back(tmp_path: Path) -> None:
    for name, picture in (("one", Image.linear_gradient("L")), ("two", Image.radial_gradient("L"))):
        picture.convert("RGB").save(tmp_path / f"{name}.png")
    one, two = (Shown(tmp_path / f"{name}.png", name) for name in ("one", "two"))
    accounts = [Post(number=number, id="", status="kept", notes=(), original="", account=name) for number, name in enumerate(("a", "b"))]
    found = _came_back([(post, "train", one) for post in accounts], [Published(name, "", "", 1) for name in ("a", "b")], [one, two])
    assert found == {0}


def test_big_accounts_of_one_kind_of_picture_do_not_say_that_it_is_liked() -> None:
    found = audience(5, -0.6, accounts=60, posts=6)
    level = np.array([found.likes[np.array(found.accounts) == name].mean() for name in found.accounts])
    looks = Looks(
        found.picture.content, found.picture.style, found.picture.histogram, found.picture.tone + (level[:, None] - 6) * [0, 1, 0, 0]
    )
    learnt = learn(replace(found, picture=looks), "none", "")
    assert learnt is not None
    fresh = audience(6, 0).picture
    assert np.corrcoef(learnt.ranker.scores(fresh), fresh.tone[:, 1])[0, 1] < -0.6


def test_accounts_of_one_company_are_predicted_together() -> None:
    accounts = [f"account {one}" for one in range(30)]
    folds = _folds(accounts, [f"company {one // 3}" for one in range(30)])
    assert [folds[one] == folds[one + 1] == folds[one + 2] for one in range(0, 30, 3)] == [True] * 10
    # Of one company alone, its accounts stand for themselves.
    assert len(set(_folds(accounts, ["company"] * 30))) == 5


def published(found: Audience, taste: float, posts: int = 60) -> Audience:
    """The audience with four variants of each of some posts behind it, whose likes differ a thousandfold between posts."""
    more = audience(7, taste, accounts=posts, posts=4)
    groups = tuple(f"{name} published" for name in more.accounts)
    behind: list[Part] = ["published"] * len(groups)
    accounts = tuple(f"account {place // 4 % 16 + 4}" for place in range(len(groups)))
    pairs = zip((found.picture.content, found.picture.style, found.picture.histogram, found.picture.tone),
                (more.picture.content, more.picture.style, more.picture.histogram, more.picture.tone), strict=True)  # fmt: skip
    return Audience(
        found.accounts + accounts, found.companies + more.companies, found.groups + groups, (*found.sides, *behind),
        np.append(found.likes, more.likes), Looks(*(np.concatenate(pair) for pair in pairs)), np.concatenate([found.rest, more.rest * 0]),
    )  # fmt: skip


def test_variants_that_were_published_are_learnt_from_and_tested_on_nowhere() -> None:
    found = audience(0, 0.0, accounts=20, posts=10)
    before, after = learn(found, "none", ""), learn(published(found, -2.0), "none", "")
    assert before is not None
    assert after is not None
    looks = audience(1, 0).picture
    assert np.corrcoef(after.ranker.scores(looks), looks.tone[:, 1])[0, 1] < -0.8
    assert (after.report.posts, after.report.published) == (before.report.posts, 240)
    kept = [
        [(one.split, one.posts, one.value) for one in learnt.report.figures if one.predictor == "account mean"]
        for learnt in (before, after)
    ]
    assert kept[0] == kept[1]


def test_variants_of_nobody_known_are_learnt_from_by_the_ranker_alone() -> None:
    found = audience(0, 0.0, accounts=6, posts=10)
    more = published(found, -2.0, posts=4)
    nameless = replace(more, accounts=(*found.accounts, *[""] * 16), companies=(*found.companies, *[""] * 16))
    before, after = learn(found, "none", ""), learn(nameless, "none", "")
    assert before is not None
    assert after is not None
    values = [[one.value for one in learnt.report.figures if one.value is not None] for learnt in (before, after)]
    assert values[1] == pytest.approx(values[0], rel=1e-6)
    assert (len(values[0]) > 20, after.report.accounts, after.report.published) == (True, 6, 16)
    assert not np.array_equal(after.ranker.ridge.weights, before.ranker.ridge.weights)


def test_what_was_published_later_does_not_foretell_kept_out_days() -> None:
    found = audience(0, -0.6, accounts=20, posts=10)
    found = replace(found, sides=tuple("unseen time" if number % 10 == 0 else side for number, side in enumerate(found.sides)))
    learnt = [learn(one, "none", "") for one in (found, published(found, 2.0))]
    rows = [
        [one.value for one in each.report.figures if (one.split, one.predictor) == ("kept-out time", "ridge")] for each in learnt if each
    ]
    assert rows[0] == rows[1]
