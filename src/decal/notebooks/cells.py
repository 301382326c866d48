"""What both notebooks are made of: cells, tables, and what they tell of a run."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import dedent
from typing import Literal

from decal.checklist import plain
from decal.records import Cell as Drawn
from decal.records import Checkpoint, Record, Step, Verdict
from decal.runs import About

# nbclient leaves cells with this tag alone.
SKIP = "skip-execution"


@dataclass(frozen=True)
class Cell:
    """One cell. is_run: false for code that is shown but not run when the notebook is made."""

    kind: Literal["code", "markdown"]
    source: str
    is_run: bool = True


@dataclass(frozen=True)
class Subject:
    """What the notebooks tell of.

    run: its name. base: what diffusers loads, as Python. base_note: where a reader gets it. step: of the checkpoint handed in; adapter: its
    file. why: why that one, a sentence. cells: the pictures of new prompts. nearest: for each prompt the training caption that is most like
    it and the words that it lacks. sheets: files of labelled sheets, each with what it shows. learnt: names of the files of embeddings
    beside the adapter, by word.
    """

    run: str
    about: About
    base: str
    base_note: str
    records: Sequence[Record]
    steps: Sequence[Step]
    checkpoints: Sequence[Checkpoint]
    step: int
    adapter: str
    why: str
    verdict: Verdict | None
    cells: Sequence[Drawn]
    nearest: Sequence[tuple[str, str, str]]
    sheets: Sequence[tuple[str, str]]
    learnt: Mapping[str, str] = field(default_factory=dict)

    @property
    def grid_sheet(self) -> str:
        """The file of the sheet of the new prompts."""
        return f"runs/{self.run}/sheets/grid-step-{self.step:06d}.png"

    @property
    def is_trained(self) -> bool:
        """Whether the last step was done."""
        return bool(self.checkpoints) and self.checkpoints[-1].step >= self.about.settings.train.steps


def prose(text: str) -> Cell:
    """A cell of Markdown."""
    return Cell("markdown", dedent(text).strip())


def code(text: str, values: dict[str, object] | None = None, *, is_run: bool = True) -> Cell:
    """A cell of Python; each `<<name>>` in it becomes that value, written as Python."""
    known = values or {}
    # In one pass, so that a value cannot hold the name of another.
    source = re.sub(r"<<(\w+)>>", lambda place: repr(known[place[1]]), dedent(text).strip())
    return Cell("code", source, is_run)


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of Markdown; every cell is shown as it is."""
    lines = [heads, ["---"] * len(heads), *([plain(str(value)) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def to_bytes(cells: Sequence[Cell]) -> bytes:
    """The cells as a notebook that has not run yet; the same cells give the same bytes."""
    written: list[dict[str, object]] = []
    for number, cell in enumerate(cells, start=1):
        one: dict[str, object] = {"cell_type": cell.kind, "id": f"cell-{number:02d}", "metadata": {}, "source": cell.source}
        if cell.kind == "code":
            tags = {} if cell.is_run else {"tags": [SKIP]}
            one |= {"execution_count": None, "metadata": tags, "outputs": []}
        written.append(one)
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return as_bytes({"cells": written, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def as_bytes(notebook: Mapping[str, object]) -> bytes:
    """A notebook as the bytes of its file."""
    return (json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
