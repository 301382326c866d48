"""Data sets on their way out, and back in."""

import hashlib
import io
import json
import tarfile
import tomllib
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image
from test_sources import parquet, pictures, png

from decal import export, masks
from decal.dataset import Row, bring_in, scan
from decal.errors import SettingsError
from decal.export import LAYOUTS, Exported

ROWS: list[dict[str, object]] = [
    {"file_name": "sub/a.png", "text": "zorb, a red thing", "likes": 3},
    {"file_name": "a.png", "text": "zorb ёж"},
    {"file_name": "a.jpg", "text": "another one", "repeats": 2},
    {"file_name": "b.two.png"},
]
SEVERAL: list[dict[str, object]] = [*ROWS, {"file_name": "c.png", "text": ["one", "two"], "repeats": 2}]


def made(folder: Path, rows: list[dict[str, object]]) -> Path:
    """An imagefolder with a picture of its own colour for each row."""
    for place, row in enumerate(rows):
        pictures(folder, str(row["file_name"]))
        (folder / str(row["file_name"])).write_bytes(png(f"#{place:06x}"))
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def told(rows: tuple[Row, ...], folder: Path) -> set[tuple[str, tuple[str, ...]]]:
    """The captions of each picture, by the hash of its bytes."""
    return {(hashlib.sha256((folder / row.file).read_bytes()).hexdigest(), row.captions) for row in rows}


def out(dataset: Path, target: Path, kind: str) -> Exported:
    of = {"sub/a.png": path} if (path := dataset.parent / "mask.png").exists() else {}
    return export.write(scan(dataset), dataset, target, kind=kind, keyword="zorb", masks=of)


@pytest.mark.parametrize("kind", LAYOUTS)
@pytest.mark.parametrize("rows", [ROWS, SEVERAL], ids=["one", "several"])
def test_what_is_exported_comes_back_with_the_same_captions_and_bytes(kind: str, rows: list[dict[str, object]], tmp_path: Path) -> None:
    dataset = made(tmp_path / "dataset", rows)
    written = out(dataset, tmp_path / "out", kind)
    assert written.pictures == len(rows)
    bring_in(tmp_path / "out", tmp_path / "back")
    assert told(scan(tmp_path / "back").rows, tmp_path / "back") == told(scan(dataset).rows, dataset)


@pytest.mark.parametrize("level", [127, 255])
@pytest.mark.parametrize("kind", LAYOUTS)
def test_masks_are_written_and_come_back_as_masks_of_their_pictures(kind: str, level: int, tmp_path: Path) -> None:
    dataset = made(tmp_path / "dataset", ROWS)
    Image.new("L", (8, 8), level).save(tmp_path / "mask.png")
    out(dataset, tmp_path / "out", kind)
    bring_in(tmp_path / "out", tmp_path / "back")
    assert told(scan(tmp_path / "back").rows, tmp_path / "back") == told(scan(dataset).rows, dataset)
    assert [Image.open(io.BytesIO(data)).getpixel((0, 0)) for data in written_masks(tmp_path / "out", kind)] == [level]
    ((file, mask),) = masks.found(tmp_path / "back", "back", scan(tmp_path / "back").files).items()
    assert (tmp_path / "back" / file).read_bytes() == (dataset / "sub/a.png").read_bytes()
    assert Image.open(tmp_path / mask).getpixel((0, 0)) == level


def test_grey_pictures_in_a_folder_of_masks_are_masks_of_what_has_their_name(tmp_path: Path) -> None:
    source = tmp_path / "source"
    pictures(source, "img/a.png", "img/b.png", "img/c.png", "masks/b.png", "masks/c.png", "masks/a.png", "masks/z.png")
    for name in ("masks/a.png", "masks/c.png", "masks/z.png"):
        Image.new("L", (8, 8), 127).save(source / name)
    (source / "img/b.png").write_bytes(png("red"))
    (source / "masks/b.png").write_bytes(png("red"))
    (source / "masks/c.txt").write_text("a mask of carnival, in pencil")
    brought = bring_in(source, tmp_path / "dataset")
    # That of b is coloured, that of c has a caption, and z is of nobody.
    assert (brought.pictures, brought.masks, list(scan(tmp_path / "dataset").masks)) == (5, 1, ["img/a-masklabel.png"])
    assert "1 mask left out whose picture is not there: masks/z.png" in brought.told()


def written_masks(folder: Path, kind: str) -> list[bytes]:
    """The mask of sub/a.png, from where readers of the layout look."""
    if kind == "parquet":
        rows = pq.read_table(next(folder.glob("*.parquet"))).to_pylist()
        return [row["mask"]["bytes"] for row in rows if row["mask"] is not None]
    if kind == "webdataset":
        with tarfile.open(next(folder.glob("*.tar"))) as archive:
            return [archive.extractfile(one).read() for one in archive if one.name == "sub/a.mask.png"]  # type: ignore[union-attr]
    if kind == "kohya":
        said = tomllib.loads((folder / "masks.toml").read_text())
        places = [(one["image_dir"], one["conditioning_data_dir"]) for one in said["datasets"][0]["subsets"]]
        assert places == [("1_zorb", "masks/1_zorb"), ("2_zorb", "masks/2_zorb")]
        # It wants a mask of every picture, by its name.
        assert {path.stem for path in (folder / "1_zorb").glob("*.png")} == {path.stem for path in (folder / "masks" / "1_zorb").iterdir()}
        return [path.read_bytes() for path in (folder / "masks" / "1_zorb").iterdir() if path.stem == "sub-a"]
    return [(folder / "sub" / "a-masklabel.png").read_bytes()]


@pytest.mark.parametrize("kind", ["imagefolder", "kohya", "webdataset", "parquet"])
def test_repeats_come_back_too(kind: str, tmp_path: Path) -> None:
    out(made(tmp_path / "dataset", SEVERAL), tmp_path / "out", kind)
    bring_in(tmp_path / "out", tmp_path / "back")
    assert sorted(row.repeats for row in scan(tmp_path / "back").rows) == [1, 1, 1, 2, 2]


def test_kohya_gets_folders_without_folders_in_them_and_an_imagefolder_all_keys(tmp_path: Path) -> None:
    dataset = made(tmp_path / "dataset", ROWS)
    out(dataset, tmp_path / "kohya", "kohya")
    names = sorted(path.relative_to(tmp_path / "kohya").as_posix() for path in (tmp_path / "kohya").rglob("*.*"))
    assert names[:4] == ["1_zorb/a.png", "1_zorb/a.txt", "1_zorb/b.two.png", "1_zorb/b.two.txt"]
    assert names[4:] == ["1_zorb/sub-a.png", "1_zorb/sub-a.txt", "2_zorb/a.jpg", "2_zorb/a.txt"]
    out(dataset, tmp_path / "imagefolder", "imagefolder")
    assert [json.loads(line) for line in (tmp_path / "imagefolder" / "metadata.jsonl").read_text("utf-8").splitlines()] == ROWS


def test_equal_sets_give_equal_tars(tmp_path: Path) -> None:
    dataset = made(tmp_path / "dataset", ROWS)
    for name in ("one", "two"):
        out(dataset, tmp_path / name, "webdataset")
    assert (tmp_path / "one" / "00000.tar").read_bytes() == (tmp_path / "two" / "00000.tar").read_bytes()


def test_a_target_that_is_not_empty_and_a_layout_that_is_not_known_are_refused(tmp_path: Path) -> None:
    dataset = made(tmp_path / "dataset", ROWS)
    with pytest.raises(SettingsError, match="not empty; it is left alone"):
        out(dataset, dataset, "txt")
    with pytest.raises(SettingsError, match="There are: imagefolder, kohya, txt, webdataset, parquet"):
        out(dataset, tmp_path / "out", "lmdb")
    assert not (tmp_path / "out").exists()


def test_a_set_that_came_as_parquet_goes_out_as_what_it_was(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"image": {"bytes": png("red"), "path": "a.png"}, "text": "A"}]
    bring_in(parquet(tmp_path / "x.parquet", rows), tmp_path / "dataset")
    out(tmp_path / "dataset", tmp_path / "out", "parquet")
    import pyarrow.parquet as pq

    assert pq.read_table(tmp_path / "out" / "train-00000-of-00001.parquet").to_pylist() == rows
