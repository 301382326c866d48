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


@pytest.mark.slow
@pytest.mark.skipif(not reading.is_installed(), reason="pip install -e .[ocr] brings the reader")
def test_words_on_a_sticker_are_read_and_drawings_are_not() -> None:
    reader = reading.Reader()
    sticker = Image.new("RGB", (512, 512), "white")
    pen = ImageDraw.Draw(sticker)
    pen.ellipse((60, 60, 450, 450), fill="gold", outline="black", width=8)
    pen.text((110, 220), "SUMMER 50%", fill="black", font=ImageFont.load_default(48))
    assert words(reader.read(sticker)) == "SUMMER 50%"
    files = sorted(SAMPLE.glob("*.png"))[::5]
    assert (len(files), [words(reader.read(pictures.load(file, "white"))) for file in files]) == (6, [""] * 6)
