"""The model card, and what goes to the hub: listed without a network, pushed to a small hub on this machine."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import projects
import pytest
from huggingface_hub import constants
from repository import Repository
from typed import Call

from decal import card
from decal.card import WEIGHTS, Card, Sample, Shown

SETTINGS = """
[train]
steps = 2
batch = 2
rank = 2
targets = "attention"
checkpoint_every = 2
validation_prompts = ["zorb style sticker of a house"]
trackers = []
[compare]
steps = 2
"""
CARD = Card(
    title="zorb LoRA",
    keyword="zorb",
    base="sd1.5",
    base_id="stable-diffusion-v1-5/stable-diffusion-v1-5",
    licence="CreativeML Open RAIL-M",
    family="stable-diffusion",
    side_px=512,
    guidance=7.5,
    strength=0.8,
    sampling_steps=30,
    sampler="ddim",
    step=400,
    pictures=30,
    training="2,000 steps of 4",
    verdict="Keep step 400.",
    shown=Shown((Sample("images/01.png", "zorb of a [boat]", 7.5, 0),), are_new=True),
    others={"zorb-kohya.safetensors": "for A1111"},
    data_licences=("CC0",),
)


@pytest.fixture(scope="module")
def trained_once(tiny: Path, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one checkpoint and one picture of it."""
    return projects.trained(tmp_path_factory.mktemp("publish") / "zorb", tiny, shapes, SETTINGS)


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(trained_once, tmp_path / "zorb")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """A hub that takes what is pushed; its client has read the environment when it was imported, so it is told again."""
    repository = Repository()
    monkeypatch.setattr(constants, "ENDPOINT", repository.address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    yield repository
    repository.server.shutdown()


def test_a_card_says_what_a_reader_and_the_hub_want_to_know() -> None:
    assert card.lint(card.text(CARD, "me/zorb"), ["README.md", WEIGHTS, "images/01.png"]) == []


def test_the_code_of_a_card_is_python_and_draws_at_what_is_recommended() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", card.text(CARD, "me/zorb"), re.DOTALL)
    compile(code, "card", "exec")
    assert ("[0.8]" in code, "guidance_scale=7.5, num_inference_steps=30" in code, '"me/zorb"' in code) == (True, True, True)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"keyword": ""}, "README.md names no keyword: write caption.keyword in decal.toml."),
        ({"base_id": None}, "README.md names no base_model: the base is no model of the hub, so say in it where to get it."),
        ({"shown": Shown((), are_new=False)}, "README.md shows no picture: decal grid draws some."),
    ],
)
def test_what_a_card_lacks_is_told(changed: dict[str, object], told: str) -> None:
    lacking = replace(CARD, **changed)  # type: ignore[arg-type]
    assert card.lint(card.text(lacking, "me/zorb"), ["README.md", WEIGHTS, "images/01.png"]) == [told]


def test_a_card_that_was_damaged_by_hand_is_told() -> None:
    written = card.text(CARD, "me/zorb")
    assert card.lint(written.replace("license: ", "licence: "), ["images/01.png", WEIGHTS]) == ["README.md does not say license."]
    assert card.lint(written, []) == ["README.md shows images/01.png, which is not there.", f"{WEIGHTS} is not there."]
    assert card.lint("# zorb", []) == ["README.md does not begin with metadata between two lines of ---."]


def test_a_licence_is_inherited_in_the_words_of_the_hub() -> None:
    other = card.text(replace(CARD, licence="Stability AI Non-Commercial, see its page"), "me/zorb")
    assert ("license: creativeml-openrail-m" in card.text(CARD, "me/zorb"), "license_name: stability-ai-non-commercial\n" in other) == (
        True,
        True,
    )


def test_a_base_in_the_cache_of_the_hub_keeps_its_id(tmp_path: Path) -> None:
    cached = "/cache/hub/models--owner--name/snapshots/0123"
    assert [card.hub_id(where) for where in (cached, "owner/name", str(tmp_path), "mini")] == ["owner/name", "owner/name", None, None]


def test_a_dry_run_lists_what_would_go_and_sends_nothing(call: Call, trained: Path) -> None:
    code, out, _ = call("publish", trained, "--to", "me/zorb", "--dry-run")
    names = re.findall(r"^  (\S+) +[\d.]+ [kM]B$", out, re.MULTILINE)
    assert (code, out.splitlines()[0]) == (0, "me/zorb, private, in one commit: run-01 at step 2")
    assert names == ["README.md", WEIGHTS, "zorb-000002-kohya.safetensors", "images/01.png"]
    assert (sorted(path.name for path in (trained / "publish").iterdir()), (trained / "published.json").exists()) == (
        ["README.md", "images", WEIGHTS, "zorb-000002-kohya.safetensors"],
        False,
    )


def test_words_with_embeddings_go_along_in_both_forms_and_the_card_loads_them(call: Call, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    own = 'pivotal = 1\npivotal_words = { triangl = "good" }\n'
    settings = SETTINGS.replace("[train]\n", f"[train]\n{own}")
    at = projects.trained(tmp_path / "zorb", tiny, shapes, settings)
    assert call("publish", at, "--to", "me/zorb", "--dry-run")[0] == 0
    theirs, ours = ["", "-triangl"], [f"zorb-000002-kohya-embeddings{suffix}.safetensors" for suffix in ("", "-triangl")]
    assert {path.name for path in (at / "publish").glob("*embed*")} == {*ours, *(f"learned_embeds{one}.safetensors" for one in theirs)}
    text = (at / "publish/README.md").read_text("utf-8")
    assert text.count("pipeline.load_textual_inversion(rows, token=") == 2
    assert '"learned_embeds-triangl.safetensors")).items():' in text
    assert "as triangl.safetensors" in text


def test_nothing_that_goes_names_a_place_of_this_machine(call: Call, trained: Path, tiny: Path) -> None:
    assert call("publish", trained, "--to", "me/zorb", "--dry-run")[0] == 0
    data = b"".join(path.read_bytes() for path in (trained / "publish").rglob("*") if path.is_file())
    assert [str(place).encode() in data for place in (trained, tiny, Path.home())] == [False, False, False]


def test_a_place_of_this_machine_in_a_keyword_is_refused(call: Call, trained: Path) -> None:
    run = trained / "runs" / "run-01" / "run.json"
    run.write_text(run.read_text("utf-8").replace('"keyword": "zorb"', '"keyword": "/home/ann/zorb"'), "utf-8")
    code, _, err = call("publish", trained, "--to", "me/zorb", "--dry-run")
    assert (code, "names a place of this machine (/home/ann/zorb)" in err) == (2, True)


def test_a_lora_is_pushed_in_one_private_commit_and_never_twice(call: Call, trained: Path, hub: Repository) -> None:
    code, _, err = call("publish", trained, "--to", "me/zorb")
    assert code == 0, err
    _, again, _ = call("publish", trained, "--to", "me/zorb")
    assert ([one["visibility"] for one in hub.made], len(hub.commits), hub.tokens) == (["private"], 1, {"Bearer hf_test"})
    assert hub.commits[0] == {
        path.relative_to(trained / "publish").as_posix(): path.read_bytes() for path in (trained / "publish").rglob("*") if path.is_file()
    }
    assert "me/zorb has it already" in again


def test_a_public_repository_is_written_only_where_that_was_said(call: Call, trained: Path, hub: Repository) -> None:
    hub.is_public = True
    code, _, err = call("publish", trained, "--to", "me/zorb")
    assert (code, "everybody can read it" in err, hub.commits) == (2, True, [])
    assert call("publish", trained, "--to", "me/zorb", "--public")[0] == 0
    assert ([one["visibility"] for one in hub.made], len(hub.commits)) == (["private", "public"], 1)


def test_a_hub_that_does_not_let_in_is_told_in_a_sentence(call: Call, trained: Path, hub: Repository) -> None:
    hub.refuses = True
    code, _, err = call("publish", trained, "--to", "me/zorb")
    assert (code, "Log in with  hf auth login" in err) == (1, True)


def test_push_to_hub_of_a_command_pushes_with_a_card_even_without_a_prompt(
    call: Call, tiny: Path, shapes: Path, tmp_path: Path, hub: Repository
) -> None:
    flags = ["--max_train_steps=1", "--resolution=64", "--report_to=none", "--push_to_hub", "--hub_model_id=me/zorb", "--hub_token=hf_own"]
    named = [f"--pretrained_model_name_or_path={tiny}", f"--train_data_dir={shapes}", f"--output_dir={tmp_path / 'out'}"]
    code, _, err = call("compat", *named, *flags)
    assert code == 0, err
    assert (sorted(hub.commits[0]), hub.tokens) == (["README.md", WEIGHTS, "zorb-000001-kohya.safetensors"], {"Bearer hf_own"})
    assert (tmp_path / "out" / "README.md").read_bytes() == hub.commits[0]["README.md"]
    kept = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert b"hf_own" not in kept
