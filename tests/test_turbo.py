"""Models of few steps: drawn at their own settings, and trained so that they keep their few steps."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_publish import CARD
from test_sdxl import base_of, stock, task_of, taught
from test_train import run_all, stop_before
from typed import Call

from decal import card, lora, objective, project, state
from decal.bases import Prediction, load
from decal.errors import SettingsError
from decal.generate import finite, generate
from decal.presets import base_preset
from decal.project import Run
from decal.records import Cell, Generation, Probe
from decal.runs import about
from decal.scores.few_steps import healths
from decal.scores.looks import Looks
from decal.settings import parse, resolve

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def turbo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random-weight SDXL with the scheduler file of SDXL-Turbo."""
    from models import build_xl

    return build_xl(tmp_path_factory.mktemp("turbo") / "turbo", is_turbo=True)


@pytest.mark.parametrize(("steps", "strength"), [(1, None), (4, None), (2, 0.5), (4, 0.6)])
def test_a_few_steps_are_those_of_the_stock_pipeline(steps: int, strength: float | None, turbo: Path, tmp_path: Path) -> None:
    base, path = base_of(turbo), taught(turbo, tmp_path / "lora.safetensors")
    source = {} if strength is None else {"image_sha256": "picture", "image_strength": strength}
    fields = {"prompt": "a cat", "guidance": 0.0, "seed": 1, "steps": steps, "sampler": "euler_a", "checkpoint": 7}
    cell = Cell.model_validate({"width_px": 64, "height_px": 64, **fields, **source})
    ours = next(finite(generate(base, [cell], adapters={7: path}, images={"picture": PICTURE}, batch=1))).pixels
    # The pipeline's own scheduler stays, so trailing spacing comes from the model's files on both sides.
    pipeline = stock(turbo, "AutoPipelineForText2Image" if strength is None else "AutoPipelineForImage2Image", path)
    wanted = pipeline(
        cell.prompt,
        guidance_scale=0.0,
        num_inference_steps=steps,
        generator=torch.Generator().manual_seed(1),
        output_type="np",
        **({"width": 64, "height": 64} if strength is None else {"image": PICTURE, "strength": strength}),
    ).images[0]
    assert np.abs(wanted * 255 - ours.astype(int)).max() <= 0.51


def test_a_picture_of_few_steps_does_not_depend_on_its_batch(turbo: Path) -> None:
    """Euler ancestral draws noise on the way, for each picture from its own generator."""
    fields = {"guidance": 0.0, "steps": 4, "sampler": "euler_a", "checkpoint": 0, "width_px": 64, "height_px": 64}
    cells = [Cell.model_validate({"prompt": f"thing {seed}", "seed": seed, **fields}) for seed in range(3)]
    together, alone = ([one.pixels.astype(int) for one in generate(base_of(turbo), cells, adapters={}, images={}, batch=n)] for n in (3, 1))
    assert max(np.abs(a - b).max() for a, b in zip(together, alone, strict=True)) <= 1


def test_sdxl_turbo_comes_with_its_own_settings() -> None:
    """Its model card: guidance 0, 1 to 4 steps, 512 px."""
    found = resolve(parse({"base": {"model": "sdxl-turbo"}}), 10)
    assert (found.data.resolution, found.compare.guidance, found.grid.guidance, found.compare.steps) == (512, 0.0, (0.0,), 4)
    assert (found.compare.sampler, found.train.recipe, found.taught) == ("euler_a", "on_base", "sdxl")
    assert "may not be used commercially" in base_preset("sdxl-turbo").caution


def test_a_folder_of_few_steps_is_known_by_its_scheduler(turbo: Path, tiny_xl: Path) -> None:
    own, other = (resolve(parse({"base": {"model": str(folder)}}), 10) for folder in (turbo, tiny_xl))
    assert (own.train.recipe, own.taught, own.compare.guidance, own.compare.sampler) == ("few_steps", str(turbo), 0.0, "euler_a")
    assert (other.train.recipe, other.taught, other.compare.guidance, other.compare.sampler) == ("plain", str(tiny_xl), 5.0, "ddim")
    both = resolve(parse({"base": {"model": str(turbo), "teacher": str(tiny_xl)}}), 10)
    assert (both.train.recipe, both.taught, both.data.resolution) == ("on_base", str(tiny_xl), 64)


@pytest.mark.parametrize(
    ("base", "train", "told"),
    [
        ({}, {"recipe": "few_steps"}, "is for few-step models such as sdxl-turbo, and mini is none"),
        ({"model": "turbo"}, {"recipe": "on_base"}, "Name it in base.teacher"),
        ({"teacher": "sdlx"}, {}, 'base.teacher = "sdlx" is no base that Decal knows'),
        ({}, {"recipe": "few_steps", "min_snr_gamma": 5}, "has its own timesteps"),
    ],
)
def test_a_recipe_that_cannot_be_is_one_sentence(base: dict[str, str], train: dict[str, object], told: str, turbo: Path) -> None:
    named = {key: str(turbo) if value == "turbo" else value for key, value in base.items()}
    with pytest.raises(SettingsError, match=told):
        resolve(parse({"base": named, "train": train}), 10)


def test_trailing_timesteps_are_those_of_four_steps() -> None:
    found = objective.trailing_timesteps(0, 200, 1000, 4, "timesteps", 1)
    assert sorted(set(found.tolist())) == [249, 499, 749, 999]


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_what_a_true_prediction_lands_on_is_the_picture(prediction: Prediction) -> None:
    latents, noise = torch.randn(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    signal = torch.tensor([0.9, 0.3, 0.005])
    noisy = objective.add_noise(latents, noise, signal)
    true = objective.target(latents, noise, signal, prediction)
    assert (objective.clean(noisy, true, signal, prediction) - latents).abs().max() < 1e-4


def test_a_stopped_training_at_few_steps_ends_in_the_same_bytes(turbo: Path, shapes: Path, tmp_path: Path) -> None:
    settings = resolve(
        parse({"base": {"model": str(turbo)}, "train": {"steps": 6, "batch": 2, "checkpoint_every": 3, "rank": 2, "targets": "attention"}}),
        12,
    )
    steps, whole = run_all(*task_of(tmp_path / "whole", shapes, settings))
    base, task = task_of(tmp_path / "cut", shapes, settings)
    run_all(base, replace(task, stop=stop_before(5)))
    saved = state.load(task.run.stop_state)
    base, task = task_of(tmp_path / "cut", shapes, settings)
    _, rest = run_all(base, replace(task, resume=saved, attempt=2))
    assert settings.train.recipe == "few_steps"
    assert all(step.loss is not None for step in steps[1:])
    assert (rest[-1].sha256, rest[-1].state_sha256) == (whole[-1].sha256, whole[-1].state_sha256)


@pytest.mark.slow
def test_a_lora_of_the_base_is_drawn_with_the_model_of_few_steps(
    turbo: Path, tiny_xl: Path, shapes: Path, call: Call, tmp_path: Path
) -> None:
    few = [
        "train.steps=4",
        "train.checkpoint_every=2",
        "train.batch=2",
        "train.rank=2",
        "train.trackers=[]",
        "train.text_learning_rate=1e-4",
    ]
    sets = [word for one in few for word in ("--set", one)]
    for name, model, more in (("applied", turbo, ["--set", f"base.teacher={tiny_xl}"]), ("taught", tiny_xl, [])):
        assert call("new", tmp_path / name, "--from", shapes, "--keyword", "zorb", "--base", model)[0] == 0
        code, _, err = call("train", tmp_path / name, *sets, *more)
        assert code == 0, err
    runs = [Run(tmp_path / name / "runs" / "run-01") for name in ("applied", "taught")]
    of_turbo, of_base = (lora.load(run.checkpoint(4) / lora.PORTABLE_FILE) for run in runs)
    assert all(torch.equal(of_turbo[name], of_base[name]) for name in of_base)
    assert (about(runs[0]).taught, about(runs[0]).base) == (about(runs[1]).base, base_of(turbo).fingerprint())
    cells = [one.cell for one in project.read(runs[0].validation, Generation)]
    assert {(cell.steps, cell.guidance, cell.sampler) for cell in cells} == {(4, 0.0, "euler_a")}
    code, out, err = call(
        "draw", "zorb style sticker of a boat", tmp_path / "applied", "--guidance", "5", "--set", f"base.teacher={tiny_xl}"
    )
    assert (code, "burns what this base draws" in out + err) == (0, True)
    assert call("publish", tmp_path / "applied", "--to", "me/zorb", "--dry-run")[0] == 0
    assert f"It was trained on {tiny_xl.name} (unknown: see its model card)" in (tmp_path / "applied" / "publish" / "README.md").read_text()


def test_a_strength_that_leaves_no_step_is_refused(turbo: Path, shapes: Path, call: Call, tmp_path: Path) -> None:
    assert json.loads((turbo / "scheduler" / "scheduler_config.json").read_text())["timestep_spacing"] == "trailing"
    at = tmp_path / "zorb"
    call("new", at, "--from", shapes, "--keyword", "zorb", "--base", turbo)
    assert call("train", at, *("--set", "train.steps=1", "--set", "train.batch=1", "--set", "train.trackers=[]"))[0] == 0
    code, _, err = call("draw", "zorb style sticker of a boat", at, "--image", shapes / "red-ring.png", "--strength", "0.2")
    assert (code, "0.2 of 4 steps is less than one" in err) == (2, True)


def looks_of(sharpness: float, *, is_fit: bool = True) -> Looks:
    """Six prompts x two seeds of this sharpness; each shows its own prompt, or all the same thing."""
    rng = np.random.default_rng(1)
    content = np.eye(6)[:, None].repeat(2, axis=1) if is_fit else np.ones((6, 2, 6))
    content = content + 0.01 * rng.standard_normal((6, 2, 6))
    tone = np.zeros((6, 2, 4))
    tone[..., 3] = sharpness + 0.05 * rng.standard_normal((6, 2))
    return Looks(content / np.linalg.norm(content, axis=-1, keepdims=True), np.zeros((6, 2, 1)), np.zeros((6, 2, 1)), tone)


WHOLE = dict.fromkeys((1, 2, 4, 30), looks_of(-2))
SPOILT = {
    "nothing": (WHOLE, []),
    "blurred at few steps": (dict(zip((1, 2, 4, 30), map(looks_of, (-3, -2.5, -2.02, -2)), strict=True)), [1, 2]),
    "softer at any number": (dict.fromkeys((1, 2, 4, 30), looks_of(-3)), []),
    "of one thing at a step": (WHOLE | {1: looks_of(-2, is_fit=False)}, [1]),
    "sharper at few steps": (WHOLE | {1: looks_of(-1)}, []),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_probe_finds_steps_that_were_lost(how: str) -> None:
    after, lost = SPOILT[how]
    assert [health.steps for health in healths(WHOLE, after) if health.is_lost] == lost


@pytest.mark.slow
def test_a_training_of_few_steps_is_probed_once(turbo: Path, shapes: Path, call: Call, tmp_path: Path) -> None:
    flags = ["--max_train_steps=2", "--train_batch_size=2", "--rank=2", "--report_to=none", "--seed=0", f"--output_dir={tmp_path}"]
    code, _, err = call("compat", f"--pretrained_model_name_or_path={turbo}", f"--train_data_dir={shapes}", *flags)
    run = Run(tmp_path / "decal" / "runs" / "run-01")
    found = project.read_record(run.probe, Probe)
    assert (code, found is not None and [row.steps for row in found.rows]) == (0, [1, 2, 4, 30]), err
    assert (run.sheets / "probe-step-000002.png").exists()
    assert "nothing has changed since the last probe" in call("train", tmp_path / "decal")[1]


def test_the_embedded_student_is_drawn_in_few_steps_and_trained_through_its_base() -> None:
    found = resolve(parse({"base": {"model": "mini-turbo"}}), 10)
    assert (found.taught, found.compare.guidance, found.compare.steps, found.compare.sampler) == ("mini", 0.0, 4, "ddim")


def test_the_embedded_twin_draws_as_the_stock_pipeline_of_sdxl() -> None:
    folder = Path(base_preset("mini-xl").where)
    base, side = load("mini-xl", device=torch.device("cpu"), dtype=torch.float32), base_preset("mini-xl").resolution
    fields = {"prompt": "a red heart", "guidance": 3.0, "seed": 1, "steps": 2, "sampler": "ddim", "checkpoint": 0}
    cell = Cell.model_validate({"width_px": side, "height_px": side, **fields})
    ours = next(generate(base, [cell], adapters={}, images={}, batch=1)).pixels
    pipeline = stock(folder, "AutoPipelineForText2Image")
    wanted = pipeline(
        cell.prompt, guidance_scale=3.0, num_inference_steps=2, generator=torch.Generator().manual_seed(1), output_type="np"
    ).images[0]
    assert np.abs(wanted * 255 - ours.astype(int)).max() <= 0.51


def test_the_card_of_a_non_commercial_base_says_so() -> None:
    preset = base_preset("sdxl-turbo")
    made = replace(CARD, base="sdxl-turbo", base_id=preset.where, licence=preset.licence, sampler=preset.sampler, caution=preset.caution)
    written = card.text(made, "me/zorb")
    assert "license: other\nlicense_name: sai-nc-community\n" in written
    assert "SDXL-Turbo may not be used commercially" in written
    assert "EulerAncestralDiscreteScheduler" in written
