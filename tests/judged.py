"""A project with a run that was trained, drawn and judged, made of tiny pictures and of a world whose truth is known."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from evidence import Made, world
from PIL import Image

from decal import project, runs, scores, suite
from decal.compare.contest import enter
from decal.compare.racing import Race
from decal.compare.verdict import judge
from decal.project import Project, Run
from decal.records import Cell, Checkpoint, Generation, Record, Rival, Step, Suite, SuitePrompt, Verdict
from decal.settings import parse, resolve

SIDE_PX = 16
TIE = {100: Made(style=0.5), 200: Made(style=0.9, wrong=0.05), 300: Made(style=0.95, wrong=0.1, copies=0.3)}


def begun(folder: Path, captions: Mapping[str, str]) -> tuple[Project, Run]:
    """A project and a run that has not made a step. captions: of the pictures by file; the last two are held out."""
    at = Project(folder)
    project.write_text(at.settings, "")
    records = []
    for number, (file, caption) in enumerate(captions.items()):
        path = at.dataset / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (SIDE_PX, SIDE_PX), (number * 9 % 256, 90, 200)).save(path)
        split = "holdout" if number >= len(captions) - 2 else "train"
        records.append(Record(file=file, sha256=project.sha256(path), width_px=SIDE_PX, height_px=SIDE_PX, caption=caption, split=split))
    run = at.run("run-01")
    runs.begin(run, resolve(parse({}), 1), records, device="cpu", base="0" * 64)
    return at, run


def train(run: Run, checkpoints: Mapping[int, Made], *, has_holdout: bool = True) -> None:
    """Write what a training leaves behind: steps, losses and checkpoints."""
    for step in range(max(checkpoints) + 1):
        is_measured = has_holdout and step % 100 == 0
        project_line = Step(
            step=step,
            attempt=1,
            epoch=0,
            loss=None if step == 0 else 0.3,
            grad_norm=None,
            learning_rate=1e-3,
            seconds=0.25,
            holdout_loss=0.5 - step / 1000 if is_measured else None,
        )
        if step % 100 == 0 or step < 3:
            project.append(run.steps, project_line)
    for step in checkpoints:
        file = run.checkpoint(step) / "lora.safetensors"
        project.write_bytes(file, b"%d" % step)
        name, loss = file.relative_to(run.folder).as_posix(), 0.5 - step / 1000 if has_holdout else None
        project.append(
            run.checkpoints,
            Checkpoint(step=step, attempt=1, file=name, sha256=project.sha256(file), state_sha256="", holdout_loss=loss),
        )


def judged(run: Run, checkpoints: Mapping[int, Made], prompts: tuple[str, ...]) -> Verdict:
    """Draw every cell, score it and judge it: pictures are plain, scores come from the world."""
    records = [record.file for record in project.read(run.dataset, Record) if record.split == "train"]
    evidence = world(checkpoints, prompts=len(prompts), pictures=6 + len(records))
    evidence = dataclasses.replace(evidence, prompts=prompts, files=tuple(records))
    frozen = _frozen(run, prompts, evidence.seeds)
    project.write_record(run.suite, frozen)
    generations = [
        _drawn(run, frozen, suite.cell(frozen, prompt, seed, checkpoint))
        for checkpoint in evidence.drawn
        for prompt in evidence.prompts
        for seed in evidence.seeds
    ]
    project.append_all(run.generations, generations)
    contest = enter(evidence, evidence.checkpoints, resamples=50)
    project.write_lines(run.scores, list(scores.lines(contest.fitted, evidence)))
    verdict = judge(evidence, Race(evidence.checkpoints, (), (), ()), resamples=200)
    project.write_record(run.verdict, verdict)
    return verdict


def _frozen(run: Run, prompts: tuple[str, ...], seeds: tuple[int, ...]) -> Suite:
    return Suite(
        frozen="2026-11-26T12:00:00+00:00",
        prompts=tuple(SuitePrompt(text=prompt, scored=prompt, group="own") for prompt in prompts),
        drift_probe=(),
        copy_probe=(),
        seeds=seeds,
        base_seeds=seeds,
        fresh_seeds=(),
        probe_seeds=(),
        guidance=3.0,
        strength=1.0,
        sampler="ddim",
        steps=2,
        negative="",
        width_px=SIDE_PX,
        height_px=SIDE_PX,
        ground="white",
        fit="pad",
        references=(),
        rivals=tuple(Rival(checkpoint=one.step, sha256=one.sha256) for one in runs.checkpoints(run)),
        base="mini",
        base_sha256="0" * 64,
        embedder="squeezenet",
        reader=None,
        versions={},
    )


def _drawn(run: Run, frozen: Suite, cell: Cell) -> Generation:
    key = project.fingerprint(cell.model_dump(mode="json"))
    path = run.folder / "generations" / f"{key[:16]}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (SIDE_PX, SIDE_PX), (int(key[:2], 16), int(key[2:4], 16), int(key[4:6], 16))).save(path)
    file = path.relative_to(run.folder).as_posix()
    adapter = next((one.sha256 for one in frozen.rivals if one.checkpoint == cell.checkpoint), "")
    made_of = runs.cell_fingerprint(cell, frozen.base_sha256, adapter)
    return Generation(cell=cell, fingerprint=made_of, file=file, sha256=project.sha256(path), seconds=0.1)
