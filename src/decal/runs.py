"""What stands in a run folder: how it began, what is done, and whether it may go on.

Done means: there is a record, and its file is there with the hash that the record names. Whatever is not done is made again.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import ValidationError

from decal import embeddings, project
from decal.errors import ChangedError, ProjectError, SettingsError
from decal.project import Project, Run
from decal.records import Cell, Checkpoint, Generation, Line, Record, Start, Suite, Verdict
from decal.settings import Resolved, Settings, changed, options

logger = logging.getLogger(__name__)

PACKAGES = ("decal", "torch", "diffusers", "transformers", "peft", "accelerate", "pillow")


FIXED = (
    "base.model:",
    "base.teacher:",
    "train.recipe:",
    "train.rank:",
    "train.ranks:",
    "train.targets:",
    "train.algorithm:",
    "train.pivotal:",
    "train.pivotal_words:",
)
"""Beginnings of what `changed` says of settings that the saved weights are made of."""


class About(Line):
    """`run.json`: what a run was begun with.

    begun: UTC, ISO 8601. device: with the type that the base computes in. data: hash of the files, captions and split. base: hash of the
    base model's files. taught: hash of those of the model that it is trained on, where that is another. is_control: trained on buckets by
    lot, to hold another run against it.
    """

    begun: str
    settings: Resolved
    versions: dict[str, str]
    device: str
    data: str
    base: str
    taught: str | None = None
    is_control: bool = False


def about(run: Run) -> About:
    """What the run was begun with. Raises ProjectError where `run.json` is damaged."""
    try:
        return About.model_validate(project.read_json(run.about))
    except ValidationError as problem:
        raise ProjectError(
            f"{run.about} was edited or written by another version of decal ({problem.errors()[0]['msg']}).\nBegin anew with --new-run."
        ) from problem


def newest(at: Project, name: str | None) -> Run:
    """The run of that name, or the newest that is no control. Raises ProjectError where there is none."""
    known = at.runs()
    if name is not None:
        run = at.run(name)
        if not run.about.exists():
            names = ", ".join(known_run.name for known_run in known) or "none"
            raise ProjectError(f"There is no run {name!r} in {at.folder}.\nThere are: {names}.")
        return run
    if not known:
        raise ProjectError(f"{at.folder} has no run yet.\nTrain one with  decal train {at.folder}")
    real = [run for run in known if not run.is_control]
    if not real:
        raise ProjectError(
            f"{at.folder} has no run but {known[-1].name}, a control: its buckets were drawn by lot.\n"
            f"Name it with --run {known[-1].name}, or train on the real ones:  decal posts plan, build,  then  decal train {at.folder}"
        )
    return real[-1]


def newer_controls(at: Project, run: Run) -> list[Run]:
    """The controls that were begun after a run that is none, and that are passed over where no run is named."""
    known = at.runs()
    return [] if run.is_control else [one for one in known[known.index(run) + 1 :] if one.is_control]


def next_name(at: Project) -> str:
    """A name for a new run that no run has."""
    number = 1
    while any((at.folder / "runs" / f"run-{number:02d}" / name).exists() for name in ("run.json", "start.json")):
        number += 1
    return f"run-{number:02d}"


def with_start(run: Run, settings: Settings) -> Settings:
    """The settings with the rank and targets of the LoRA that the run begins with, where there is one.

    Raises SettingsError where they are set otherwise: they are what its weights are made of.
    """
    start = project.read_record(run.start, Start)
    if start is not None:
        return fixed_by(start, settings)
    if settings.train.targets == "imported":
        raise SettingsError(
            f'train.targets is "imported", and {run.name} does not begin with a LoRA of another tool.\n'
            'Bring one with  decal import FILE  or write "attention" or "all".'
        )
    return settings


def fixed_by(start: Start, settings: Settings) -> Settings:
    """The settings with what an imported LoRA fixes. Raises SettingsError where something of it is set otherwise."""
    train = settings.train
    wrong = [
        f"train.{key} is {given!r}, {start.file} has {its!r}"
        for key, given, its in (("rank", train.rank, start.rank), ("targets", train.targets, start.targets))
        if given not in (None, its)
    ]
    if train.algorithm != "lora" or train.ranks:
        wrong.append(f'train.algorithm is "{train.algorithm}", train.ranks {train.ranks}, {start.file} is a plain LoRA of one rank')
    if wrong:
        raise SettingsError(f"An imported LoRA fixes rank, targets and kind: {'; '.join(wrong)}.\nLeave them out of the settings.")
    return settings.model_copy(update={"train": train.model_copy(update={"rank": start.rank, "targets": start.targets})})


def start_factors(run: Run) -> Path | None:
    """The factors that the run begins with; None for new ones. Raises ProjectError where they are missing or damaged."""
    start = project.read_record(run.start, Start)
    if start is None:
        return None
    if not run.start_factors.is_file() or project.sha256(run.start_factors) != start.factors_sha256:
        raise ProjectError(
            f"{run.start_factors} is missing or damaged, and {run.name} begins with it.\n"
            f"Import {start.file} again into a new run, or put the file back."
        )
    return run.start_factors


def begin(run: Run, settings: Resolved, records: Sequence[Record], *, device: str, base: str, taught: str | None = None) -> None:
    """Write what a new run begins with. base, taught: as in `About`."""
    project.write_lines(run.dataset, list(records))
    _write(run, settings, records, _Origin(device, base, taught, datetime.now(UTC).isoformat(timespec="seconds")))


def require_same(run: Run, settings: Resolved, records: Sequence[Record], *, accept_changes: bool) -> None:
    """Make sure that a run goes on as it was begun; writes nothing.

    Raises ChangedError that names every setting that differs, unless the changes are accepted, and always for one that can never change:
    the base, the recipe, the ranks, the targets and the kind are what the saved weights are made of.
    """
    before = about(run)
    fixed = [one for one in changed(before.settings, settings) if one.startswith(FIXED)]
    if fixed:
        raise ChangedError(
            f"{run.folder}: this run cannot go on with another base, recipe, rank, kind or targets.\n  "
            + "\n  ".join(fixed)
            + "\nBegin another run with --new-run, or put the old ones back."
        )
    found = changes(run, settings, records)
    if found and not accept_changes:
        raise ChangedError(
            f"{run.folder}: this run was begun with other settings.\n  "
            + "\n  ".join(found)
            + f"\nGo on as it was begun with{options(settings, before.settings) or ' the old pictures'}; "
            "go on with the new ones by --accept-changes, or begin another run by --new-run."
        )
    for change in found:
        logger.warning("%s goes on with %s", run.name, change)


def changes(run: Run, settings: Resolved, records: Sequence[Record]) -> list[str]:
    """What is other than when the run was begun and decides its weights, one sentence each."""
    before = about(run)
    found = changed(before.settings, settings)
    if before.data != _data(records):
        found.append(f"dataset: {_difference(project.read(run.dataset, Record), records)}")
    return found


def go_on(run: Run, settings: Resolved, records: Sequence[Record], *, device: str) -> None:
    """Write what a run goes on with; warns where the bytes need no longer be those of an undisturbed run."""
    before = about(run)
    now = {"device": device, **_versions()}
    for name, was in {"device": before.device, **before.versions}.items():
        if now.get(name, was) != was:
            logger.warning(
                "%s was begun with %s %s and goes on with %s; the weights may differ in the last digits", run.name, name, was, now[name]
            )
    project.write_lines(run.dataset, list(records))
    _write(run, settings, records, _Origin(device, before.base, before.taught, before.begun))


def checkpoints(run: Run) -> list[Checkpoint]:
    """The checkpoints by step; where an attempt made one anew, the older attempts' records from there on are dropped."""
    made: list[Checkpoint] = []
    for line in project.read(run.checkpoints, Checkpoint):
        made = [one for one in made if one.step < line.step]
        made.append(line)
    return made


PAST_MINIMUM = 3
"""Checkpoints were seen to be good up to three times the steps of the lowest held-out loss. Source: spacepxl/demystifying-sd-finetuning."""


def is_complete(run: Run, settings: Resolved) -> bool:
    """Whether the last step has its checkpoint, or with `train.stop = "auto"` the last one that is needed."""
    known = checkpoints(run)
    if not known or not is_whole(run, known[-1]):
        return False
    return known[-1].step >= settings.train.steps or (settings.train.stop == "auto" and is_past_minimum(known))


def is_past_minimum(known: Sequence[Checkpoint]) -> bool:
    """Whether the held-out loss was lowest so long ago that training on can be of no use, and twice measured since."""
    losses = {checkpoint.step: checkpoint.holdout_loss for checkpoint in known if checkpoint.holdout_loss is not None}
    if not losses:
        return False
    lowest = min(losses, key=lambda step: (losses[step], step))
    return max(losses) >= PAST_MINIMUM * lowest and sum(step > lowest for step in losses) >= 2


def lost(run: Run, checkpoint: Checkpoint) -> list[Path]:
    """The portable files of a checkpoint, the LoRA and its embeddings, that are not there or not what was recorded."""
    path = run.folder / checkpoint.file
    is_there = path.is_file() and project.sha256(path) == checkpoint.sha256
    return embeddings.lost(path) if is_there else [path]


def is_whole(run: Run, checkpoint: Checkpoint) -> bool:
    """Whether the portable files of a checkpoint are there and are what was recorded."""
    return not lost(run, checkpoint)


def verdict_of(run: Run) -> Verdict | None:
    """The verdict of a run that still holds; None where it was not compared, or trained anew since."""
    verdict, frozen = project.read_record(run.verdict, Verdict), project.read_record(run.suite, Suite)
    if verdict is None or frozen is None:
        return None
    weights = {checkpoint.step: checkpoint.sha256 for checkpoint in checkpoints(run)}
    return verdict if all(weights.get(rival.checkpoint) == rival.sha256 for rival in frozen.rivals) else None


def verified(run: Run, checkpoint: Checkpoint) -> Path:
    """The portable file of a checkpoint. Raises ProjectError where it is missing or not what was recorded."""
    path = run.folder / checkpoint.file
    if not is_whole(run, checkpoint):
        what = "is damaged" if path.is_file() else "is missing"
        raise ProjectError(
            f"{path} {what}: it is not the file that was recorded at step {checkpoint.step}.\n"
            f"Put it back, take another step with --checkpoint, or train again with --new-run."
        )
    return path


def drawn(run: Run, stream: Path) -> dict[str, Generation]:
    """The pictures of a stream that are there and whole, by fingerprint."""
    whole: dict[str, Generation] = {}
    for generation in project.read(stream, Generation):
        path = run.folder / generation.file
        if path.is_file() and project.sha256(path) == generation.sha256:
            whole[generation.fingerprint] = generation
    return whole


def cell_fingerprint(cell: Cell, base: str, adapter: str) -> str:
    """What a picture is made of: its cell, the base's files and the adapter's bytes."""
    return project.fingerprint(cell.model_dump(mode="json"), base, adapter)


@dataclass(frozen=True)
class _Origin:
    """What stays the same over all sittings of a run, but for the device."""

    device: str
    base: str
    taught: str | None
    begun: str


def _write(run: Run, settings: Resolved, records: Sequence[Record], origin: _Origin) -> None:
    is_control = run.is_control or Project(run.folder.parents[1]).is_control
    line = About(settings=settings, versions=_versions(), data=_data(records), is_control=is_control, **vars(origin))
    project.write_text(run.about, line.model_dump_json(indent=2) + "\n")


def _data(records: Sequence[Record]) -> str:
    return project.fingerprint([_identity(record) for record in records])


def _identity(record: Record) -> tuple[object, ...]:
    """What a picture adds to the hash of the data; repeats, captions and masks only where there are some, so that old hashes stay."""
    told: tuple[object, ...] = (record.file, record.sha256, record.caption, record.split)
    if record.other_captions or record.repeats != 1:
        told = (*told, record.other_captions, record.repeats)
    return (*told, "mask", record.mask_sha256) if record.mask_sha256 else told


def _difference(before: Sequence[Record], after: Sequence[Record]) -> str:
    old, new = ({record.file: record for record in records} for records in (before, after))
    parts = {
        "added": sorted(new.keys() - old.keys()),
        "gone": sorted(old.keys() - new.keys()),
        "changed": sorted(file for file in new.keys() & old.keys() if new[file] != old[file]),
    }
    told = [f"{len(files)} {what} ({', '.join(files[:3])}{', ...' if len(files) > 3 else ''})" for what, files in parts.items() if files]
    return "; ".join(told) or "the order of the pictures is another"


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
