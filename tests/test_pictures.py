"""Decoding: hostile, odd and ordinary picture files."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from decal import pictures
from decal.pictures import PictureError, look, square


def _png(width_px: int, height_px: int) -> bytes:
    """A valid 1 bit PNG of zeros, without a picture of that size in memory."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width_px, height_px, 1, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes((1 + (width_px + 7) // 8) * height_px), 9))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


def _noise(width_px: int = 40, height_px: int = 30) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8), "RGB")


def _saved(folder: Path, image: Image.Image, name: str, **options: object) -> Path:
    path = folder / name
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def _fault(path: Path) -> tuple[str, str]:
    with pytest.raises(PictureError) as caught:
        look(path)
    return caught.value.fault, caught.value.reason


def test_a_small_file_that_opens_as_81_megapixels_is_refused_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(_png(9000, 9000))
    size_bytes = path.stat().st_size
    assert size_bytes < 10_500
    assert _fault(path) == ("huge", f"9000 x 9000 px in {size_bytes:,} bytes, the limit is 50 megapixels")


def test_headers_beyond_the_limits_are_refused_with_their_size(tmp_path: Path) -> None:
    sizes = {(20_000, 20_000): "huge", (17_000, 1_000): "huge", (2_100, 100): "extreme_ratio", (100, 2_001): "extreme_ratio"}
    found = {}
    for number, size in enumerate(sizes):
        path = tmp_path / f"{number}.png"
        path.write_bytes(_png(*size))
        found[size] = _fault(path)[0]
    assert found == sizes


def test_a_ratio_of_twenty_to_one_still_passes(tmp_path: Path) -> None:
    path = tmp_path / "strip.png"
    path.write_bytes(_png(2000, 100))
    assert (look(path).width_px, look(path).height_px) == (2000, 100)


def test_a_file_that_ends_early_is_truncated_in_every_format(tmp_path: Path) -> None:
    formats = ("png", "jpg", "gif", "bmp", "tif")
    faults = {}
    for suffix in formats:
        path = _saved(tmp_path, _noise(200, 200), f"a.{suffix}")
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        faults[suffix] = _fault(path)[0]
    assert faults == dict.fromkeys(formats, "truncated")


def test_damaged_and_foreign_files_have_one_reason_each(tmp_path: Path) -> None:
    damaged = bytearray(_saved(tmp_path, _noise(200, 200), "x.png").read_bytes())
    damaged[200:260] = bytes(60)
    contents = {
        "empty.png": b"",
        "page.png": b"<html></html>",
        "drawing.png": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "print.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "damaged.png": bytes(damaged),
        "half.webp": b"RIFF\x10\x00\x00\x00WEBPVP8 ",
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    assert {name: _fault(tmp_path / name)[0] for name in contents} == dict.fromkeys(contents, "unreadable")
    assert _fault(tmp_path / "empty.png")[1] == "the file is empty (0 bytes)"
    assert _fault(tmp_path / "none.png")[1] == "there is no such file"


def test_a_file_above_64_mib_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(65 * 2**20)  # sparse, takes no space
    assert _fault(path) == ("huge", "the file is 65.0 MiB, the limit is 64 MiB")


def test_the_message_says_where_what_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PictureError) as caught:
        look(tmp_path / "gone.png")
    assert (
        str(caught.value) == f"{tmp_path}/gone.png: there is no such file.\nPut the picture there, or take its line out of metadata.jsonl."
    )


def test_a_picture_is_turned_upright_by_its_exif(tmp_path: Path) -> None:
    image = Image.new("RGB", (20, 10), "white")
    image.paste((255, 0, 0), (0, 0, 4, 4))  # top left; orientation 6 turns it to the top right
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = 6
    sizes = {}
    for suffix in ("png", "jpg", "tif", "webp"):
        path = _saved(tmp_path, image, f"a.{suffix}", exif=exif, **({"lossless": True} if suffix == "webp" else {}))
        seen = pictures.load(path, "white")
        red, green, _ = seen.getpixel((8, 1))  # type: ignore[misc]
        sizes[suffix] = (look(path).width_px, look(path).height_px, red > 200, green < 60)
    assert sizes == dict.fromkeys(("png", "jpg", "tif", "webp"), (10, 20, True, True))


def test_transparent_pixels_show_the_ground_and_never_their_hidden_colour(tmp_path: Path) -> None:
    rgba = Image.new("RGBA", (8, 8), (12, 34, 56, 0))
    rgba.putpixel((0, 0), (200, 0, 0, 0))
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 12, 34, 56])
    grey = Image.new("LA", (8, 8), (90, 0))
    paths = [_saved(tmp_path, rgba, "rgba.png"), _saved(tmp_path, palette, "p.png", transparency=1), _saved(tmp_path, grey, "la.png")]
    grounds = {"white": (255, 255, 255), "grey": (128, 128, 128), "black": (0, 0, 0), "#ffcc00": (255, 204, 0)}
    for ground, expected in grounds.items():
        assert [pictures.load(path, ground).getpixel((0, 0)) for path in paths] == [expected] * 3
    assert [look(path).has_hidden_colour for path in paths] == [True, False, False]
    assert [look(path).has_alpha for path in paths] == [True, True, True]


def test_half_transparent_pixels_are_mixed_with_the_ground(tmp_path: Path) -> None:
    path = _saved(tmp_path, Image.new("RGBA", (4, 4), (255, 0, 0, 51)), "a.png")
    # 51 / 255 is a fifth: 0.2 * 255 + 0.8 * 0 and 0.2 * 0 + 0.8 * 255, by hand.
    assert pictures.load(path, "black").getpixel((0, 0)) == (51, 0, 0)
    assert pictures.load(path, "white").getpixel((0, 0)) == (255, 204, 204)


def test_deep_pictures_are_rescaled_and_not_clipped(tmp_path: Path) -> None:
    sixteen = np.full((4, 4), 40_000, np.uint16)
    cases = {
        "16.png": (Image.fromarray(sixteen), 156),  # 40000 / 65535 * 255 = 155.6
        "16.tif": (Image.fromarray(sixteen), 156),
        "32.tif": (Image.fromarray(np.full((4, 4), 40_000, np.int32)), 156),
        "float.tif": (Image.fromarray(np.full((4, 4), 0.5, np.float32)), 128),  # 0.5 * 255 = 127.5, rounded to even
        "byte.tif": (Image.fromarray(np.full((4, 4), 100.0, np.float32)), 100),
    }
    seen = {name: pictures.load(_saved(tmp_path, image, name), "white").getpixel((0, 0)) for name, (image, _) in cases.items()}
    assert seen == {name: (grey, grey, grey) for name, (_, grey) in cases.items()}


def test_broken_numbers_in_a_float_picture_are_no_reason_to_stop(tmp_path: Path) -> None:
    values = np.array([[np.nan, np.inf], [-1e9, 1e9]], np.float32)
    path = _saved(tmp_path, Image.fromarray(values), "a.tif")
    # nan and inf count as 0, the middle between -1e9 and 1e9.
    assert np.asarray(pictures.load(path, "white"))[..., 0].tolist() == [[128, 128], [0, 255]]


def test_cmyk_becomes_rgb_with_and_without_a_usable_profile(tmp_path: Path) -> None:
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    plain = _saved(tmp_path, image, "plain.tif")
    wrong = _saved(tmp_path, image, "wrong.tif", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    assert [pictures.load(path, "white").getpixel((0, 0)) for path in (plain, wrong)] == [(255, 0, 0), (255, 0, 0)]
    assert look(plain).mode == "CMYK"


def test_of_an_animation_the_first_frame_is_used_and_the_frames_are_counted(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    formats = ("gif", "webp", "png", "tif")
    seen = {}
    for suffix in formats:
        path = _saved(tmp_path, frames[0], f"a.{suffix}", save_all=True, append_images=frames[1:])
        seen[suffix] = look(path).frames, pictures.load(path, "white").getpixel((8, 8))
    assert {suffix: count for suffix, (count, _) in seen.items()} == dict.fromkeys(formats, 3)
    assert all(colour[0] > 240 and colour[1] < 15 for _, colour in seen.values())  # type: ignore[index]


def _cmyk_profile() -> bytes:
    """A small ICC profile for CMYK that shows black ink as black and all others as mid grey, Lab (50, 0, 0)."""
    curves = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    table += curves * 4 + bytes([128, 128, 128, 0, 128, 128]) * 2**3 + curves * 3
    header = struct.pack(">I4sI4s4s4s", 128 + 4 + 12 + len(table), b"lcms", 0x02100000, b"prtr", b"CMYK", b"Lab ")
    header += struct.pack(">6H4s", 2024, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D)
    return header.ljust(128, b"\0") + struct.pack(">I4sII", 1, b"A2B0", 144, len(table)) + table


def test_a_cmyk_profile_decides_the_colours(tmp_path: Path) -> None:
    path = _saved(tmp_path, Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "a.jpg", icc_profile=_cmyk_profile())
    red, green, blue = pictures.load(path, "white").getpixel((4, 4))  # type: ignore[misc]
    # Lab (50, 0, 0) is 119 in sRGB; 8 bit Lab and the rounding of both tables cost a few levels.
    assert max(abs(red - 119), abs(green - 119), abs(blue - 119)) <= 3


def test_a_turned_animation_keeps_its_count_of_frames(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = 6
    path = _saved(tmp_path, _noise(), "a.webp", save_all=True, append_images=[_noise().transpose(Image.Transpose.ROTATE_180)], exif=exif)
    assert (look(path).width_px, look(path).height_px, look(path).frames) == (30, 40, 2)


def test_the_same_pixels_in_two_files_have_one_pixel_hash_and_two_file_hashes(tmp_path: Path) -> None:
    one, other = look(_saved(tmp_path, _noise(), "a.png")), look(_saved(tmp_path, _noise(), "a.bmp"))
    assert one.pixels_sha256 == other.pixels_sha256
    assert one.sha256 != other.sha256


def test_every_mode_that_a_file_can_have_loads_as_rgb(tmp_path: Path) -> None:
    modes = {"1": "png", "L": "png", "LA": "png", "P": "png", "RGB": "png", "RGBA": "png", "CMYK": "jpg", "YCbCr": "tif", "LAB": "tif"}
    loaded = {}
    for mode, suffix in modes.items():
        image = Image.new(mode, (8, 8))
        loaded[mode] = pictures.load(_saved(tmp_path, image, f"{mode}.{suffix}"), "white").mode
    assert loaded == dict.fromkeys(modes, "RGB")


def test_padding_keeps_the_whole_picture_in_the_middle_and_masks_the_rest() -> None:
    padded, mask = square(Image.new("RGB", (40, 20), "red"), 16, "pad", "#00ff00")
    rows = [padded.getpixel((8, y)) for y in range(16)]
    assert rows == [(0, 255, 0)] * 4 + [(255, 0, 0)] * 8 + [(0, 255, 0)] * 4
    assert np.asarray(mask).tolist() == [[0] * 16] * 4 + [[255] * 16] * 8 + [[0] * 16] * 4


def test_cropping_keeps_the_middle_and_masks_nothing() -> None:
    image = Image.new("RGB", (30, 10), "red")
    image.paste((0, 0, 255), (10, 0, 20, 10))
    cropped, mask = square(image, 8, "crop", "white")
    assert cropped.getpixel((4, 4)) == (0, 0, 255)
    assert (cropped.size, mask.getextrema()) == ((8, 8), (255, 255))


def test_small_and_narrow_pictures_fill_the_square() -> None:
    sizes = [(1, 1), (3, 60), (500, 25), (64, 64)]
    squares = [square(Image.new("RGB", size, "red"), 64, fit, "white") for size in sizes for fit in ("pad", "crop")]
    assert len(squares) == 8
    assert {(picture.size, mask.size) for picture, mask in squares} == {((64, 64), (64, 64))}
    assert all(np.asarray(mask).any() for _, mask in squares)


def test_a_phone_picture_with_a_depth_map_is_one_frame(tmp_path: Path) -> None:
    path = _saved(tmp_path, _noise(), "a.jpg", format="MPO", save_all=True, append_images=[_noise(20, 15)])
    assert look(path).frames == 1


@pytest.mark.filterwarnings("ignore")  # pytest replaces the filter that pictures sets
def test_random_damage_never_raises_anything_but_a_picture_error(tmp_path: Path) -> None:
    dice = np.random.default_rng(1)
    tried = 0
    for suffix in ("png", "jpg", "gif", "bmp", "tif", "webp"):
        buffer = BytesIO()
        _noise().save(buffer, {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper()))
        for _ in range(40):
            data = bytearray(buffer.getvalue())
            for place in dice.integers(0, len(data), 8):
                data[place] = int(dice.integers(0, 256))
            path = tmp_path / f"a.{suffix}"
            path.write_bytes(bytes(data))
            tried += 1
            try:
                pictures.load(path, "white")
                look(path)
            except PictureError as problem:
                assert problem.reason  # noqa: PT017
    assert tried == 240


@pytest.mark.parametrize(
    ("size", "shape"), [((1000, 1000), (512, 512)), ((1600, 900), (640, 384)), ((900, 1600), (384, 640)), ((4000, 500), (768, 320))]
)
def test_a_bucket_has_nearly_the_proportions_and_no_more_area(size: tuple[int, int], shape: tuple[int, int]) -> None:
    """At 512 px in steps of 64: 640 x 384 is 5:3, nearer to 16:9 than 704 x 320; 768 x 320 is the longest shape up to 2.5:1."""
    assert pictures.shape_for(*size, 512, "bucket") == shape
    assert pictures.shape_for(*size, 512, "pad") == (512, 512)


def test_a_bucketed_picture_fills_its_shape_without_padding() -> None:
    picture, mask = pictures.fitted(Image.new("RGB", (300, 200), "red"), 64, "bucket", "white")
    assert (picture.size, picture.getcolors(), mask.getcolors()) == ((80, 48), [(80 * 48, (255, 0, 0))], [(80 * 48, 255)])
