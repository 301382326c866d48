"""`decal check` on data sets of other tools, on sheets, and with a closer look."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from typed import Call

from decal import checks, contact, crops, pictures, reading, workflow
from decal.checks import seen
from decal.project import Project
from decal.settings import parse

SAMPLE = Path(checks.__file__).parents[1] / "mini" / "sample"
PHOTOS = Path(__file__).parent / "photos"


def _small(picture: Image.Image) -> crops.Pixels:
    return np.asarray(picture.resize((crops.SIDE_PX, crops.SIDE_PX), Image.Resampling.BOX), np.float32)


def _stickers() -> list[Image.Image]:
    return [pictures.load(path, "white") for path in sorted(SAMPLE.glob("*.png"))]


def test_a_crop_and_a_moved_picture_are_found_and_other_stickers_are_not() -> None:
    stickers = _stickers()
    side = stickers[0].width
    for picture in stickers[::6]:
        moved = Image.new("RGB", picture.size, "white")
        moved.paste(picture, (side // 12, -side // 16))
        cut = picture.crop((side // 10, side // 20, side * 9 // 10, side * 17 // 20))
        assert [crops.is_part(_small(picture), _small(other)) for other in (cut, moved, picture)] == [True, True, False]
    small = [_small(picture) for picture in stickers]
    assert [number for number in range(1, 30) if crops.is_part(small[number - 1], small[number])] == []


def test_one_photograph_among_stickers_is_drawn_unlike_them() -> None:
    import torch

    from decal.vision import Embedder

    cat = Image.open(PHOTOS / "cat.jpg").convert("RGB")
    style = Embedder.load(torch.device("cpu")).embed([*_stickers(), cat]).style
    files = [*(str(number) for number in range(30)), "cat.jpg"]
    assert [one.file for one in seen.other_style(files, np.asarray(style, np.float64))] == ["cat.jpg"]


def _fits(deviations: float, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Cosines of 30 pictures and captions, those of their own so many deviations above the others; 3 and 7 are swapped."""
    fits = np.random.default_rng(seed).normal(size=(30, 30)) + deviations * np.eye(30)
    fits[:, [3, 7]] = fits[:, [7, 3]]
    return 0.2 + 0.02 * fits


def test_captions_of_two_pictures_that_were_swapped_are_told() -> None:
    files = [str(number) for number in range(30)]
    found = [(one.file, one.reason) for one in seen.swapped(files, _fits(6, 0))]
    assert found == [("3", "its caption fits 7 better"), ("7", "its caption fits 3 better")]


def test_a_model_that_cannot_tell_captions_apart_says_nothing() -> None:
    files = [str(number) for number in range(30)]
    told = [one.file for seed in range(20) for one in seen.swapped(files, _fits(0.5, seed))]
    assert told == []


@pytest.mark.slow
def test_a_reader_of_the_users_holds_pictures_against_captions(tmp_path: Path) -> None:
    from test_embedders import build

    model = build("clip", tmp_path / "clip")
    at = Project(_project(tmp_path / "p", ["zorb sticker of a bar", "zorb sticker of a cup", "zorb sticker of a fox"]))
    settings = parse({"compare": {"reader": str(model)}})
    checked = workflow.check(at, settings)
    list(workflow.look_closer(at, settings, checked, lambda: False))
    assert workflow.was_looked_at(at, settings, checked)
    assert not workflow.was_looked_at(at, parse({}), checked)


def _kohya(folder: Path) -> Path:
    (folder / "10_zorb fox").mkdir(parents=True)
    for number in range(3):
        picture = Image.new("RGB", (256, 256), "white")
        ImageDraw.Draw(picture).rectangle((9, 20 * number + 9, 99, 200), fill=("red", "green", "blue")[number])
        picture.save(folder / "10_zorb fox" / f"{number}.png")
    (folder / "10_zorb fox" / "0.txt").write_text("лиса спит на пушистом облаке\n")
    return folder


def test_a_folder_of_kohya_is_checked_where_it_lies_and_stays_as_it_is(tmp_path: Path, call: Call) -> None:
    folder = _kohya(tmp_path / "set")
    before = {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}
    code, out, _ = call("check", folder, "--set", "caption.keyword=zorb")
    assert (code, out.splitlines()[0]) == (3, f"{folder}, a data set of the kind kohya; nothing is written there")
    assert "is not in English (Cyrillic letters)" in out
    assert "the keyword zorb is not in" in out
    assert {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))} == before


def test_advice_outside_a_project_needs_none(tmp_path: Path, call: Call) -> None:
    folder = _kohya(tmp_path / "set")
    Image.new("RGB", (100, 100), "red").save(folder / "10_zorb fox" / "small.png")
    (folder / "10_zorb fox" / "0.txt").write_text("Katze schl\u00e4ft")
    _, out, _ = call("check", folder, "--json", "--quick")
    remedies = [json.loads(line)["remedy"] for line in out.splitlines()]
    assert len(remedies) > 4
    assert not [one for one in remedies if re.search(r"data\.|caption\.|train\.|--fix|--translate|sources\.jsonl|\[\w+\]", one)]


def test_a_folder_that_is_no_project_gets_a_closer_look_too(tmp_path: Path, call: Call) -> None:
    (tmp_path / "set").mkdir()
    for path in [*sorted(SAMPLE.glob("*.png"))[:14], PHOTOS / "cat.jpg"]:
        (tmp_path / "set" / path.name).write_bytes(path.read_bytes())
    _, quick, _ = call("check", tmp_path / "set", "--quick", "--json")
    _, looked, _ = call("check", tmp_path / "set", "--json")
    more = [json.loads(line) for line in looked.splitlines() if line not in quick.splitlines()]
    assert [(one["check"], one["file"]) for one in more] == [("other_style", "cat.jpg")]
    assert len(list((tmp_path / "set").iterdir())) == 15


def test_lines_of_a_file_that_a_folder_does_not_have_are_explained(tmp_path: Path, call: Call) -> None:
    Image.new("RGB", (512, 512), "red").save(tmp_path / "a.png")
    (tmp_path / "metadata.csv").write_text("file_name,text\na.png,a red square on white\ngone.png,another one\n")
    code, out, _ = call("check", tmp_path, "--quick")
    assert (code, "gone.png  is named in line 2 of metadata.jsonl but is not there" in out) == (0, True)
    assert "lines are those of the metadata.jsonl that  decal new  would write" in out
    assert "held against sd1.5 as Decal would train it" in out


def test_concepts_of_onetrainer_are_checked_through_their_file(tmp_path: Path, call: Call) -> None:
    _kohya(tmp_path / "set")
    (tmp_path / "concepts.json").write_text(json.dumps([{"path": str(tmp_path / "set" / "10_zorb fox")}]))
    code, out, _ = call("check", tmp_path / "concepts.json", "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert (code, [one["file"] for one in found if one["check"] == "no_caption"]) == (3, ["10_zorb fox/1.png", "10_zorb fox/2.png"])


@pytest.mark.parametrize("option", ["--fix", "--undo", "--dry-run"])
def test_nothing_is_changed_in_a_folder_that_is_no_project(option: str, tmp_path: Path, call: Call) -> None:
    code, _, err = call("check", _kohya(tmp_path / "set"), option)
    assert (code, "is no project, so nothing is changed there" in err) == (2, True)


def _project(folder: Path, captions: Sequence[str]) -> Path:
    assert workflow.new(folder, workflow.Order(_kohya(folder.parent / "set"), "zorb", "mini", "stickers")) is not None
    rows = [{"file_name": f"10_zorb fox/{number}.png", "text": text} for number, text in enumerate(captions)]
    (folder / "dataset" / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_a_sheet_shows_every_picture_the_worst_first(tmp_path: Path, call: Call) -> None:
    folder = _project(tmp_path / "p", ["zorb sticker of a bar", "", "zorb sticker of a blue bar"])
    code, out, _ = call("check", folder, "--sheet", "--quick")
    assert (code, f"  3 pictures on {folder / 'check.png'}" in out) == (3, True)
    checked = workflow.check(Project(folder), parse({}))
    assert next(iter(contact.pages(checked.listing.files, checked.findings)))[0] == "10_zorb fox/1.png"
    with Image.open(folder / "check.png") as sheet:
        assert sheet.width == 1340


@pytest.mark.slow
@pytest.mark.skipif(not reading.is_installed(), reason="pip install -e .[ocr] brings the reader")
def test_a_closer_look_is_remembered_until_a_picture_changes(tmp_path: Path) -> None:
    at, settings = Project(_project(tmp_path / "p", ["zorb sticker of a bar"] * 3)), parse({})
    path = at.dataset / "10_zorb fox" / "1.png"
    picture = Image.new("RGB", (512, 512), "white")
    ImageDraw.Draw(picture).text((60, 200), "SUMMER SALE", "black", font_size=60)
    picture.save(path)
    checked = workflow.check(at, settings)
    list(workflow.look_closer(at, settings, checked, lambda: False))
    assert [one.file for one in workflow.check(at, settings).findings if one.check == "text"] == ["10_zorb fox/1.png"]
    assert workflow.was_looked_at(at, settings, workflow.check(at, settings))
    picture.rotate(180).save(path)
    assert not workflow.was_looked_at(at, settings, workflow.check(at, settings))
