"""Measuring from outside: what is counted, and what is said of it."""

import sys
from pathlib import Path

import pytest
from typed import Call

from decal.bench import Contender, compared, diffusers_script, measure, table
from decal.bench.contenders import Work
from decal.bench.measuring import Measured, Trial, figures
from decal.errors import DecalError, SettingsError

# A trainer of somebody else, unmodified: two parameters, as many steps as it is told.
TRAINER = """
import sys
import torch

def main():
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([weight])
    for _ in range(int(sys.argv[1])):
        weight.square().sum().backward()
        optimizer.step()
"""


def measured(contender: str, round: int, *, step: float, is_cold: bool = False) -> Measured:
    stamps = {"imported": [1.0, 1.0], "steps": [[1 + step * n, 1 + step * n] for n in range(1, 9)], "ended": [20.0, 10.0]}
    more = {"peak_bytes": 2**20, "cuda_bytes": None}
    return figures(Trial(contender, 8, round, 4, is_cold, None), stamps | more)


def trainer(folder: Path) -> Contender:
    (folder / "trainer.py").write_text(TRAINER)
    return Contender("theirs", Path(sys.executable), str(folder / "trainer.py"), "", lambda steps, _: [str(steps)])


def test_the_steps_of_a_strange_program_are_counted_from_outside(tmp_path: Path) -> None:
    one = measure(trainer(tmp_path), tmp_path / "own", steps=8, round=0, batch=4, threads=1)
    assert (one.contender, one.steps, one.is_cold) == ("theirs", 8, True)
    assert 0 < one.step < one.first_step < one.whole


def test_a_program_that_fails_is_named_with_its_last_words(tmp_path: Path) -> None:
    broken = trainer(tmp_path)
    Path(broken.program).write_text("def main():\n    raise SystemExit('no pictures here')\n")
    with pytest.raises(DecalError, match=r"theirs failed.*\n.*no pictures here"):
        measure(broken, tmp_path / "own", steps=8, round=0, batch=4, threads=1)


def test_the_first_steps_are_left_out_of_a_step() -> None:
    moments = [[10.0, 1.0], [20.0, 2.0], [21.0, 2.25], [22.0, 2.5], [23.0, 3.5]]  # the last waits for a checkpoint
    stamps = {"imported": [2.0, 0.5], "steps": moments, "ended": [30.0, 4.0], "peak_bytes": None, "cuda_bytes": None}
    one = figures(Trial("x", 5, 1, 4, False, None), stamps)
    assert (one.first_step, one.step, one.step_cpu, one.middle_step_cpu, one.samples_per_second) == (8.0, 1.0, 0.5, 0.25, 4.0)


def test_another_number_of_steps_than_asked_is_refused() -> None:
    stamps = {"imported": [1.0, 1.0], "steps": [[2.0, 2.0]] * 4, "ended": [3.0, 3.0], "peak_bytes": None, "cuda_bytes": None}
    with pytest.raises(DecalError, match="did 4 steps of the optimizer where 5 were asked for"):
        figures(Trial("x", 5, 1, 4, False, None), stamps)


def test_a_gap_inside_the_spread_is_a_tie() -> None:
    rounds = [measured("ours", n, step=step) for n, step in enumerate((1.0, 2.0))]
    rounds += [measured("theirs", n, step=1.5) for n in range(2)]
    assert "  samples/s        a tie (0.75 to 1.50 x)" in compared(rounds, "ours", "theirs")


def test_what_is_better_in_every_round_is_said_with_its_spread_and_cold_rounds_do_not_count() -> None:
    rounds = [measured("ours", 0, step=9.0, is_cold=True)]
    rounds += [measured("ours", n, step=step) for n, step in enumerate((1.0, 1.25), start=1)]
    rounds += [measured("theirs", n, step=2.5) for n in range(3)]
    assert compared(rounds, "ours", "theirs")[:2] == [
        "ours against theirs, 8 steps, round by round",
        "  samples/s        2.25 x better (2.00 to 2.50)",
    ]


def test_the_table_holds_the_spread_and_the_cold_round_apart() -> None:
    rounds = [measured("ours", n, step=step, is_cold=n == 0) for n, step in enumerate((4.0, 1.0, 2.0))]
    assert "    samples/s        3.00 (2.00 to 4.00)         cold 1.00" in table(rounds)


def test_a_script_that_is_not_there_is_named_before_anything_runs(tmp_path: Path) -> None:
    work = Work(tmp_path, tmp_path, 64, 4)
    with pytest.raises(SettingsError, match=r"--peer-script .*no such file"):
        diffusers_script(work, python=Path(sys.executable), script=tmp_path / "train.py")


@pytest.mark.slow
def test_bench_measures_the_real_command_and_names_what_is_missing(call: Call, tiny: Path, shapes: Path) -> None:
    code, out, _ = call("bench", "--steps", "4", "--rounds", "0", "--base", tiny, "--from", shapes)
    assert code == 0
    assert "diffusers script: not measured, because --peer-script names none" in out
    assert [line.split(":")[0].strip() for line in out.splitlines() if "one round" in line] == ["decal, equal", "decal, as set"]
