"""Token counts, words of file names, templates, and writing captions."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from decal import captions
from decal.captions import Tokenizer, fill, subject
from decal.errors import BaseModelError
from decal.metadata import Row, sidecar_captions
from decal.presets import MINI
from decal.settings import CaptionSettings
from decal.undo import undo

RUSSIAN = (
    "наклейка в стиле инкпоп: маленький рыжий лис в зелёном шарфе сидит под старым дубом, "
    "держит фонарь и смотрит на падающие звёзды летней ночью"
)
TEXTS = [
    "",
    " ",
    "a photo of a cat",
    "inkpop style sticker of a crying face",
    "A PHOTO OF A CAT",
    "two   spaces\tand\na line",
    "don't, it's, we'll, they've, I'm, he'd, you're",
    "e.g. 3.14, 1,000 and 50% off!!!",
    "year 2026 v2.1b 007",
    "snake_case and kebab-case and CamelCase",
    "(masterpiece:1.2), [best quality], {sharp}",
    "emoji 😀😀 and 👩‍👩‍👧 and ❤️",
    "😭",
    RUSSIAN,
    "Привет, мир!",
    "Ёжик в тумане",
    "中文标签 贴纸",
    "日本語のステッカー",
    "한국어 스티커",
    "ملصق عربي",
    "naïve café façade",
    "cafe\u0301 in two code points",
    "ﬁne ligature and ½ and ²",
    "“curly” ‘quotes’ — and – dashes…",
    "https://example.com/a?b=c&d=e#f",
    "@someone #hashtag $12",
    "&amp; &lt;b&gt;",
    "<|endoftext|> in the middle",
    "zero\u200bwidth and\u00a0hard space",
    "a" * 200,
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "word " * 90,
    "'s 'S 'T",
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.of_base("sd1.5")


@pytest.fixture(scope="module")
def hub_layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with vocab.json and merges.txt, as the hub repositories of SD 1.x and 2.x have them."""
    model = json.loads((Path(MINI.where) / "tokenizer" / "tokenizer.json").read_text("utf-8"))["model"]
    folder = tmp_path_factory.mktemp("base")
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "vocab.json").write_text(json.dumps(model["vocab"]), "utf-8")
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"]]
    (folder / "tokenizer" / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), "utf-8")
    return folder


@pytest.mark.slow
def test_counts_equal_those_of_transformers(tokenizer: Tokenizer, hub_layout: Path) -> None:
    from transformers import CLIPTokenizer

    reference = CLIPTokenizer.from_pretrained(str(Path(MINI.where) / "tokenizer"))
    expected = [len(reference(text, truncation=False)["input_ids"]) for text in TEXTS]
    assert len(expected) >= 30
    assert [tokenizer.count(text) for text in TEXTS] == expected
    assert tokenizer.counts(TEXTS) == expected
    assert Tokenizer.from_folder(hub_layout, 77).counts(TEXTS) == expected


def test_the_hub_layout_gives_the_same_pieces_as_the_embedded_vocabulary(tokenizer: Tokenizer, hub_layout: Path) -> None:
    built = Tokenizer.from_folder(hub_layout, 77)
    assert [built.split(text) for text in TEXTS] == [tokenizer.split(text) for text in TEXTS]


def test_known_texts_have_the_counts_of_the_original_clip(tokenizer: Tokenizer) -> None:
    # [49406, 320, 1125, 539, 320, 2368, 49407] is what OpenAI's tokenizer gives for the first.
    assert [tokenizer.count(text) for text in ("a photo of a cat", "", "A  PHOTO of a CAT ")] == [7, 2, 7]
    # 23 words of Russian, where CLIP's English vocabulary needs six tokens a word; transformers counts the same.
    assert (len(RUSSIAN.split()), tokenizer.count(RUSSIAN)) == (23, 150)


def test_a_tokenizer_whose_files_are_changed_is_read_anew(hub_layout: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(hub_layout, tmp_path / "base"))
    assert Tokenizer.from_folder(folder, 77).split("a cat") == ["a", "cat"]
    vocabulary = json.loads((folder / "tokenizer" / "vocab.json").read_text("utf-8"))
    (folder / "tokenizer" / "merges.txt").write_text("#version: 0.2\nc a\n", "utf-8")
    assert {"ca", "t</w>"} <= vocabulary.keys()
    assert Tokenizer.from_folder(folder, 77).split("a cat") == ["a", "ca", "t"]


def test_the_limit_is_that_of_the_base() -> None:
    assert [Tokenizer.of_base(model).limit for model in ("mini", "sd1.5", "sd2.1", "someone/their-model")] == [77, 77, 77, 77]


def test_what_is_cut_off_begins_with_the_first_word_that_does_not_fit_whole(tokenizer: Tokenizer) -> None:
    text = "one two three unbelievablyfluffy end"
    assert [tokenizer.cut(text, limit) for limit in (4, 5, 7)] == ["three unbelievablyfluffy end", *["unbelievablyfluffy end"] * 2]
    assert tokenizer.cut(text, tokenizer.count(text)) == ""
    assert tokenizer.cut(text, tokenizer.count(text) - 1) == "end"


def test_of_a_long_russian_caption_the_end_is_lost(tokenizer: Tokenizer) -> None:
    lost = tokenizer.cut(RUSSIAN, 77)
    assert RUSSIAN.endswith(lost)
    assert tokenizer.count(RUSSIAN.removesuffix(lost)) <= 77 < tokenizer.count(RUSSIAN)


def test_a_folder_without_a_tokenizer_says_what_to_put_there(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match=r"Put tokenizer\.json, or vocab\.json and merges\.txt, there"):
        Tokenizer.from_folder(tmp_path, 77)


def test_file_names_become_words_and_names_of_machines_become_none() -> None:
    names = {
        "crying-face_02.png": "crying face",
        "sub/redFox (1).png": "red fox",
        "0007-neutral-face.png": "neutral face",
        "Кот в сапогах.png": "кот в сапогах",
        "fox2.webp": "fox",
        "king's crown.png": "king's crown",
        "cat at home.png": "cat at home",
        "IMG_1234.JPG": "",
        "DSC_0042.jpg": "",
        "PXL_20240501_101010.jpg": "",
        "0031.jpg": "",
        "d41d8cd98f00b204e9800998ecf8427e.png": "",
        "550e8400-e29b-41d4-a716-446655440000.png": "",
        "FxQzkLaMAAbX.jpg": "",
        "emoji_u1f622.png": "",
        "Screenshot 2024-05-01 at 10.22.png": "",
        "WhatsApp Image 2023-01-01 at 12.00.00.jpeg": "",
        "untitled-3.png": "",
        "___.png": "",
        "Red fox FINAL (copy).jpg": "red fox",
    }
    assert {name: subject(name) for name in names} == names


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_captions_from_windows_are_read(encoding: str) -> None:
    assert sidecar_captions("Bär mit Hut\r\nzorb\r\n".encode(encoding)) == ("Bär mit Hut", "zorb")


def test_a_line_of_another_encoding_leaves_the_others_as_they_are() -> None:
    assert sidecar_captions("Bär\n".encode() + "Käse".encode("cp1252")) == ("Bär", "Käse")


def test_only_rows_without_caption_whose_name_says_something_are_filled() -> None:
    rows = [Row("red-fox.png", None, 1), Row("owl.png", " ", 2), Row("cat.png", "a cat", 3), Row("IMG_1.png", None, 4)]
    filled = fill(rows, CaptionSettings(keyword="inkpop"), {})
    assert filled == [(rows[0], "inkpop style sticker of red fox"), (rows[1], "inkpop style sticker of owl")]


def test_the_article_of_a_template_fits_the_word_that_follows() -> None:
    settings = CaptionSettings(keyword="inkpop", template="An {keyword} sticker of a {subject}")
    names = ["owl", "fox", "unicorn", "umbrella", "hourglass", "one-eyed-cat"]
    texts = [
        text.removeprefix("An inkpop sticker of ") for _, text in fill([Row(f"{name}.png", None, None) for name in names], settings, {})
    ]
    assert texts == ["an owl", "a fox", "a unicorn", "an umbrella", "an hourglass", "a one eyed cat"]


def test_a_template_without_keyword_leaves_no_gap() -> None:
    settings = CaptionSettings(template="{subject}, {keyword}, in ink")
    assert fill([Row("fox.png", None, None)], settings, {})[0][1] == "fox, in ink"
    # The word "style" belongs to the keyword.
    assert fill([Row("fox.png", None, None)], CaptionSettings(), {})[0][1] == "sticker of fox"


def test_other_keys_of_a_line_fill_slots_and_a_row_that_lacks_one_is_left(tmp_path: Path) -> None:
    lines: list[dict[str, str | None]] = [
        {"file_name": "IMG_1.png", "animal": "owl", "mood": "sad"},
        {"file_name": "IMG_2.png", "animal": "fox", "mood": None},
    ]
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = [Row(str(line["file_name"]), None, None) for line in lines]
    settings = CaptionSettings(keyword="zorb", template="{keyword} sticker of a {mood} {animal}")
    assert fill(rows, settings, captions.columns(tmp_path)) == [(rows[0], "zorb sticker of a sad owl")]


def test_a_folder_says_what_the_name_of_a_camera_does_not() -> None:
    rows = [Row("12_red foxes/IMG_1.png", None, None), Row("owls/snowy.png", None, None)]
    settings = CaptionSettings(keyword="zorb", template="{keyword} sticker of {subject}")
    assert [text for _, text in fill(rows, settings, {})] == ["zorb sticker of red foxes", "zorb sticker of snowy"]


def _write(folder: Path, metadata: bytes, given: Mapping[str, str | tuple[str, ...]]) -> bytes:
    (folder / "dataset").mkdir()
    (folder / "dataset" / "metadata.jsonl").write_bytes(metadata)
    captions.write(folder / "dataset", given)
    return (folder / "dataset" / "metadata.jsonl").read_bytes()


def test_writing_changes_the_caption_and_nothing_else(tmp_path: Path) -> None:
    before = b'\xef\xbb\xbf{"likes": 3, "file_name": "a.png"}\r\n{broken\r\n{"file_name":"b.png",  "text":"B"}\r\n'
    after = (
        b'\xef\xbb\xbf{"likes": 3, "file_name": "a.png", "text": "\xd1\x91\xd0\xb6"}\r\n{broken\r\n{"file_name":"b.png",  "text":"B"}\r\n'
    )
    assert _write(tmp_path, before, {"a.png": "ёж"}) == after
    undo(tmp_path)
    assert (tmp_path / "dataset" / "metadata.jsonl").read_bytes() == before
    assert [path.name for path in (tmp_path / "dataset").iterdir()] == ["metadata.jsonl"]


def test_writing_fills_bare_rows_of_a_file_first_and_keeps_the_key_in_use(tmp_path: Path) -> None:
    before = b'{"file_name": "a.png", "text": "one"}\n{"file_name": "./a.png", "text": ""}\n{"file_name": "b.png", "caption": "B"}'
    after = b'{"file_name": "a.png", "text": "one"}\n{"file_name": "./a.png", "text": "A"}\n{"file_name": "b.png", "caption": "b"}\n'
    assert _write(tmp_path, before, {"a.png": "A", "b.png": "b", "c.png": "C"}) == after + b'{"file_name": "c.png", "text": "C"}\n'


def test_writing_without_metadata_makes_one_with_every_picture(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    (tmp_path / "b.txt").write_text("b it is")
    captions.write(tmp_path, {"a.png": "A"})
    assert (tmp_path / "metadata.jsonl").read_text() == '{"file_name": "a.png", "text": "A"}\n{"file_name": "b.png", "text": "b it is"}\n'


def test_several_captions_are_written_as_a_list_in_the_place_of_numbered_keys(tmp_path: Path) -> None:
    before = b'{"file_name": "a.png", "text": "A", "text_2": "B", "likes": 3}\n'
    after = b'{"file_name": "a.png", "text": ["zorb A", "zorb B"], "likes": 3}\n'
    assert _write(tmp_path, before, {"a.png": ("zorb A", "zorb B")}) == after
