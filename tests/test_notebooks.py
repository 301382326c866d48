"""The notebooks: what is written into them, and how they run."""

import ast
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from judged import TIE, begun, judged, train

from decal import notebooks
from decal.checklist import plain
from decal.errors import NotebookError, StoppedError
from decal.notebooks import Execution, Subject, code, prose, to_bytes
from decal.records import Cell, Checkpoint, Record
from decal.runs import About
from decal.settings import parse, resolve

HOSTILE = "x', __import__('os').system('true'), '<script>`|$$ <<run>>\n# head"


def subject(text: str) -> Subject:
    """A run whose every text that a user may choose is this one."""
    settings = resolve(parse({"base": {"model": "mini"}, "caption": {"keyword": text}}), 1)
    cell = Cell(prompt=text, guidance=3.0, seed=0, steps=2, sampler="ddim", width_px=64, height_px=64, checkpoint=5)
    return Subject(
        run="run-01",
        about=About(begun="2026-01-01", settings=settings, versions={}, device="cpu", data="", base=""),
        base="'base/mine'",
        base_note="",
        records=[Record(file="a.png", sha256="", width_px=1, height_px=1, caption=text, split="train")],
        steps=[],
        checkpoints=[Checkpoint(step=5, attempt=1, file="lora.safetensors", sha256="", state_sha256="", holdout_loss=None)],
        step=5,
        adapter="lora.safetensors",
        why=text,
        verdict=None,
        cells=[cell],
        nearest=[(text, text, text)],
        sheets=[("sheet.png", "A sheet.")],
    )


@pytest.mark.parametrize("write", [notebooks.training, notebooks.inference])
def test_text_of_strangers_is_neither_code_nor_markup(write: object) -> None:
    assert callable(write)
    cells = write(subject(HOSTILE))
    calls = [node for cell in cells if cell.kind == "code" for node in ast.walk(ast.parse(cell.source))]
    assert not [node for node in calls if isinstance(node, ast.Name) and node.id == "__import__"]
    assert not [cell for cell in cells if cell.kind == "markdown" and ("<script" in cell.source or "\n# head" in cell.source)]


def test_the_same_run_gives_the_same_bytes() -> None:
    once, again = (to_bytes(notebooks.inference(subject("zorb"))) for _ in range(2))
    assert once == again
    assert json.loads(once)["nbformat"] == 4


def test_a_kind_that_diffusers_does_not_read_is_put_on_by_decal() -> None:
    told = subject("zorb")
    settings = told.about.settings
    settings = settings.model_copy(update={"train": settings.train.model_copy(update={"algorithm": "lokr"})})
    cells = notebooks.inference(replace(told, about=told.about.model_copy(update={"settings": settings})))
    source = "\n".join(cell.source for cell in cells if cell.kind == "code")
    ast.parse(source)
    assert source.count("swapper.put_on(adapter") == 2
    assert "load_lora_weights" not in source


def test_the_notebook_loads_the_embeddings_of_each_word() -> None:
    learnt = {"zorb": "learned_embeds.safetensors", "loved": "learned_embeds-loved.safetensors"}
    source = "\n".join(cell.source for cell in notebooks.inference(replace(subject("zorb"), learnt=learnt)) if cell.kind == "code")
    ast.parse(source)
    assert f"for word, file in {learnt}.items():" in source
    assert "pipeline.load_textual_inversion(rows, token=word, **place)" in source


def test_the_verdict_stands_in_the_notebook_as_a_sentence_and_a_table(tmp_path: Path) -> None:
    _, run = begun(tmp_path, {f"{number}.png": f"zorb sticker of thing {number}" for number in range(8)})
    train(run, TIE)
    verdict = judged(run, TIE, tuple(f"zorb sticker of wonder {number}" for number in range(8)))
    told = replace(subject("zorb"), verdict=verdict, why=verdict.reason)
    [text] = [cell.source for cell in notebooks.inference(told) if cell.source.startswith("## Which checkpoint")]
    assert plain(verdict.reason) in text
    assert [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| ")] == ["| step", "| ---", "| 100", "| 200", "| 300"]


def test_an_unfinished_training_is_not_gone_on_with_while_the_notebook_is_made() -> None:
    cells = notebooks.training(subject("zorb"))
    assert [cell.source.splitlines()[0] for cell in cells if not cell.is_run] == ["import subprocess"]


@pytest.mark.slow
def test_a_notebook_runs_with_this_python_in_its_folder_and_a_failing_cell_is_named(tmp_path: Path) -> None:
    cells = [
        prose("# Head"),
        code("import sys, os; print(sys.executable, os.listdir())"),
        prose("## Load it"),
        code("int('fox')"),
        code("1"),
    ]
    (tmp_path / "here").touch()
    execution = Execution("a.ipynb", to_bytes(cells))
    with pytest.raises(NotebookError, match=r"^a.ipynb, cell 4 \(Load it\) failed: ValueError: invalid literal .*'fox'\.$"):
        list(execution.run(tmp_path, lambda: False))
    ran = json.loads(execution.data)["cells"]
    assert "".join(ran[1]["outputs"][0]["text"]) == f"{sys.executable} ['here']\n"
    assert ran[4]["outputs"] == []


@pytest.mark.slow
def test_what_a_cell_prints_bit_by_bit_is_one_output(tmp_path: Path) -> None:
    execution = Execution("a.ipynb", to_bytes([code("import time\nfor i in range(4): print(i, flush=True); time.sleep(0.4)")]))
    list(execution.run(tmp_path, lambda: False))
    [output] = json.loads(execution.data)["cells"][0]["outputs"]
    assert "".join(output["text"]) == "0\n1\n2\n3\n"


@pytest.mark.slow
def test_a_notebook_stops_before_the_next_cell(tmp_path: Path) -> None:
    execution = Execution("a.ipynb", to_bytes([code("1")]))
    with pytest.raises(StoppedError):
        list(execution.run(tmp_path, lambda: True))
