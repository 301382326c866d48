"""One training after it was drawn with: how good each checkpoint is, and what each rule would choose.

The run folder comes in, `Judged` goes out. The verdict is that of `decal compare` on the same suite, race included; nothing is drawn for
it, because everything that it may ask for is there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from oracle import nearness
from PIL import Image
from plan import DRAWN_WITH, JUDGED_SEEDS, NAMES, SEEDS, Pictures, Training
from regrets import Numbers, mean_cosine
from trained import read

from decal import judging, project, runs, suite
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


@dataclass(frozen=True)
class Judged:
    """What came out. quality: of each picture, [C, P, S]; base: of the base's, [P, S].

    choices, verdicts: by the seeds that they saw; choices by rule, from 0, None for none.
    """

    training: Training
    steps: tuple[int, ...]
    quality: Numbers
    base: Numbers
    choices: dict[Seeds, dict[str, int | None]]
    verdicts: dict[Seeds, Verdict]

    def by_seeds(self, seeds: Sequence[int]) -> Numbers:
        """Quality of each checkpoint on some seeds, [C]."""
        return np.asarray(self.quality[:, :, list(seeds)].mean(axis=(1, 2)), np.float64)


def judged(training: Training, at: Project, true: Pictures) -> Judged:
    """Measure and judge the checkpoints of a training that was drawn with. true: the pictures of its style."""
    goal = np.stack([true[concept] for concept in training.asked])
    every = _bench(training, at, SEEDS)
    steps = tuple(rival.checkpoint for rival in every.suite.rivals)
    quality = _quality(every, goal, (0, *steps))
    losses = [runs.checkpoints(at.runs()[-1])[place].holdout_loss for place in range(len(steps))]
    choices: dict[Seeds, dict[str, int | None]] = {}
    verdicts: dict[Seeds, Verdict] = {}
    for seeds in JUDGED:
        evidence, verdict = _verdict(_bench(training, at, seeds))
        verdicts[seeds] = verdict
        choices[seeds] = {
            "verdict": _place(steps, verdict.checkpoint),
            "earliest": _place(steps, verdict.earliest),
            "last": len(steps) - 1,
            "lowest held-out loss": int(np.argmin([np.inf if loss is None else loss for loss in losses])),
            "mean cosine, training": mean_cosine(evidence, evidence.training, steps),
            "mean cosine, held out": mean_cosine(evidence, evidence.heldout, steps),
            "best on what is seen": int(quality[1:, :, list(seeds)].mean(axis=(1, 2)).argmax()),
        }
    return Judged(training, steps, quality[1:], quality[0], choices, verdicts)


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
