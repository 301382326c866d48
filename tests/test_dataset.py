"""Bringing pictures in, reading metadata, and the hold-out."""

import hashlib
import json
import os
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from decal.dataset import Listing, Row, bring_in, records, scan
from decal.errors import DataError, DecalError, SettingsError
from decal.pictures import THUMBNAIL_PX, Look, look


def _picture(path: Path, colour: str = "red") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path)
    return path


def _folder(folder: Path, names: str, metadata: bytes | str | None = None) -> Path:
    """A folder with these pictures and metadata.jsonl."""
    for name in names.split():
        _picture(folder / name)
    folder.mkdir(exist_ok=True)
    if metadata is not None:
        (folder / "metadata.jsonl").write_bytes(metadata if isinstance(metadata, bytes) else metadata.encode())
    return folder


def _zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def _lines(dataset: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (dataset / "metadata.jsonl").read_text("utf-8").splitlines()]


def _found(folder: Path) -> list[tuple[str, str | None, int | None]]:
    return [(fault.check, fault.file, fault.line) for fault in scan(folder).faults]


def test_a_row_is_read_with_its_line_and_any_of_three_keys(tmp_path: Path) -> None:
    rows = '{"file_name": "a.png", "text": "A"}\n\n{"file_name": "sub/b.PNG", "caption": "B"}\n{"prompt": "C", "file_name": "./c.png"}\n'
    listing = scan(_folder(tmp_path, "a.png sub/b.PNG c.png", rows))
    assert listing.rows == (Row("a.png", "A", 1), Row("sub/b.PNG", "B", 3), Row("c.png", "C", 4))
    assert (listing.files, listing.faults) == (("a.png", "c.png", "sub/b.PNG"), ())


def test_several_captions_are_a_list_or_numbered_keys_and_repeats_a_whole_number(tmp_path: Path) -> None:
    rows = '{"file_name": "a.png", "text": ["A", "", "B"], "repeats": 3}\n{"file_name": "b.png", "caption_2": "D", "caption_1": "C"}\n'
    rows += '{"file_name": "c.png", "text": "E", "text_2": null, "textual": "x"}\n{"file_name": "c.png", "repeats": 1001}\n'
    folder = _folder(tmp_path, "a.png b.png c.png", rows)
    expected = (Row("a.png", "A", 1, ("B",), 3), Row("b.png", "C", 2, ("D",)), Row("c.png", "E", 3))
    assert (scan(folder).rows, _found(folder)) == (expected, [("bad_repeats", "c.png", 4)])


def test_a_byte_order_mark_windows_line_ends_and_one_bad_line_cost_one_finding(tmp_path: Path) -> None:
    metadata = b'\xef\xbb\xbf{"file_name": "a.png", "text": "A"}\r\n{"file_name": "b.png", "text": \x00}\r\n{"file_name": "c.png"}\r\n'
    listing = scan(_folder(tmp_path, "a.png c.png", metadata))
    assert [(row.file, row.caption, row.line) for row in listing.rows] == [("a.png", "A", 1), ("c.png", None, 3)]
    assert [(fault.line, fault.reason) for fault in listing.faults] == [(2, "line 2: holds a NUL byte")]


def test_every_kind_of_bad_line_is_named_by_its_number_and_the_rest_goes_on(tmp_path: Path) -> None:
    bad = [b"{broken", b'["a.png"]', b'{"text": "no name"}', b'{"file_name": 3}', b'{"file_name": ""}', b'{"file_name": "\xff.png"}']
    bad += [rb'{"file_name": "a\ud800.png"}', rb'{"file_name": "a\u0000.png"}', b"[" * 100_000]
    listing = scan(_folder(tmp_path, "a.png", b"\n".join([*bad, b'{"file_name": "a.png", "text": "A"}'])))
    expected = [("bad_line", "metadata.jsonl", number) for number in range(1, 10)]
    assert [(fault.check, fault.file, fault.line) for fault in listing.faults] == expected
    assert listing.rows == (Row("a.png", "A", 10),)


def test_a_caption_that_is_not_text_is_an_error_of_its_picture(tmp_path: Path) -> None:
    metadata = '{"file_name": "a.png", "text": 7}\n{"file_name": "b.png", "text": "x\\ud800"}\n{"file_name": "c.png", "text": null}\n'
    folder = _folder(tmp_path, "a.png b.png c.png", metadata)
    assert _found(folder) == [("bad_caption", "a.png", 1), ("bad_caption", "b.png", 2)]
    assert scan(folder).rows == (Row("c.png", None, 3),)


def test_names_that_lead_out_of_the_folder_are_refused_as_text(tmp_path: Path) -> None:
    names = ["../a.png", "x/../../a.png", "/etc/a.png", "C:/a.png", "C:a.png", "x\\a.png", "http://x/a.png", "file:a.png", "s3://x/a.png"]
    _picture(tmp_path / "a.png")
    folder = _folder(tmp_path / "in", "", "\n".join(json.dumps({"file_name": name, "text": "t"}) for name in names))
    assert _found(folder) == [("outside", "metadata.jsonl", number) for number in range(1, len(names) + 1)]


def test_links_that_leave_the_folder_are_errors_and_links_within_are_not(tmp_path: Path) -> None:
    _picture(tmp_path / "secret.png")
    folder = _folder(tmp_path / "in", "a.png real/b.png")
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "up").symlink_to(tmp_path)
    (folder / "same.png").symlink_to(folder / "a.png")
    names = ["a.png", "same.png", "real/b.png", "out.png", "up/secret.png"]
    (folder / "metadata.jsonl").write_text("\n".join(json.dumps({"file_name": name}) for name in names))
    assert [row.file for row in scan(folder).rows] == ["a.png", "same.png", "real/b.png"]
    assert _found(folder) == [("outside", "out.png", 4), ("outside", "up/secret.png", 5)]


def test_a_line_without_its_picture_is_a_warning_and_a_picture_without_its_line_too(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "b.png notes.png", '{"file_name": "gone.png"}\n{"file_name": "b.png"}\n')
    assert [(fault.level, fault.check, fault.file) for fault in scan(folder).faults] == [
        ("warning", "missing_file", "gone.png"),
        ("warning", "no_row", "notes.png"),
    ]
    assert [row.file for row in scan(folder).rows] == ["b.png"]


@pytest.mark.parametrize("there", ["A.png", "a.jpg"])
def test_a_line_whose_picture_has_another_case_or_ending_is_an_error_since_a_caption_would_be_lost(tmp_path: Path, there: str) -> None:
    folder = _folder(tmp_path, there, '{"file_name": "a.png", "text": "A"}\n')
    faults = scan(folder).faults
    assert [(fault.level, fault.check, fault.file) for fault in faults] == [
        ("error", "missing_file", "a.png"),
        ("warning", "no_row", there),
    ]
    assert faults[0].remedy == f"There is {there}; write the name exactly so."


def test_pictures_whose_own_line_cannot_be_used_are_known_with_its_number(tmp_path: Path) -> None:
    lines = [
        '{"file_name": "a.png", "text": "A}',
        '{"file_name": "sub/b.png", "text": 7}',
        '{"file_name": "C.PNG"}',
        "{'file_name': 'd \u00e9.png'}",
        '{"file_name": "caf\\u00e9.png"',
        '{"file_name": "/home/f.png"}',
    ]
    folder = _folder(tmp_path, "a.png sub/a.png sub/b.png b.png c.png caf\u00e9.png f.png g.png", "\n".join(lines))
    _picture(folder / "d \u00e9.png")
    listing = scan(folder)
    assert listing.broken == {"a.png": 1, "sub/b.png": 2, "c.png": 3, "d é.png": 4, "café.png": 5, "f.png": 6}
    assert listing.unnamed == ["b.png", "g.png", "sub/a.png"]


def test_without_metadata_captions_come_from_text_files(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "a.png b.jpg .hidden.png")
    (folder / "a.txt").write_text("a fox\n", "utf-8-sig")
    assert scan(folder).rows == (Row("a.png", "a fox", None), Row("b.jpg", None, None))


def test_a_folder_that_is_empty_or_not_there_has_no_rows(tmp_path: Path) -> None:
    assert (scan(tmp_path).files, scan(tmp_path / "none").files) == ((), ())


def test_a_file_name_that_is_not_utf8_is_an_error_and_stops_nothing(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "a.png")
    os.link(folder / "a.png", os.fsencode(folder) + b"/b\xff.png")
    assert (scan(folder).files, _found(folder)) == (("a.png",), [("bad_name", "b\\udcff.png", None)])


def test_ten_thousand_rows_are_read_in_two_seconds(tmp_path: Path) -> None:
    names = [f"{number % 100:02}/{number:05}.png" for number in range(10_000)]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "metadata.jsonl").write_text("\n".join(json.dumps({"file_name": name, "text": "t"}) for name in names))
    begun = time.process_time()
    listing = scan(tmp_path)
    assert time.process_time() - begun < 2
    assert (len(listing.rows), listing.faults) == (10_000, ())


def test_pictures_are_copied_under_their_names_and_originals_stay(tmp_path: Path) -> None:
    source = _folder(tmp_path / "in", "a.png sub/b.jpg .hidden/c.png __MACOSX/d.png", b"")
    (source / "notes.pdf").write_bytes(b"x")
    (source / "sub" / "b.txt").write_text(" a  fox \n")
    (source / "metadata.jsonl").unlink()
    before = {path: path.stat() for path in source.rglob("*")}
    brought = bring_in(source, tmp_path / "out" / "dataset")
    assert _lines(tmp_path / "out" / "dataset") == [{"file_name": "a.png"}, {"file_name": "sub/b.jpg", "text": "a fox"}]
    assert (tmp_path / "out" / "dataset" / "a.png").read_bytes() == (source / "a.png").read_bytes()
    assert brought.told() == "2 pictures, 1 of 2 lines with a caption, 1 other file ignored"
    assert {path: path.stat().st_mtime_ns for path in source.rglob("*")} == {path: stat.st_mtime_ns for path, stat in before.items()}


def test_metadata_at_the_top_is_kept_to_the_byte_and_pictures_without_row_follow(tmp_path: Path) -> None:
    metadata = b'\xef\xbb\xbf{"text": "A", "file_name": "a.png", "likes": 3}\r\n{broken\n\n{"file_name": "gone.png"}'
    source = _folder(tmp_path / "in", "a.png b.png", metadata)
    brought = bring_in(source, tmp_path / "dataset")
    assert (tmp_path / "dataset" / "metadata.jsonl").read_bytes() == metadata + b'\n{"file_name": "b.png"}\n'
    assert (brought.pictures, brought.rows, brought.captions) == (2, 4, 1)


def test_lines_that_cannot_be_used_are_counted_and_their_pictures_get_no_second_line(tmp_path: Path) -> None:
    metadata = b'{"file_name": "a.png", "text": "A"}\n{"file_name": "b.png", "text": "B}\n{"file_name": "c.png", "text": 7}\n'
    brought = bring_in(_folder(tmp_path / "in", "a.png b.png c.png d.png", metadata), tmp_path / "dataset")
    assert (tmp_path / "dataset" / "metadata.jsonl").read_bytes() == metadata + b'{"file_name": "d.png"}\n'
    assert brought.told() == "4 pictures, 1 of 4 lines with a caption, 2 lines of metadata.jsonl cannot be used (decal check names them)"


def test_a_table_becomes_rows_with_all_its_columns(tmp_path: Path) -> None:
    source = _folder(tmp_path / "in", "a.png b.png")
    (source / "metadata.csv").write_text('file_name;caption;likes\na.png;"a fox; asleep";3\nb.png;;0\n', "utf-8-sig")
    bring_in(source, tmp_path / "dataset")
    assert _lines(tmp_path / "dataset") == [
        {"file_name": "a.png", "caption": "a fox; asleep", "likes": "3"},
        {"file_name": "b.png", "likes": "0"},
    ]


def test_metadata_beside_nested_pictures_gets_their_folder_as_prefix(tmp_path: Path) -> None:
    source = _folder(tmp_path / "in", "top.png")
    _folder(source / "cats", "a.png", '{"file_name": "a.png", "text": "cat"}\n{"file_name": "../x.png"}\nbroken\n')
    (_folder(source / "dogs", "b.png") / "metadata.csv").write_text("file_name,text\nb.png,dog\n")
    bring_in(source, tmp_path / "dataset")
    assert (tmp_path / "dataset" / "metadata.jsonl").read_text() == (
        '{"file_name": "cats/a.png", "text": "cat"}\n{"file_name": "../x.png"}\nbroken\n'
        '{"file_name": "dogs/b.png", "text": "dog"}\n{"file_name": "top.png"}\n'
    )


def test_links_out_of_the_source_are_named_and_not_followed(tmp_path: Path) -> None:
    _picture(tmp_path / "secret.png")
    source = _folder(tmp_path / "in", "a.png")
    (source / "b.png").symlink_to(tmp_path / "secret.png")
    (source / "all").symlink_to(tmp_path)
    (source / "a.txt").symlink_to("/etc/passwd")
    brought = bring_in(source, tmp_path / "dataset")
    assert brought.left_outside == ("all", "a.txt", "b.png")
    assert _lines(tmp_path / "dataset") == [{"file_name": "a.png"}]


def test_one_picture_comes_with_its_text_file_and_without_its_neighbours(tmp_path: Path) -> None:
    source = _folder(tmp_path / "in", "a.png b.png")
    (source / "a.txt").write_text("a fox")
    bring_in(source / "a.png", tmp_path / "dataset")
    assert _lines(tmp_path / "dataset") == [{"file_name": "a.png", "text": "a fox"}]


@pytest.mark.parametrize(
    ("name", "kind", "why"),
    [("none", SettingsError, "is not there"), ("empty", DataError, "holds no picture"), ("a.txt", DataError, "is no picture")],
)
def test_a_source_without_pictures_is_refused_and_nothing_is_left(tmp_path: Path, name: str, kind: type[DecalError], why: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(kind, match=why):
        bring_in(tmp_path / name, tmp_path / "out" / "dataset")
    assert not (tmp_path / "out").exists()


def test_a_zip_is_unpacked_like_a_folder(tmp_path: Path) -> None:
    data = _picture(tmp_path / "x.png").read_bytes()
    members = {
        "set/a.png": data,
        "set/metadata.jsonl": b'{"file_name": "a.png", "text": "A"}',
        "__MACOSX/set/._a.png": b"x",
        "set/A.png": data,
    }
    brought = bring_in(_zip(tmp_path / "x.zip", members), tmp_path / "dataset")
    assert _lines(tmp_path / "dataset") == [{"file_name": "set/a.png", "text": "A"}, {"file_name": "set/A.png"}]
    assert (brought.pictures, brought.left_outside) == (2, ())


def test_members_that_lead_out_of_a_zip_are_named_and_stay_there(tmp_path: Path) -> None:
    data = _picture(tmp_path / "x.png").read_bytes()
    path = _zip(tmp_path / "x.zip", {"a.png": data, "../evil.png": data, "/tmp/evil.png": data, "C:\\evil.png": data})
    link = zipfile.ZipInfo("link.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    brought = bring_in(path, tmp_path / "out" / "dataset")
    assert brought.left_outside == ("../evil.png", "/tmp/evil.png", "C:\\evil.png", "link.png")
    assert [path.name for path in tmp_path.rglob("*.png")] == ["x.png", "a.png"]


def test_a_zip_bomb_is_refused_by_name_and_limit_and_nothing_is_left(tmp_path: Path) -> None:
    path = _zip(tmp_path / "x.zip", {"a.png": _picture(tmp_path / "x.png").read_bytes(), "bomb.png": bytes(20 * 2**20)})
    with pytest.raises(DataError, match=r"'bomb\.png' unpacks to .* the limit is 300 times its packed size"):
        bring_in(path, tmp_path / "out" / "dataset")
    assert not (tmp_path / "out").exists()


def test_damaged_and_doubled_zips_are_refused_by_name(tmp_path: Path) -> None:
    good = _zip(tmp_path / "good.zip", {"a.png": os.urandom(4096)}).read_bytes()
    (tmp_path / "damaged.zip").write_bytes(good[:500] + bytes(100) + good[600:])
    (tmp_path / "cut.zip").write_bytes(good[:500])
    for name in ("damaged.zip", "cut.zip"):
        with pytest.raises(DataError, match=rf"{name} is damaged"):
            bring_in(tmp_path / name, tmp_path / "dataset")
    with zipfile.ZipFile(tmp_path / "good.zip", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a.png", b"x")
    with pytest.raises(DataError, match=r"'a\.png' is there twice"):
        bring_in(tmp_path / "good.zip", tmp_path / "dataset")


def _looks(count: int, first: int = 0) -> dict[str, Look]:
    """Looks of pictures that have nothing in common: hashes and thumbnails of noise."""
    looks = {}
    for number in range(first, first + count):
        digest = hashlib.sha256(str(number).encode())
        size = THUMBNAIL_PX[0] * THUMBNAIL_PX[1] * 3
        thumbnail = (digest.digest() * size)[:size]
        bits = int.from_bytes(digest.digest()[:8], "big")
        looks[f"{number:03}.png"] = Look(
            digest.hexdigest(), digest.hexdigest(), 8, 8, "RGB", 1, False, False, 1, None, 255, None, bits, thumbnail
        )
    return looks


def _split(looks: dict[str, Look], share: float = 0.15, seed: int = 0) -> set[str]:
    """The held-out files of a set with these looks."""
    listing = Listing(tuple(Row(file, "t", None) for file in looks), tuple(looks), (), {})
    return {record.file for record in records(listing, looks, holdout_share=share, seed=seed) if record.split == "holdout"}


def test_the_holdout_has_at_least_six_at_most_200_and_otherwise_its_share() -> None:
    sizes = {count: len(_split(_looks(count))) for count in (1, 11, 12, 40, 100, 1500)}
    assert sizes == {1: 0, 11: 0, 12: 6, 40: 6, 100: 15, 1500: 200}
    assert _split(_looks(40), share=0) == set()


def test_one_picture_more_moves_at_most_one_other() -> None:
    before, after = _split(_looks(100)), _split(_looks(101))
    assert len(before - after) <= 1
    assert _split(_looks(100)) == before
    assert _split(_looks(100), seed=1) != before


def test_copies_of_a_picture_and_rows_of_one_file_are_on_one_side(tmp_path: Path) -> None:
    looks = _looks(40)
    copies = {f"copy-{file}": seen for file, seen in looks.items()}
    listing = Listing(tuple(Row(file, "t", None) for file in (*looks, *looks, *copies)), (), (), {})
    split = records(listing, looks | copies, holdout_share=0.15, seed=0)
    sides = {sha: {record.split for record in split if record.sha256 == sha} for sha in {record.sha256 for record in split}}
    assert {len(side) for side in sides.values()} == {1}
    assert len({record.sha256 for record in split if record.split == "holdout"}) == 6


def test_near_copies_are_on_one_side(tmp_path: Path) -> None:
    looks = _looks(30)
    dice = np.random.default_rng(0)
    for number in range(30):
        image = Image.fromarray(dice.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize((64, 64))
        for suffix in ("png", "jpg"):
            image.save(tmp_path / f"{number}.{suffix}")
            looks[f"{number}.{suffix}"] = look(tmp_path / f"{number}.{suffix}")
    held = _split(looks, share=0.4)
    assert {f"{number}" for number in range(30) if len({f"{number}.png" in held, f"{number}.jpg" in held}) > 1} == set()


def test_records_keep_the_order_of_rows_and_leave_out_what_was_not_looked_at(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "a.png b.png", '{"file_name": "b.png"}\n{"file_name": "a.png", "text": "A"}\n')
    looks = {"b.png": look(folder / "b.png"), "a.png": look(folder / "a.png")}
    found = records(scan(folder), looks, holdout_share=0.15, seed=0)
    assert [(record.file, record.caption, record.split) for record in found] == [("b.png", "", "train"), ("a.png", "A", "train")]
    assert [record.file for record in records(scan(folder), {"a.png": looks["a.png"]}, holdout_share=0.15, seed=0)] == ["a.png"]
