"""Keeping the pictures of a run."""

from pathlib import Path

import numpy as np

from decal import project, runs
from decal.gallery import Album
from decal.generate import Drawn
from decal.project import Run
from decal.records import Cell, Checkpoint, Generation
from decal.settings import parse, resolve

CELL = Cell(prompt="a fox", guidance=3.0, seed=0, steps=2, sampler="ddim", width_px=8, height_px=8, checkpoint=5)


def _begun(folder: Path) -> tuple[Run, Checkpoint]:
    """A run without pictures, and a checkpoint that is saved but not recorded."""
    run = Run(folder / "run-01")
    runs.begin(run, resolve(parse({}), 1), [], device="cpu", base="0" * 64)
    file = run.folder / "lora.safetensors"
    file.write_bytes((2).to_bytes(8, "little") + b"{}")
    return run, Checkpoint(step=5, attempt=1, file=file.name, sha256=project.sha256(file), state_sha256="", holdout_loss=None)


def _drawn() -> Drawn:
    return Drawn(CELL, np.zeros((8, 8, 3), np.uint8), 0.1)


def test_an_album_reads_the_run_once_and_keeps_pictures_of_checkpoints_it_is_told(tmp_path: Path) -> None:
    run, checkpoint = _begun(tmp_path)
    album = Album(run, run.validation)
    run.about.unlink()
    album.add(checkpoint)
    kept = list(album.keep([_drawn()]))
    assert project.read(run.validation, Generation) == kept == album.there([CELL])
    assert album.missing([CELL]) == []


def test_a_picture_of_a_checkpoint_that_was_made_anew_with_other_weights_is_missing(tmp_path: Path) -> None:
    run, checkpoint = _begun(tmp_path)
    album = Album(run, run.validation)
    album.add(checkpoint)
    list(album.keep([_drawn()]))
    album.add(checkpoint.model_copy(update={"sha256": "1" * 64}))
    assert album.missing([CELL]) == [CELL]
