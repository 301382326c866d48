"""What a person sees while work goes on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from decal.events import Begun, Event, Progress
from decal.progress import Display, fit
from decal.project import Run
from decal.records import Step


def _step(step: int) -> Step:
    return Step(step=step, attempt=1, epoch=0, loss=0.4, grad_norm=1.0, learning_rate=1e-3, seconds=0.5, holdout_loss=0.5)


def _training() -> Iterator[Event]:
    yield Progress("loading the base")
    yield Begun(Run(Path("run-01")), 2000, "begun")
    yield Progress("encoding pictures", 0, 8)
    yield [_step(step) for step in range(1, 11)]


def test_the_first_parts_stay_where_a_terminal_is_narrow() -> None:
    assert [fit(["one", "two", "three"], width) for width in (2, 7, 8, 14, 15)] == ["one", "one", "one  two", "one  two", "one  two  three"]


def test_without_a_terminal_every_phase_has_a_line_as_it_begins(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(json=False) as display:
        display.show(_training())
    assert capsys.readouterr().err.splitlines() == [
        "  loading the base",
        "  encoding pictures 0/8",
        "  training 10/2000  ETA 16:35  loss 0.4000  held-out 0.5000  2.00 it/s",  # 1990 steps of half a second
    ]


def test_a_long_training_says_less_and_less_often_in_a_log(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    with Display(json=False) as display:
        display.show([Begun(Run(Path("run-01")), 36_001, "begun")])
        for step in range(1, 36_001):  # ten hours, a second a step
            now += 1
            display.show([[_step(step)]])
    assert 100 < len(capsys.readouterr().err.splitlines()) < 200


@pytest.mark.parametrize("columns", [60, 100])
def test_the_time_left_fits_on_a_narrow_terminal(columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    with Display(json=False) as display:
        display.show(_training())
    told = capsys.readouterr().err
    assert "loading the base" in told
    assert "training 10/2000  ETA 16:35" in told
    assert ("it/s" in told) == (columns == 100)
