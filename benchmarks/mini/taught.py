"""A LoRA for a style that the base has not seen, by Decal's own training at the preset of the embedded base."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from decal import project, runs, workflow
from decal.presets import MINI
from decal.project import Project
from decal.workflow import Choice, Order
from mini.drawn import Candidate
from mini.truth import NAMES, Gallery

TRAINING_PICTURES = 30
UNTAUGHT_CONCEPTS = 60  # at most: a style with fewer pictures has fewer

# Words without meaning, so that a base has nothing to go on but the LoRA.
KEYWORDS = {"game-icons": "velmor", "streamline-emojis": "brisak", "streamline-cyber": "quendo", "openmoji": "taviro"}


@dataclass(frozen=True)
class Split:
    """The pictures of one style: those that are trained on, and those of other concepts, which are drawn and compared with."""

    style: str
    learnt: Gallery
    untaught: Gallery

    def prompt(self, concept: str) -> str:
        """What is asked for, which is also the caption of the concept's training picture."""
        return f"{KEYWORDS[self.style]} style sticker of {NAMES[concept]}"


@dataclass(frozen=True)
class Lora:
    """What came out of a training. file: the portable weights. step_seconds: the mean time of a step."""

    file: Path
    step_seconds: float


def split(pictures: Gallery) -> Split:
    """Thirty pictures to train on, drawn at random, the same ones for every base."""
    order = np.random.default_rng(0).permutation(len(pictures))
    untaught = np.sort(order[TRAINING_PICTURES : TRAINING_PICTURES + UNTAUGHT_CONCEPTS])
    return Split(str(pictures.styles[0]), pictures.only(np.sort(order[:TRAINING_PICTURES])), pictures.only(untaught))


def train(base: Candidate, material: Split, changes: Sequence[str]) -> Lora:
    """Make a project of the training pictures and train it; a training that is there already is not done again.

    changes: settings as in `decal train --set`, over those of the preset.
    """
    settings = [
        f"train.rank={MINI.rank}",
        f"train.targets={MINI.targets}",
        f"train.learning_rate={MINI.learning_rate}",
        f"train.batch={MINI.batch}",
        f"train.steps={MINI.steps}",
        f"train.checkpoint_every={MINI.steps}",
        "data.holdout_share=0",
        "train.validation_prompts=[]",
        "train.trackers=[]",
        *changes,
    ]
    at = Project(base.work / f"lora-{material.style}-{project.fingerprint(*settings)[:8]}")
    if not at.settings.exists():
        source = at.folder.with_name(f"{at.folder.name}-pictures")
        _write(material, source)
        workflow.new(at.folder, Order(source, KEYWORDS[material.style], str(base.folder), "stickers"))
    for _ in workflow.train(at, workflow.settings_of(at, settings), Choice(), lambda: False):
        pass
    run = at.runs()[-1]
    last = runs.checkpoints(run)[-1]
    # The first steps also pay for what is set up once.
    seconds = [step.seconds for step in project.read_steps(run.steps) if step.step > 5]
    return Lora(runs.verified(run, last), float(np.mean(seconds)))


def _write(material: Split, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for pixels, concept in zip(material.learnt.pixels, material.learnt.concepts, strict=True):
        Image.fromarray(pixels).save(folder / f"{concept}.png")
        lines.append(f'{{"file_name": "{concept}.png", "text": "{material.prompt(str(concept))}"}}\n')
    (folder / "metadata.jsonl").write_text("".join(lines), "utf-8")
