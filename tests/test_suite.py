"""What checkpoints are compared on, and what is seen in pictures."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from decal import grid, project, suite
from decal.errors import BaseModelError
from decal.records import Record, SuitePrompt
from decal.settings import parse
from decal.suite import Frame
from decal.viewing import Shown, Square, Viewer, changed

CAPTIONS = ["zorb style sticker of a red fox, thick outline", "zorb style sticker of an owl with a hat, thick outline"]
SETTINGS = parse({"caption": {"keyword": "zorb", "kind_words": ["sticker"]}})


def filled(own: list[str], kept: list[SuitePrompt], count: int) -> list[SuitePrompt]:
    filling = suite.fill(own, kept, count, settings=SETTINGS, known=CAPTIONS, avoid=["zorb style sticker of a pumpkin"])
    return [one for one in filling.run(None, lambda: False) if isinstance(one, SuitePrompt)]


def test_prompts_are_worded_as_all_captions_are() -> None:
    frame = Frame.of(CAPTIONS, "{keyword} style sticker of {subject}", "zorb")
    assert frame.put("a cat") == "zorb style sticker of a cat, thick outline"
    assert frame.take("zorb style sticker of a cat, thick outline") == "a cat"


def test_captions_without_a_common_wording_leave_the_template() -> None:
    frame = Frame.of(["a fox by zorb", "an owl"], "{subject}, {keyword} style", "zorb")
    assert frame == Frame("", ", zorb style")


def test_a_suite_is_filled_up_with_prompts_that_are_new() -> None:
    own = ["zorb style sticker of a green boat, thick outline"]
    prompts = filled(own, [], 24)
    assert prompts[0] == SuitePrompt(text=own[0], scored="a green boat", group="own")
    assert len({prompt.text for prompt in prompts}) == 24
    assert grid.seen([prompt.text for prompt in prompts], [*CAPTIONS, "a pumpkin"], ["zorb", "sticker", "style", "thick outline"]) == []


def test_added_prompts_say_the_words_that_were_learnt_in_turn_and_the_base_is_asked_without() -> None:
    settings = parse({"caption": {"keyword": "zorb"}, "train": {"pivotal_words": {"wuxle": "sunset", "vombi": ""}}})
    known = ["wuxle, zorb style sticker of a red fox", "vombi, zorb style sticker of an owl", "zorb style sticker of a hat"]
    own = ["vombi, zorb style sticker of a green boat"]
    filling = suite.fill(own, [], 5, settings=settings, known=known, avoid=[])
    prompts = [one for one in filling.run(None, lambda: False) if isinstance(one, SuitePrompt)]
    assert [one.text.partition(", ")[0] for one in prompts] == ["vombi", "wuxle", "vombi", "wuxle", "vombi"]
    assert prompts[0].scored == "a green boat"
    assert not [one for one in prompts if "wuxle" in one.scored or "vombi" in one.scored]


def test_more_prompts_keep_those_that_were_there() -> None:
    before = filled(["zorb style sticker of a boat"], [], 12)
    after = filled(["zorb style sticker of a boat"], [prompt for prompt in before if prompt.group != "own"], 20)
    assert (after[:12], len(after)) == (before, 20)


def test_the_base_is_drawn_with_four_seeds_and_those_of_the_checkpoints() -> None:
    assert (suite.base_seeds((0, 1)), suite.base_seeds((7,)), suite.base_seeds((1, 2, 3, 4, 5))) == (
        (0, 1, 2, 3),
        (7, 0, 1, 2),
        (1, 2, 3, 4, 5),
    )


def test_of_very_many_pictures_those_held_out_and_a_thousand_are_compared_with() -> None:
    every = [
        Record(file=f"{number}.png", sha256=f"{number * 7919 % 1400:064x}", width_px=8, height_px=8, caption="", split=split)
        for number, split in enumerate(["holdout"] * 200 + ["train"] * 1200)
    ]
    found = [(one.split, one.file) for one in suite.references(every)]
    assert [split for split, _ in found] == ["holdout"] * 200 + ["train"] * 1000
    # More pictures leave most of the others where they were.
    assert len({*found} & {(one.split, one.file) for one in suite.references(every[:-100])}) > 1100


def test_no_picture_is_looked_at_twice(shapes: Path, tmp_path: Path) -> None:
    files = [Shown(path, project.sha256(path), Square(32, "pad", "white")) for path in sorted(shapes.glob("*.png"))[:5]]
    first = Viewer(tmp_path, "squeezenet", "cpu").looks(files)
    again = Viewer(tmp_path, "squeezenet", "cpu")
    assert list(again.fill(files)) == []
    assert all(
        np.array_equal(getattr(first, name), getattr(again.looks(files), name)) for name in ("content", "style", "histogram", "tone")
    )


def test_what_was_seen_before_a_stop_is_kept(shapes: Path, tmp_path: Path) -> None:
    files = [Shown(path, f"{path.name} {side}", Square(side, "pad", "white")) for side in (24, 32) for path in sorted(shapes.glob("*.png"))]
    looking = Viewer(tmp_path, "squeezenet", "cpu").fill(files)
    before = [next(looking).done, next(looking).done]
    looking.close()
    after = next(Viewer(tmp_path, "squeezenet", "cpu").fill(files))
    assert (before, after.all) == ([0, 16], len(files) - 16)


def test_what_is_remembered_is_looked_at_again_once_it_is_damaged(shapes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = min(shapes.glob("*.png"))
    shown = [Shown(path, project.sha256(path), Square(32, "pad", "white"))]
    Viewer(tmp_path, "squeezenet", "cpu").looks(shown)
    (kept,) = tmp_path.rglob("*.npz")
    kept.write_bytes(kept.read_bytes()[:100])
    assert Viewer(tmp_path, "squeezenet", "cpu").looks(shown).is_there.all()
    assert "looked at again" in caplog.text


def test_a_picture_that_cannot_be_read_leaves_a_hole(shapes: Path, tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(min(shapes.glob("*.png")).read_bytes()[:60])
    good = min(shapes.glob("*.png"))
    shown = [Shown(good, "good", Square(32, "pad", "white")), None, Shown(tmp_path / "torn.png", "torn", Square(32, "pad", "white"))]
    assert Viewer(tmp_path, "squeezenet", "cpu").looks(shown).is_there.tolist() == [True, False, False]


def test_an_embedder_that_is_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="is no folder here and no hub id"):
        Viewer(tmp_path, "squeezenot", "cpu")


@pytest.mark.parametrize("change", ["mirrored", "burnt", "blurred", "cropped", "moved", "tinted", "smaller"])
def test_a_changed_picture_keeps_its_size(change: str) -> None:
    picture = Image.effect_noise((48, 40), 60).convert("RGB")
    after = changed(picture, change)  # type: ignore[arg-type]
    assert after.size == picture.size
    assert after.tobytes() != picture.tobytes()


def test_what_was_looked_at_is_remembered_without_torch(shapes: Path, tmp_path: Path) -> None:
    path = min(shapes.glob("*.png"))
    Viewer(tmp_path, "squeezenet", "cpu").looks([Shown(path, project.sha256(path), Square(32, "pad", "white"))])
    code = (
        "import sys; from pathlib import Path; from decal import project; from decal.viewing import Shown, Square, Viewer\n"
        "path = Path(sys.argv[2]); shown = [Shown(path, project.sha256(path), Square(32, 'pad', 'white'))]\n"
        "print(Viewer(Path(sys.argv[1]), 'squeezenet', 'cpu').looks(shown).is_there.all(), 'torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code, tmp_path, path], capture_output=True, text=True, check=True).stdout
    assert told == "True False\n"
