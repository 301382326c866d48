"""What only a CUDA device can show; run with  pytest -m gpu."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_train import records_of, resolved_of, run_all, stop_before

from decal import state
from decal.bases.sd import StableDiffusion
from decal.cache import Cache
from decal.project import Run
from decal.train import Task
from decal.train.loop import _Loop

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


def task_of(folder: Path, shapes: Path, model: Path, dtype: torch.dtype, **change: object) -> tuple[StableDiffusion, Task]:
    base = StableDiffusion(str(model), device=torch.device("cuda"), dtype=dtype)
    settings = resolved_of(model, **change)
    cache = Cache(folder.parent / "cache", base, settings.data)
    records = records_of(shapes)
    list(cache.fill(shapes, records))
    examples = cache.examples(records, budget=2**30)
    return base, Task(Run(folder), settings, examples, examples, 1, None, lambda: False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_stopped_training_ends_in_the_same_bytes(dtype: torch.dtype, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    _, whole = run_all(*task_of(tmp_path / "whole", shapes, tiny, dtype))
    base, task = task_of(tmp_path / "cut", shapes, tiny, dtype)
    run_all(base, replace(task, stop=stop_before(8)))
    base, task = task_of(tmp_path / "cut", shapes, tiny, dtype)
    _, rest = run_all(base, replace(task, resume=state.load(task.run.stop_state), attempt=2))
    assert rest[-1].sha256 == whole[-1].sha256


def test_a_step_never_waits_for_the_device(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    loop = _Loop(*task_of(tmp_path / "run", shapes, tiny, torch.bfloat16))
    assert list(loop.advance()) == []
    torch.cuda.set_sync_debug_mode("error")
    try:
        assert list(loop.advance()) == []
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("targets", ["attention", "all"])
def test_a_compiled_training_ends_where_an_uncompiled_one_does(targets: str, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    tasks = [task_of(tmp_path / how, shapes, tiny, torch.float32, targets=targets, compile=how) for how in ("off", "on")]
    (plain, _), (compiled, _) = (run_all(*task) for task in tasks)
    assert [step.loss for step in compiled[1:]] == pytest.approx([step.loss for step in plain[1:]], rel=1e-3)
