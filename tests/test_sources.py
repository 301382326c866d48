"""Data sets of other tools on their way into a project."""

import gzip
import io
import json
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from decal import masks
from decal.dataset import Row, bring_in, scan
from decal.errors import DataError
from decal.intake import Brought
from decal.records import Source


def png(colour: str, size: int = 8) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(data, "PNG")
    return data.getvalue()


def pictures(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png("red"))
    return folder


def parquet(path: Path, rows: list[dict[str, object]], metadata: dict[str, str] | None = None) -> Path:
    table = pa.Table.from_pylist(rows)
    pq.write_table(table.replace_schema_metadata(metadata) if metadata else table, path)
    return path


def tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def brought(source: Path | str, tmp_path: Path, caption_column: str | None = None, limit: int | None = None) -> tuple[Brought, list[Row]]:
    told = bring_in(source, tmp_path / "dataset", caption_column=caption_column, limit=limit)
    return told, list(scan(tmp_path / "dataset").rows)


def lines(tmp_path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (tmp_path / "dataset" / "metadata.jsonl").read_text("utf-8").splitlines()]


def test_pictures_in_a_parquet_file_come_with_their_names_rows_and_licence(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"image": {"bytes": png("red"), "path": "a.png"}, "text": "A", "likes": 3},
        {"image": {"bytes": png("blue"), "path": None}, "text": "B", "likes": None},
        {"image": {"bytes": b"no picture", "path": "a.png"}, "text": None, "likes": 0},
    ]
    source = parquet(tmp_path / "x.parquet", rows, {"huggingface": '{"info": {"license": "cc0-1.0"}}'})
    told, there = brought(source, tmp_path)
    assert there == [Row("a.png", "A", 1), Row("000002.png", "B", 2), Row("a-2.png", None, 3)]
    assert [(tmp_path / "dataset" / row.file).read_bytes() for row in there] == [png("red"), png("blue"), b"no picture"]
    assert lines(tmp_path)[0] == {"file_name": "a.png", "text": "A", "likes": 3}
    assert told.source == Source(kind="parquet", where=str(source), licence="cc0-1.0", pictures=3)


@pytest.mark.parametrize("masked", [(True, True), (True, False), (False, True)])
def test_pictures_of_one_name_and_two_endings_share_no_mask(masked: tuple[bool, bool], tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"image": png(name), "mask": png("grey") if is_masked else None, "file_name": f"a.{ending}"}
        for name, ending, is_masked in zip(("red", "blue"), ("png", "jpg"), masked, strict=True)
    ]
    _, there = brought(parquet(tmp_path / "x.parquet", rows), tmp_path)
    found = masks.found(tmp_path / "dataset", "dataset", [row.file for row in there])
    assert [row.file in found for row in there] == list(masked)
    assert len(set(found.values())) == sum(masked)


def test_a_local_path_in_a_parquet_file_is_a_finding_and_never_opened(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(png("red"))
    paths = [str(secret), "../secret.png", "beside.png", "a.png"]
    pictures(tmp_path, "beside.png")
    rows: list[dict[str, object]] = [{"image": {"bytes": png("blue"), "path": "a.png"}, "text": "A"}]
    rows += [{"image": {"bytes": None, "path": path}, "text": "B"} for path in paths]
    told, there = brought(parquet(tmp_path / "x.parquet", rows), tmp_path)
    assert there == [Row("a.png", "A", 1)]
    assert [path.name for path in (tmp_path / "dataset").iterdir() if path.suffix == ".png"] == ["a.png"]
    assert [fault.check for fault in scan(tmp_path / "dataset").faults] == ["outside", "outside", "missing_file", "missing_file"]
    assert "4 rows with a local path in place of a picture" in told.told()


def test_a_folder_of_parquet_files_is_one_source_and_a_limit_takes_the_first_rows(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(2):
        rows: list[dict[str, object]] = [{"image": png("red", 8 + row), "text": f"{number} {row}"} for row in range(40)]
        parquet(tmp_path / "in" / f"train-{number}.parquet", rows)
    told, there = brought(tmp_path / "in", tmp_path, limit=50)
    assert [row.caption for row in there] == [f"{row // 40} {row % 40}" for row in range(50)]
    assert (told.pictures, told.source.kind) == (50, "parquet")


def test_a_caption_column_is_taken_by_name_and_a_wrong_one_names_those_that_are_there(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"image": png("red"), "title": ["A", "B"], "text": "C"}]
    source = parquet(tmp_path / "x.parquet", rows)
    with pytest.raises(DataError, match=r"no column 'titel' .* Did you mean title\?\nThere are: title, text\."):
        bring_in(source, tmp_path / "dataset", caption_column="titel")
    _, there = brought(source, tmp_path, "title")
    assert there == [Row("000001.png", "A", 1, ("B",))]
    assert lines(tmp_path) == [{"file_name": "000001.png", "title": ["A", "B"], "source_text": "C", "text": ["A", "B"]}]


def test_a_set_without_a_usual_caption_column_comes_in_and_says_so(tmp_path: Path) -> None:
    told, _ = brought(parquet(tmp_path / "x.parquet", [{"image": png("red"), "title": "A"}]), tmp_path)
    assert told.notes[0].startswith("no column is called text, caption or prompt; there are title: --caption-column")


def test_samples_of_a_webdataset_come_with_text_and_json(tmp_path: Path) -> None:
    members = {
        "a.json": b'{"text": "C", "likes": 3}',
        "a.png": png("red"),
        "a.txt": b"A\n\nB\n",
        "sub/b.jpg": b"x",
        "sub/b.caption.npy": b"",
        "c.txt": b"no picture",
    }
    told, there = brought(tar(tmp_path / "x.tar", members), tmp_path)
    assert there == [Row("a.png", "A", 1, ("B",)), Row("sub/b.jpg", None, 2)]
    assert lines(tmp_path) == [
        {"file_name": "a.png", "likes": 3, "source_text": "C", "text": ["A", "B"]},
        {"file_name": "sub/b.jpg"},
        {"file_name": "c.png", "text": "no picture"},
    ]
    assert (told.pictures, told.ignored) == (2, 1)


def test_a_pattern_names_several_tars_and_equal_keys_get_a_number(tmp_path: Path) -> None:
    for number in range(3):
        tar(tmp_path / f"{number:02}.tar.gz", {"a.png": png("red"), "a.txt": str(number).encode()}, "w:gz")
    _, there = brought(str(tmp_path / "{00..01}.tar.gz"), tmp_path)
    assert there == [Row("a.png", "0", 1), Row("a-2.png", "1", 2)]
    bring_in(str(tmp_path / "*.tar.gz"), tmp_path / "all")
    assert [row.caption for row in scan(tmp_path / "all").rows] == ["0", "1", "2"]


def test_links_devices_and_names_that_lead_out_of_a_tar_stay_there(tmp_path: Path) -> None:
    path = tar(tmp_path / "x.tar", {"a.png": png("red"), "../b.png": png("red"), "/c.png": png("red")})
    with tarfile.open(path, "a") as archive:
        for name, kind in (("d.png", tarfile.SYMTYPE), ("e.png", tarfile.LNKTYPE), ("f.png", tarfile.CHRTYPE), ("g.png", tarfile.FIFOTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    told, there = brought(path, tmp_path)
    assert [row.file for row in there] == ["a.png"]
    assert (told.left_outside, told.ignored) == (("../b.png", "/c.png", "d.png", "e.png"), 2)
    assert not (tmp_path / "b.png").exists()


def test_a_tar_that_is_cut_damaged_or_a_bomb_is_refused_in_a_sentence_and_nothing_is_left(tmp_path: Path) -> None:
    whole = tar(tmp_path / "x.tar", {f"{place}.png": png("red") for place in range(9)}).read_bytes()
    cases = {
        "cut.tar": (whole[:5000], "is damaged"),
        "header.tar": (whole[:2048] + b"?" * 512 + whole[2560:], r"is damaged \(no header at byte 2,048\)"),
        "wrong.tar": (b"\x89PNG" * 1000, "is damaged"),
        "empty.tar": (b"", "is damaged"),
        "cut.tar.gz": (gzip.compress(whole)[:-30], "is damaged"),
        "bomb.tar.gz": (gzip.compress(tar(tmp_path / "y.tar", {"a.png": bytes(2**25)}).read_bytes()), "unpacks to more than 300 times"),
    }
    for name, (data, why) in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=why):
            bring_in(tmp_path / name, tmp_path / "dataset")
        assert not (tmp_path / "dataset").exists()


def test_kohya_folders_give_repeats_where_they_differ_and_words_where_a_text_is_missing(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", "img/10_zorb fox/a.png", "img/10_zorb fox/b.png", "img/20_zorb owl/c.png", "reg/1_fox/r.png")
    (source / "img/10_zorb fox/a.txt").write_text("A\nB\n")
    (source / "img/20_zorb owl/c.caption").write_text("C")
    told, there = brought(source, tmp_path)
    assert there == [
        Row("img/10_zorb fox/a.png", "A", 1, ("B",), 10),
        Row("img/10_zorb fox/b.png", "zorb fox", 2, (), 10),
        Row("img/20_zorb owl/c.png", "C", 3, (), 20),
    ]
    assert "only their ratio counts" in told.notes[0]
    assert "regularisation pictures, which Decal does not use: reg/1_fox" in told.told()


def test_equal_repeats_mean_nothing_and_are_said_to(tmp_path: Path) -> None:
    told, there = brought(pictures(tmp_path / "in", "10_fox/a.png", "10_owl/b.png"), tmp_path)
    assert [row.repeats for row in there] == [1, 1]
    assert "equal repeats change nothing" in told.notes[0]


@pytest.mark.parametrize("names", [("2024_trip/a.png", "1_fox/b.png"), ("10_fox/a.png", "b.png")])
def test_folders_that_kohya_would_not_read_are_plain_folders(tmp_path: Path, names: tuple[str, ...]) -> None:
    told, there = brought(pictures(tmp_path / "in", *names), tmp_path)
    assert (told.source.kind, {row.repeats for row in there}, {row.caption for row in there}) == ("folder", {1}, {None})


def test_concepts_of_onetrainer_bring_their_folders_weights_and_prompts(tmp_path: Path) -> None:
    pictures(tmp_path, "fox/a.png", "fox/deep/b.png", "owl/c.png", "off/d.png")
    (tmp_path / "fox" / "a.txt").write_text("A")
    (tmp_path / "owl.txt").write_text("an owl\na bird\n")
    concepts = [
        {"name": "Fox", "path": str(tmp_path / "fox"), "balancing": 0.5, "balancing_strategy": "REPEATS"},
        {"name": "", "path": "owl", "balancing": 2.0, "text": {"prompt_source": "concept", "prompt_path": str(tmp_path / "owl.txt")}},
        {"name": "off", "path": "off", "enabled": False},
    ]
    (tmp_path / "concepts.json").write_text(json.dumps(concepts))
    told, there = brought(tmp_path / "concepts.json", tmp_path)
    assert there == [Row("Fox/a.png", "A", 1), Row("owl/c.png", "an owl", 2, ("a bird",), 4)]
    assert "Fox (1), owl (4)" in told.told()
    assert "concept off is left out: it is switched off" in told.notes


def test_a_table_brings_the_pictures_that_it_names_and_no_others(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", "pics/b.png", "pics/a.png", "pics/c.png")
    (source / "pics" / "out.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "secret.png").write_bytes(png("red"))
    table = "image_path;title;likes\npics/b.png;B;1\npics/gone.png;G;2\npics/a.png;A;3\n../secret.png;S;4\npics/out.png;O;5\n"
    (source / "posts.csv").write_text(table)
    told, there = brought(source / "posts.csv", tmp_path, "title")
    assert [(row.file, row.caption, row.line) for row in there] == [("pics/b.png", "B", 1), ("pics/a.png", "A", 3)]
    assert lines(tmp_path)[0] == {"file_name": "pics/b.png", "title": "B", "likes": "1", "text": "B"}
    assert (told.pictures, told.rows, told.left_outside) == (2, 5, ("pics/out.png",))


def test_a_table_without_a_column_of_files_names_its_columns(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"a": 1, "b": 2}\n')
    with pytest.raises(DataError, match=r"no column of file names .*\nIts columns are: a, b\."):
        bring_in(tmp_path / "x.jsonl", tmp_path / "dataset")


def test_the_licence_of_a_folder_is_that_of_its_card_or_of_its_licence_file(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", "a.png")
    (source / "LICENSE").write_text("\nMIT License\n\nCopyright")
    assert bring_in(source, tmp_path / "one").source.licence == "LICENSE: MIT License"
    (source / "README.md").write_text("---\ntags: [a]\nlicense:\n- cc-by-4.0 # or\n- mit\n---\n# Foxes\n")
    assert bring_in(source, tmp_path / "two").source.licence == "cc-by-4.0, mit"
