"""What the options of training do: each changes the weights, resumes to the same bytes, and combinations that cannot work are refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from test_train import resolved_of, run_all, stop_before, task_of

from decal import lora, optimizers, state
from decal.errors import ProjectError, SettingsError
from decal.settings import parse, resolve

OPTIONS: dict[str, dict[str, object]] = {
    "rsLoRA": {"rank_stabilised": True},
    "EMA": {"ema_decay": 0.9},
    "prodigy": {"optimizer": "prodigy", "learning_rate": 1.0},
    "adafactor": {"optimizer": "adafactor"},
    "schedule-free": {"optimizer": "schedule_free"},
    "debiased": {"debiased": True},
    "huber": {"huber": 0.1},
    "stratified": {"timesteps": "stratified"},
    "logit-normal": {"timesteps": "logit_normal", "timestep_mean": 0.5},
    "noise offset": {"noise_offset": 0.1},
    "pyramid noise": {"pyramid_noise_levels": 2},
    "perturbation": {"input_perturbation": 0.1},
    "wsd": {"schedule": "wsd", "final_rate": 0.1},
}

SHORT: dict[str, object] = {"steps": 6, "checkpoint_every": 3}


@pytest.fixture(scope="module")
def plain(tiny: Path, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hash of the weights that no option gives."""
    _, checkpoints = run_all(*task_of(tmp_path_factory.mktemp("plain") / "run", shapes, resolved_of(tiny, **SHORT), model=tiny))
    return checkpoints[-1].sha256


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_changes_the_weights_and_resumes_to_the_same_bytes(
    name: str, plain: str, tiny: Path, shapes: Path, tmp_path: Path
) -> None:
    settings = resolved_of(tiny, **OPTIONS[name], **SHORT)
    base, task = task_of(tmp_path / "whole", shapes, settings, model=tiny)
    _, whole = run_all(base, task)
    saved = state.load(task.run.checkpoint(3) / "state" / "state.safetensors")
    base, task = task_of(tmp_path / "rest", shapes, settings, model=tiny)
    _, rest = run_all(base, replace(task, resume=saved, attempt=2))
    assert (rest[-1].sha256, rest[-1].state_sha256) == (whole[-1].sha256, whole[-1].state_sha256)
    assert whole[-1].sha256 != plain


def test_gradient_checkpointing_changes_no_bit(plain: str, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    _, checkpoints = run_all(*task_of(tmp_path / "run", shapes, resolved_of(tiny, gradient_checkpointing=True, **SHORT), model=tiny))
    assert checkpoints[-1].sha256 == plain


def test_the_saved_weights_are_the_average_and_the_trained_ones_come_back(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    """An EMA of decay d after one step from 0 with weights w is (1 - min(d, 2 / 11)) w, by hand."""
    base, task = task_of(tmp_path / "run", shapes, resolved_of(tiny, ema_decay=0.9, steps=1, checkpoint_every=1), model=tiny)
    _, checkpoints = run_all(base, task)
    saved = lora.load(task.run.folder / checkpoints[0].file)
    trained = state.load(task.run.checkpoint(1) / "state" / "state.safetensors").tensors
    names = [name for name in saved if ".lora_B." in name]  # B begins at 0
    assert len(names) > 4
    assert all(torch.allclose(saved[name], trained[f"factor/{name}"] * 9 / 11, atol=1e-9) for name in names)


def test_schedule_free_saves_what_its_own_eval_would_show(tiny: Path) -> None:
    factor = torch.nn.Parameter(torch.ones(3))
    optimizer = optimizers.make(resolved_of(tiny, optimizer="schedule_free").train, [factor], torch.device("cpu"))
    for _ in range(5):
        factor.grad = factor.detach() + 0.5
        optimizer.step()
    trained = factor.detach().clone()
    with optimizers.Average({"a": factor}, optimizer, None).shown():
        shown = factor.detach().clone()
    assert torch.equal(factor, trained)
    optimizer.eval()  # type: ignore[attr-defined]
    assert torch.equal(shown, factor)


def test_rs_lora_scales_by_the_root_of_the_rank() -> None:
    settings = resolve(parse({"train": {"rank": 16, "alpha": 8.0, "rank_stabilised": True}}), 1)
    assert settings.train.scale == 2.0


def test_a_training_with_another_optimizer_is_not_gone_on_with(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    run_all(*task_of(tmp_path / "run", shapes, resolved_of(tiny, optimizer="prodigy", learning_rate=1.0), model=tiny))
    base, task = task_of(tmp_path / "run", shapes, resolved_of(tiny), model=tiny)
    saved = state.load(task.run.checkpoint(10) / "state" / "state.safetensors")
    with pytest.raises(ProjectError, match="another optimizer"):
        run_all(base, replace(task, resume=saved, attempt=2))


def test_eight_bit_adamw_is_refused_without_a_gpu(tiny: Path) -> None:
    with pytest.raises(SettingsError, match="needs a CUDA GPU"):
        optimizers.make(resolved_of(tiny, optimizer="adamw_8bit").train, [], torch.device("cpu"))


@pytest.mark.parametrize(
    ("train", "told"),
    [
        ({"optimizer": "schedule_free", "schedule": "cosine"}, "contradict each other"),
        ({"optimizer": "schedule_free", "ema_decay": 0.9}, "two averages"),
        ({"optimizer": "prodigy", "learning_rate": 1e-4}, "would keep"),
        ({"min_snr_gamma": 5.0, "debiased": True}, "two weightings"),
        ({"timestep_mean": 1.0}, "belongs to train.timesteps"),
        ({"restarts": 3}, "belongs to train.schedule"),
    ],
)
def test_settings_that_cannot_work_together_are_refused_by_name(train: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        parse({"train": train})


def test_pictures_of_several_shapes_train_in_buckets_and_resume_to_the_same_bytes(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(shapes, tmp_path / "dataset"))
    for place, path in enumerate(sorted(folder.glob("*.png"))):
        with Image.open(path) as picture:
            picture.resize(((96, 96), (140, 80), (80, 140))[place % 3]).save(path)
    settings = resolved_of(tiny, accumulation=2, steps=8, checkpoint_every=8)
    settings = settings.model_copy(update={"data": settings.data.model_copy(update={"fit": "bucket"})})
    _, whole = run_all(*task_of(tmp_path / "whole", folder, settings, model=tiny))
    base, task = task_of(tmp_path / "cut", folder, settings, model=tiny)
    run_all(base, replace(task, stop=stop_before(4)))
    saved = state.load(task.run.stop_state)
    base, task = task_of(tmp_path / "cut", folder, settings, model=tiny)
    steps, rest = run_all(base, replace(task, resume=saved, attempt=2))
    assert len(set(task.train.shapes)) == len(set(task.holdout.shapes)) == 3
    assert rest[-1].sha256 == whole[-1].sha256
    assert steps[-1].holdout_loss is not None
