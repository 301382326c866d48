"""The data doctor on captions: languages, near repetitions, encodings, white space, tokens."""

import json
from pathlib import Path

import pytest
from PIL import Image

from decal import checks
from decal.captions import Tokenizer
from decal.checks import captions, whole
from decal.checks.english import language_of, tidied, unscrambled
from decal.metadata import Row
from decal.records import Source
from decal.settings import CaptionSettings, parse

SAMPLE = Path(captions.__file__).parents[1] / "mini" / "sample"
RUSSIAN = "zorb стиль наклейка с рыжей лисой которая сладко спит на пушистом облаке под яркими звёздами и держит плюшевого мишку в лапах"
ENGLISH = CaptionSettings(keyword="zorb")


def _rows(*texts: str) -> list[Row]:
    return [Row(f"{number}.png", text, number + 1) for number, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (RUSSIAN, "Cyrillic letters"),
        ("zorb style sticker of ein roter Fuchs mit einem Hut", "German"),
        ("zorb style sticker d'un renard roux dans la neige avec une écharpe", "French"),
        ("zorb pegatina de un zorro con una bufanda en el bosque", "Spanish"),
        ("zorb 帽子をかぶった狐のステッカー", "Japanese letters"),
        ("zorb style sticker of a red fox in a hat", None),
        ("zorb style sticker of a jalapeño on a château, con brio", None),
        ("café crème brûlée", None),
    ],
)
def test_other_languages_are_told_from_english(text: str, language: str | None) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize(
    "text", ["zorb style, Katze schläft", "zorb style sticker of ein Mädchen", "kleine Füße", "un gato rojo", "chien assis", "röd katt"]
)
def test_two_words_of_another_language_are_enough(text: str) -> None:
    assert language_of(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "Vincent van Gogh, Jan van Eyck",
        "im so happy, im cool",
        "Bianca, Leo, bianca",
        "maison, est. 1854",
        "Dior homme, maison",
        "Los Angeles, El Paso",
    ],
)
def test_a_foreign_word_that_comes_twice_is_still_one(text: str) -> None:
    assert language_of(text) is None


def test_borrowed_words_and_all_that_is_written_about_decal_seem_english() -> None:
    borrowed = (
        "a hund and a doppelgänger",
        "crème brûlée in a café",
        "über cool kindergarten",
        "piñata",
        "femme fatale, noir",
        "son met pod, no due, till I do pour",
    )
    pages = Path(__file__).parents[1].glob("docs/*.md")
    lines = [*borrowed, *(line for page in pages for line in page.read_text("utf-8").splitlines())]
    assert (len(lines) > 500, [line for line in lines if language_of(line)]) == (True, [])


def test_no_english_caption_of_the_sample_seems_foreign() -> None:
    texts = [json.loads(line)["text"] for line in (SAMPLE / "metadata.jsonl").read_text().splitlines()]
    assert (len(texts), [text for text in texts if language_of(text)]) == (30, [])


def test_a_russian_caption_is_told_with_what_it_costs() -> None:
    (found,) = captions.in_english(_rows(RUSSIAN, "zorb style sticker of a fox"), Tokenizer.of_base("sd2.1"))
    assert (found.file, found.check, "decal caption --translate" in found.remedy) == ("0.png", "not_english", True)
    assert found.reason.startswith("is not in English (Cyrillic letters): its 21 words are 1")


def test_captions_that_say_the_same_in_other_words_or_order_are_near() -> None:
    texts = (
        "zorb style sticker of a red fox asleep on a cloud",
        "zorb style sticker, on a cloud the red fox asleep",
        "zorb style sticker of a grey wolf that runs through deep snow below tall dark pines at night",
        "zorb style sticker of a grey wolf that runs through deep snow below tall dark pines at dawn",
        "zorb style sticker of a red fox awake on a cloud",
    )
    found = [(one.file, one.reason.split(":")[0]) for one in captions.nearly_repeated(_rows(*texts), ENGLISH)]
    assert found == [("1.png", "has nearly the same caption as 0.png"), ("3.png", "has nearly the same caption as 2.png")]


def test_captions_that_posts_share_are_one_note_with_a_count(tmp_path: Path) -> None:
    texts = [f"zorb style sticker of a {what}" for what in "pizza tulip pizza tulip pizza boat".split()]
    lines = [json.dumps({"file_name": f"{number}.png", "text": text}) for number, text in enumerate(texts)]
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
    for number in range(len(texts)):
        Image.effect_noise((256, 256), 40 + 9 * number).save(tmp_path / f"{number}.png")
    posts, settings = Source(kind="posts", where="posts.csv", revision=None, licence=None, pictures=6), parse({})
    found = [one for sources in ([posts], []) for one in checks.run(tmp_path, settings, sources=sources).findings]
    told = [(one.level, one.reason) for one in found if one.check == "repeated_caption"]
    assert [level for level, _ in told] == ["note", "warning", "warning"]
    assert told[0][1] == (
        "5 of 6 pictures share 2 captions, as posts about one thing do; "
        "the commonest has 3, the first 0.png: 'zorb style sticker of a pizza'"
    )


def test_what_all_captions_say_makes_none_of_them_near() -> None:
    style = "zorb style sticker with thick outline, flat bright colours, white border, soft shadow below, of a"
    assert (
        list(captions.nearly_repeated(_rows(*(f"{style} {what}" for what in "fox cat dog owl pig cow hen bee ant".split())), ENGLISH)) == []
    )


def test_a_scrambled_caption_is_told_with_what_it_was() -> None:
    scrambled = "zorb style sticker of a jalapeño".encode().decode("cp1252")
    (found,) = captions.tidy(_rows(scrambled, "zorb style sticker of a jalapeño"))
    assert (found.check, unscrambled(scrambled)) == ("scrambled_caption", "zorb style sticker of a jalapeño")


def test_hidden_characters_and_white_space_are_notes() -> None:
    found = list(captions.tidy(_rows(" zorb  fox", "zorb\u200b fox", "zorb fox", "zorb 👩‍🚀 fox")))
    assert [(one.level, one.check, one.file) for one in found] == [("note", "untidy_caption", f"{number}.png") for number in (0, 1)]
    assert tidied("zorb\u200b \t fox\u202e\n") == "zorb fox"


def test_a_picture_that_two_lines_name_is_told_once() -> None:
    rows = [Row("a.png", "one", 1), Row("b.png", "two", 2), Row("a.png", "three", 3)]
    assert [(one.check, one.file, one.line) for one in captions.repeated_row(rows)] == [("repeated_row", "a.png", 3)]


def test_the_keyword_is_judged_by_its_tokens() -> None:
    tokenizer = Tokenizer.of_base("sd2.1")
    found = {
        word: [one.check for one in whole.keyword(parse({"caption": {"keyword": word}}), tokenizer)] for word in ("fox", "zorbfox", "")
    }
    assert found == {"fox": ["known_keyword"], "zorbfox": [], "": []}


def test_pictures_that_are_shown_too_rarely_or_too_often_come_with_a_number_of_steps() -> None:
    # The embedded base takes 300 steps of 8, and 15 % are held out: 2400 / 850 = 3 and 2400 / 3 = 800.
    found = [(one.check, one.remedy.rpartition(" or ")[0]) for count in (1000, 30, 3) for one in whole.shown(count, parse({}))]
    assert found == [("shown_rarely", "Set train.steps = 2125"), ("shown_often", "Add pictures, or set train.steps = 75")]


def test_a_source_without_a_licence_is_a_note() -> None:
    sources = [Source(kind="folder", where="/x", pictures=3), Source(kind="hub", where="a/b", licence="cc-by-4.0", pictures=3)]
    assert [(one.level, one.check) for one in whole.licences(sources)] == [("note", "unknown_licence")]
