import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from decal import lora, project, state
from decal.bases import Base
from decal.bases.sd import StableDiffusion
from decal.cache import Cache
from decal.errors import DivergedError, SettingsError
from decal.project import Run
from decal.records import Checkpoint, Record, Step
from decal.settings import Resolved, parse, resolve
from decal.train import UNFIT_LIMIT, Task, choose_device, choose_dtype, train

TRAIN = {"steps": 12, "batch": 2, "checkpoint_every": 5, "rank": 2, "targets": "attention", "learning_rate": 1e-3}


def resolved_of(model: Path, **change: object) -> Resolved:
    return resolve(parse({"base": {"model": str(model)}, "train": TRAIN | change}), 10)


def records_of(folder: Path) -> list[Record]:
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    return [
        Record(
            file=row["file_name"],
            sha256=project.sha256(folder / row["file_name"]),
            width_px=Image.open(folder / row["file_name"]).width,
            height_px=Image.open(folder / row["file_name"]).height,
            caption=row["text"],
            split="holdout" if place >= 12 else "train",
        )
        for place, row in enumerate(rows)
    ]


def task_of(folder: Path, shapes: Path, settings: Resolved, *, model: Path, pictures: int = 16) -> tuple[StableDiffusion, Task]:
    base = StableDiffusion(str(model), device=torch.device("cpu"), dtype=torch.float32)
    cache = Cache(folder.parent / "cache", base, settings.data)
    records = records_of(shapes)[:pictures]
    list(cache.fill(shapes, records))
    sets = [cache.examples([record for record in records if record.split == split], budget=2**30) for split in ("train", "holdout")]
    return base, Task(Run(folder), settings, sets[0], sets[1], 1, None, lambda: False)


def run_all(base: Base, task: Task) -> tuple[list[Step], list[Checkpoint]]:
    events = list(train(base, task))
    steps = [step for event in events if isinstance(event, list) for step in event]
    return steps, [event for event in events if isinstance(event, Checkpoint)]


def stop_before(step: int) -> Callable[[], bool]:
    left = iter([False] * (step - 1))
    return lambda: next(left, True)


def test_every_step_is_reported_once_and_in_order(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    steps, checkpoints = run_all(*task_of(tmp_path / "run", shapes, resolved_of(tiny), model=tiny))
    assert [step.step for step in steps] == list(range(13))
    assert [checkpoint.step for checkpoint in checkpoints] == [5, 10, 12]


def test_the_held_out_loss_stands_at_the_base_and_at_every_checkpoint(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    steps, checkpoints = run_all(*task_of(tmp_path / "run", shapes, resolved_of(tiny), model=tiny))
    measured = {step.step: step.holdout_loss for step in steps if step.holdout_loss is not None}
    assert list(measured) == [0, 5, 10, 12]
    assert [measured[checkpoint.step] for checkpoint in checkpoints] == [checkpoint.holdout_loss for checkpoint in checkpoints]


@pytest.mark.parametrize("stop", [1, 4, 6, 11])
def test_a_stopped_and_resumed_training_ends_in_the_same_bytes(stop: int, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    _, whole = run_all(*task_of(tmp_path / "whole", shapes, resolved_of(tiny), model=tiny))
    base, task = task_of(tmp_path / "cut", shapes, resolved_of(tiny), model=tiny)
    run_all(base, replace(task, stop=stop_before(stop + 1)))
    saved = state.load(task.run.stop_state)
    base, task = task_of(tmp_path / "cut", shapes, resolved_of(tiny), model=tiny)
    _, rest = run_all(base, replace(task, resume=saved, attempt=2))
    assert saved.step == stop
    assert (rest[-1].sha256, rest[-1].state_sha256) == (whole[-1].sha256, whole[-1].state_sha256)


def test_several_captions_and_repeats_end_in_the_same_bytes_after_a_stop_and_in_others_than_without(
    tiny: Path, shapes: Path, tmp_path: Path
) -> None:
    more = {"other_captions": ("something orange", "a thing"), "repeats": 3}

    def task(name: str, change: dict[str, object]) -> tuple[StableDiffusion, Task]:
        base, plain = task_of(tmp_path / name, shapes, resolved_of(tiny), model=tiny)
        records = [record.model_copy(update=change if place == 3 else {}) for place, record in enumerate(plain.train.records)]
        return base, replace(plain, train=Cache(tmp_path / "cache", base, plain.settings.data).examples(records, budget=2**30))

    (_, once), (_, whole) = run_all(*task("once", {})), run_all(*task("whole", more))
    base, cut = task("cut", more)
    run_all(base, replace(cut, stop=stop_before(5)))
    saved = state.load(cut.run.stop_state)
    base, cut = task("cut", more)
    _, rest = run_all(base, replace(cut, resume=saved, attempt=2))
    assert (rest[-1].sha256 == whole[-1].sha256, whole[-1].sha256 == once[-1].sha256) == (True, False)


def test_accumulated_small_batches_teach_what_one_large_batch_does(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    large = task_of(tmp_path / "large", shapes, resolved_of(tiny, batch=4), model=tiny)
    small = task_of(tmp_path / "small", shapes, resolved_of(tiny, batch=1, accumulation=4), model=tiny)
    files = [task.run.folder / run_all(base, task)[1][-1].file for base, task in (large, small)]
    ours, theirs = load_file(files[0]), load_file(files[1])
    # Sums of floats in another order, through twelve steps of AdamW.
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in ours) < 1e-5


def test_the_gradient_is_really_clipped(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    """AdamW hides the scale of gradients but not of their moments: clipped to 1e-6, the second moments stay below 1e-12."""
    base, task = task_of(tmp_path / "run", shapes, resolved_of(tiny, max_grad_norm=1e-6, steps=3, checkpoint_every=3), model=tiny)
    steps, _ = run_all(base, task)
    saved = state.load(task.run.checkpoint(3) / "state" / "state.safetensors")
    moments = [tensor for name, tensor in saved.tensors.items() if name.startswith("exp_avg_sq/")]
    assert min(step.grad_norm or 0 for step in steps[1:]) > 1e-4
    assert 0 < max(float(moment.max()) for moment in moments) < 1e-12


def test_warm_up_is_honoured_by_the_constant_schedule(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    settings = resolved_of(tiny, schedule="constant", warmup_steps=4, steps=6)
    steps, _ = run_all(*task_of(tmp_path / "run", shapes, settings, model=tiny))
    assert [step.learning_rate for step in steps[1:]] == pytest.approx([0, 0.25e-3, 0.5e-3, 0.75e-3, 1e-3, 1e-3])


def test_training_lowers_the_loss_on_its_own_pictures(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    settings = resolved_of(tiny, steps=60, checkpoint_every=60, targets="all", rank=8, learning_rate=5e-3, caption_dropout=0.0)
    steps, _ = run_all(*task_of(tmp_path / "run", shapes, settings, model=tiny))
    losses = [step.loss or 0 for step in steps[1:]]
    assert sum(losses[-15:]) < 0.97 * sum(losses[:15])


def test_a_poisoned_step_is_skipped_counted_and_leaves_no_trace(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    """Picture 0 becomes infinite: each of its steps is skipped, and the weights stay finite."""
    base, task = task_of(tmp_path / "run", shapes, resolved_of(tiny), model=tiny)
    poison(task)
    steps, checkpoints = run_all(base, task)
    assert 0 < sum(step.is_skipped for step in steps) < 12
    assert all(step.loss is None for step in steps if step.is_skipped)
    assert all(tensor.isfinite().all() for tensor in lora.load(task.run.folder / checkpoints[-1].file).values())


def test_a_training_that_stays_unfit_is_stopped_and_names_the_pictures(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    base, task = task_of(tmp_path / "run", shapes, resolved_of(tiny, steps=40, checkpoint_every=40), model=tiny)
    for place in range(12):
        poison(task, place)
    with pytest.raises(
        DivergedError, match=rf"(?s)not finite in {UNFIT_LIMIT} steps in a row.*pictures of that step: \w+-\w+\.png"
    ) as problem:
        run_all(base, task)
    assert problem.value.exit_code == 4


def test_a_held_out_loss_that_is_not_finite_is_no_number(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    base, task = task_of(tmp_path / "run", shapes, resolved_of(tiny, steps=2, checkpoint_every=1), model=tiny)
    assert task.holdout._held is not None
    task.holdout._held[8, 8][0][0] = float("nan")
    steps, checkpoints = run_all(base, task)
    assert [step.holdout_loss for step in steps] == [None] * 3
    assert [checkpoint.holdout_loss for checkpoint in checkpoints] == [None] * 2


def test_the_time_of_a_step_leaves_out_what_the_caller_does(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    base, task = task_of(tmp_path / "run", shapes, resolved_of(tiny, steps=4, checkpoint_every=1), model=tiny)
    seconds = []
    for event in train(base, task):
        time.sleep(1.0)
        seconds += [step.seconds for step in event if step.step] if isinstance(event, list) else []
    assert len(seconds) == 4
    assert min(seconds) < 1.0


def poison(task: Task, place: int = 0) -> None:
    assert task.train._held is not None
    task.train._held[8, 8][0][place] = float("inf")


@pytest.mark.parametrize(
    ("prediction", "zero_snr", "gamma"), [("epsilon", False, 5.0), ("v_prediction", False, 5.0), ("v_prediction", True, None)]
)
def test_each_kind_of_model_trains(prediction: str, zero_snr: bool, gamma: float | None, shapes: Path, tmp_path: Path) -> None:
    from models import build

    model = build(tmp_path / "model", prediction=prediction, zero_snr=zero_snr)  # type: ignore[arg-type]
    base, task = task_of(tmp_path / "run", shapes, resolved_of(model, min_snr_gamma=gamma, steps=3, checkpoint_every=3), model=model)
    steps, checkpoints = run_all(base, task)
    assert base.prediction == prediction
    assert (float(base.alphas_cumprod[-1]) == 0) == zero_snr
    assert all(step.loss is not None for step in steps[1:])
    assert len(checkpoints) == 1


@pytest.mark.slow
def test_a_model_of_768_px_trains_at_its_own_size(shapes: Path, tmp_path: Path) -> None:
    from models import build

    model = build(tmp_path / "model", prediction="v_prediction", sample_size=96)
    settings = resolved_of(model, steps=1, batch=1, checkpoint_every=1)
    base, task = task_of(tmp_path / "run", shapes, settings, model=model, pictures=1)
    assert (settings.data.resolution, base.stride) == (768, 8)
    assert run_all(base, task)[1][0].step == 1


def test_half_precision_trains_on_a_cpu_as_bf16(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    settings = resolved_of(tiny, precision="bf16", steps=3, checkpoint_every=3)
    base = StableDiffusion(str(tiny), device=torch.device("cpu"), dtype=choose_dtype(settings.train, torch.device("cpu")))
    cache = Cache(tmp_path / "cache", base, settings.data)
    list(cache.fill(shapes, records_of(shapes)))
    examples = cache.examples(records_of(shapes), budget=2**30)
    steps, checkpoints = run_all(base, Task(Run(tmp_path / "run"), settings, examples, examples, 1, None, lambda: False))
    assert base.dtype == torch.bfloat16
    assert all(step.loss for step in steps[1:])
    assert {tensor.dtype for tensor in lora.load(tmp_path / "run" / checkpoints[0].file).values()} == {torch.float32}


def test_fp16_without_a_gpu_is_refused() -> None:
    with pytest.raises(SettingsError, match="needs a CUDA GPU"):
        choose_dtype(resolve(parse({"train": {"precision": "fp16"}}), 1).train, torch.device("cpu"))


def test_what_accelerate_was_told_about_processors_counts_for_the_device(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    assert choose_device(resolved_of(tiny).train) == torch.device("cpu")
    with pytest.raises(SettingsError, match="ACCELERATE_USE_CPU says that processors train"):
        choose_device(resolved_of(tiny, device="cuda").train)
