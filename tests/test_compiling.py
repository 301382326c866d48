"""A compiled pass teaches the same, names nothing otherwise, and is taken where it pays and can be."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from safetensors.torch import load_file
from test_fitting import difference
from test_train import resolved_of, task_of

from decal.errors import SettingsError
from decal.lora import PORTABLE_FILE
from decal.records import Checkpoint, Rung
from decal.train import Compiler, obstacle, train
from decal.train.compiling import WATCHED
from decal.train.loop import _Loop

# What a compiler is given, without what inductor makes of it, which takes minutes.
TRACED = Compiler("eager", devices=("cpu",), seconds=0.0)
CPU = torch.device("cpu")


def test_a_long_training_is_compiled_once_it_was_watched_and_teaches_the_same(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    settings = resolved_of(tiny, steps=WATCHED + 2, batch=1, checkpoint_every=WATCHED + 2)
    found, files = [], []
    for seconds in (0.0, 1e9):
        base, task = task_of(tmp_path / f"run-{seconds}", shapes, settings, model=tiny, pictures=12)
        events = train(base, replace(task, compiler=replace(TRACED, seconds=seconds)))
        found.append([(one.kind, one.step) for one in events if isinstance(one, Rung)])
        files.append(task.run.checkpoint(WATCHED + 2) / PORTABLE_FILE)
    assert found == [[("compiled", WATCHED)], []]
    assert list(load_file(files[0])) == list(load_file(files[1]))
    assert difference(*files) < 1e-5


def test_a_resumed_run_is_compiled_after_the_step_at_which_it_was(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    base, task = task_of(tmp_path / "run", shapes, resolved_of(tiny, steps=4, batch=1), model=tiny, pictures=12)
    told = replace(task, compiler=replace(TRACED, seconds=1e9), compiled_after=2)
    loop, compiled = _Loop(base, told), []
    for step in range(4):
        loop.step = step
        assert list(loop.consider_compiling()) == []
        compiled.append(loop.predict != base.predict)
    base, _ = task_of(tmp_path / "run", shapes, resolved_of(tiny), model=tiny, pictures=12)
    later = _Loop(base, told)
    later.step = 3
    assert (compiled, list(later.fit()), later.predict != base.predict) == ([False, False, True, True], [], True)


def test_compiling_pays_from_36_minutes_of_steps_on() -> None:
    """By hand: 280 s are gained back at 1 - 1 / 1.15 = 13 % of the time after 2,147 s."""
    compiler = Compiler()
    assert (compiler.pays(0.5, 4200), compiler.pays(0.5, 4400)) == (False, True)
    assert compiler.told(1.0, 600).startswith("compiling does not pay: it takes up to 280 s, a step gains 13% at least, so from 36 minutes")


@pytest.mark.skipif(sys.platform == "win32", reason="there it is the platform that stands in the way")
def test_what_stands_in_the_way_of_compiling_is_named(tiny: Path) -> None:
    plain = resolved_of(tiny).train
    assert obstacle(plain, CPU, [(8, 8), (8, 8)], TRACED) is None
    assert "silently wrong" in (obstacle(plain, CPU, [(8, 8), (8, 8)]) or "")
    assert "2 shapes" in (obstacle(plain, CPU, [(8, 8), (8, 4)]) or "")
    assert "lokr" in (obstacle(plain.model_copy(update={"algorithm": "lokr"}), CPU, [(8, 8)]) or "")
    assert "mps" in (obstacle(plain, torch.device("mps"), [(8, 8)]) or "")


class Refusing(Compiler):
    """Takes every base for what torch cannot compile; what it says is torch's own."""

    def __call__(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def refuse(graph: object, examples: object) -> NoReturn:
            raise NotImplementedError("no such chip")

        return torch.compile(lambda latents, *_: latents + 1, backend=refuse)


class Losing(Compiler):
    """Loses what the text encoder learns from, which no loss tells; inductor did so on a CPU."""

    def __call__(self, work: Callable[..., Any]) -> Callable[..., Any]:
        return lambda latents, timesteps, told: work(latents, timesteps, {name: one.detach() for name, one in told.items()})


@pytest.mark.parametrize("how", ["on", "auto"])
def test_a_pass_that_gives_other_gradients_when_compiled_is_refused_where_it_is_asked_for_and_else_left_out(
    how: str, tiny: Path, shapes: Path, tmp_path: Path
) -> None:
    files = []
    for name, compiler in {"lost": Losing(devices=("cpu",)), "as it is": Compiler()}.items():
        settings = resolved_of(tiny, steps=2, batch=1, text_learning_rate=1e-3, compile=how if name == "lost" else "off")
        base, task = task_of(tmp_path / name, shapes, settings, model=tiny, pictures=12)
        going = train(base, replace(task, compiler=compiler, compiled_after=0))
        if how == "on":
            with pytest.raises(SettingsError, match=r"gradients of \d+ of \d+ factors are wrong"):
                list(going)
            return
        files.append([task.run.checkpoint(one.step) / PORTABLE_FILE for one in going if isinstance(one, Checkpoint)][-1])
    assert difference(*files) == 0


@pytest.mark.parametrize("how", ["on", "auto"])
def test_a_base_that_cannot_be_compiled_is_refused_where_that_is_asked_for_and_else_goes_on(
    how: str, tiny: Path, shapes: Path, tmp_path: Path
) -> None:
    base, task = task_of(tmp_path / "run", shapes, resolved_of(tiny, steps=1, compile=how), model=tiny, pictures=12)
    going = train(base, replace(task, compiler=Refusing(devices=("cpu",)), compiled_after=0))
    if how == "auto":
        assert [one.step for one in going if isinstance(one, Checkpoint)] == [1]
    else:
        with pytest.raises(SettingsError, match=r"torch cannot compile this base .*no such chip"):
            list(going)


def test_what_was_compiled_on_a_gpu_goes_on_on_a_cpu_as_it_is(
    tiny: Path, shapes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base, task = task_of(tmp_path / "run", shapes, resolved_of(tiny, steps=1), model=tiny, pictures=12)
    steps = [one.step for one in train(base, replace(task, compiler=Refusing(), compiled_after=0)) if isinstance(one, Checkpoint)]
    assert (steps, caplog.messages) == ([1], [])
