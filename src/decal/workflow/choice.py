"""Which settings and which run a command works on."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from decal import grid, project, runs
from decal.errors import ProjectError, SettingsError
from decal.project import Project, Run
from decal.records import Checkpoint, Record
from decal.settings import Resolved, Settings, read, resolve
from decal.wording import counted

logger = logging.getLogger(__name__)


def settings_of(at: Project, changes: Sequence[str]) -> Settings:
    """The settings of a project with `--set` changes applied."""
    return read(at.settings, changes)


@dataclass(frozen=True)
class Choice:
    """Which run a command works on. name: None for the newest that is no control. is_new: begin another one."""

    name: str | None = None
    is_new: bool = False
    accept_changes: bool = False


def run_to_train(at: Project, choice: Choice) -> Run:
    """The run that training goes on with, or a new one; where none is named, a control goes on with a control, and others with others."""
    if choice.name is not None and choice.is_new and at.run(choice.name).about.exists():
        raise SettingsError(f"There is a run {choice.name!r} already.\nLeave --new-run out to go on with it, or name another one.")
    waiting = {run.name: run for run in at.waiting()}
    if choice.name is not None:
        return at.run(choice.name) if choice.is_new or choice.name in waiting else runs.newest(at, choice.name)
    if waiting:
        return next(iter(waiting.values()))
    known = [run for run in at.runs() if run.is_control == at.is_control]
    return at.run(runs.next_name(at)) if choice.is_new or not known else known[-1]


def run_of(at: Project, name: str | None) -> Run:
    """The run of that name, or the newest that is no control; says so where that makes a difference."""
    run = runs.newest(at, name)
    if name is None and (controls := runs.newer_controls(at, run)):
        logger.warning(
            "%s is taken: %s is newer, but a control with buckets by lot; --run %s takes it",
            run.name,
            controls[-1].name,
            controls[-1].name,
        )
    return run


def warn_of_control(run: Run) -> None:
    """Say of a run that leaves the house that it is a control, where it is one."""
    if run.is_control:
        logger.warning("%s is a control: its buckets were drawn by lot, so its words of engagement mean nothing", run.name)


def trained(at: Project, settings: Settings, choice: Choice) -> tuple[Run, Resolved, list[Checkpoint]]:
    """A run, its settings with the drawing settings of today, and its checkpoints."""
    run = run_of(at, choice.name)
    begun = runs.about(run).settings
    today = resolve(settings.model_copy(update={"base": begun.base, "data": begun.data, "train": begun.train}), 1)
    machine = begun.train.model_copy(update={"device": settings.train.device, "precision": settings.train.precision})
    checkpoints = []
    for checkpoint in runs.checkpoints(run):
        if lost := runs.lost(run, checkpoint):
            logger.warning("%s is missing or damaged; step %d is left out", " and ".join(map(str, lost)), checkpoint.step)
        else:
            checkpoints.append(checkpoint)
    if not checkpoints:
        raise ProjectError(f"{run.folder} has no whole checkpoint.\nTrain it with  decal train {at.folder} --run {run.name}")
    return run, begun.model_copy(update={"compare": today.compare, "grid": today.grid, "train": machine}), checkpoints


@dataclass(frozen=True)
class Chosen:
    """A checkpoint to draw with. why: why this one, where nobody asked for it."""

    checkpoint: Checkpoint
    why: str


def chosen(run: Run, checkpoints: list[Checkpoint], step: int | None) -> Chosen:
    """The checkpoint of that step; for None that of the verdict, or else the last: the lowest held-out loss does not name the best."""
    by_step = {checkpoint.step: checkpoint for checkpoint in checkpoints}
    if step is None:
        verdict = runs.verdict_of(run)
        if verdict is not None and verdict.checkpoint in by_step:
            said = "best guess" if verdict.outcome == "undecided" else "choice"
            return Chosen(by_step[verdict.checkpoint], f"the {said} of the comparison; --checkpoint takes another")
        if verdict is not None and verdict.checkpoint is not None:
            raise SettingsError(
                f"{run.folder}: the file of step {verdict.checkpoint:,}, which the comparison chose, is missing or damaged.\n"
                f"Put it back, compare again with  decal compare, or take another with --checkpoint: {_listed(checkpoints)}."
            )
        none = "nothing was compared yet" if verdict is None else "the comparison keeps none"
        return Chosen(checkpoints[-1], f"the last, for {none}; --checkpoint takes another")
    if step in by_step:
        return Chosen(by_step[step], "")
    raise SettingsError(f"There is no checkpoint at step {step}.\nThere are: {_listed(checkpoints)}.")


def _listed(checkpoints: Sequence[Checkpoint]) -> str:
    return ", ".join(str(checkpoint.step) for checkpoint in checkpoints)


def new_prompts(path: Path, run: Run, resolved: Resolved) -> list[str]:
    """The prompts of a file. Raises SettingsError where one is not new against the training captions."""
    prompts = grid.read_prompts(path)
    seen = grid.seen(prompts, *trained_words(run, resolved))
    if seen:
        pairs = "\n".join(f'  "{prompt}" is in the training caption "{text}"' for prompt, text in seen)
        raise SettingsError(
            f"{path}: {len(seen)} of {counted(len(prompts), 'prompt')} not new.\n{pairs}\n"
            "Write others, about things that were not trained on."
        )
    return prompts


def unsaid(prompts: Sequence[str], path: Path, resolved: Resolved) -> str:
    """What is said of the prompts of a file where none of them holds a word that has embeddings of its own; "" otherwise."""
    words = resolved.train.pivotal_words
    if not prompts or not words or any(word in prompt for prompt in prompts for word in words):
        return ""
    return f"{path.name} holds none of the words that were learnt ({', '.join(words)})"


def trained_words(run: Run, resolved: Resolved) -> tuple[list[str], list[str]]:
    """The captions that a run was trained on or measured with, and the words that say nothing of what is in a picture."""
    captions = [caption for record in project.read(run.dataset, Record) for caption in record.captions]
    caption = resolved.caption
    return captions, [caption.keyword, *caption.kind_words, *caption.style_words, *resolved.train.pivotal_words]
