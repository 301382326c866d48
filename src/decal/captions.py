"""Exact token counts without torch, and captions made from file names.

A base's text encoder sees a fixed number of tokens and silently loses the rest, so captions are counted with the very tokenizer of the
base, BOS and EOS included. Captions that are missing can be filled from a template; `write` puts them into `metadata.jsonl` and leaves
every other line and key as it was.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path, PurePosixPath

from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as Encoder

from decal import undo
from decal.dataset import scan
from decal.errors import BaseModelError
from decal.metadata import METADATA, Row, caption_cell, caption_key, captions_of, further_keys
from decal.presets import MINI, base_preset
from decal.project import append_all, changed, fingerprint, write_bytes
from decal.project import read as read_lines
from decal.records import Line
from decal.settings import CaptionSettings, without_keyword
from decal.wording import counted, with_article

BOS, EOS = "<|startoftext|>", "<|endoftext|>"
# How CLIP cuts text into words before it looks for subwords; from OpenAI's simple_tokenizer.py, MIT.
CLIP_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"

# Raised whenever a tokenizer would be asked otherwise, so that what it told before no longer holds.
TOKENS_VERSION = 1

# Names that cameras, phones and browsers give; they say nothing about the picture.
SILENT_WORD = re.compile(
    r"img|dsc[nf]?|dcim|p?xl|mvimg|vid|gopr|photo|pic|picture|images?|screenshot|screen|shot|scan|untitled|unnamed|download|file|copy"
    r"|whatsapp|telegram|fb|tmp|temp|emoji|stickers?|icon|final|edited|duplicate|resized|cropped"
)
# How file managers begin the name of a second picture.
COPY_OF = re.compile(r"\b(copy of|kopie von|copie de|copia de)\b", re.IGNORECASE)
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Tokenizer:
    """Counts and cuts text as a base's text encoders do. limit: their number of tokens, BOS and EOS included.

    Where a base has several, each sees all of a prompt, so what any of them loses counts as lost.
    """

    def __init__(self, folder: Path, limit: int):
        """folder: of the model; its tokenizers are read when something is first asked that needs them."""
        self._folder, self.limit = folder, limit

    @classmethod
    def of_base(cls, model: str) -> "Tokenizer":
        """The tokenizers of a base by the name in `base.model`; for a hub id, OpenAI CLIP's, which all SD 1.x, 2.x and SDXL share."""
        return cls.from_folder(*place_of(model))

    @classmethod
    def from_folder(cls, folder: Path, limit: int) -> "Tokenizer":
        """The tokenizers in `tokenizer/` and `tokenizer_2/` of a model folder: tokenizer.json, or vocab.json with merges.txt.

        Raises BaseModelError where neither is there or can be read.
        """
        tokenizer = cls(folder, limit)
        assert tokenizer._encoders, f"{folder} has no tokenizer"
        return tokenizer

    @property
    def _places(self) -> list[Path]:
        return [self._folder / "tokenizer", *sorted(self._folder.glob("tokenizer_*"))]

    @cached_property
    def _encoders(self) -> list[Encoder]:
        encoders: list[Encoder] = []
        for at in self._places:
            try:
                encoders.append(_encoder(at, changed(at)))
            except Exception as problem:  # The library raises nothing narrower for a damaged file.
                raise BaseModelError(
                    f"{at} holds no tokenizer that can be read ({problem}).\nPut tokenizer.json, or vocab.json and merges.txt, there."
                ) from problem
            # A tokenizer.json may come with padding and truncation switched on, which would hide what is too long.
            encoders[-1].no_padding()
            encoders[-1].no_truncation()
        return encoders

    def count(self, text: str) -> int:
        """Tokens of the text, BOS and EOS included."""
        return self.counts([text])[0]

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, BOS and EOS included; faster than one at a time."""
        each = [[len(encoding.ids) for encoding in encoder.encode_batch_fast(list(texts))] for encoder in self._encoders]
        return [max(counts) for counts in zip(*each, strict=True)]

    def knows(self, word: str) -> bool:
        """Whether a word is a token as it stands, of its own or as the beginning of others."""
        return any(encoder.token_to_id(word) is not None for encoder in self._encoders)

    def split(self, text: str) -> list[str]:
        """The pieces that the text is cut into, without BOS and EOS; a piece of bytes shows as the letter it belongs to."""
        return [text[start:end] for start, end in self._encoders[0].encode(text).offsets[1:-1]]

    def cut(self, text: str, limit: int) -> str:
        """The words that are lost, wholly or in part, at this many tokens, BOS and EOS included; "" where none is."""
        offsets = max((encoder.encode(text).offsets[1:-1] for encoder in self._encoders), key=len)
        kept = max(0, limit - 2)
        if len(offsets) <= kept:
            return ""
        start = offsets[kept][0]
        while start > 0 and not text[start - 1].isspace():
            start -= 1
        return text[start:].strip()


class _Asked(Line):
    """What a tokenizer told of a text: how many tokens it has, or its pieces. tokenizer: by name and time of its files."""

    tokenizer: str
    text: str
    count: int | None = None
    pieces: tuple[str, ...] | None = None


class RememberingTokenizer(Tokenizer):
    """A tokenizer that remembers what it told; its files, which take a tenth of a second, are read only for what was never asked."""

    def __init__(self, model: str, cache: Path) -> None:
        """model: as in `base.model`. cache: the folder in which `tokens-N.jsonl` is kept."""
        super().__init__(*place_of(model))
        self._path = cache / f"tokens-{TOKENS_VERSION}.jsonl"
        self._key = fingerprint([(str(at), changed(at)) for at in self._places])
        told = [one for one in read_lines(self._path, _Asked) if one.tokenizer == self._key]
        self._counts = {one.text: one.count for one in told if one.count is not None}
        self._pieces = {one.text: one.pieces for one in told if one.pieces is not None}
        self._new: list[_Asked] = []

    def counts(self, texts: Sequence[str]) -> list[int]:
        """As the tokenizer counts."""
        new = [text for text in dict.fromkeys(texts) if text not in self._counts]
        for text, count in zip(new, super().counts(new) if new else [], strict=True):
            self._counts[text] = count
            self._new.append(_Asked(tokenizer=self._key, text=text, count=count))
        return [self._counts[text] for text in texts]

    def split(self, text: str) -> list[str]:
        """As the tokenizer splits."""
        if text not in self._pieces:
            self._pieces[text] = tuple(super().split(text))
            self._new.append(_Asked(tokenizer=self._key, text=text, pieces=self._pieces[text]))
        return list(self._pieces[text])

    def keep(self) -> None:
        """Write what was asked for the first time."""
        if self._new:
            append_all(self._path, self._new)
            self._new = []


def place_of(model: str) -> tuple[Path, int]:
    """The folder whose tokenizers a base reads with, and how many tokens its text encoders see."""
    preset = base_preset(model)
    folder = Path(preset.where).expanduser()
    return folder if folder.is_dir() else Path(MINI.where), preset.token_limit


def subject(file: str) -> str:
    """What a file name says of its picture, as words: `crying-face_02.png` -> `crying face`; "" where it says nothing.

    Numbers, hashes and the names that cameras and phones give are left out.
    """
    # Screenshots are named "... at 10.22".
    stem = re.sub(r"\bat(?=[ _]\d)", "", PurePosixPath(file).stem)
    stem = COPY_OF.sub("", stem)
    if UUID.search(stem):
        return ""
    words = [word for word in re.findall(r"[^\W_]+(?:['’][^\W_]+)*", stem) if not (_is_code(word) or _is_silent(word))]
    # redFox is two words, and fox2 is the second picture of a fox.
    words = re.sub(r"([^\W\d_]{2,})\d+\b", r"\1", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", " ".join(words))).lower().split()
    words = [word for word in words if not _is_silent(word)]
    return " ".join(words) if any(len(word) > 1 for word in words) else ""


def fill_slots(template: str, slots: Mapping[str, str]) -> str:
    """A template with its {slots} filled in, the article before each made to fit; a slot without a value leaves no gap."""

    def put(match: re.Match[str]) -> str:
        article, name = match.group(1), match.group(2)
        if name not in slots:
            return match.group(0)
        return slots[name] if article is None else with_article(article, slots[name])

    if not slots.get("keyword", "?"):
        template = without_keyword(template)
    text = " ".join(re.sub(r"(?:\b([Aa]n?) )?\{(\w+)\}", put, template).split())
    return re.sub(r"\s*,(\s*,)+", ",", text).strip(" ,;")


def fill(
    rows: Iterable[Row], settings: CaptionSettings, columns: Mapping[str, Mapping[str, str]], subjects: Mapping[str, str] | None = None
) -> list[tuple[Row, str]]:
    """Captions from the template for rows without one; a row that has nothing for one of the slots is left out.

    columns: by file, what else its line of the metadata holds. subjects: by file, what is to be seen, from somewhere better than names;
    without it the subject is the file name, or the name of its folder where the file name says nothing.
    """
    needed = set(re.findall(r"\{(\w+)\}", settings.template)) - {"keyword"}
    filled = []
    for row in rows:
        name, folder = subject(row.file), subject(PurePosixPath(row.file).parent.name)
        told = (name or folder) if subjects is None else subjects.get(row.file, "")
        slots = {**columns.get(row.file, {}), "keyword": settings.keyword, "name": name, "folder": folder, "subject": told}
        if not (row.caption or "").strip() and all(slots.get(slot) for slot in needed):
            filled.append((row, fill_slots(settings.template, slots)))
    return filled


def columns(dataset: Path) -> dict[str, dict[str, str]]:
    """By file, what its line of `metadata.jsonl` holds besides the caption: words and numbers, as text."""
    found: dict[str, dict[str, str]] = {}
    path = dataset / METADATA
    for line in path.read_bytes().split(b"\n") if path.is_file() else []:
        row = _read(line)
        if row is not None and isinstance(row.get("file_name"), str):
            cells = {key: str(value) for key, value in row.items() if isinstance(value, str | int | float) and not isinstance(value, bool)}
            found.setdefault(PurePosixPath(cells.pop("file_name")).as_posix(), {}).update(cells)
    return found


def holds(text: str, words: Sequence[str], ending: str = "(e?s)?") -> bool:
    """Whether one of the words stands in the text as a word of its own; with the ending of a plural too, unless another is given."""
    return any(re.search(rf"(?<!\w){re.escape(word.casefold())}{ending}(?!\w)", text.casefold()) for word in words)


def write(dataset: Path, captions: Mapping[str, str | tuple[str, ...]]) -> None:
    """Put captions into `metadata.jsonl` by file: into the file's rows without caption, or else into all its rows.

    Several captions become a list, which takes the place of numbered keys. Files without a row get one at the end. Every other line and
    key stays as it is, to the byte; `undo` takes it back.
    """
    lines = metadata_bytes(dataset).split(b"\n")
    places: dict[str, list[tuple[int, dict[str, object]]]] = {}
    for index, line in enumerate(lines):
        row = _read(line)
        if row is not None:
            places.setdefault(PurePosixPath(str(row.get("file_name"))).as_posix(), []).append((index, row))
    if lines[-1]:
        lines.append(b"")
    added = []
    for file, told in captions.items():
        texts = (told,) if isinstance(told, str) else told
        there = places.get(file, [])
        bare = [(index, row) for index, row in there if not any(captions_of(row))]
        for index, row in bare or there:
            ending = b"\r" if lines[index].endswith(b"\r") else b""
            mark = b"\xef\xbb\xbf" if lines[index].startswith(b"\xef\xbb\xbf") else b""
            key, numbered = caption_key(row), set(further_keys(row))
            kept = {name: value for name, value in row.items() if name not in numbered}
            lines[index] = mark + _line(kept | caption_cell(texts, key)) + ending
        if not there:
            added.append(_line({"file_name": file} | caption_cell(texts)))
    told = f"write {counted(len(captions), 'caption')}"
    undo.change(dataset.parent, {f"{dataset.name}/{METADATA}": b"\n".join([*lines[:-1], *added, b""])}, told)


def metadata_bytes(dataset: Path) -> bytes:
    """The bytes of `metadata.jsonl`; where there is none, what it would be with the `.txt` captions that are there."""
    path = dataset / METADATA
    if path.is_file():
        return path.read_bytes()
    return b"".join(_line({"file_name": row.file} | caption_cell(row.captions)) + b"\n" for row in scan(dataset).rows)


def add_row(dataset: Path, row: Mapping[str, object]) -> None:
    """Add a line to `metadata.jsonl`, which is made where it is not there, unless it has one for that file already."""
    data = (dataset / METADATA).read_bytes() if (dataset / METADATA).is_file() else b""
    if any(there is not None and there.get("file_name") == row["file_name"] for there in map(_read, data.split(b"\n"))):
        return
    write_bytes(dataset / METADATA, data + (b"\n" if data and not data.endswith(b"\n") else b"") + _line(row) + b"\n")


@cache
def _encoder(folder: Path, changed: tuple[tuple[str, int], ...]) -> Encoder:
    """The tokenizer in a folder; reading it takes a tenth of a second, and one command asks for it several times."""
    whole = folder / "tokenizer.json"
    return Encoder.from_file(str(whole)) if whole.is_file() else _clip(folder)


def _clip(folder: Path) -> Encoder:
    """CLIP's tokenizer from its vocabulary and merges, as the hub repositories of SD 1.x and 2.x hold them."""
    vocabulary: dict[str, int] = json.loads((folder / "vocab.json").read_text("utf-8"))
    merges = [
        (left, right)
        for line in (folder / "merges.txt").read_text("utf-8").split("\n")
        if line and not line.startswith("#version")
        for left, right in [line.split(" ")]
    ]
    encoder = Encoder(models.BPE(vocabulary, merges, unk_token=EOS, end_of_word_suffix="</w>", continuing_subword_prefix=""))
    encoder.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    encoder.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(CLIP_WORDS), behavior="removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    encoder.post_processor = processors.RobertaProcessing(
        (EOS, vocabulary[EOS]), (BOS, vocabulary[BOS]), trim_offsets=False, add_prefix_space=False
    )
    encoder.decoder = decoders.ByteLevel()
    encoder.add_special_tokens([BOS, EOS])
    return encoder


def _is_code(word: str) -> bool:
    """Whether a word of a file name is a number, a hash or an id rather than a word."""
    if word.isdigit() or re.fullmatch(r"u?(?=[a-f]*[0-9])[0-9a-f]{4,}", word, re.IGNORECASE):
        return True
    has_digit, has_letter = any(map(str.isdigit, word)), any(map(str.isalpha, word))
    if has_digit and has_letter and len(word) >= 8:
        return True
    humps = re.findall(r"[A-Z]+[a-z]*|[a-z]+", word)
    return len(word) >= 8 and len(humps) > 2 and len(word) < 3 * len(humps)


def _is_silent(word: str) -> bool:
    return SILENT_WORD.fullmatch(word.lower()) is not None


def _read(line: bytes) -> dict[str, object] | None:
    try:
        row = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _line(row: Mapping[str, object]) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace")
