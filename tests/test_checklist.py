"""The points of a hand-in: what is right passes, and each fault fails its own point."""

from dataclasses import replace

import pytest

from decal import checklist
from decal.checklist import Choice, Demonstration, Facts, Training
from decal.records import Finding, Point
from decal.settings import CaptionSettings

WORDS = "angry bored calm dizzy eager fond glad happy idle jolly keen lazy merry noble odd proud quiet rude shy tired".split()
GOOD = Facts(
    pictures=20,
    captions=[(f"{word}.png", f"zorb style sticker of a {word} fox") for word in WORDS],
    caption=CaptionSettings(keyword="zorb"),
    findings=(),
    longest=12,
    limit=77,
    changed=(),
    located=(),
    lettered=(),
)
TRAINED = Training(
    "run-01", steps=1600, reached=1600, checkpoint_every=400, checkpoints=(400, 800, 1200, 1600), compared={400, 800, 1200, 1600}
)
SHOWN = Demonstration([f"zorb {word}" for word in WORDS[:10]], seen=(), guidance=(3.0, 7.5, 12.0), wanted=30, drawn=30)


def failed(points: list[Point]) -> list[str]:
    assert all(point.remedy for point in points if point.mark != "pass")
    return [point.name for point in points if point.mark != "pass"]


def test_a_good_hand_in_passes_every_point() -> None:
    points = [*checklist.of_data(GOOD), *checklist.of_training(TRAINED, Choice(800, None, is_by_hand=True)), *checklist.of_pictures(SHOWN)]
    assert failed(points) == []
    assert checklist.total(points) == "16 of 16 points fulfilled"


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ({"pictures": 19}, "pictures"),
        ({"changed": ["a.png is gone"]}, "same data"),
        ({"captions": [*GOOD.captions, GOOD.captions[0]]}, "captions"),
        ({"longest": 78}, "token limit"),
        ({"captions": [("fox.png", "zorb style sticker")]}, "not too short"),
        ({"captions": [("fox.png", "my style sticker of a fox")]}, "keyword"),
        ({"captions": [("fox.png", "zorb style picture of a fox")]}, "kind of picture"),
        ({"caption": CaptionSettings(keyword="zorb", style_words=("watercolour",))}, "style"),
        ({"lettered": ["sale.png"]}, "no text"),
        ({"lettered": None}, "no text"),
        ({"findings": [Finding(level="error", check="broken", file="a.png", reason="cut off", remedy="")]}, "sound files"),
        ({"located": ["home.jpg"]}, "nothing private"),
    ],
)
def test_each_fault_of_the_data_fails_its_own_point(fault: dict[str, object], name: str) -> None:
    assert failed(checklist.of_data(replace(GOOD, **fault))) == [name]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ({"reached": 900}, "training"),
        ({"compared": {400, 800}}, "checkpoints"),
        ({"checkpoint_every": 800, "checkpoints": (800,)}, "checkpoints"),
    ],
)
def test_each_fault_of_the_training_fails_its_own_point(fault: dict[str, object], name: str) -> None:
    points = checklist.of_training(replace(TRAINED, **fault), Choice(800, None, is_by_hand=True))  # type: ignore[arg-type]
    assert failed(points) == [name]


def test_the_last_checkpoint_is_not_the_best_until_somebody_says_so() -> None:
    assert failed(checklist.of_training(TRAINED, Choice(1600, None, is_by_hand=False))) == ["choice"]


def test_prompts_that_are_not_new_and_pictures_that_are_not_drawn_are_told() -> None:
    old = replace(SHOWN, seen=[("zorb fox", "a fox")], drawn=0)
    assert failed(checklist.of_pictures(old)) == ["new prompts", "pictures drawn"]


def test_what_is_to_be_mended_stands_on_top_and_markup_of_strangers_is_text() -> None:
    passed = Point(name="keyword", mark="pass", told="zorb in every caption")
    bad = Point(name="new prompts", mark="fail", told='"<b>*fox*</b>" is old', remedy=f"decal grid {checklist.FOLDER}")
    text = checklist.to_markdown([passed, bad])
    assert text.index("To mend") < text.index("Fulfilled")
    assert r'"&lt;b&gt;\*fox\*&lt;/b&gt;" is old' in text
    assert [point.remedy for point in checklist.at("my fox", [bad])] == ["decal grid my fox"]
