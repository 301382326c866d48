"""The data doctor on pictures that are badly made: each fault is told, and the same picture without it is not."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFilter

from decal import checks, quality
from decal.pictures import look
from decal.settings import parse

SAMPLE = Path(checks.__file__).parents[1] / "mini" / "sample"
PHOTOS = Path(__file__).parent / "photos"


def _cut_out(side_px: int = 256) -> Image.Image:
    """A red disc with a black outline on nothing, drawn large for smooth edges."""
    large = Image.new("RGBA", (4 * side_px, 4 * side_px))
    ImageDraw.Draw(large).ellipse((120, 120, 4 * side_px - 120, 4 * side_px - 120), fill="red", outline="black", width=40)
    return large.resize((side_px, side_px), Image.Resampling.LANCZOS)


def _on(picture: Image.Image, ground: str) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", picture.size, ground), picture)


def _with_alpha(colours: Image.Image, alpha: Image.Image) -> Image.Image:
    mixed = colours.convert("RGBA")
    mixed.putalpha(alpha)
    return mixed


def _found(picture: Image.Image, folder: Path, ground: str = "white") -> list[str]:
    """The checks that one picture fails, without those of the set and of captions."""
    picture.save(folder / "a.png")
    settings = parse({"data": {"resolution": 256, "ground": ground}})
    return [one.check for one in checks.run(folder, settings).findings if one.file == "a.png" and "caption" not in one.check]


FAULTS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "blurred": lambda picture: _on(picture, "white").filter(ImageFilter.GaussianBlur(2)),
    "low_contrast": lambda picture: Image.blend(_on(picture, "white"), Image.new("RGBA", picture.size, "white"), 0.85),
    "jagged": lambda picture: _with_alpha(picture.convert("RGB"), picture.getchannel("A").point([0] * 128 + [255] * 128)),
    "haloed": lambda picture: _with_alpha(_on(picture, "white").convert("RGB"), picture.getchannel("A")),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_badly_made_picture_fails_one_check_and_a_good_one_none(fault: str, tmp_path: Path) -> None:
    good = _cut_out()
    assert [one for one in _found(good, tmp_path) if one != "hidden_colour"] == []
    assert [one for one in _found(FAULTS[fault](good), tmp_path) if one != "hidden_colour"] == [fault]


def test_a_blur_of_known_width_is_measured() -> None:
    step = Image.new("L", (200, 200), 0)
    step.paste(255, (100, 0, 200, 200))
    assert quality.edge_px(step) == 1
    # A step blurred by s is steepest where it has the height of the normal density, 1 / (2.507 s).
    assert quality.edge_px(step.filter(ImageFilter.GaussianBlur(2))) == pytest.approx(2.507 * 2, rel=0.05)
    assert quality.edge_px(step.resize((2000, 200), Image.Resampling.NEAREST)) == pytest.approx(2, abs=1)


def test_photographs_with_a_soft_ground_are_not_blurred() -> None:
    edges = {path.stem: look(path).edge_px for path in sorted(PHOTOS.glob("*.jpg"))}
    assert sorted(edges) == ["cat", "espresso"]
    assert all(edge is not None and edge < 3 for edge in edges.values())


def test_a_large_picture_is_judged_at_the_size_it_is_trained_at(tmp_path: Path) -> None:
    soft = _on(_cut_out(), "white").resize((1024, 1024), Image.Resampling.BICUBIC)
    assert "blurred" not in _found(soft, tmp_path)


def test_a_white_drawing_is_only_lost_on_white(tmp_path: Path) -> None:
    white = _with_alpha(Image.new("RGB", (256, 256), "white"), _cut_out().getchannel("A"))
    assert [_found(white, tmp_path, ground) for ground in ("white", "black")] == [["low_contrast"], []]


def test_a_picture_turned_by_its_exif_is_a_note(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    _on(_cut_out(), "white").convert("RGB").save(buffer, "JPEG", exif=exif)
    (tmp_path / "a.jpg").write_bytes(buffer.getvalue())
    found = [(one.level, one.check) for one in checks.run(tmp_path, parse({})).findings if one.file == "a.jpg"]
    assert ("note", "rotated") in found


def test_one_banner_among_squares_is_unusual_and_two_shapes_are_not(tmp_path: Path) -> None:
    for number in range(10):
        size = (300, 200) if number % 2 else (200, 300)
        Image.effect_noise(size, 90).save(tmp_path / f"{number}.png")
    ratios = [[one.file for one in checks.run(tmp_path, parse({})).findings if one.check == "unusual_ratio"]]
    for number in range(10):
        Image.effect_noise((256, 256) if number else (800, 200), 90).save(tmp_path / f"{number}.png")
    ratios.append([one.file for one in checks.run(tmp_path, parse({})).findings if one.check == "unusual_ratio"])
    assert ratios == [[], ["0.png"]]


def test_a_bucket_takes_a_wide_picture_and_loses_only_what_is_beyond_it(tmp_path: Path) -> None:
    for number in range(10):
        Image.effect_noise(((1000, 200), (500, 200))[number] if number < 2 else (256, 256), 90).save(tmp_path / f"{number}.png")
    found = [one for one in checks.run(tmp_path, parse({"data": {"fit": "bucket"}})).findings if one.check == "unusual_ratio"]
    # 1000 px are 5 times 200, the widest bucket is 2.5 times as wide as high.
    assert [(one.file, one.reason.partition("; ")[2]) for one in found] == [("0.png", "50 % of it is cropped away")]


def test_no_sample_sticker_is_badly_made() -> None:
    checked = checks.run(SAMPLE, parse({"caption": {"keyword": "cobink"}, "base": {"model": "sd1.5"}, "data": {"resolution": 256}}))
    assert (len(checked.looks), [one.check for one in checked.findings if one.file]) == (30, [])
