"""What the base knows is kept: pictures of the kind in general are drawn, learnt beside the others, and never mixed up with them."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from test_cli import QUICK
from test_train import resolved_of, run_all, stop_before, task_of
from typed import Call

from decal import project, state
from decal.bases.sd import StableDiffusion
from decal.errors import SettingsError
from decal.project import Run
from decal.records import Record
from decal.settings import parse
from decal.train import Task


def with_prior(folder: Path, shapes: Path, tiny: Path, weight: float) -> tuple[StableDiffusion, Task]:
    settings = resolved_of(tiny, steps=4, checkpoint_every=2, prior_prompt="a sticker", prior_weight=weight)
    base, task = task_of(folder, shapes, settings, model=tiny)
    return base, replace(task, prior=task.holdout)


def test_what_is_kept_changes_the_weights_by_its_weight_and_resumes_to_the_same_bytes(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    _, plain = run_all(*task_of(tmp_path / "plain", shapes, resolved_of(tiny, steps=4, checkpoint_every=2), model=tiny))
    _, light = run_all(*with_prior(tmp_path / "light", shapes, tiny, 0.1))
    _, whole = run_all(*with_prior(tmp_path / "whole", shapes, tiny, 1.0))
    base, task = with_prior(tmp_path / "cut", shapes, tiny, 1.0)
    run_all(base, replace(task, stop=stop_before(4)))
    saved = state.load(task.run.stop_state)
    base, task = with_prior(tmp_path / "cut", shapes, tiny, 1.0)
    _, rest = run_all(base, replace(task, resume=saved, attempt=2))
    assert len({plain[-1].sha256, light[-1].sha256, whole[-1].sha256}) == 3
    assert (rest[-1].sha256, rest[-1].state_sha256) == (whole[-1].sha256, whole[-1].state_sha256)


def test_the_first_step_reports_the_loss_of_what_is_taught(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    plain, _ = run_all(*task_of(tmp_path / "plain", shapes, resolved_of(tiny, steps=4, checkpoint_every=2), model=tiny))
    kept, _ = run_all(*with_prior(tmp_path / "kept", shapes, tiny, 1.0))
    assert kept[1].loss == plain[1].loss
    assert kept[1].grad_norm != plain[1].grad_norm


def test_pictures_of_the_kind_are_taken_from_the_folder_and_filled_up_by_the_base(
    call: Call, tiny: Path, shapes: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    call("new", folder, "--from", shapes, "--keyword", "zorb", "--base", tiny)
    with (folder / "decal.toml").open("a", encoding="utf-8") as file:
        file.write(QUICK)
    asked = ("--set", "train.prior_prompt=a sticker", "--set", "train.prior_images=3")
    (folder / "prior").mkdir()
    Image.new("RGB", (80, 80), "purple").save(folder / "prior" / "mine.png")
    assert call("train", folder, *asked)[0] == 0
    kept = project.read(Run(folder / "runs" / "run-01").prior, Record)
    assert [one.caption for one in kept] == ["a sticker"] * 3
    assert [one.file.rpartition("/")[2] for one in kept] == ["mine.png", "00000.png", "00001.png"]
    Image.new("RGB", (80, 80), "green").save(folder / "prior" / "mine.png")
    code, _, err = call("train", folder, *asked, "--set", "train.steps=8", "--accept-changes")
    assert code != 0
    assert "begun with other pictures" in err


@pytest.mark.parametrize(
    ("train", "told"), [({"prior_images": 9}, "belong to train.prior_prompt"), ({"prior_prompt": "a zorb sticker"}, "holds the keyword")]
)
def test_what_cannot_be_kept_is_refused_by_name(train: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        parse({"train": train, "caption": {"keyword": "zorb"}})
