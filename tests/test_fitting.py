"""Where memory is short, a training does less at a time, says so, and teaches the same."""

import platform
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from test_train import resolved_of, run_all, stop_before, task_of
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from decal import state
from decal.bases.sd import StableDiffusion
from decal.batches import share
from decal.errors import MemoryFullError
from decal.lora import PORTABLE_FILE
from decal.project import Run
from decal.records import Rung, RungKind
from decal.settings import ResolvedTrain
from decal.train import Task, train
from decal.train.device import keep_freed_memory
from decal.train.fitting import foreseen_bytes, kept_bytes, lowered, next_rung, of_share
from decal.train.loop import measured_at_once

EXABYTE = 2**60


class Cramped(StableDiffusion):
    """A base whose training really asks for more memory than there is, from so many samples on, unless it is checkpointed.

    Its weights are the same as those of any other with its files.
    """

    most = 2
    most_measured = 8
    needs_checkpointing = False

    def predict(self, latents: Tensor, timesteps: Tensor, conditioning: Mapping[str, Tensor]) -> Tensor:
        is_checkpointed = any(getattr(module, "gradient_checkpointing", False) for module in self.denoiser.modules())
        if torch.is_grad_enabled() and (len(latents) > self.most or (self.needs_checkpointing and not is_checkpointed)):
            torch.empty(EXABYTE, dtype=torch.uint8)
        if not torch.is_grad_enabled() and len(latents) > self.most_measured:
            torch.empty(EXABYTE, dtype=torch.uint8)
        return super().predict(latents, timesteps, conditioning)


class Full(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Has no room for some of the tensors that are made like others, by their number from 1, as an optimizer makes its moments."""

    def __init__(self, *refused: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.refused, self.made = refused, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if func is torch.ops.aten.zeros_like.default:
            self.made += 1
            if self.made in self.refused:
                torch.empty(EXABYTE, dtype=torch.uint8)
        return func(*args, **(kwargs or {}))


def cramped(folder: Path, shapes: Path, tiny: Path, **change: object) -> tuple[Cramped, Task]:
    """Three steps of four samples, where only two fit, and nothing that is held out."""
    settings = resolved_of(tiny, **{"steps": 3, "batch": 4, "checkpoint_every": 3} | change)
    _, task = task_of(folder, shapes, settings, model=tiny, pictures=12)
    return Cramped(str(tiny), device=torch.device("cpu"), dtype=torch.float32), task


def rungs_of(base: StableDiffusion, task: Task) -> list[tuple[int, str, int, int]]:
    return [(one.step, one.kind, one.batch, one.accumulation) for one in train(base, task) if isinstance(one, Rung)]


def difference(ours: Path, theirs: Path) -> float:
    """The largest of any weight."""
    a, b = load_file(ours), load_file(theirs)
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def last(task: Task) -> Path:
    return task.run.checkpoint(3) / PORTABLE_FILE


def test_a_step_that_does_not_fit_is_begun_anew_with_half_of_it_and_teaches_the_same(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    base, task = cramped(tmp_path / "cramped", shapes, tiny)
    free = task_of(tmp_path / "free", shapes, task.settings, model=tiny, pictures=12)
    steps, _ = run_all(*free)
    events = list(train(base, task))
    assert [(one.step, one.kind, one.batch, one.accumulation) for one in events if isinstance(one, Rung)] == [(0, "batch", 2, 2)]
    losses = [step.loss for event in events if isinstance(event, list) for step in event]
    assert losses[1:] == pytest.approx([step.loss for step in steps[1:]], rel=1e-5)
    assert difference(last(task), last(free[1])) < 1e-5


def test_memory_that_shrinks_in_the_middle_goes_down_the_ladder_from_that_step(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    base, task = cramped(tmp_path / "run", shapes, tiny, checkpoint_every=2)
    base.most = 4
    found = []
    for event in train(base, task):
        found += [(event.step, event.kind)] if isinstance(event, Rung) else []
        if not isinstance(event, list | Rung):
            base.most, base.needs_checkpointing = 2, True
    assert found == [(2, "batch"), (2, "batch"), (2, "checkpointing")]


def test_batches_of_several_shapes_are_cut_and_keep_their_noise(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(shapes, tmp_path / "dataset"))
    for path in sorted(folder.glob("*.png"))[::2]:
        with Image.open(path) as picture:
            picture.resize((140, 80)).save(path)
    settings = resolved_of(tiny, batch=4, accumulation=2, steps=3, checkpoint_every=3)
    settings = settings.model_copy(update={"data": settings.data.model_copy(update={"fit": "bucket"})})
    whole, cut = (task_of(tmp_path / name, folder, settings, model=tiny, pictures=12) for name in ("whole", "cut"))
    run_all(*whole)
    run_all(cut[0], replace(cut[1], rungs=("batch",)))
    assert len(set(cut[1].train.shapes)) == 2
    assert difference(last(whole[1]), last(cut[1])) < 1e-5


def test_a_budget_that_is_too_small_is_seen_before_the_first_step(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    taken = []
    for spare in (2**40, 1):
        base, task = task_of(tmp_path / "run", shapes, resolved_of(tiny, batch=4, steps=1), model=tiny, pictures=12)
        taken.append(rungs_of(base, replace(task, spare_bytes=lambda device, spare=spare: spare)))  # type: ignore[misc]
    assert taken == [[], [(0, "batch", 2, 2), (0, "batch", 1, 4), (0, "checkpointing", 1, 4)]]


def test_a_resumed_training_goes_on_with_what_was_done_for_want_of_memory(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    base, task = cramped(tmp_path / "whole", shapes, tiny)
    _, whole = run_all(base, task)
    base, task = cramped(tmp_path / "cut", shapes, tiny)
    run_all(base, replace(task, stop=stop_before(3)))
    saved = state.load(task.run.stop_state)
    base, task = cramped(tmp_path / "cut", shapes, tiny)
    resumed = replace(task, resume=saved, attempt=2, rungs=("batch",))
    _, rest = run_all(base, resumed)
    assert (saved.step, rest[-1].sha256, rest[-1].state_sha256) == (2, whole[-1].sha256, whole[-1].state_sha256)


@pytest.mark.parametrize("refused", [(5,), (4, 9)])
def test_memory_that_runs_out_amid_the_optimizers_first_step_leaves_no_weight_half_moved(
    refused: tuple[int, ...], tiny: Path, shapes: Path, tmp_path: Path
) -> None:
    settings = resolved_of(tiny, steps=2, batch=4, checkpoint_every=2)
    free, full = (task_of(tmp_path / name, shapes, settings, model=tiny, pictures=12) for name in ("free", "full"))
    run_all(*free)
    with Full(*refused):
        events = list(train(full[0], replace(full[1], spare_bytes=lambda device: None)))
    rungs = [one for one in events if isinstance(one, Rung)]
    assert [one.why for one in rungs] == ["the cpu ran out of memory in the optimizer's step"] * len(refused)
    ours, theirs = (task.run.checkpoint(2) / PORTABLE_FILE for task in (full[1], free[1]))
    assert difference(ours, theirs) < 1e-5


def test_held_out_pictures_go_through_as_few_at_a_time_as_they_are_large() -> None:
    # Latents have an eighth of the side: 128, 256, 512, 768, 1024 and 2048 px.
    assert [measured_at_once(side * side) for side in (16, 32, 64, 96, 128, 256)] == [24, 8, 8, 3, 2, 1]


@pytest.mark.parametrize("fit_memory", ["auto", "off"])
def test_memory_that_runs_out_while_held_out_pictures_are_measured_measures_fewer_at_a_time(
    fit_memory: str, tiny: Path, shapes: Path, tmp_path: Path
) -> None:
    settings = resolved_of(tiny, steps=1, checkpoint_every=1, fit_memory=fit_memory)
    base, task = task_of(tmp_path / "free", shapes, settings, model=tiny)
    expected = [step.holdout_loss for step in run_all(base, task)[0]]
    base = Cramped(str(tiny), device=torch.device("cpu"), dtype=torch.float32)
    base.most_measured = 16  # of 32: four held-out pictures at eight timesteps
    events = list(train(base, replace(task, run=Run(tmp_path / "run"))))
    measured = [step.holdout_loss for event in events if isinstance(event, list) for step in event]
    assert [one.kind for one in events if isinstance(one, Rung)] == ["measuring"]
    assert measured == pytest.approx(expected, rel=1e-5)


def test_where_nothing_is_left_to_do_the_step_and_the_remedy_are_named(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    base, task = cramped(tmp_path / "run", shapes, tiny)
    base.most = 0
    with pytest.raises(
        MemoryFullError, match=r"(?s)run, step 1: the cpu ran out of memory, and there is no way left .*Lower data.resolution \(now 64\)"
    ):
        run_all(base, task)


def test_a_training_that_is_to_be_as_it_is_set_fails_instead(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    base, task = cramped(tmp_path / "run", shapes, tiny, fit_memory="off")
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        run_all(base, replace(task, spare_bytes=lambda device: 1))


@pytest.mark.parametrize(
    ("batch", "expected"),
    [(6, [(3, 4, False), (1, 12, False), (1, 12, True)]), (4, [(2, 4, False), (1, 8, False), (1, 8, True)]), (1, [(1, 2, True)])],
)
def test_the_ladder_keeps_the_samples_of_a_step(batch: int, expected: list[tuple[int, int, bool]], tiny: Path) -> None:
    settings: ResolvedTrain = resolved_of(tiny, batch=batch, accumulation=2).train
    taken: list[RungKind] = []
    while (kind := next_rung(lowered(settings, taken), torch.device("cpu"))) is not None:
        taken.append(kind)
    rungs = [lowered(settings, taken[: count + 1]) for count in range(len(taken))]
    assert [(rung.batch, rung.accumulation, rung.gradient_checkpointing) for rung in rungs] == expected


def test_what_autograd_keeps_is_counted_once_and_without_the_weights() -> None:
    """By hand: a linear layer keeps its input, 5 x 100 floats; the square keeps the layer's output, 5 x 10."""
    layer, given = nn.Linear(100, 10), torch.ones(5, 100)
    assert kept_bytes(lambda: layer(given).square().sum() + layer(given).sum(), [layer]) == 4 * (500 + 50)


def test_what_a_step_takes_is_samples_gradients_and_moments(tiny: Path) -> None:
    """By hand, on a CPU: 4 x 1.7 MB, and 12 bytes for each of 1,000 numbers; then a quarter of the samples, checkpointed."""
    settings, cpu = resolved_of(tiny, batch=4).train, torch.device("cpu")
    steps: list[tuple[RungKind, ...]] = [(), ("batch", "batch", "checkpointing")]
    needs = [foreseen_bytes(lowered(settings, rungs), cpu, sample_bytes=10**6, numbers=1000) for rungs in steps]
    assert needs == [6_812_000, 962_000]


def test_a_process_needs_memory_for_its_own_share_and_every_rung_lessens_it(tiny: Path) -> None:
    """By hand: two processes do 4 of 8 samples each, at 1.7 MB."""
    settings, cpu = resolved_of(tiny, batch=8).train, torch.device("cpu")
    own = of_share(settings, share(1, 2, batch=8, accumulation=1))
    rungs: list[tuple[RungKind, ...]] = [(), ("batch",), ("batch", "batch")]
    assert [foreseen_bytes(lowered(own, taken), cpu, sample_bytes=10**6, numbers=0) for taken in rungs] == [6_800_000, 3_400_000, 1_700_000]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told")
def test_what_a_step_freed_is_there_for_the_next_one() -> None:
    import resource

    def step() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        held = [torch.zeros(2**20) for _ in range(4)]
        del held
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    keep_freed_memory()
    # 16 MiB are 4,096 pages, and the heap has to have grown once.
    assert [step() for _ in range(4)][3] < 400
