"""The data doctor: what each check finds, and how findings are shown."""

import json
import subprocess
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from decal import checks, duplicates
from decal.checks import Checked, by_picture, summary
from decal.pictures import look
from decal.records import Finding
from decal.settings import Settings, parse

SAMPLE = Path(checks.__file__).parents[1] / "mini" / "sample"
GOOD = "inkpop style sticker of a red fox"


def _noise(seed: int, side_px: int = 64) -> Image.Image:
    """Soft coloured blots in a sharp frame, different for every seed."""
    dice = np.random.default_rng(seed)
    blots = Image.fromarray(dice.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((side_px, side_px))
    ImageDraw.Draw(blots).rectangle((1, 1, side_px - 2, side_px - 2), outline="black")
    return blots


def _set(folder: Path, captions: Mapping[str, str | None], side_px: int = 64) -> Path:
    """An imagefolder with one different picture a caption; None writes a row without `text`."""
    for number, file in enumerate(captions):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        _noise(number, side_px).save(folder / file)
    rows = [{"file_name": file} | ({} if text is None else {"text": text}) for file, text in captions.items()]
    (folder / "metadata.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return folder


def _settings(**caption: object) -> Settings:
    return parse({"data": {"resolution": 64}, "caption": {"keyword": "inkpop", **caption}})


def _run(folder: Path, settings: Settings | None = None) -> Checked:
    return checks.run(folder, settings or _settings())


def _found(folder: Path, settings: Settings | None = None) -> list[tuple[str, str, str | None]]:
    return [(finding.level, finding.check, finding.file) for finding in _run(folder, settings).findings]


def test_a_good_set_has_nothing_to_say(tmp_path: Path) -> None:
    folder = _set(tmp_path, {f"{number:02}.png": f"inkpop style sticker of thing number {number}" for number in range(12)})
    checked = _run(folder)
    assert checked.findings == ()
    assert list(checked.looks) == list(checked.listing.files)


def test_the_sample_has_no_errors_and_no_warnings() -> None:
    checked = _run(SAMPLE, parse({"caption": {"keyword": "cobink"}}))
    assert [finding for finding in checked.findings if finding.level != "note"] == []
    assert len(checked.looks) == 30


def test_pictures_that_cannot_be_decoded_are_errors_with_their_reason(tmp_path: Path) -> None:
    folder = _set(tmp_path, {"cut.png": f"{GOOD} 1", "odd.png": f"{GOOD} 2", "strip.png": f"{GOOD} 3"}, side_px=256)
    (folder / "cut.png").write_bytes((folder / "cut.png").read_bytes()[:2000])
    (folder / "odd.png").write_bytes(b"<html>")
    Image.new("RGB", (2100, 100)).save(folder / "strip.png")
    assert [found for found in _found(folder) if found[0] == "error"] == [
        ("error", "truncated", "cut.png"),
        ("error", "unreadable", "odd.png"),
        ("error", "extreme_ratio", "strip.png"),
    ]
    assert _run(folder).looks == {}


def test_small_pictures_are_warnings_and_those_below_half_are_errors(tmp_path: Path) -> None:
    folder = _set(tmp_path, {f"{side}.png": f"{GOOD} {side}" for side in (20, 31, 32, 63, 64)})
    for side in (20, 31, 32, 63):
        _noise(side, side).save(folder / f"{side}.png")
    found = [finding for finding in _run(folder).findings if finding.check in ("tiny", "small")]
    assert [(finding.level, finding.file) for finding in found] == [
        ("error", "20.png"),
        ("error", "31.png"),
        ("warning", "32.png"),
        ("warning", "63.png"),
    ]
    assert found[1].reason == "31 x 31 px, less than half the training size 64 x 64 px"
    assert found[1].remedy == "Replace it, or lower data.resolution to 24."


def test_a_lower_resolution_is_offered_only_where_a_third_of_the_pictures_are_too_small(tmp_path: Path) -> None:
    folder = _set(tmp_path, {f"{number}.png": f"{GOOD} {number}" for number in range(4)})
    remedies = []
    for small in ("0.png", "1.png"):
        _noise(9).resize((40, 40)).save(folder / small)
        remedies.append([finding.remedy for finding in _run(folder).findings if finding.check == "small"])
    assert remedies == [["Replace it or leave it out."], ["Replace it, or lower data.resolution to 40."] * 2]


def test_the_side_that_counts_depends_on_how_pictures_become_square(tmp_path: Path) -> None:
    folder = _set(tmp_path, {"a.png": GOOD})
    _noise(0).resize((64, 24)).save(folder / "a.png")
    found = {
        fit: [check for _, check, _ in _found(folder, parse({"data": {"fit": fit, "resolution": 64}})) if check in ("tiny", "small")]
        for fit in ("pad", "crop")
    }
    assert found == {"pad": [], "crop": ["tiny"]}


def test_animations_and_hidden_colours_are_told(tmp_path: Path) -> None:
    folder = _set(tmp_path, {"a.gif": f"{GOOD} 1", "b.png": f"{GOOD} 2"})
    _noise(0).save(folder / "a.gif", save_all=True, append_images=[_noise(1), _noise(2)])
    hidden = _noise(3).convert("RGBA")
    hidden.putalpha(0)
    hidden.save(folder / "b.png")
    assert [found for found in _found(folder) if found[2]] == [
        ("warning", "animated", "a.gif"),
        ("warning", "low_contrast", "b.png"),
        ("note", "hidden_colour", "b.png"),
    ]


def test_a_blank_picture_is_told_as_one_colour(tmp_path: Path) -> None:
    Image.new("RGB", (256, 256), "white").save(tmp_path / "a.png")
    found = [(one.reason, one.remedy) for one in checks.run(tmp_path, _settings()).findings if one.check == "low_contrast"]
    assert found == [("shows nothing but one colour", "Leave it out.")]


def test_copies_are_told_with_the_first_of_them(tmp_path: Path) -> None:
    folder = _set(tmp_path, {name: f"{GOOD} in {name}" for name in ("a.png", "b.bmp", "c.jpg", "d.png")})
    _noise(0).save(folder / "b.bmp")
    ImageEnhance.Brightness(_noise(0)).enhance(0.95).resize((200, 200)).save(folder / "c.jpg", quality=60)
    _noise(0).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "d.png")
    found = [finding for finding in _run(folder).findings if "duplicate" in finding.check]
    assert [(finding.check, finding.file) for finding in found] == [
        ("duplicate", "b.bmp"),
        ("near_duplicate", "c.jpg"),
        ("near_duplicate", "d.png"),
    ]
    assert (found[0].reason, found[2].reason) == ("the same picture as a.png", "is the mirror image of a.png (0 of 64 bits differ)")


def _sticker(number: int) -> Image.Image:
    """A flat face on white; the mouth, the eyes and the colour tell 30 of them apart."""
    picture = Image.new("RGB", (256, 256), "white")
    draw = ImageDraw.Draw(picture)
    mouth, eyes = number % 6, number // 6
    draw.ellipse((20, 20, 236, 236), fill="#ffcc33", outline="black", width=8)
    for x in (80, 152):
        draw.ellipse((x, 70, x + 24, 82 + 12 * eyes), fill="black")
    if mouth == 5:
        draw.rectangle((80, 160, 176, 172), fill="black")
    else:
        draw.chord((90 - 6 * mouth, 140, 166 + 6 * mouth, 160 + 14 * mouth), 0, 180, fill="#802020")
    return picture


def test_no_two_of_sixty_flat_stickers_on_white_look_the_same(tmp_path: Path) -> None:
    for number in range(30):
        _sticker(number).save(tmp_path / f"{number:02}.png")
    paths = [*sorted(tmp_path.glob("*.png")), *sorted(SAMPLE.glob("*.png"))]
    looks = {path.name: look(path) for path in paths}
    assert len(looks) == 60
    assert duplicates.pairs(looks, lambda file: duplicates.close_ups(SAMPLE if (SAMPLE / file).exists() else tmp_path)(file)) == []
    assert len(duplicates.groups(looks)) == 60


def test_every_sample_sticker_is_found_again_after_saving_it_smaller_as_jpeg(tmp_path: Path) -> None:
    looks = {path.stem: look(path) for path in sorted(SAMPLE.glob("*.png"))}
    for path in sorted(SAMPLE.glob("*.png")):
        image = Image.open(path).convert("RGBA")
        flat = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
        flat.resize((180, 180)).save(tmp_path / "a.jpg", quality=70)
        looks[f"{path.stem} again"] = look(tmp_path / "a.jpg")
    assert duplicates.groups(looks) == [(name, f"{name} again") for name in looks if not name.endswith("again")]


def test_a_group_joins_pictures_that_are_alike_through_others(tmp_path: Path) -> None:
    for number in range(5):
        ImageEnhance.Brightness(_noise(7)).enhance(1 - 0.12 * number).save(tmp_path / f"{number}.png")
    looks = {path.name: look(path) for path in sorted(tmp_path.iterdir())}
    ends = duplicates.pairs({file: looks[file] for file in ("0.png", "4.png")}, duplicates.close_ups(tmp_path))
    assert (ends, duplicates.groups(looks)) == ([], [tuple(looks)])


def test_faces_that_differ_in_the_mouth_are_two_and_a_mirrored_or_pale_copy_is_one(tmp_path: Path) -> None:
    def face(mouth: tuple[int, int]) -> Image.Image:
        picture = Image.new("RGB", (512, 512), "white")
        draw = ImageDraw.Draw(picture)
        draw.ellipse((40, 40, 472, 472), fill="#ffcc33", outline="black", width=6)
        draw.ellipse((150, 180, 180, 230), fill="black")
        draw.arc((190, 315, 320, 345), *mouth, fill="black", width=6)
        return picture

    smile, frown = face((20, 160)), face((200, 340))
    paled = Image.blend(smile, Image.new("RGB", smile.size, "white"), 0.15).resize((300, 300))
    for name, picture in {"a": smile, "b": frown, "c": ImageOps.mirror(smile), "d": paled}.items():
        picture.save(tmp_path / f"{name}.png")
    looks = {path.name: look(path) for path in sorted(tmp_path.iterdir())}
    found = [(pair.first, pair.second, pair.is_mirrored) for pair in duplicates.pairs(looks, duplicates.close_ups(tmp_path))]
    assert found == [("a.png", "c.png", True), ("a.png", "d.png", False)]
    assert duplicates.groups(looks) == [tuple(looks)]


def test_text_files_that_say_something_else_than_the_metadata_are_told(tmp_path: Path) -> None:
    folder = _set(tmp_path, {"a.png": GOOD, "b.png": GOOD, "c.png": None, "d.png": GOOD})
    for name, text in {"a": GOOD, "b": "a bear", "c": "a cat", "d": "a red fox"}.items():
        (folder / f"{name}.txt").write_text(f"{text}\n")
    found = [(finding.file, finding.remedy) for finding in _run(folder).findings if finding.check == "sidecar"]
    assert found == [("b.png", "Write it into the line, or delete the .txt file."), ("c.png", "decal caption  takes it up.")]


def test_missing_empty_and_repeated_captions_are_told(tmp_path: Path) -> None:
    folder = _set(tmp_path, {"a.png": None, "b.png": "  ", "c.png": GOOD, "d.png": GOOD.upper(), "e.png": f" {GOOD}"})
    assert _found(folder)[:3] == [
        ("error", "no_caption", "a.png"),
        ("error", "empty_caption", "b.png"),
        ("warning", "repeated_caption", "c.png"),
    ]
    assert _run(folder).findings[2].reason == f"has the same caption as d.png, e.png: '{GOOD}'"


def test_captions_are_held_to_keyword_kind_style_and_length(tmp_path: Path) -> None:
    texts = {
        "a.png": GOOD,
        "b.png": "style sticker of a fox",
        "c.png": "inkpop style fox asleep",
        "d.png": "inkpop sticker",
        "e.png": "inkpops stickers in style",
    }
    folder = _set(tmp_path, texts)
    assert [found for found in _found(folder) if found[2]] == [
        ("error", "no_keyword", "b.png"),
        ("error", "no_keyword", "e.png"),
        ("warning", "no_kind_word", "c.png"),
        ("warning", "short_caption", "d.png"),
    ]
    assert ("warning", "no_style_word", "a.png") in _found(folder, _settings(style_words=["flat"]))


def test_a_caption_that_is_too_long_shows_its_tokens_the_limit_and_the_lost_words(tmp_path: Path) -> None:
    folder = _set(tmp_path, {"a.png": GOOD + " and" * 69 + " lost words"})
    finding = _run(folder).findings[0]
    # 8 tokens of GOOD (ink + pop), 69 times and, 2 more, BOS and EOS; 75 of content fit into 77.
    assert (finding.level, finding.check) == ("error", "long_caption")
    assert finding.reason == "the caption has 81 tokens, the limit of mini is 77; lost would be 'and and lost words'"


def test_the_size_of_the_set_is_judged(tmp_path: Path) -> None:
    empty, one = tmp_path / "empty", _set(tmp_path / "one", {"a.png": GOOD})
    assert _found(empty) == [("error", "no_pictures", None)]
    assert _found(one) == [("warning", "one_picture", None), ("note", "no_holdout", None)]
    assert ("warning", "shown_often", None) in _found(_set(tmp_path / "three", {f"{n}.png": f"{GOOD} {n}" for n in range(3)}))
    assert ("note", "keyword_not_set", None) in _found(one, Settings())


def test_faults_of_the_metadata_come_with_the_findings(tmp_path: Path) -> None:
    folder = _set(tmp_path, {"a.png": GOOD})
    _noise(5).save(folder / "b.png")
    (folder / "metadata.jsonl").write_text(
        f'{{"file_name": "a.png", "text": "{GOOD}"}}\n{{"file_name": "../b.png"}}\n{{"file_name": "c.png"}}\n{{'
    )
    found = [(finding.level, finding.check, finding.file, finding.line) for finding in _run(folder).findings][:4]
    assert found == [
        ("error", "outside", "metadata.jsonl", 2),
        ("error", "bad_line", "metadata.jsonl", 4),
        ("warning", "no_row", "b.png", None),
        ("warning", "missing_file", "c.png", 3),
    ]


def test_the_number_of_threads_changes_nothing(tmp_path: Path) -> None:
    folder = _set(tmp_path, {f"{number}.png": None for number in range(20)})
    assert checks.run(folder, Settings(), workers=1) == checks.run(folder, Settings(), workers=4)


def test_a_summary_is_aligned_and_tells_each_remedy_once() -> None:
    findings = [
        Finding(level="warning", check="animated", file="b.gif", reason="has 3 frames", remedy="Nothing."),
        Finding(level="error", check="tiny", file="sub/a.png", reason="too small", remedy="Replace it."),
        Finding(level="error", check="tiny", file="c.png", reason="too small", remedy="Replace it."),
        Finding(level="note", check="no_holdout", reason="few pictures", remedy="Add some."),
    ]
    assert summary(findings) == [
        "  error    c.png      too small",
        "  error    sub/a.png  too small",
        "           -> Replace it.",
        "  warning  b.gif      has 3 frames",
        "           -> Nothing.",
        "  note     few pictures",
        "           -> Add some.",
    ]


def test_ten_thousand_of_a_kind_are_folded_into_ten_lines() -> None:
    findings = [
        Finding(level="error", check="no_caption", file=f"{n:05}.png", reason="has no caption", remedy="Add.") for n in range(10_000)
    ]
    lines = summary(findings)
    assert (len(lines), lines[-1]) == (10, "           ... and 9,992 more like this; decal check --all  lists them")
    assert len(by_picture(findings)) == 10_001


def test_all_findings_are_listed_by_picture_the_worst_first() -> None:
    found = [
        ("note", "a.png", "few words"),
        ("warning", "b.png", "blurred"),
        ("error", "b.png", "no caption"),
        ("note", "b.png", "few words"),
    ]
    findings = [Finding(level=level, check=reason, file=file, reason=reason, remedy=f"Mend {reason}.") for level, file, reason in found]
    assert by_picture(findings) == [
        "  error    b.png  no caption",
        "           -> Mend no caption.",
        "  warning  b.png  blurred",
        "           -> Mend blurred.",
        "  note     b.png  few words",
        "           -> Mend few words.",
        "  note     a.png  few words",
    ]


def test_a_summary_cannot_move_the_cursor_of_a_terminal() -> None:
    finding = Finding(level="error", check="x", file="a\x1b[2J.png", reason="red \x1b[31m", remedy="Go\non.")
    assert summary([finding]) == ["  error    a\\x1b[2J.png  red \\x1b[31m", "           -> Go\\non."]


@pytest.mark.slow
def test_checking_loads_no_torch() -> None:
    code = "import decal.checks, sys; print(sorted({'torch', 'transformers', 'diffusers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_findings_are_ordered_errors_first_then_by_file(tmp_path: Path) -> None:
    folder = _set(tmp_path, {f"{number}.png": [None, "short", GOOD][number % 3] for number in range(9)})
    places = [(checks.LEVELS.index(finding.level), finding.file or "") for finding in _run(folder).findings]
    assert all(one <= other for one, other in pairwise(places))


def test_each_of_several_captions_is_looked_at(tmp_path: Path) -> None:
    folder = _set(tmp_path, {"a.png": GOOD})
    line = json.dumps({"file_name": "a.png", "text": [GOOD, GOOD, "sticker of a fox in the rain", GOOD + " and" * 69]})
    (folder / "metadata.jsonl").write_text(line + "\n")
    expected = {("error", "no_keyword", "a.png"), ("error", "long_caption", "a.png")}
    assert {one for one in _found(folder) if one[2] is not None and one[0] == "error"} == expected
