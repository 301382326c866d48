"""Bulk edits of captions, .txt files, and taking both back to the byte."""

import json
from pathlib import Path

import pytest

from decal import edits, undo
from decal.edits import Edit, edited
from decal.errors import ProjectError

# A byte order mark, Windows line ends, spaces of somebody's own, other keys, a line that is no JSON, and no newline at the end.
METADATA = (
    b'\xef\xbb\xbf{"file_name": "a.png",   "text": "zorb style sticker of a cat", "likes": 3}\r\n'
    b"{broken\r\n"
    b'{"caption": "a category of \xd1\x91\xd0\xb6", "file_name": "b.png"}\r\n'
    b'{"file_name":"c.png"}\n'
    b'{"file_name": "a.png", "text": "two cats"}'
)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "dataset"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.png").touch()
    (folder / "metadata.jsonl").write_bytes(METADATA)
    return folder


@pytest.mark.parametrize(
    ("edit", "before", "after"),
    [
        (Edit(prepend="a"), "apple", "a apple"),
        (Edit(prepend="cute"), "a cat", "cute a cat"),
        (Edit(append=", thick outline"), "a cat", "a cat, thick outline"),
        (Edit(append=", thick outline"), "a cat, thick outline", "a cat, thick outline"),
        (Edit(replace=(("cat", "fox"),)), "a cat in a category", "a fox in a category"),
        (Edit(replace=((".", r"\1"),)), "a cat.", r"a cat\1"),
        (Edit(remove=("Very",)), "a very VERY big cat", "a big cat"),
        (Edit(remove=("cat",)), "cat", "cat"),
        (Edit(keyword="first"), "a cat, zorb style", "zorb style, a cat"),
        (Edit(keyword="first"), "zorb style sticker of a cat", "zorb style sticker of a cat"),
        (Edit(keyword="last"), "zorb style sticker of a cat", "sticker of a cat, zorb style"),
        (Edit(keyword="last"), "a Zorb cat", "a cat, Zorb"),
        (Edit(keyword="first"), "a zorbian cat", "zorb style, a zorbian cat"),
        (Edit(replace=(("cat", "fox"),), remove=("big",), prepend="a", keyword="last"), "zorb big cat", "a fox, zorb"),
    ],
)
def test_an_edit_changes_whole_words_and_nothing_twice(edit: Edit, before: str, after: str) -> None:
    assert edited(before, edit, "zorb") == after
    assert edited(after, edit, "zorb") == after


def test_only_the_lines_that_change_are_written_anew(dataset: Path) -> None:
    changes = edits.apply(dataset, Edit(replace=(("cat", "fox"),)), "zorb")
    assert [(change.file, change.line, change.after) for change in changes] == [("a.png", 1, "zorb style sticker of a fox")]
    old, new = METADATA.split(b"\n"), (dataset / "metadata.jsonl").read_bytes().split(b"\n")
    assert new[1:] == old[1:]
    assert new[0] == b'\xef\xbb\xbf{"file_name": "a.png", "text": "zorb style sticker of a fox", "likes": 3}\r'


def test_a_preview_writes_nothing_and_shows_what_an_edit_does(dataset: Path) -> None:
    edit = Edit(append=", inked")
    shown = edits.preview(dataset, edit, "")
    assert ((dataset / "metadata.jsonl").read_bytes(), (dataset.parent / "undo").exists()) == (METADATA, False)
    assert edits.apply(dataset, edit, "") == shown
    assert [change.after for change in shown] == ["zorb style sticker of a cat, inked", "a category of ёж, inked", "two cats, inked"]


def test_edits_are_taken_back_one_after_the_other_to_the_byte(dataset: Path) -> None:
    versions = [METADATA]
    for number in range(3):
        edits.apply(dataset, Edit(append=f", {number}"), "")
        versions.append((dataset / "metadata.jsonl").read_bytes())
    for before in reversed(versions[:-1]):
        undo.undo(dataset.parent)
        assert (dataset / "metadata.jsonl").read_bytes() == before
    with pytest.raises(ProjectError, match="nothing to undo"):
        undo.undo(dataset.parent)


def test_what_somebody_else_wrote_since_is_not_undone(dataset: Path) -> None:
    edits.apply(dataset, Edit(append=", x"), "")
    (dataset / "metadata.jsonl").write_text("mine")
    with pytest.raises(ProjectError, match="was changed after the last edit"):
        undo.undo(dataset.parent)
    assert (dataset / "metadata.jsonl").read_text() == "mine"


def test_a_change_that_was_stopped_half_way_is_taken_back(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("old")
    undo.change(tmp_path, {"a": b"new", "b": b"new"}, "both")
    (tmp_path / "b").write_text("old")  # As if it had been killed between the two.
    assert undo.undo(tmp_path) == "both"
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["b", "undo"]
    assert (tmp_path / "b").read_text() == "old"


def test_a_change_that_was_moved_away_by_another_name_is_not_in_the_way(tmp_path: Path) -> None:
    undo.change(tmp_path, {"a": b"1"}, "to 1")
    undo.change(tmp_path, {"a": b"2"}, "to 2")
    (tmp_path / "undo" / "0002").rename(tmp_path / "undo" / "0002.bad")
    undo.change(tmp_path, {"b": b"3"}, "to 3")
    assert [undo.undo(tmp_path), (tmp_path / "a").read_bytes()] == ["to 3", b"2"]


def test_undo_never_leaves_the_project(tmp_path: Path) -> None:
    undo.change(tmp_path / "project", {"a": b"new"}, "one")
    about = tmp_path / "project" / "undo" / "0001" / "undo.json"
    about.write_text(about.read_text().replace('"a"', '"../a"'))
    with pytest.raises(ProjectError, match="outside of the project"):
        undo.undo(tmp_path / "project")


def test_txt_files_are_written_beside_the_pictures_once_and_can_be_taken_back(dataset: Path) -> None:
    (dataset / "b.txt").write_text("of my own")
    assert edits.write_txt(dataset) == (["a.txt", "b.txt"], [])
    assert [(dataset / name).read_text("utf-8") for name in ("a.txt", "b.txt")] == ["zorb style sticker of a cat\n", "a category of ёж\n"]
    assert edits.write_txt(dataset) == ([], [])
    undo.undo(dataset.parent)
    assert ((dataset / "b.txt").read_text(), (dataset / "a.txt").exists()) == ("of my own", False)


def test_two_pictures_of_one_name_do_not_share_a_txt_file(dataset: Path) -> None:
    (dataset / "a.webp").touch()
    with (dataset / "metadata.jsonl").open("a") as file:
        file.write("\n" + json.dumps({"file_name": "a.webp", "text": "another"}))
    written, shared = edits.write_txt(dataset)
    assert (written, sorted(set(shared))) == (["b.txt"], ["a.png", "a.webp"])
