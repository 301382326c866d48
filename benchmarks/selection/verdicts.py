"""One training after it was drawn with: how good each checkpoint is, and what each rule would choose.

The run folder comes in, `Judged` goes out. The verdict is that of `decal compare` on the same suite, race included; nothing is drawn for
it, because everything that it may ask for is there.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from oracle import nearness
from PIL import Image
from plan import DRAWN_WITH, JUDGED_SEEDS, NAMES, SEEDS, Pictures, Training
from regrets import Numbers, mean_cosine, mean_cosines
from results import Judged, Said, View
from trained import read

from decal import judging, project, runs, suite
from decal.compare.contest import enter
from decal.embedders.where import DEFAULT
from decal.judging import Bench
from decal.project import Project
from decal.records import Record, Rival, SuitePrompt, Verdict
from decal.scores.evidence import Evidence
from decal.viewing import Viewer

BASELINES = ("last", "lowest held-out loss", "mean cosine, training", "mean cosine, held out")
Seeds = tuple[int, ...]
JUDGED: tuple[Seeds, ...] = (JUDGED_SEEDS, JUDGED_SEEDS[:1])
"""The seeds that choices are made by: as many as `decal compare` draws by default, and the first alone."""
DIGITS = 4


def judged(training: Training, at: Project, true: Pictures) -> Judged:
    """Measure and judge the checkpoints of a training that was drawn with. true: the pictures of its style."""
    goal = np.stack([true[concept] for concept in training.asked])
    every = _bench(training, at, SEEDS)
    steps = tuple(rival.checkpoint for rival in every.suite.rivals)
    quality = _quality(every, goal, (0, *steps)).round(DIGITS)
    return Judged(
        training=training.name,
        style=training.style,
        recipe=training.recipe.name,
        settings=training.settings,
        base_model=every.suite.base_sha256,
        asked=training.asked,
        steps=steps,
        pictures=tuple(tuple(tuple(row) for row in table) for table in quality[1:].tolist()),
        base=tuple(tuple(row) for row in quality[0].tolist()),
        views=tuple(_view(_bench(training, at, seeds), quality[1:][:, :, [SEEDS.index(seed) for seed in seeds]]) for seeds in JUDGED),
    )


def _view(case: Bench, quality: Numbers) -> View:
    """What the seeds of a suite show. quality: on them, [C, P, S]."""
    evidence, verdict = _verdict(case)
    steps = evidence.checkpoints
    losses = [evidence.losses[step].mean() if step in evidence.losses else np.inf for step in steps]
    choices = {
        "verdict": _place(steps, verdict.checkpoint),
        "earliest": _place(steps, verdict.earliest),
        "last": len(steps) - 1,
        "lowest held-out loss": int(np.argmin(losses)),
        "mean cosine, training": mean_cosine(evidence, evidence.training, steps),
        "mean cosine, held out": mean_cosine(evidence, evidence.heldout, steps),
        "best on what is seen": int(quality.mean(axis=(1, 2)).argmax()),
    }
    said = Said(
        outcome=verdict.outcome,
        checkpoint=verdict.checkpoint,
        earliest=verdict.earliest,
        places={standing.checkpoint: standing.place for standing in verdict.standings},
        best_share={standing.checkpoint: round(standing.best_share, DIGITS) for standing in verdict.standings},
        reason=verdict.reason,
    )
    return View(seeds=case.suite.seeds, measures=_measures(evidence), choices=choices, said=said)


def _measures(evidence: Evidence) -> dict[str, tuple[float | None, ...]]:
    """Every measure of every checkpoint on all cells, those that left the race early included."""
    steps = evidence.checkpoints
    contest = enter(evidence, steps, resamples=200)
    found = {"utility": contest.utilities()[:, 0]}
    found |= {name: values[:, 0] for name, values in contest.values.items()}
    found |= {f"scaled {name}": values[:, 0] for name, values in contest.scaled.items()}
    found |= {"cosine, training": mean_cosines(evidence, evidence.training, steps)}
    found |= {"cosine, held out": mean_cosines(evidence, evidence.heldout, steps)}
    return {name: tuple(round(value, 6) if np.isfinite(value) else None for value in of.tolist()) for name, of in found.items()}


def _bench(training: Training, at: Project, seeds: Seeds) -> Bench:
    """What `decal compare` would look at, with these seeds."""
    run, resolved, checkpoints = read(at, (*DRAWN_WITH, f"compare.seeds={list(seeds)}"))
    viewer = Viewer(at.cache, DEFAULT, "cpu")
    frozen = suite.freeze(
        [SuitePrompt(text=training.prompt(concept), scored=NAMES[concept], group="own") for concept in training.asked],
        resolved,
        project.read(run.dataset, Record),
        [Rival(checkpoint=one.step, sha256=one.sha256) for one in checkpoints],
        base_sha256=runs.about(run).base,
        embedder=viewer.id,
        reader=None,
        versions={},
    )
    return Bench(at, run, frozen, viewer)


def _verdict(case: Bench) -> tuple[Evidence, Verdict]:
    evidence, state, verdict = judging.of_pictures(case)
    assert not state.cells, f"{case.run.folder} lacks {len(state.cells)} pictures"
    return evidence, verdict


def _quality(case: Bench, goal: NDArray[np.uint8], checkpoints: Sequence[int]) -> Numbers:
    """Of every picture, [C, P, S]."""
    drawn, of = case.drawn(), case.suite
    found = np.zeros((len(checkpoints), len(goal), len(of.seeds)))
    for row, checkpoint in enumerate(checkpoints):
        for column, seed in enumerate(of.seeds):
            asked = [suite.cell(of, prompt.text, seed, checkpoint) for prompt in of.prompts]
            files = [case.run.folder / drawn[case.fingerprint(cell)].file for cell in asked]
            found[row, :, column] = nearness(np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files]), goal)
    return found


def _place(steps: Sequence[int], step: int | None) -> int | None:
    return None if step is None else steps.index(step)
