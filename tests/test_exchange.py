"""LoRA files from and to other tools, as a person types it, on a random-weight model and pictures of simple shapes."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_adapters import CONV, FC, Q, factors
from test_lora import base_of
from typed import Call

from decal import adapters, lora, project
from decal.project import Run
from decal.records import Start

QUICK = """
[train]
steps = 2
batch = 2
checkpoint_every = 1
trackers = []
validation_prompts = []
learning_rate = 1e-12
weight_decay = 0.0
"""


@pytest.fixture(scope="module")
def new(tiny: Path, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with quick settings and no run."""
    from decal import workflow

    folder = tmp_path_factory.mktemp("exchange") / "project"
    workflow.new(folder, workflow.Order(str(shapes), "zorb", str(tiny), "stickers", "", None, None))
    with (folder / "decal.toml").open("a", encoding="utf-8") as file:
        file.write(QUICK)
    return folder


@pytest.fixture(scope="module")
def trained(new: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same project with a run of two checkpoints."""
    from decal import workflow
    from decal.project import open_project

    folder = tmp_path_factory.mktemp("trained") / "project"
    shutil.copytree(new, folder)
    at = open_project(folder)
    list(workflow.train(at, workflow.settings_of(at, ["train.rank=2", "train.learning_rate=1e-2"]), workflow.Choice(), lambda: False))
    return folder


def foreign(tiny: Path, path: Path, layers: dict[str, int]) -> Path:
    """A kohya file with layers of these ranks and an alpha of 2."""
    base = base_of(tiny)
    tensors: dict[str, torch.Tensor] = {}
    for name, rank in layers.items():
        a, b = factors(base.denoiser.get_parameter(f"{name}.weight"), rank)
        stem = f"lora_unet_{name.replace('.', '_')}"
        tensors |= {f"{stem}.lora_down.weight": a, f"{stem}.lora_up.weight": b, f"{stem}.alpha": torch.tensor(2.0)}
    save_file(tensors, path)
    return path


def changes(path: Path, tiny: Path) -> dict[str, torch.Tensor]:
    base = base_of(tiny)
    found = {}
    for place, layer in adapters.read(path, base.parts).layers.items():
        changed = layer.changed(base.denoiser.get_parameter(place.removeprefix("unet.") + ".weight"))
        assert changed is not None
        found[place] = changed
    return found


@pytest.mark.parametrize("form", ["diffusers", "kohya", "comfyui"])
def test_export_writes_the_last_checkpoint_once(form: str, call: Call, trained: Path, tiny: Path) -> None:
    code, out, _ = call("export", trained, "--format", form)
    path = trained / "exports" / f"zorb-000002-{form}.safetensors"
    assert (code, out.startswith(f"{path} written: step 2 of run-01 in the form of {form}, LoRA of rank 2 on ")) == (0, True)
    before = path.stat().st_mtime_ns
    assert "holds it already" in call("export", trained, "--format", form)[1]
    assert path.stat().st_mtime_ns == before
    wanted = changes(Run(trained / "runs" / "run-01").checkpoint(2) / lora.PORTABLE_FILE, tiny)
    assert all(torch.equal(change, wanted[place]) for place, change in changes(path, tiny).items())


def test_an_export_of_an_earlier_decal_is_written_anew_where_its_weights_are_the_same(call: Call, trained: Path) -> None:
    call("export", trained, "--format", "kohya")
    path = trained / "exports" / "zorb-000002-kohya.safetensors"
    now = path.read_bytes()
    tensors, about = adapters.read_tensors(path)
    path.write_bytes(adapters.to_bytes(tensors, about | {"decal.embeddings": "learned_embeds.safetensors 0123"}))
    code, out, err = call("export", trained, "--format", "kohya")
    assert (code, path.read_bytes() == now, "written" in out.splitlines()[0]) == (0, True, True), err
    assert f"  {path.name} was there with the same weights and a header of an earlier Decal" in out
    # Other weights, or what somebody wrote into the header.
    for others in (({key: tensor + 1 for key, tensor in tensors.items()}, about), (tensors, about | {"modelspec.author": "me"})):
        path.write_bytes(adapters.to_bytes(*others))
        assert "is another file already" in call("export", trained, "--format", "kohya")[2]
    path.write_bytes(now)


def test_an_export_tells_of_the_training_and_not_of_the_machine(call: Call, trained: Path, tmp_path: Path) -> None:
    call("export", trained, "--format", "kohya", "--checkpoint", "1", "--out", tmp_path / "x.safetensors")
    data = (tmp_path / "x.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    assert header["modelspec.trigger_phrase"] == "zorb"
    assert (header["ss_network_dim"], header["ss_steps"], header["ss_sd_model_name"]) == ("2", "1", "model")
    assert not [value for value in header.values() if "/" in value.replace("/lora", "") or "pytest" in value]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "needs one of --format and --dataset"),
        (("--format", "kohya", "--dataset", "x"), "needs only one of"),
        (("--format", "kohya", "--as", "txt"), "--as goes with --dataset"),
        (("--dataset", "x", "--checkpoint", "1"), "--checkpoint goes with --format"),
        (("--format", "a1111"), "There are: diffusers, kohya, comfyui"),
        (("--format", "kohya", "--checkpoint", "7"), "There is no checkpoint at step 7"),
        (("--format", "kohya", "--out", "decal.toml"), "not the name of a .safetensors file"),
    ],
)
def test_a_wrong_export_is_one_sentence(words: tuple[str, ...], told: str, call: Call, trained: Path) -> None:
    code, _, err = call("export", trained, *words)
    assert (code, told in err) == (2, True)


def test_an_export_replaces_nothing(call: Call, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").write_bytes(b"mine")
    code, _, err = call("export", trained, "--format", "kohya", "--out", tmp_path / "mine.safetensors")
    assert (code, "is another file already" in err, (tmp_path / "mine.safetensors").read_bytes()) == (2, True, b"mine")


def test_training_goes_on_from_an_imported_lora(call: Call, new: Path, tiny: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(new, tmp_path / "project")
    path = foreign(tiny, tmp_path / "theirs.safetensors", {Q: 4, CONV: 2})
    code, out, _ = call("import", path, folder)
    assert (code, out.splitlines()[0]) == (0, "run-01 begins with theirs.safetensors: LoRA of rank 4 on 2 layers")
    assert "1 layer of a smaller rank brought to 4" in out
    # With a learning rate of 1e-12 two steps leave everything as it was, at any alpha.
    assert call("train", folder, "--set", "train.alpha=8")[0] == 0
    run = Run(folder / "runs" / "run-01")
    before, after = changes(path, tiny), changes(run.checkpoint(2) / lora.PORTABLE_FILE, tiny)
    assert before.keys() == after.keys()
    assert all((before[place] - after[place]).abs().max() <= 1e-6 for place in before)
    assert call("train", folder, "--set", "train.alpha=8")[1].startswith("run-01 is complete")


def test_a_run_from_an_imported_lora_goes_on_to_the_same_bytes(call: Call, new: Path, tiny: Path, tmp_path: Path) -> None:
    path = foreign(tiny, tmp_path / "theirs.safetensors", {Q: 4, CONV: 2})
    files = []
    for name, steps in (("whole", [4]), ("in parts", [2, 4])):
        folder = shutil.copytree(new, tmp_path / name)
        call("import", path, folder)
        for upto in steps:
            words = ("--set", f"train.steps={upto}", "--set", "train.learning_rate=0.01", "--set", "train.schedule=constant")
            assert call("train", folder, *words, "--accept-changes")[0] == 0
        files.append((Run(folder / "runs" / "run-01").checkpoint(4) / lora.PORTABLE_FILE).read_bytes())
    assert files[0] == files[1]


def test_what_has_the_layers_of_a_kind_is_of_that_kind(call: Call, new: Path, trained: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(new, tmp_path / "project")
    call("export", trained, "--format", "kohya")
    assert call("import", trained / "exports" / "zorb-000002-kohya.safetensors", folder)[0] == 0
    start = project.read_record(Run(folder / "runs" / "run-01").start, Start)
    assert start is not None
    assert (start.targets, start.rank, start.raised) == ("attention", 2, 0)


def test_an_import_waits_for_its_training_and_is_not_made_twice(call: Call, new: Path, tiny: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(new, tmp_path / "project")
    path = foreign(tiny, tmp_path / "theirs.safetensors", {Q: 4})
    call("import", path, folder)
    assert call("import", path, folder)[1].startswith("run-01 waits to begin with theirs.safetensors already")
    other = foreign(tiny, tmp_path / "others.safetensors", {Q: 3})
    assert "Train it first" in call("import", other, folder)[2]


def test_what_an_import_fixes_cannot_be_set_otherwise(call: Call, new: Path, tiny: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(new, tmp_path / "project")
    call("import", foreign(tiny, tmp_path / "theirs.safetensors", {Q: 4}), folder)
    code, _, err = call("train", folder, "--set", "train.rank=8")
    assert (code, "train.rank is 8, theirs.safetensors has 4" in err) == (2, True)


@pytest.mark.parametrize("what", ["LoHa", "text encoder", "text alone", "nothing"])
def test_what_cannot_be_trained_on_is_one_sentence(what: str, call: Call, new: Path, tiny: Path, tmp_path: Path) -> None:
    a, b = factors(base_of(tiny).denoiser.get_parameter(f"{Q}.weight"))
    text_a, text_b = factors(base_of(tiny).parts["text_encoder"].get_parameter(f"{FC}.weight"))
    text = {f"text_encoder.{FC}.lora_A.weight": text_a, f"text_encoder.{FC}.lora_B.weight": text_b}
    tensors, words, told = {
        "LoHa": ({f"unet.{Q}.hada_w{i}_{x}": {"a": b, "b": a}[x] * i for i in (1, 2) for x in ("a", "b")}, (), "It holds LoHa"),
        "text encoder": (
            text | {f"unet.{Q}.lora_A.weight": a, f"unet.{Q}.lora_B.weight": b},
            (),
            "--without-text-encoder leaves that part out",
        ),
        "text alone": (text, ("--without-text-encoder",), "changes the text encoder alone"),
        "nothing": ({}, (), "is not a file"),
    }[what]
    if tensors:
        save_file(tensors, tmp_path / "x.safetensors")
    code, _, err = call("import", tmp_path / "x.safetensors", new, *words)
    assert (code != 0, told in err, list(new.glob("runs/*"))) == (True, True, [])


def test_the_text_encoder_can_be_left_out_by_name(call: Call, new: Path, tiny: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(new, tmp_path / "project")
    path = foreign(tiny, tmp_path / "theirs.safetensors", {Q: 4})
    a, b = factors(base_of(tiny).parts["text_encoder"].get_parameter(f"{FC}.weight"))
    save_file(load_file(path) | {f"text_encoder.{FC}.lora_A.weight": a, f"text_encoder.{FC}.lora_B.weight": b}, path)
    assert "1 layer of the text encoder left out" in call("import", path, folder, "--without-text-encoder")[1]
