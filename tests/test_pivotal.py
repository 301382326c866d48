"""Pivotal tuning: a keyword's own embeddings are learnt beside the LoRA, kept with it, and read by stock diffusers."""

import re
import tomllib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoPipelineForText2Image, DDIMScheduler
from safetensors.torch import load_file
from test_train import records_of, run_all, stop_before

from decal import adapters, checks, embeddings, lora, runs, state
from decal.bases import Base, load
from decal.cache import Cache
from decal.captions import Tokenizer
from decal.errors import AdapterError, SettingsError
from decal.generate import generate
from decal.project import Project, Run
from decal.records import Cell, Checkpoint
from decal.settings import Resolved, parse, resolve
from decal.train import Task
from decal.workflow.exchange import import_adapter

TRAIN = {"steps": 4, "batch": 2, "checkpoint_every": 4, "rank": 2, "targets": "attention", "learning_rate": 1e-3, "pivotal": 2}


def settings_of(model: Path, **change: object) -> Resolved:
    train = TRAIN | {"pivotal_learning_rate": 1e-2, "pivotal_share": 1.0} | change
    return resolve(parse({"base": {"model": str(model)}, "data": {"resolution": 64}, "caption": {"keyword": "zorb"}, "train": train}), 10)


def task_of(folder: Path, shapes: Path, settings: Resolved) -> tuple[Base, Task]:
    base = load(settings.base.model, device=torch.device("cpu"), dtype=torch.float32)
    cache = Cache(folder.parent / "cache", base, settings.data)
    records = [record for record in records_of(shapes) if record.split == "train"][:4]
    list(cache.fill(shapes, records))
    return base, Task(Run(folder), settings, cache.examples(records, budget=2**30), cache.examples([], budget=0), 1, None, lambda: False)


def trained(folder: Path, shapes: Path, settings: Resolved) -> tuple[Base, Task, Checkpoint]:
    base, task = task_of(folder, shapes, settings)
    return base, task, run_all(base, task)[1][-1]


@pytest.fixture(scope="module")
def taught(tiny: Path, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Base, Task, Checkpoint]:
    return trained(tmp_path_factory.mktemp("pivotal") / "run", shapes, settings_of(tiny))


def test_only_new_rows_change_and_the_table_of_the_model_stays_bit_for_bit(taught: tuple[Base, Task, Checkpoint], tiny: Path) -> None:
    base, task, made = taught
    fresh = load(str(tiny), device=torch.device("cpu"), dtype=torch.float32)
    own, its = (dict(one.parts["text_encoder"].named_parameters()) for one in (base, fresh))
    begun = lora.new_words(fresh, task.settings.train, "zorb").rows["zorb"]["text_encoder"]
    saved = load_file(task.run.folder / Path(made.file).with_name(embeddings.FILE))
    assert set(own) == set(its)
    assert all(torch.equal(own[name], its[name]) for name in own)
    assert list(saved) == ["emb_params"]
    assert float((saved["emb_params"] - begun.detach()).abs().max()) > 1e-3


def test_a_stopped_pivotal_training_ends_in_the_same_bytes(
    taught: tuple[Base, Task, Checkpoint], tiny: Path, shapes: Path, tmp_path: Path
) -> None:
    _, whole_task, whole = taught
    base, task = task_of(tmp_path / "cut", shapes, settings_of(tiny))
    run_all(base, replace(task, stop=stop_before(3)))
    saved = state.load(task.run.stop_state)
    base, task = task_of(tmp_path / "cut", shapes, settings_of(tiny))
    made = run_all(base, replace(task, resume=saved, attempt=2))[1][-1]
    assert saved.step == 2
    assert (made.sha256, made.state_sha256) == (whole.sha256, whole.state_sha256)
    words = [run.folder / Path(one.file).with_name(embeddings.FILE) for run, one in ((whole_task.run, whole), (task.run, made))]
    assert words[0].read_bytes() == words[1].read_bytes()


def test_embeddings_stay_as_they_are_after_their_share_of_the_steps(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    settings = settings_of(tiny, checkpoint_every=1, pivotal_share=0.5)
    base, task = task_of(tmp_path / "run", shapes, settings)
    made = run_all(base, task)[1]
    rows = [load_file(task.run.folder / Path(one.file).with_name(embeddings.FILE))["emb_params"] for one in made]
    factors = [lora.load(task.run.folder / one.file) for one in made]
    assert [torch.equal(one, other) for one, other in pairwise(rows)] == [False, True, True]
    assert any(not torch.equal(factors[2][name], factors[3][name]) for name in factors[2])


def test_further_words_learn_rows_of_their_own_in_files_that_stock_diffusers_reads(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    settings = settings_of(tiny, steps=2, checkpoint_every=2, pivotal_words={"shapewise": "a cat", "lovedday": ""})
    _, task, made = trained(tmp_path / "run", shapes, settings)
    path, base = task.run.folder / made.file, load(str(tiny), device=torch.device("cpu"), dtype=torch.float32)
    files = {word: one.path for word, one in embeddings.beside(path).items()}
    rows = {word: load_file(file)["emb_params"] for word, file in files.items()}
    assert {word: len(one) for word, one in rows.items()} == {"zorb": 2, "shapewise": 2, "lovedday": 1}
    assert [file.name for file in files.values()] == [
        "learned_embeds.safetensors", "learned_embeds-lovedday.safetensors", "learned_embeds-shapewise.safetensors"
    ]  # fmt: skip
    base.speak(adapters.read(path, base.parts).words)
    prompt = "lovedday, a zorb style sticker of a shapewise boat"
    with torch.no_grad():
        told = base.encode_prompts([prompt])["encoder_hidden_states"]
    pipe = AutoPipelineForText2Image.from_pretrained(tiny, safety_checker=None, requires_safety_checker=False)
    pipe.load_lora_weights(path)
    for word, one in rows.items():
        pipe.load_textual_inversion(one, token=word)
    states = pipe.encode_prompt(prompt, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False)[0]
    assert torch.allclose(told, states, atol=1e-5)


def test_a_lora_of_the_time_of_one_keyword_is_read(taught: tuple[Base, Task, Checkpoint], tiny: Path, tmp_path: Path) -> None:
    _, task, made = taught
    path = task.run.folder / made.file
    (learnt,) = embeddings.beside(path).values()
    tensors, about = adapters.read_tensors(path)
    old = about | {embeddings.KEY: f"{learnt.path.name} {learnt.sha256}"}
    (tmp_path / path.name).write_bytes(adapters.to_bytes(tensors, old))
    (tmp_path / learnt.path.name).write_bytes(learnt.path.read_bytes())
    fresh = load(str(tiny), device=torch.device("cpu"), dtype=torch.float32)
    words = adapters.read(tmp_path / path.name, fresh.parts).words
    assert words is not None
    assert words.tokens == ["zorb", "zorb_1"]


@pytest.mark.parametrize("kind", ["sd", "xl"])
def test_stock_diffusers_draws_the_same_from_both_files(
    kind: str, taught: tuple[Base, Task, Checkpoint], tiny: Path, tiny_xl: Path, shapes: Path, tmp_path: Path
) -> None:
    model = tiny if kind == "sd" else tiny_xl
    _, task, made = taught if kind == "sd" else trained(tmp_path / "run", shapes, settings_of(tiny_xl, steps=2, checkpoint_every=2))
    path = task.run.folder / made.file
    cell = Cell(
        prompt="a zorb style sticker of a zorb", negative="zorb", guidance=3.0, seed=5, steps=3, sampler="ddim", width_px=64, height_px=64,
        checkpoint=made.step, lora_strength=1.0,
    )  # fmt: skip
    base = load(str(model), device=torch.device("cpu"), dtype=torch.float32)
    ours, without = (
        next(iter(generate(base, [one], adapters={made.step: path}, images={}, batch=1))).pixels
        for one in (cell, cell.model_copy(update={"checkpoint": 0}))
    )
    words = adapters.read(path, base.parts).words
    with torch.no_grad():
        base.speak(words)
        told = base.encode_prompts([cell.prompt])
        base.speak(None)
        plain = base.encode_prompts([cell.prompt])
    pipe = AutoPipelineForText2Image.from_pretrained(model, safety_checker=None, requires_safety_checker=False)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    pipe.load_lora_weights(path)
    for name, rows in load_file(path.with_name(embeddings.FILE)).items():
        part = "_2" if name == "clip_g" else ""
        place = {one: getattr(pipe, one + part) for one in ("tokenizer", "text_encoder")}
        pipe.load_textual_inversion(rows, token="zorb", **place)
    states = pipe.encode_prompt(cell.prompt, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False)[0]
    assert torch.allclose(told["encoder_hidden_states"], states, atol=1e-5)
    assert not torch.allclose(plain["encoder_hidden_states"], states, atol=1e-2)
    sizes = {"width": 64, "height": 64, "generator": torch.Generator().manual_seed(5), "output_type": "np"}
    theirs = pipe(cell.prompt, negative_prompt="zorb", guidance_scale=3.0, num_inference_steps=3, **sizes).images[0]
    assert int(np.abs((theirs * 255).round().astype(int) - ours.astype(int)).max()) <= 1
    assert int(np.abs(without.astype(int) - ours.astype(int)).max()) > 8


def test_a_lora_without_its_embeddings_is_refused_and_is_not_whole(taught: tuple[Base, Task, Checkpoint], tmp_path: Path) -> None:
    base, task, made = taught
    path = tmp_path / "lora.safetensors"
    path.write_bytes((task.run.folder / made.file).read_bytes())
    with pytest.raises(AdapterError, match=r"learned_embeds\.safetensors beside it is missing"):
        adapters.read(path, base.parts)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / made.file).parent.mkdir(parents=True)
    (tmp_path / "run" / made.file).write_bytes(path.read_bytes())
    assert (runs.is_whole(task.run, made), runs.is_whole(Run(tmp_path / "run"), made)) == (True, False)
    assert [one.name for one in runs.lost(Run(tmp_path / "run"), made)] == ["learned_embeds.safetensors"]


def test_a_training_does_not_begin_with_a_lora_that_has_embeddings(
    taught: tuple[Base, Task, Checkpoint], tiny: Path, tmp_path: Path
) -> None:
    _, task, made = taught
    settings = parse({"base": {"model": str(tiny)}})
    with pytest.raises(AdapterError, match="embeddings of its own for zorb"):
        import_adapter(Project(tmp_path), settings, task.run.folder / made.file, without_text=True)


def test_the_check_knows_what_keeps_a_keyword_from_being_learnt(shapes: Path) -> None:
    def found(keyword: str) -> list[str]:
        settings = parse({"data": {"resolution": 64}, "caption": {"keyword": keyword}, "train": {"pivotal": 2}})
        return [one.check for one in checks.run(shapes, settings).findings if one.check.startswith("pivotal")]

    assert (found("zorb"), found("wuxle"), found("red")) == ([], ["pivotal_unused"], ["pivotal_keyword"])


def test_the_check_knows_what_keeps_a_word_from_being_learnt(shapes: Path) -> None:
    words = {"wuxle": "cat", "red": "blue"}
    settings = parse({"data": {"resolution": 64}, "caption": {"keyword": "zorb"}, "train": {"pivotal_words": words}})
    found = [(one.check, one.reason.split()[0]) for one in checks.run(shapes, settings).findings if one.check.startswith("pivotal")]
    assert found == [("pivotal_keyword", "red"), ("pivotal_unused", "no")]


def test_the_check_names_a_word_to_begin_as_that_the_base_does_not_know_whole(shapes: Path) -> None:
    settings = parse({"data": {"resolution": 64}, "train": {"pivotal_words": {"wuxle": "sunset qwxzjk"}}})
    found = [(one.level, one.reason) for one in checks.run(shapes, settings).findings if one.check == "pivotal_start"]
    assert found == [("note", "wuxle begins as qwxzjk, which the base reads as 4 tokens: 'q wx z jk'")]


def test_what_the_docs_begin_words_as_is_one_token_of_the_small_base_and_of_clip() -> None:
    pages = Path(__file__).parents[1].glob("docs/*.md")
    tables = [table for page in pages for table in re.findall(r"pivotal_words = \{ \w.*? \}", page.read_text("utf-8"))]
    starts = {start for table in tables for start in tomllib.loads(table)["pivotal_words"].values() if start}
    found = {start: [Tokenizer.of_base(base).split(start) for base in ("mini", "sd1.5")] for start in starts}
    assert (len(tables), found) == (2, {start: [[start], [start]] for start in starts})


def test_embeddings_begin_as_the_word_that_is_named(tiny: Path) -> None:
    base = load(str(tiny), device=torch.device("cpu"), dtype=torch.float32)
    rows = lora.new_words(base, settings_of(tiny, pivotal_from="cat").train, "zorb").rows["zorb"]["text_encoder"]
    cat = base.embeddings("cat")["text_encoder"]
    assert torch.equal(rows.detach(), torch.cat([cat, cat]))


def test_a_word_that_begins_as_blanks_begins_at_random_with_one_token(tiny: Path) -> None:
    base, train = load(str(tiny), device=torch.device("cpu"), dtype=torch.float32), settings_of(tiny, pivotal_words={"loved": "  "}).train
    assert [len(rows) for rows in lora.new_words(base, train, "zorb").rows["loved"].values()] == [1]


@pytest.mark.parametrize(
    ("train", "keyword", "told"),
    [
        ({}, "", "of one word in small letters"),
        ({}, "Zorb", "of one word in small letters"),
        ({"pivotal_from": "zorb"}, "zorb", "no meaning to begin with"),
        ({"text_learning_rate": 1e-5}, "zorb", "in two ways"),
        ({"optimizer": "schedule_free"}, "zorb", "its average does not see"),
        ({"optimizer": "prodigy"}, "zorb", "finds one rate for all"),
        ({"pivotal": 0, "pivotal_share": 0.3}, "zorb", "belongs to train.pivotal or train.pivotal_words, so there is no word"),
        (
            {"pivotal": 0, "pivotal_learning_rate": 0.1, "pivotal_words": {}},
            "zorb",
            "train.pivotal_words, which is empty, .* or take train",
        ),
        (
            {"pivotal": 0, "pivotal_from": "cat", "pivotal_words": {"loved": "good"}},
            "zorb",
            "pivotal_from belongs to train.pivotal. Write pivotal = 1 under",
        ),
        ({"pivotal_words": {"loved": "good", "loveddog": "dog"}}, "zorb", "loved is a part of loveddog"),
        ({"pivotal_words": {"zorbday": "day"}}, "zorb", "zorbday holds the keyword zorb"),
        ({"pivotal_words": {"loved": "loved"}}, "zorb", "holds a word that has no meaning"),
        ({"pivotal_words": {"Loved": "good"}}, "zorb", "one word of small letters"),
    ],
)
def test_what_cannot_go_together_is_refused(train: dict[str, object], keyword: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        parse({"caption": {"keyword": keyword}, "train": {"pivotal": 2} | train})
