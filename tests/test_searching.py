"""A search for rate, rank and targets: it races, keeps what it found, goes on where it was stopped, and says what to write."""

import re
from pathlib import Path

import pytest
from test_cli import QUICK
from typed import Call

from decal import project
from decal.errors import SettingsError
from decal.project import open_project
from decal.settings import parse, resolve
from decal.workflow.searching import Try, _candidates, _rates, search


@pytest.fixture
def folder(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> Path:
    made = tmp_path / "project"
    call("new", made, "--from", shapes, "--keyword", "zorb", "--base", tiny)
    with (made / "decal.toml").open("a", encoding="utf-8") as file:
        file.write(QUICK)
    return made


def test_a_search_races_and_says_what_to_write_and_a_second_one_trains_nothing(call: Call, folder: Path) -> None:
    code, out, _ = call("train", folder, "--search", 4, "--set", "train.steps=16")
    tries = project.read(folder / "search.jsonl", Try)
    assert (code, (folder / "runs").exists()) == (0, False)
    assert [one.steps for one in tries].count(2) >= 5
    assert sorted({one.steps for one in tries}) == [2, 4, 16]
    # At the end, two and the settings as they are, which may be one of them.
    last = sorted((one for one in tries if one.steps == 16), key=lambda one: one.score)
    assert len(last) in (2, 3)
    assert (1e-4, 2, "attention") in {(one.learning_rate, one.rank, one.targets) for one in last}
    best = last[0]
    written = re.search(r"learning_rate = (\S+)\n\s+rank = (\d+)\n\s+targets = \"(\w+)\"", out)
    assert written is not None
    assert written.groups() == (f"{best.learning_rate:g}", str(best.rank), best.targets)
    again = call("train", folder, "--search", 4, "--set", "train.steps=16")
    assert (again[0], project.read(folder / "search.jsonl", Try)) == (0, tries)


def test_the_race_is_between_rates_near_the_best_and_one_that_did_not_stay_finite_is_left_out() -> None:
    resolved = resolve(parse({"train": {"learning_rate": 0.09, "rank": 8, "targets": "all"}}), 10)
    losses = [0.5, 0.4, 0.6, None, None]  # at a ninth, a third, once, three times and nine times the rate
    tried = [one.model_copy(update={"holdout_loss": loss}) for one, loss in zip(_rates(resolved, "x"), losses, strict=True)]
    racing = _candidates(resolved, tried, 8)
    assert {one.learning_rate for one in racing} == {0.01, 0.03, 0.09}
    assert {(one.rank, one.targets) for one in racing} >= {(8, "all"), (8, "attention"), (16, "all"), (4, "all")}
    assert (len(racing), racing[0].learning_rate, racing[0].rank) == (8, 0.09, 8)


def _base(folder: Path) -> str:
    found = re.search(r'model = "(.*)"', (folder / "decal.toml").read_text())
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("change", "told"),
    [({"train": {"optimizer": "prodigy"}}, "finds its own rate"), ({"data": {"holdout_share": 0.0}}, "no picture is held out")],
)
def test_what_cannot_be_searched_is_refused(change: dict[str, dict[str, object]], told: str, folder: Path) -> None:
    settings = parse({"base": {"model": _base(folder)}} | change)
    with pytest.raises(SettingsError, match=told):
        list(search(open_project(folder), settings, 2, lambda: False))


def test_a_search_and_a_run_do_not_go_together(call: Call, folder: Path) -> None:
    assert call("train", folder, "--search", 4, "--new-run")[0] == 2
