"""What was seen and measured once is not done again, as long as it is the same."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from decal import pictures, project, workflow
from decal.captions import RememberingTokenizer, Tokenizer
from decal.errors import BaseModelError
from decal.presets import MINI
from decal.project import Project, Run
from decal.records import Rung, Step
from decal.workflow.checking import Seen


def test_what_the_base_loses_on_held_out_pictures_is_measured_once(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    at = Project(tmp_path / "project")
    workflow.new(at.folder, workflow.Order(shapes, "zorb", str(tiny), "stickers"))
    known, found = [], []
    for number, rate in enumerate(("1e-3", "1e-4", "1e-3"), start=1):
        settings = workflow.settings_of(at, ["train.steps=1", "train.validation_prompts=[]", f"train.learning_rate={rate}"])
        list(workflow.train(at, settings, workflow.Choice(is_new=True), lambda: False))
        found.append(project.read(Run(at.folder / "runs" / f"run-{number:02}").steps, Step)[0].holdout_loss)
        known = list((at.cache / "untrained").iterdir())
        kept = project.read(known[0], Step)[0]
        if number == 2:
            project.write_lines(known[0], [kept.model_copy(update={"holdout_loss": 7.0})])
    assert (len(known), found[0] == found[1], found[2]) == (1, True, 7.0)


def test_what_the_base_loses_is_measured_anew_with_other_versions_of_what_measures_it(
    tiny: Path, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = Project(tmp_path / "project")
    workflow.new(at.folder, workflow.Order(shapes, "zorb", str(tiny), "stickers"))
    settings, known = workflow.settings_of(at, ["train.steps=1", "train.validation_prompts=[]"]), []
    (tmp_path / "other/diffusers-0.0.1.dist-info").mkdir(parents=True)
    (tmp_path / "other/diffusers-0.0.1.dist-info/METADATA").write_text("Name: diffusers\nVersion: 0.0.1\n")
    for is_other in (False, False, True):
        if is_other:
            monkeypatch.syspath_prepend(str(tmp_path / "other"))
        list(workflow.train(at, settings, workflow.Choice(is_new=True), lambda: False))
        known.append(len(list((at.cache / "untrained").iterdir())))
    assert known == [1, 1, 2]


def test_what_a_sample_needs_is_measured_once(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    at = Project(tmp_path / "project")
    workflow.new(at.folder, workflow.Order(shapes, "zorb", str(tiny), "stickers"))
    settings = workflow.settings_of(at, ["train.steps=1", "train.batch=2", "train.validation_prompts=[]"])
    batches = []
    for number in (1, 2):
        list(workflow.train(at, settings, workflow.Choice(is_new=True), lambda: False))
        batches.append([rung.batch for rung in project.read(Run(at.folder / "runs" / f"run-{number:02}").rungs, Rung)])
        (known,) = (at.cache / "needed").iterdir()
        assert int(known.read_text()) > 1000
        known.write_text(str(2**60))
    assert batches == [[], [1, 1]], "the second run should go by what was kept"


def test_a_picture_is_decoded_once_while_its_bytes_and_ground_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.effect_noise((40, 30), 90).save(path)
    first = Seen(tmp_path / "cache")
    seen = first.look(path, "white")
    first.keep()
    later = Seen(tmp_path / "cache")
    assert later.look(path, "white") == seen == pictures.look(path)
    assert list(later.known.values()) == [seen]
    later.known = {(seen.sha256, "white"): replace(seen, contrast=-1)}
    assert [later.look(path, ground).contrast for ground in ("white", "black")] == [-1, seen.contrast]
    Image.effect_noise((40, 30), 9).save(path)
    assert later.look(path, "white") == pictures.look(path) != seen


def test_a_text_is_counted_once_while_the_tokenizer_is_the_same(tmp_path: Path) -> None:
    base = shutil.copytree(Path(MINI.where), tmp_path / "base", ignore=shutil.ignore_patterns("*.safetensors"))
    texts = ["a fox", "a crying fox face", "a fox"]
    first = RememberingTokenizer(str(base), tmp_path / "cache")
    told = first.counts(texts), first.split("cobink"), first.counts(texts)
    first.keep()
    known = (tmp_path / "cache" / "tokens-1.jsonl").read_bytes()
    whole = Tokenizer.from_folder(base, 77)
    assert told == (whole.counts(texts), whole.split("cobink"), whole.counts(texts))
    later = RememberingTokenizer(str(base), tmp_path / "cache")
    assert (later.counts(texts), later.split("cobink"), "_encoders" in later.__dict__) == (*told[:2], False)
    later.keep()
    assert (tmp_path / "cache" / "tokens-1.jsonl").read_bytes() == known
    (base / "tokenizer" / "tokenizer.json").write_text("damaged")
    with pytest.raises(BaseModelError, match="holds no tokenizer that can be read"):
        RememberingTokenizer(str(base), tmp_path / "cache").counts(texts)


def test_a_picture_that_cannot_be_decoded_is_said_again_each_time(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    seen = Seen(tmp_path / "cache")
    for path in (tmp_path / "a.png", tmp_path / "a.png", tmp_path / "missing.png"):
        with pytest.raises(pictures.PictureError):
            seen.look(path, "white")
    seen.keep()
    assert not (tmp_path / "cache").exists()
