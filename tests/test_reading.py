"""Text on pictures: read where there is some, and not seen where there is none."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from decal import pictures, reading
from decal.reading import TextLine, words

SAMPLE = Path(reading.__file__).parent / "mini" / "sample"


def test_only_lines_of_three_letters_that_are_half_sure_count() -> None:
    lines = [TextLine("8", 0.97), TextLine("2 % -", 0.9), TextLine("SALE", 0.49), TextLine("SALE", 0.5), TextLine("50 %, now", 0.9)]
    assert [line.counts for line in lines] == [False, False, False, True, True]
    assert words(tuple(lines)) == "SALE / 50 %, now"


def test_asking_whether_there_is_a_reader_loads_none() -> None:
    code = "import sys; from decal import reading; reading.is_installed(); print({'cv2', 'rapidocr', 'onnxruntime'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_a_sign_again_and_again_and_a_low_score_need_a_second_reading() -> None:
    lines = [TextLine("888", 0.99), TextLine("Hotel", 0.79), TextLine("Hotel", 0.8), TextLine("O-o", 0.9)]
    assert [line.is_sure for line in lines] == [False, False, True, False]


class _Seer(reading.Reader):
    """Reads, instead of a picture, what is said of its width."""

    def __init__(self, said: dict[int, list[TextLine]]) -> None:
        self.said = said

    def read(self, picture: Image.Image) -> tuple[TextLine, ...]:
        return tuple(self.said[picture.width])


def test_what_is_not_sure_counts_where_two_other_views_say_the_same() -> None:
    sure, zzz, lmn = TextLine("Hotel", 0.9), TextLine("ZZZ", 0.9), TextLine("lmn", 0.6)
    seer = _Seer({280: [sure, zzz, lmn], 210: [TextLine("zzz", 0.7), lmn], 320: [TextLine("8", 0.9), zzz]})
    assert seer.text(Image.new("RGB", (280, 280))) == (sure, zzz)


def _textless(number: int) -> Image.Image:
    """A drawing of flat shapes without a letter: a ball with an 8, a window, a fan, a ladder or a face."""
    picture = Image.new("RGB", (384, 384), "white")
    pen, colour, reach = ImageDraw.Draw(picture), ("gold", "tomato", "skyblue", "plum", "black", "olive")[number // 5], 8 * (number // 5)
    match number % 5:
        case 0:
            pen.ellipse((60, 60, 324, 324), fill="black")
            pen.ellipse((130, 110, 250, 230 + reach // 2), fill="white")
            pen.text((190, 170), "8", "black", ImageFont.load_default(80 + reach // 4), anchor="mm")
        case 1:
            for x in range(60, 300, 80 + reach):
                for y in range(60, 300, 80 + reach):
                    pen.rectangle((x, y, x + 60, y + 60), fill=colour, outline="black", width=6)
        case 2:
            for turn in range(0, 360, 30 + reach):
                pen.pieslice((50, 50, 334, 334), turn, turn + 14, fill=colour, outline="black")
        case 3:
            pen.line((120, 40, 120, 344), "brown", 14)
            pen.line((260, 40, 260, 344), "brown", 14)
            for y in range(70, 330, 40 + reach):
                pen.line((120, y, 260, y), "brown", 12)
        case _:
            pen.ellipse((40, 40, 344, 344), fill=colour, outline="black", width=8)
            pen.ellipse((120, 130, 150, 170 + reach // 2), fill="white")
            pen.ellipse((230, 130, 260, 170 + reach // 2), fill="white")
            pen.arc((120, 180, 260, 280), 20, 160, "white", 8)
    return picture


@pytest.mark.slow
@pytest.mark.skipif(not reading.is_installed(), reason="pip install -e .[ocr] brings the reader")
def test_nothing_is_read_on_sixty_stickers_without_text() -> None:
    reader = reading.Reader()
    stickers = [*(pictures.load(path, "white") for path in sorted(SAMPLE.glob("*.png"))), *map(_textless, range(30))]
    assert (len(stickers), [words(reader.text(sticker)) for sticker in stickers]) == (60, [""] * 60)


@pytest.mark.slow
@pytest.mark.skipif(not reading.is_installed(), reason="pip install -e .[ocr] brings the reader")
def test_words_on_a_sticker_are_read() -> None:
    sticker = Image.new("RGB", (512, 512), "white")
    pen = ImageDraw.Draw(sticker)
    pen.ellipse((60, 60, 450, 450), fill="gold", outline="black", width=8)
    pen.text((110, 220), "SUMMER 50%", fill="black", font=ImageFont.load_default(48))
    assert words(reading.Reader().text(sticker)) == "SUMMER 50%"
