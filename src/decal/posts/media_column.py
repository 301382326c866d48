"""The media column of scraped posts -> what hangs on a post. The column is the `repr` of Python objects, and it is never evaluated:

    [Photo(previewUrl='https://...', fullUrl='https://...'), Video(thumbnailUrl='https://...', variants=[VideoVariant(...)], ...)]

A small reader knows names, brackets, strings and numbers, and nothing else. Plain addresses and file names, and lists of them, are taken
as photos. What is not understood is an error that holds what was, so nothing goes missing without a word.
"""

import re
from dataclasses import dataclass
from typing import Literal, cast

from decal.pictures import SUFFIXES
from decal.records import PostMedia

Kind = Literal["photo", "video", "gif"]
KINDS: dict[str, Kind] = {"Photo": "photo", "Video": "video", "Gif": "gif"}
# The picture of each, best first; of films it is the still.
ADDRESSES = {"photo": ("fullUrl", "url", "previewUrl"), "video": ("thumbnailUrl", "previewUrl"), "gif": ("thumbnailUrl", "previewUrl")}
CONSTANTS = ("None", "True", "False", "nan", "null")
MAX_CHARACTERS, MAX_DEPTH, MAX_MEDIA, MAX_ADDRESS = 100_000, 8, 20, 2048

TOKEN = re.compile(
    r"""\s*(?:(?P<name>[A-Za-z_]\w*)|(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(?P<number>-?\d[\d.eE+-]*)|(?P<mark>[\[\](),=]))"""
)
# What most posts have: one photo or film, without going through the reader.
ONE_PHOTO = re.compile(r"\[Photo\(previewUrl='[^'\\]*', fullUrl='([^'\\]+)'\)\]")
ONE_FILM = re.compile(
    r"\[(Video|Gif)\(thumbnailUrl='([^'\\]+)', variants=\[(?:VideoVariant\(contentType='[^'\\]*', url='[^'\\]*', bitrate=\w+\)(?:, )?)+\]"
    r"(?:, (?:duration|views)=[\w.]+)*\)\]"
)
ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)


class NotMedia(ValueError):
    """The text is no media column, or not all of it. found: what hangs on the post besides."""

    def __init__(self, why: str, found: tuple[PostMedia, ...] = ()) -> None:
        super().__init__(why)
        self.found = found


@dataclass(frozen=True)
class _Call:
    """`Name(key=value, ...)`; the name is "" for a list, whose values have numbers as keys."""

    name: str
    values: dict[str, "object"]


def read(text: str) -> tuple[PostMedia, ...]:
    """What hangs on a post, in its order; nothing for an empty cell. Raises NotMedia where the text is something else."""
    text = text.strip()
    if not text or text in ("[]", "None", "nan", "null"):
        return ()
    if (photo := ONE_PHOTO.fullmatch(text)) is not None:
        return (PostMedia(kind="photo", url=_address(photo.group(1))),)
    if (film := ONE_FILM.fullmatch(text)) is not None:
        return (PostMedia(kind=KINDS[film.group(1)], url=_address(film.group(2))),)
    if re.match(r"https?://", text):
        return tuple(PostMedia(kind="photo", url=_address(part)) for part in re.split(r"[\s,;|]+(?=https?://)", text)[:MAX_MEDIA])
    if len(text) > MAX_CHARACTERS:
        raise NotMedia("too long")
    parts = [part.strip() for part in re.split(r"[,;|]", text)]
    if text[0] not in "[(" and all(map(_is_file, parts)):
        return _all(parts)
    value = _Reader(text).whole()
    entries = list(value.values.values()) if isinstance(value, _Call) and not value.name else [value]
    return _all(entries)


def read_json(value: object) -> tuple[PostMedia, ...]:
    """What hangs on a post where the column holds JSON: addresses, or objects with `url` and perhaps `type`."""
    entries = value if isinstance(value, list) else [value]
    known: list[object] = []
    for entry in entries:
        if isinstance(entry, dict):
            kind = KINDS.get(str(entry.get("type", "photo")).capitalize(), "photo")
            names = (*ADDRESSES[kind], "media_url_https", "media_url", "preview_image_url")
            entry = _Call(kind.capitalize(), {"fullUrl": url, "thumbnailUrl": url} if (url := _first(entry, names)) else {})
        known.append(entry)
    return _all(known)


def _all(entries: list[object] | list[str]) -> tuple[PostMedia, ...]:
    """Every entry but empty ones. Raises NotMedia, which holds the others, where one is none or there are too many."""
    read = [_media(entry) for entry in entries[:MAX_MEDIA] if entry is not None and entry != ""]
    found = tuple(one for one in read if one is not None)
    if len(found) < len(read):
        raise NotMedia("an entry is no picture", found)
    if len(entries) > MAX_MEDIA:
        raise NotMedia(f"more than {MAX_MEDIA}", found)
    return found


def _is_file(text: str) -> bool:
    """Whether it names a picture in a folder; only the last part of a path is looked for, and only among the pictures given."""
    return bool(re.search(r"[^\s/\\]", text)) and text.lower().endswith(tuple(SUFFIXES)) and not re.match(r"\w+:", text)


def _first(entry: dict[str, object], names: tuple[str, ...]) -> str:
    return next((address for name in names if isinstance(address := entry.get(name), str) and address), "")


def _media(entry: object) -> PostMedia | None:
    if isinstance(entry, str):
        return PostMedia(kind="photo", url=_address(entry)) if re.match(r"https?://", entry) or _is_file(entry) else None
    if not isinstance(entry, _Call) or entry.name not in KINDS:
        return None
    kind = KINDS[entry.name]
    found = (entry.values.get(name) for name in ADDRESSES[kind])
    url = next((address for address in found if isinstance(address, str) and address), None)
    return None if url is None else PostMedia(kind=kind, url=_address(url))


def _address(text: str) -> str:
    """An address as it may stand in a record; what is wrong with it is said when it is opened."""
    text = text.strip()
    return (text if text.isprintable() else "".join(letter for letter in text if letter.isprintable()))[:MAX_ADDRESS]


class _Reader:
    """Reads one value after another; depth and length are limited, so a hostile text ends in a sentence."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._kind, self._word = "", ""
        self._advance()

    def whole(self) -> object:
        """The one value that the text is."""
        value = self._value(0)
        if self._kind:
            raise NotMedia(f"something follows the list: {self._word[:20]!r}")
        return value

    def _advance(self) -> None:
        match = TOKEN.match(self._text, self._at)
        if match is None:
            if self._text[self._at :].strip():
                raise NotMedia(f"not readable at character {self._at + 1}")
            self._kind, self._word = "", ""
            return
        self._kind, self._word, self._at = cast(str, match.lastgroup), match.group(cast(str, match.lastgroup)), match.end()

    def _take(self, mark: str) -> None:
        if self._word != mark or self._kind != "mark":
            raise NotMedia(f"{mark} is missing")
        self._advance()

    def _value(self, depth: int) -> object:
        if depth > MAX_DEPTH:
            raise NotMedia("nested too deeply")
        kind, word = self._kind, self._word
        if kind == "mark" and word in "[(":
            return self._several("", "]" if word == "[" else ")", depth)
        if kind not in ("name", "text", "number"):
            raise NotMedia("a value is missing")
        self._advance()
        if kind == "text":
            return ESCAPE.sub(_unescape, word[1:-1])
        if kind == "name" and self._kind == "mark" and self._word == "(":
            return self._several(word, ")", depth)
        if kind == "name" and word not in CONSTANTS:
            raise NotMedia(f"{word[:20]!r} is no value")
        return None if kind == "name" else word

    def _several(self, name: str, end: str, depth: int) -> _Call:
        self._advance()
        values: dict[str, object] = {}
        while not (self._kind == "mark" and self._word == end):
            key, before = str(len(values)), (self._at, self._kind, self._word)
            if self._kind == "name":
                self._advance()
                if self._kind == "mark" and self._word == "=":
                    key = before[2]
                    self._advance()
                else:
                    self._at, self._kind, self._word = before
            values[key] = self._value(depth + 1)
            if not (self._kind == "mark" and self._word == end):
                self._take(",")
        self._advance()
        return _Call(name, values)


def _unescape(match: "re.Match[str]") -> str:
    code = match.group(1)
    if code[0] in "xuU" and len(code) > 1:
        point = int(code[1:], 16)
        return chr(point) if point <= 0x10FFFF and not 0xD800 <= point < 0xE000 else "\ufffd"
    return {"n": "\n", "t": "\t", "r": "\r"}.get(code, code)
