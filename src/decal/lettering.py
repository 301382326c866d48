"""Text on sheets: which font can show it, where its lines break, and putting it on a page.

Pillow's built-in font (Aileron) covers ASCII and little more. A text that needs other characters is set in whichever of a short list of
system fonts has most of them; characters that it lacks are written as \\u escapes, so that nothing turns into empty boxes unnoticed. What
is written within `one_font` is set in one font as far as that has the characters, so that an umlaut does not make a line stand out.
"""

import functools
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from PIL import ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont

LINE_HEIGHT = 1.36

# Latin, Greek and Cyrillic first, then Chinese, Japanese and Korean; the usual places on Debian, Fedora, Arch, macOS and Windows.
SYSTEM_FONTS = tuple(
    Path(path)
    for path in (
        "/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf",
        "/usr/share/fonts/google-noto/NotoSans-Regular.ttf",
        "/usr/share/fonts/noto/NotoSans-Regular.ttf",
        "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
        "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf",
        "/usr/share/fonts/TTF/DejaVuSans.ttf",
        "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
        "/usr/share/fonts/google-noto-cjk/NotoSansCJK-Regular.ttc",
        "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
        "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
        "/System/Library/Fonts/Supplemental/Arial Unicode.ttf",
        "/System/Library/Fonts/Helvetica.ttc",
        "C:/Windows/Fonts/segoeui.ttf",
        "C:/Windows/Fonts/msyh.ttc",
        "C:/Windows/Fonts/YuGothR.ttc",
        "C:/Windows/Fonts/malgun.ttf",
    )
)


# The font of the sheet that is being made.
_OF_SHEET: ContextVar[Path | None] = ContextVar("font of the sheet", default=None)


@contextmanager
def one_font(texts: Iterable[str]) -> Iterator[None]:
    """Set all that is written meanwhile in the font that shows most of these texts; a text that another shows better, in that one."""
    token = _OF_SHEET.set(_best(set().union(*texts)))
    try:
        yield
    finally:
        _OF_SHEET.reset(token)


def legible(text: str, size_px: int) -> tuple[Font, str]:
    """The font that shows most of a text, and the text with what even that font lacks as escapes."""
    text = " ".join(text.split())
    best = _best(set(text))
    return _font(best, size_px), "".join(character if _has_glyph(best, character) else _escape(character) for character in text)


def wrap(text: str, size_px: int, width_px: float) -> list[str]:
    """The lines of a text in a column; a word that is wider than the column, or a text without spaces, breaks between characters."""
    font, text = legible(text, size_px)
    lines = [""]
    for word in re.findall(r"\S+", text):
        joined = f"{lines[-1]} {word}".strip()
        if font.getlength(joined) <= width_px:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for piece in re.findall(r"\\[xuU][0-9a-f]{2,8}|.", word):
            if lines[-1] and font.getlength(lines[-1] + piece) > width_px:
                lines.append("")
            lines[-1] += piece
    return lines


def write(draw: ImageDraw.ImageDraw, at: tuple[float, float], lines: list[str], size_px: int, colour: str) -> float:
    """Write lines below each other, the first with its top at `at`; the y below the last line."""
    x, y = at
    for line in lines:
        font, text = legible(line, size_px)
        # Baselines, not tops, stand at equal distances, so that lines of different fonts go together.
        draw.text((round(x), round(y + size_px)), text, colour, font, anchor="ls")
        y += size_px * LINE_HEIGHT
    return y


def width_px(text: str, size_px: int) -> float:
    """How wide a text is on one line."""
    font, text = legible(text, size_px)
    return font.getlength(text)


def _best(characters: set[str]) -> Path | None:
    """The font that has most of some characters, that of the sheet before others; None for Pillow's own."""
    sources = (_OF_SHEET.get(), None, *(path for path in SYSTEM_FONTS if path.exists()))
    return min(sources, key=lambda source: sum(not _has_glyph(source, character) for character in characters))


@functools.cache
def _font(source: Path | None, size_px: int) -> Font:
    font = ImageFont.load_default(size_px) if source is None else ImageFont.truetype(source, size_px)
    assert isinstance(font, Font), "Pillow is built with FreeType"
    return font


@functools.cache
def _has_glyph(source: Path | None, character: str) -> bool:
    """Whether a font draws a character otherwise than U+FFFF, which is never assigned and so always shows the sign for a missing one."""
    if not character.isprintable():
        return False
    font = _font(source, 24)
    glyph, missing = font.getmask(character), font.getmask("\uffff")
    return character == " " or glyph.size != missing.size or bytes(glyph) != bytes(missing)


def _escape(character: str) -> str:
    return character.encode("ascii", "backslashreplace").decode()
