"""What is packed into a hand-in, and how."""

import zipfile
from pathlib import Path

import pytest
from PIL import Image

from decal import parcel, project
from decal.errors import SettingsError
from decal.project import Project
from decal.records import Record
from decal.runs import About
from decal.settings import parse, read, resolve, to_toml


def about(model: str) -> About:
    settings = resolve(parse({"base": {"model": model}, "data": {"resolution": 64}}), 1)
    return About(begun="", settings=settings, versions={}, device="cpu", data="", base="")


def test_equal_files_give_equal_bytes_in_any_order(tmp_path: Path) -> None:
    (tmp_path / "pear.png").write_bytes(b"pear")
    parcel.pack({"b.txt": b"fox" * 99, "a.png": tmp_path / "pear.png"}, tmp_path / "1.zip")
    parcel.pack({"a.png": b"pear", "b.txt": b"fox" * 99}, tmp_path / "2.zip")
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "1.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {"a.png": b"pear", "b.txt": b"fox" * 99}


def test_a_file_that_is_no_hand_in_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "holiday.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("photo.txt", "dear")
    with pytest.raises(SettingsError, match="left alone"):
        parcel.there_already(other)
    assert parcel.there_already(tmp_path / "nothing.zip") is None


def test_a_base_in_a_folder_is_looked_for_beside_the_notebooks(tiny: Path) -> None:
    shown = parcel.public(about(str(tiny)))
    assert shown.settings.base.model == f"base/{tiny.name}"
    assert parcel.base_in_python(shown)[0] == repr(f"base/{tiny.name}")


def test_the_settings_of_a_run_come_back_from_the_toml_that_is_packed(tmp_path: Path) -> None:
    settings = about("mini").settings
    (tmp_path / "decal.toml").write_text(to_toml(settings.model_dump(mode="json")))
    assert resolve(read(tmp_path / "decal.toml"), 1) == settings


def test_a_mask_that_is_gone_or_another_is_told_of_as_a_picture_is(tmp_path: Path) -> None:
    at = Project(tmp_path / "fox")
    run = at.run("run-01")
    for name in ("dataset/a.png", "dataset/b.png", "masks/a.png"):
        project.write_bytes(at.folder / name, b"there")
    once = project.sha256(at.folder / "masks/a.png")
    made = {"width_px": 1, "height_px": 1, "caption": "", "split": "train", "sha256": once}
    records = [Record(file=f"{name}.png", mask=f"masks/{name}.png", mask_sha256=once, **made) for name in "ab"]
    project.write_lines(run.dataset, records)
    project.write_text(run.about, about("mini").model_dump_json())
    project.write_bytes(at.folder / "masks/a.png", b"other")
    assert parcel.fill(tmp_path / "staged", at, run, about("mini")) == ["masks/a.png is another mask", "masks/b.png is gone"]


def test_pages_of_a_sheet_come_in_their_order(tmp_path: Path) -> None:
    for name in ("compare-10.png", "compare-2.png", "compare.png", "worst.png"):
        (tmp_path / name).touch()
    assert [path.name for path in parcel.pages(tmp_path, "compare")] == ["compare.png", "compare-2.png", "compare-10.png"]


def test_places_of_this_machine_get_other_names_the_longest_first() -> None:
    places = {"/home/ann": "~", "/home/ann/fox": "."}
    assert parcel.without_places(b"/home/ann/fox/a.png /home/ann/b /home/anna", places) == b"./a.png ~/b /home/anna"


def test_a_picture_within_text_is_not_taken_for_a_place() -> None:
    # Base64 has all letters and the slash, so four of them are found in one of 64 ** 4 places: once in some megabytes of pictures.
    page = b'<img src="data:image/png;base64,' + b"iVBORw0K" * 25 + b"/usr+" + b"AAAA" * 9 + b'=">/usr/lib'
    assert parcel.without_places(page, {"/usr": "python"}) == page.replace(b">/usr/", b">python/")


def test_a_picture_that_says_where_it_was_taken_is_found(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(parcel.GPS)[1] = "N"
    for name, data in (("home.jpg", exif), ("sky.jpg", Image.Exif())):
        Image.new("RGB", (8, 8)).save(tmp_path / name, exif=data)
    assert parcel.located(tmp_path) == ["home.jpg"]


def test_pictures_of_the_kind_are_packed_where_training_looks_for_them(tmp_path: Path) -> None:
    at = Project(tmp_path / "project")
    run = at.run("run-01")
    kept = []
    for file in ("prior/mine.png", "cache/prior/ab/00000.png", "prior/lost.png"):
        (at.folder / file).parent.mkdir(parents=True, exist_ok=True)
        (at.folder / file).write_bytes(file.encode())
        sha256 = project.sha256(at.folder / file)
        kept.append(Record(file=file, sha256=sha256, width_px=1, height_px=1, caption="a sticker", split="train"))
    run.folder.mkdir(parents=True)
    project.write_lines(run.prior, kept)
    project.write_lines(run.dataset, [])
    project.write_text(run.about, about("mini").model_dump_json())
    (at.folder / "prior/lost.png").unlink()
    told = parcel.fill(tmp_path / "staged", at, run, about("mini"))
    packed = {path.relative_to(tmp_path / "staged").as_posix() for path in (tmp_path / "staged").rglob("*.png")}
    assert packed == {"prior/mine.png", "cache/prior/ab/00000.png"}
    assert told == ["prior/lost.png is not there any more as it was trained on"]
    assert project.read(parcel.runs_folder(tmp_path / "staged", run) / "prior.jsonl", Record) == kept
