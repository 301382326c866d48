"""Pictures for new posts: as many as asked for, never twice, on a sheet; and the whole way on invented posts."""

import csv
from pathlib import Path

import pytest
from PIL import Image
from typed import Call

from decal import project
from decal.grid import read_prompts
from decal.records import PostDrawing, PostVariant
from decal.workflow.showing import SAMPLE_POSTS


def table(path: Path, texts: list[str]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["content"], *([text] for text in texts)])
    return path


@pytest.mark.slow
def test_new_posts_are_drawn_once_and_put_on_a_sheet(tmp_path: Path, tiny: Path, call: Call) -> None:
    call("posts", "import", table(tmp_path / "posts.csv", ["A pizza"]), tmp_path / "shop", "--base", tiny)
    new = table(tmp_path / "new.csv", ["Two penguins", "", "A cake"])
    fast = ["-k", 2, "--set", "grid.steps=2"]
    code, out, err = call("posts", "draw", new, tmp_path / "shop", *fast)
    assert (code, "2 new posts, 1 row left out" in out) == (0, True), err
    drawn = project.read(tmp_path / "shop/posts/drawn.jsonl", PostDrawing)
    # Two candidates of each, and two pictures of each prompt by the base to hold them against.
    assert sorted((one.number, one.cell.checkpoint) for one in drawn) == [(0, 0)] * 4 + [(1, 0)] * 2 + [(2, 0)] * 2
    assert len({one.cell.seed for one in drawn}) == 6
    (sheet,) = (tmp_path / "shop/posts/new").glob("*/sheet-01.png")
    assert Image.open(sheet).width > 500
    assert "all of them are there already" in call("posts", "draw", new, tmp_path / "shop", *fast)[1]
    assert project.read(tmp_path / "shop/posts/drawn.jsonl", PostDrawing) == drawn


def test_a_table_that_says_nothing_is_one_sentence(tmp_path: Path, call: Call) -> None:
    call("posts", "import", table(tmp_path / "posts.csv", ["A pizza"]), tmp_path / "shop")
    code, _, err = call("posts", "draw", table(tmp_path / "new.csv", ["<hyperlink>"]), tmp_path / "shop")
    assert (code, err.splitlines()[0].endswith("says anything that could be drawn.")) == (3, True)


def test_the_invented_posts_are_planned_and_built(tmp_path: Path, call: Call) -> None:
    at = tmp_path / "demo"
    call("posts", "import", SAMPLE_POSTS / "posts.csv", at, "--keyword", "cobink")
    outs = []
    for words in (["plan", at], ["media", at, "--from", SAMPLE_POSTS.parent / "sample"], ["build", at]):
        code, out, err = call("posts", *words)
        assert code == 0, err
        outs.append(out)
    assert "30 there, 3 gone, 0 noai, 0 refused, 0 failed; 9 posts without one" in outs[1]
    assert "28 pictures in" in out
    # Hardly a post is kept out of so few; the other prompts are about other things, so that compare and grid have enough.
    assert "2 posts kept out; decal posts report  needs 8" in out
    assert [len(read_prompts(at / name)) for name in ("prompts.txt", "compare_prompts.txt")] == [10, 8]
    assert "gun" not in (at / "posts/plans/00000.jsonl").read_text().split('"')
    assert call("check", at)[0] == 0


@pytest.mark.slow
def test_candidates_have_an_order_with_reasons_and_their_likes_can_come_later(tmp_path: Path, tiny: Path, call: Call) -> None:
    call("posts", "import", table(tmp_path / "posts.csv", ["A pizza"]), tmp_path / "shop", "--base", tiny)
    assert "no variants yet" in call("posts", "observe", tmp_path / "likes.csv", tmp_path / "shop")[2]
    new = table(tmp_path / "new.csv", ["Two penguins", "A cake"])
    out = call("posts", "draw", new, tmp_path / "shop", "-k", 2, "--set", "grid.steps=2")[1]
    assert "ordered by fit alone: nothing was learnt of the audience" in out
    assert out.splitlines()[-1].endswith(f"decal posts observe LIKES.csv {tmp_path / 'shop'}")
    (path,) = (tmp_path / "shop/posts/new").glob("*/variants.jsonl")
    variants = project.read(path, PostVariant)
    assert [(one.post, one.rank) for one in variants] == [("row-1", 1), ("row-1", 2), ("row-2", 1), ("row-2", 2)]
    (tmp_path / "likes.csv").write_text(f"variant,likes\n{variants[0].variant},many")
    assert "but none with a number of likes" in call("posts", "observe", tmp_path / "likes.csv", tmp_path / "shop")[2]
    lines = [f"decal-{one.variant};{one.rank},2k" for one in variants]
    (tmp_path / "likes.csv").write_text("\n".join(["utm_content;like_count", *lines, "unknown;3", f"{variants[0].variant};many"]))
    code, out, err = call("posts", "observe", tmp_path / "likes.csv", tmp_path / "shop")
    assert (code, out.splitlines()[0]) == (
        0,
        "4 figures new, 1 of unknown variants (row 5: 'unknown'), 1 without a number of likes (row 6: not a number)",
    ), err
    assert "agreement: cannot be told yet, of fewer than 8 posts" in out
    assert out.splitlines()[-1] == f"next: decal posts draw NEXT.csv {tmp_path / 'shop'}"
    (tmp_path / "likes.csv").write_text(f"ID;Herzen\n{variants[0].variant};7\n")
    code, out, err = call(
        "posts", "observe", tmp_path / "likes.csv", tmp_path / "shop", "--column", "variant=ID", "--column", "likes=Herzen"
    )
    assert (code, out.splitlines()[0][:5]) == (0, "1 fig"), err
