"""A data set from nothing, as a person types it: describe, draw, choose; and the edits of captions."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from typed import Call

from decal import project, workflow
from decal.project import Project
from decal.records import Candidate, Description, Pick

QUICK = "\n[compare]\nsteps = 1\n[grid]\nsteps = 1\n[train]\nsteps = 2\nbatch = 2\nrank = 2\ncheckpoint_every = 2\ntrackers = []\n"


@pytest.fixture(scope="module")
def drawn_once(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project without pictures, with ten descriptions and two candidates of each."""
    at = Project(tmp_path_factory.mktemp("nothing") / "project")
    workflow.new(at.folder, workflow.Order(None, "zorb", str(tiny), "stickers", "thick outline, flat colours"))
    with at.settings.open("a", encoding="utf-8") as file:
        file.write(QUICK)
    settings = workflow.settings_of(at, [])
    for _ in (*workflow.describe(at, settings, 10, lambda: False), *workflow.draw_candidates(at, settings, 2, 0, lambda: False)):
        pass
    return at.folder


@pytest.fixture
def begun(drawn_once: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(drawn_once, tmp_path / "project")


def test_a_project_from_nothing_says_what_comes_next_at_every_step(call: Call, tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    steps = [
        (("new", folder, "--keyword", "zorb", "--base", tiny), f"next: decal describe {folder}"),
        (("show", folder), f"next: decal describe {folder}"),
        (("describe", folder, "-n", "2"), f"next: decal draw --from descriptions {folder}"),
        (("show", folder), f"next: decal draw --from descriptions {folder}"),
        (("draw", "--from", "descriptions", folder, "-k", "1", "--set", "grid.steps=1"), f"next: decal caption --pick {folder}"),
        (("show", folder), f"next: decal caption --pick {folder}"),
    ]
    assert [call(*words)[1].splitlines()[-1] for words, _ in steps] == [told for _, told in steps]


def test_descriptions_hold_keyword_kind_and_style_and_candidates_are_drawn_without_the_keyword(begun: Path) -> None:
    lines = project.read(begun / "descriptions.jsonl", Description)
    assert [line.caption for line in lines] == [f"zorb style sticker of {line.content}, thick outline, flat colours" for line in lines]
    drawn = project.read(begun / "candidates.jsonl", Candidate)
    prompts = {line.number: f"sticker of {line.content}, thick outline, flat colours" for line in lines}
    assert {one.description: one.cell.prompt for one in drawn} == prompts
    assert len({one.cell.seed for one in drawn}) == 20
    assert [path.name for path in sorted((begun / "candidates").glob("sheet*"))] == ["sheet-01.png", "sheet-02.png"]


def test_a_second_draw_draws_nothing_and_more_candidates_only_what_is_new(call: Call, begun: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (begun / "candidates").iterdir()}
    assert "all of them are there already" in call("draw", "--from", "descriptions", begun, "-k", "2")[1]
    assert {path: path.stat().st_mtime_ns for path in (begun / "candidates").iterdir()} == before
    (begun / "candidates" / "0003-1.png").unlink()
    assert call("draw", "--from", "descriptions", begun, "-k", "3")[0] == 0
    assert len(project.read(begun / "candidates.jsonl", Candidate)) == 20 + 10 + 1
    assert all(path.stat().st_mtime_ns == before[path] for path in before if "sheet" not in path.name and path.name != "0003-1.png")


def test_what_is_chosen_becomes_the_data_set_with_where_it_comes_from(call: Call, begun: Path, tmp_path: Path) -> None:
    picks = tmp_path / "picks.txt"
    picks.write_text("# mine\n1: 2\n2: 1 2\n3: -\n")
    assert "3 pictures put into" in call("caption", begun, "--pick", "--picks", picks)[1]
    rows = [json.loads(line) for line in (begun / "dataset" / "metadata.jsonl").read_text().splitlines()]
    assert [row["file_name"] for row in rows] == ["0001-2.png", "0002-1.png", "0002-2.png"]
    first, drawn = project.read(begun / "descriptions.jsonl", Description)[0], project.read(begun / "candidates.jsonl", Candidate)[1]
    assert (rows[0]["text"], rows[0]["provenance"]["seed"]) == (first.caption, drawn.cell.seed)
    assert {"base", "base_sha256", "licence", "description", "prompt"} <= rows[0]["provenance"].keys()
    assert (begun / "dataset" / "0001-2.png").read_bytes() == (begun / drawn.file).read_bytes()
    assert call("check", begun)[0] == 0


def test_choosing_can_be_interrupted_and_goes_on_where_it_was(
    call: Call,
    begun: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for number, typed in enumerate(("2\nnonsense\n7\n1\nq\n", "-\n")):  # the second ends in the middle
        (tmp_path / str(number)).write_text(typed)
        with (tmp_path / str(number)).open() as keyboard:
            monkeypatch.setattr("sys.stdin", keyboard)
            assert call("caption", begun, "--pick")[0] == 0
    assert [(pick.description, pick.numbers) for pick in project.read(begun / "picks.jsonl", Pick)] == [(1, (2,)), (2, (1,)), (3, ())]
    assert len((begun / "dataset" / "metadata.jsonl").read_text().splitlines()) == 2


def test_a_skipped_description_is_asked_again_when_it_has_new_candidates(call: Call, begun: Path, tmp_path: Path) -> None:
    (tmp_path / "picks").write_text("".join(f"{number}: -\n" for number in range(1, 11)))
    assert call("caption", begun, "--pick", "--picks", tmp_path / "picks")[0] == 0
    assert "every candidate is decided on" in call("caption", begun, "--pick")[2]
    assert call("draw", "--from", "descriptions", begun, "-k", "3")[0] == 0
    (tmp_path / "more").write_text("4: 3\n")
    assert "1 picture put into" in call("caption", begun, "--pick", "--picks", tmp_path / "more")[1]


def test_another_base_adds_candidates_of_its_own(call: Call, begun: Path) -> None:
    assert call("draw", "--from", "descriptions", begun, "-k", "1", "--base", "mini", "--set", "data.resolution=64")[0] == 0
    drawn = [one for one in project.read(begun / "candidates.jsonl", Candidate) if one.description == 1]
    assert [(one.number, one.base) for one in drawn] == [(1, "model"), (2, "model"), (3, "mini")]
    assert drawn[0].sha256 != drawn[2].sha256
    assert Image.open(begun / "candidates" / "sheet-01.png").width > 700  # three columns


@pytest.mark.slow
def test_run_describes_and_draws_only_where_there_are_no_pictures(call: Call, begun: Path, tmp_path: Path) -> None:
    code, _, err = call("run", begun)
    assert (code, "decal caption --pick" in err) == (3, True)
    assert len(project.read(begun / "candidates.jsonl", Candidate)) == 30 * 4
    (tmp_path / "picks").write_text("".join(f"{number}: 1\n" for number in range(1, 14)))
    assert call("caption", begun, "--pick", "--picks", tmp_path / "picks")[0] == 0
    # Told once the pictures are checked, before anything is trained.
    code, _, err = call("run", begun, "--set", 'data.faulty="leave out"', "--set", 'train.trackers=["wandbb"]')
    assert (code, "wandbb" in err) == (2, True)
    assert len(project.read(begun / "candidates.jsonl", Candidate)) == 30 * 4


@pytest.mark.parametrize("line", ["1: 3", "1: two", "1", "one: 1", "1: 99999999999", "1: ../../x"])
def test_a_choice_that_makes_no_sense_is_named_and_nothing_is_chosen(line: str, call: Call, begun: Path, tmp_path: Path) -> None:
    (tmp_path / "picks").write_text(f"2: 1\n{line}\n")
    code, _, err = call("caption", begun, "--pick", "--picks", tmp_path / "picks")
    assert (code, "line 2" in err, (begun / "picks.jsonl").exists()) == (2, True, False)


def test_captions_are_edited_shown_and_taken_back(call: Call, begun: Path, tmp_path: Path) -> None:
    (tmp_path / "picks").write_text("1: 1\n2: 2\n")
    assert call("caption", begun, "--pick", "--picks", tmp_path / "picks")[0] == 0
    path = Project(begun).dataset / "metadata.jsonl"
    before = path.read_bytes()
    shown = call("caption", begun, "--append", ", on white", "--dry-run")[1]
    assert (path.read_bytes(), "2 captions would change" in shown) == (before, True)
    out = call("caption", begun, "--append", ", on white")[1]
    first = json.loads(before.splitlines()[0])["text"]
    assert f"    - {first}\n    + {first}, on white\n" in out
    assert " -> " in out.splitlines()[0]
    assert call("caption", begun, "--keyword", "last")[0] == 0
    assert call("caption", begun, "--write-txt")[0] == 0
    assert all(json.loads(line)["text"].endswith("zorb style") for line in path.read_text().splitlines())
    assert [call("caption", begun, "--undo")[0] for _ in range(3)] == [0, 0, 0]
    assert (path.read_bytes(), list(path.parent.glob("*.txt"))) == (before, [])


@pytest.mark.parametrize(
    "words",
    [
        ("--pick", "--undo"),
        ("--dry-run",),
        ("--picks", "x"),
        ("--append", "x", "--add-keyword"),
        ("--keyword", "zorb"),
        ("--replace", "", "x"),
        ("--remove", " "),
    ],
)
def test_options_that_do_not_go_together_change_nothing(words: tuple[str, ...], call: Call, begun: Path) -> None:
    assert call("caption", begun, *words)[0] == 2


def test_a_picture_in_the_data_set_is_never_written_over(call: Call, begun: Path, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "red").save(begun / "dataset" / "0001-1.png")
    mine = (begun / "dataset" / "0001-1.png").read_bytes()
    (tmp_path / "picks").write_text("1: 1\n")
    code, _, err = call("caption", begun, "--pick", "--picks", tmp_path / "picks")
    assert (code, (begun / "dataset" / "0001-1.png").read_bytes()) == (3, mine)
    assert "is another picture" in err
