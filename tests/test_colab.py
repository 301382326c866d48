"""The notebook for Colab, run here on a random-weight base, and the scale of fp16 that its training goes on with."""

import json
import runpy
from pathlib import Path

import pytest
import torch

from decal import runs, state
from decal.notebooks import Execution, to_bytes
from decal.project import Project

FOLDER = Path(__file__).parents[1] / "notebooks"
WRITTEN = runpy.run_path(str(FOLDER / "write.py"))
SMALL = [
    "train.steps=4",
    "train.checkpoint_every=2",
    "train.validation_prompts=[]",
    "train.trackers=[]",
    "compare.prompts=6",
    "compare.steps=2",
    "compare.fresh=false",
    "compare.sweep=false",
    "grid.steps=2",
    "grid.guidance=[3.0]",
]


def test_the_notebook_is_the_one_that_its_cells_make() -> None:
    assert (FOLDER / "decal_colab.ipynb").read_bytes() == to_bytes(WRITTEN["CELLS"])


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom_and_a_second_run_trains_nothing(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    notebook = json.loads((FOLDER / "decal_colab.ipynb").read_bytes())
    [place] = [number for number, cell in enumerate(notebook["cells"]) if cell["source"] == WRITTEN["SETTINGS"].strip()]
    values = {"PICTURES": str(shapes), "KEYWORD": "zorb", "BASE": str(tiny), "NAME": "p", "CHANGES": SMALL, "DECAL": ""}
    notebook["cells"][place]["source"] = "".join(f"{name} = {value!r}\n" for name, value in values.items())
    told = []
    for turn in range(2):
        if turn:
            # The comparison and the grid were done the first time; only what was cut off is in question.
            notebook["cells"] = [cell for cell in notebook["cells"] if "--quick" not in cell["source"] and '"grid"' not in cell["source"]]
        execution = Execution("decal_colab.ipynb", json.dumps(notebook).encode())
        assert list(execution.run(tmp_path, lambda: False))
        cells = json.loads(execution.data)["cells"]
        told.append("".join(output.get("text", "") for cell in cells for output in cell.get("outputs", [])))
    [run] = Project(tmp_path / "decal" / "p").runs()
    assert [checkpoint.step for checkpoint in runs.checkpoints(run)] == [2, 4]
    assert "Nothing to train" in told[1]
    assert list(run.folder.glob("sheets/grid-*.png"))


def test_the_scale_of_fp16_is_kept_in_a_state(tmp_path: Path) -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.AdamW([weight])
    weight.grad = torch.tensor([float("inf")])
    scaler.scale(torch.zeros(1))  # a scaler begins with its first loss
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    state.save(tmp_path / "state", state.take(1, 1, {"a": weight}, optimizer, scaler.state_dict(), {}))
    again = torch.amp.GradScaler("cpu")
    again.load_state_dict(state.load(tmp_path / "state").scaler)
    assert again.get_scale() == 2.0**15  # halved once, for the gradient that was not finite
    assert again.state_dict() == scaler.state_dict()
