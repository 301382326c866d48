from pathlib import Path

import pytest

from decal.errors import SettingsError
from decal.presets import BASES
from decal.settings import changed, fields, parse, read, resolve, to_toml


def refused(text: str, tmp_path: Path, *changes: str) -> str:
    path = tmp_path / "decal.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(SettingsError) as problem:
        read(path, changes)
    return str(problem.value)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    told = refused("[train]\nrnak = 4\nrank = 0\n", tmp_path, "grid.sampler=edm")
    assert told == (
        "decal.toml with --set: train.rank must be greater than or equal to 1 (it is 0).\n"
        "decal.toml with --set: train.rnak is not a setting. Did you mean train.rank?\n"
        "decal.toml with --set: grid.sampler must be 'ddim', 'euler', 'euler_a' or 'dpm++' (it is 'edm').\n"
        "3 problems, nothing was started."
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[train]\nsteps = 5\nepochs = 2\n", "train.steps and train.epochs contradict each other"),
        ('[train]\nprecision = "fp16"\ndevice = "cpu"\n', "needs a GPU"),
        ("[train]\nsteps = 5\nwarmup_steps = 6\n", "train.warmup_steps (6) is larger than train.steps (5)"),
        ('[base]\nmodel = "stabilityai/stable-diffusion-2-1"\n', 'has left the hub. Write "sd2.1"'),
        ('[base]\nmodel = "minni"\n', 'base.model = "minni" is no base that Decal knows, and no folder here. Did you mean "mini"?'),
        ('[base]\nmodel = "SD21"\n', 'Did you mean "sd2.1"?'),
        (
            '[base]\nmodel = "pixart"\n',
            "There are mini, mini-turbo, mini-xl, sd1.5, sd2.1, sd2.1-base, sdxl, sdxl-turbo, hub ids (owner/name) and folders.",
        ),
        ("[train]\nlr = 1e-4\n", "Did you mean train.learning_rate?"),
        ('[data]\nground = "pink"\n', "data.ground must be white, black, grey or a colour such as #ffcc00 (it is 'pink')"),
        ("[grid]\nguidance = [-3, 900]\n", "grid.guidance must be less than or equal to 50 (it is 900)"),
        ("[train\n", "decal.toml: "),
        ("train = 3\n", "train must be"),
    ],
)
def test_one_clear_sentence_each(text: str, told: str, tmp_path: Path) -> None:
    assert told in refused(text, tmp_path)


def test_a_file_that_is_not_there_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="decal new FOLDER"):
        read(tmp_path / "decal.toml")


def test_a_change_on_the_command_line_wins(tmp_path: Path) -> None:
    (tmp_path / "decal.toml").write_text("[train]\nrank = 4\n", "utf-8")
    assert read(tmp_path / "decal.toml", ["train.rank=16", "base.model=sd1.5"]).model_dump(include={"train": {"rank"}, "base": True}) == {
        "train": {"rank": 16},
        "base": {"model": "sd1.5", "teacher": None},
    }


def test_one_line_moves_a_project_to_another_base() -> None:
    mini, sd = (resolve(parse({"base": {"model": model}}), 30) for model in ("mini", "sd2.1"))
    assert (mini.data.resolution, mini.train.targets) == (128, "all")
    assert (sd.data.resolution, sd.train.targets, sd.train.learning_rate) == (768, "attention", 1e-4)


def test_epochs_become_steps_rounded_up() -> None:
    resolved = resolve(parse({"train": {"epochs": 3, "batch": 4, "accumulation": 2}}), 10)
    assert resolved.train.steps == 4  # 30 samples, 8 a step


def test_alpha_is_the_rank_where_it_is_left_out() -> None:
    assert resolve(parse({"train": {"rank": 12}}), 10).train.alpha == 12


def test_a_warm_up_longer_than_the_training_of_the_base_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"warmup_steps \(500\) is larger than the 300 steps"):
        resolve(parse({"train": {"warmup_steps": 500}}), 30)


def test_a_base_of_unknown_size_asks_for_the_resolution() -> None:
    with pytest.raises(SettingsError, match=r"Write data\.resolution"):
        resolve(parse({"base": {"model": "somebody/some-model"}}), 30)
    assert resolve(parse({"base": {"model": "somebody/some-model"}, "data": {"resolution": 512}}), 30).data.resolution == 512


def test_a_setting_that_leaves_the_weights_alone_is_no_change() -> None:
    before = resolve(parse({}), 10)
    after = resolve(
        parse({"train": {"device": "cpu", "cache_gib": 0.5, "trackers": [], "checkpoint_every": 7}, "data": {"faulty": "leave out"}}), 10
    )
    assert changed(before, after) == []


def test_a_drawing_setting_is_no_change_of_a_run() -> None:
    before = resolve(parse({"train": {"rank": 4}}), 10)
    after = resolve(parse({"train": {"rank": 8, "alpha": 4}, "grid": {"steps": 5}}), 10)
    assert changed(before, after) == ["train.rank: 4 -> 8"]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    table: dict[str, dict[str, object]] = {
        "caption": {"keyword": 'ink"pöp', "kind_words": ["sticker"]},
        "data": {"flip": False, "holdout_share": 0.2},
    }
    (tmp_path / "decal.toml").write_text(to_toml(table), "utf-8")
    assert read(tmp_path / "decal.toml") == parse(table)


def test_every_setting_has_one_sentence_of_help() -> None:
    described = [(name, meaning) for name, _, meaning in fields() if meaning.endswith(".")]
    assert len(described) == len(fields()) > 30


@pytest.mark.parametrize("model", BASES)
def test_every_base_resolves(model: str) -> None:
    assert resolve(parse({"base": {"model": model}}), 30).train.steps == BASES[model].steps
