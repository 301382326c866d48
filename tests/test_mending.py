"""What `decal check --fix` mends, and that all of it can be taken back."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from typed import Call

from decal import checks, mending, undo
from decal.errors import ProjectError
from decal.settings import parse

GOOD = "zorb style sticker of a"


def _picture(path: Path, number: int) -> None:
    picture = Image.new("RGB", (128, 128), "white")
    ImageDraw.Draw(picture).rectangle((10, 10 + 9 * number, 60 + 9 * number, 120), fill=("red", "green", "blue", "black")[number % 4])
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def _project(folder: Path, lines: Sequence[object], pictures: dict[str, int]) -> Path:
    for file, number in pictures.items():
        _picture(folder / "dataset" / file, number)
    text = "".join((line if isinstance(line, str) else json.dumps(line, ensure_ascii=False)) + "\n" for line in lines)
    (folder / "dataset" / "metadata.jsonl").write_text(text, "utf-8")
    (folder / "decal.toml").write_text('[caption]\nkeyword = "zorb"\n')
    return folder


def _mend(folder: Path) -> mending.Plan:
    planned = mending.plan(folder / "dataset", checks.run(folder / "dataset", parse({})))
    mending.apply(folder, planned)
    return planned


def _lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "dataset" / "metadata.jsonl").read_text("utf-8").splitlines()]


def _all(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _row(file: str, text: str, **more: object) -> dict[str, object]:
    return {"file_name": file, "text": text, **more}


def test_captions_are_tidied_and_unscrambled(tmp_path: Path) -> None:
    told = [f" {GOOD}  fox\u200b", f"{GOOD} jalapeño".encode().decode("latin-1"), f"{GOOD} pear"]
    folder = _project(tmp_path, [_row(f"{n}.png", text, note=n) for n, text in enumerate(told)], {f"{n}.png": n for n in range(3)})
    _mend(folder)
    assert _lines(folder) == [_row(f"{n}.png", f"{GOOD} {what}", note=n) for n, what in enumerate(("fox", "jalapeño", "pear"))]


def test_names_are_spelt_as_the_files_are(tmp_path: Path) -> None:
    rows = [_row("sub\\A.PNG", f"{GOOD} fox"), _row("b.jpg", f"{GOOD} cat"), _row("gone.png", f"{GOOD} dog")]
    folder = _project(tmp_path, rows, {"sub/a.png": 0, "b.png": 1})
    _mend(folder)
    assert [row["file_name"] for row in _lines(folder)] == ["sub/a.png", "b.png"]
    assert json.loads((folder / "left_out" / "metadata.jsonl").read_text()) == rows[2]


def test_lines_of_one_picture_and_of_its_copies_are_joined(tmp_path: Path) -> None:
    rows = [_row("a (1).png", f"{GOOD} fox"), _row("a.png", f"{GOOD} red fox"), _row("a.png", f"{GOOD} red fox", repeats=2)]
    folder = _project(tmp_path, rows, {"a.png": 0, "a (1).png": 0})
    _mend(folder)
    assert _lines(folder) == [_row("a.png", "") | {"text": [f"{GOOD} red fox", f"{GOOD} fox"]}]
    assert (folder / "left_out" / "a (1).png").is_file()
    assert not (folder / "dataset" / "a (1).png").exists()


def test_a_copy_that_is_left_out_is_told_once(tmp_path: Path) -> None:
    folder = _project(tmp_path, [_row("a (1).png", ""), _row("a.png", f"{GOOD} fox")], {"a.png": 0, "a (1).png": 0})
    assert [(mend.file, mend.what) for mend in _mend(folder).mends] == [("a (1).png", "left out: the same picture as a.png")]
    assert _lines(folder) == [_row("a.png", f"{GOOD} fox")]


def test_what_is_left_out_has_its_own_line_there_whichever_came_first(tmp_path: Path) -> None:
    lines = [{"file_name": "hare copy.png", "text": "a copy"}, {"file_name": "hare.png", "text": "the original"}]
    planned = _mend(_project(tmp_path, lines, {"hare.png": 1, "hare copy.png": 1}))
    left, kept = (json.loads(planned.files[f"{folder}/metadata.jsonl"]) for folder in ("left_out", "dataset"))
    assert left == lines[0]
    assert kept == {"file_name": "hare.png", "text": ["the original", "a copy"]}


def test_of_two_that_are_the_same_the_one_that_is_called_a_copy_is_left_out(tmp_path: Path) -> None:
    folder = _project(tmp_path, [], {"grinning-face.png": 1, "Kopie Bär.png": 1})
    assert [mend.file for mend in _mend(folder).mends] == ["Kopie Bär.png"]


def test_pictures_that_cannot_be_used_are_left_out_with_their_lines(tmp_path: Path) -> None:
    folder = _project(tmp_path, [_row("a.png", f"{GOOD} fox"), _row("b.png", f"{GOOD} cat")], {"a.png": 0, "b.png": 1})
    (folder / "dataset" / "b.png").write_bytes(b"<html>")
    _mend(folder)
    assert (_lines(folder), (folder / "left_out" / "b.png").read_bytes()) == ([_row("a.png", f"{GOOD} fox")], b"<html>")


def test_pictures_that_are_left_out_never_take_the_place_of_others(tmp_path: Path) -> None:
    rows = [_row("a.png", f"{GOOD} fox"), _row("a-2.png", f"{GOOD} cat"), _row("c.png", f"{GOOD} owl")]
    folder = _project(tmp_path, rows, {"c.png": 2})
    (folder / "left_out").mkdir()
    for name, data in (("left_out/a.png", b"before"), ("dataset/a.png", b"one"), ("dataset/a-2.png", b"two")):
        (folder / name).write_bytes(data)
    _mend(folder)
    left = {path.name: path.read_bytes() for path in (folder / "left_out").glob("*.png")}
    told = {row["file_name"]: row["text"] for row in map(json.loads, (folder / "left_out/metadata.jsonl").read_text().splitlines())}
    assert left == {"a.png": b"before", "a-2.png": b"two", "a-3.png": b"one"}
    assert told == {"a-3.png": f"{GOOD} fox", "a-2.png": f"{GOOD} cat"}


def test_a_line_of_a_file_that_is_there_stays_although_it_is_no_picture(tmp_path: Path) -> None:
    rows = [_row("a.png", f"{GOOD} fox"), _row("b.avif", f"{GOOD} cat")]
    folder = _project(tmp_path, rows, {"a.png": 0})
    (folder / "dataset" / "b.avif").write_bytes(b"ftypavif")
    assert (_mend(folder).mends, _lines(folder)) == ((), rows)


def test_a_line_without_caption_that_is_taken_out_is_kept_too(tmp_path: Path) -> None:
    gone = {"file_name": "gone.png", "provenance": {"licence": "CC0"}}
    folder = _project(tmp_path, [gone, _row("a.png", f"{GOOD} fox")], {"a.png": 0})
    _mend(folder)
    assert json.loads((folder / "left_out" / "metadata.jsonl").read_text()) == gone


def test_lines_that_cannot_be_read_stay_to_the_byte(tmp_path: Path) -> None:
    bad = ["{broken", "[]", '{"file_name": "a.png", "text": 7}', '{"text": "x"}', "", '{"file_name": "b.png",  "text": "a b c d"}']
    folder = _project(tmp_path, list(bad), {"a.png": 0, "b.png": 1})
    before = _all(folder)
    assert (_mend(folder).mends, _all(folder)) == ((), before)


def test_everything_is_taken_back_to_the_byte_and_a_second_time_mends_nothing(tmp_path: Path) -> None:
    rows = [_row("a.png", f" {GOOD} fox"), _row("A (1).png", f"{GOOD} fox"), _row("c.png", f"{GOOD} cat"), _row("x.png", f"{GOOD} owl")]
    folder = _project(tmp_path, rows, {"a.png": 0, "A (1).png": 0, "c.png": 1})
    (folder / "dataset" / "c.png").write_bytes(b"")
    before = _all(folder)
    assert (len(_mend(folder).mends), len(_mend(folder).mends)) == (4, 0)
    assert undo.undo(folder) == "mend 4 things that the check found"
    assert {name: data for name, data in _all(folder).items() if not name.startswith(".")} == before


def test_an_undo_that_misses_a_picture_changes_nothing(tmp_path: Path) -> None:
    folder = _project(tmp_path, [_row("a.png", f"{GOOD} fox"), _row("b.png", f"{GOOD} cat")], {"a.png": 0, "b.png": 0})
    _mend(folder)
    (folder / "left_out" / "b.png").unlink()
    before = _all(folder)
    with pytest.raises(ProjectError, match="is not there any more"):
        undo.undo(folder)
    assert _all(folder) == before


def test_fix_shows_a_diff_and_undo_takes_it_back(tmp_path: Path, call: Call) -> None:
    folder = _project(tmp_path, [_row("a.png", f"{GOOD}  fox asleep")], {"a.png": 0})
    before = (folder / "dataset" / "metadata.jsonl").read_bytes()
    code, out, _ = call("check", folder, "--dry-run")
    assert (code, out.splitlines()[:4]) == (
        0,
        ["  a.png  caption", f"    - {GOOD}  fox asleep", f"    + {GOOD} fox asleep", "1 thing would be mended"],
    )
    assert (folder / "dataset" / "metadata.jsonl").read_bytes() == before
    assert call("check", folder, "--fix")[1].splitlines()[3] == f"1 thing mended in {folder}; --undo takes it back"
    assert call("check", folder, "--undo")[1].startswith("taken back: mend 1 thing")
    assert (folder / "dataset" / "metadata.jsonl").read_bytes() == before
