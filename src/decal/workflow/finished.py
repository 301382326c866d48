"""A finished training of another tool as a project: its LoRA files as the checkpoints of a run, so that all that judges a run judges it."""

import json
import logging
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from decal import dataset, embeddings, grid, numbering, project, runs
from decal.errors import AdapterError, DataError, SettingsError
from decal.metadata import METADATA
from decal.numbering import Numbered
from decal.presets import as_folder, base_preset
from decal.project import Project, Run
from decal.records import Checkpoint, Record
from decal.settings import parse, resolve, to_toml
from decal.suite import LEAD_WORDS, Frame
from decal.workflow.beginning import COMPARE_PROMPTS, GRID_PROMPTS
from decal.workflow.checking import check
from decal.workflow.choice import settings_of

logger = logging.getLogger(__name__)

RUN = "run-01"
HELD_OUT = "held-out"
# What is wrong with captions alone: nothing is trained here, and a picture without one is still what checkpoints are compared with.
OF_CAPTIONS = frozenset(("no_caption", "empty_caption", "no_keyword", "long_caption"))


@dataclass(frozen=True)
class Finished:
    """What there is of a finished training. adapters: paths, patterns or folders. data, heldout: as after `decal new --from`; pictures that
    it was trained on, and others of the kind that it was not. keyword: "" where it is to be found in the files or captions.
    """

    adapters: tuple[str, ...]
    model: str
    data: str | None
    heldout: str | None
    keyword: str
    out: Path


def take_in(order: Finished) -> list[str]:
    """Make a project of it, or bring one up to date with files that came since; gives what to tell.

    Raises AdapterError where no file fits the base; files that do not fit beside others that do are left out with a warning.
    """
    numbered = numbering.number(numbering.files(order.adapters))
    at = Project(order.out)
    told = numbering.told(numbered)
    if at.settings.exists():
        _require_same(at, order)
    else:
        told += _begin(at, order, [one.path for one in numbered])
    return told + _take_files(at, numbered)


def _require_same(at: Project, order: Finished) -> None:
    known = settings_of(at, []).base.model
    if not any(at.folder.glob(f"runs/{RUN}/checkpoints.jsonl")) and any(at.folder.glob("runs/*/run.json")):
        raise SettingsError(f"{at.folder} is a project of its own.\nName another folder with --out.")
    if order.model not in (known, "") and str(as_folder(order.model) or order.model) != known:
        raise SettingsError(f"{at.folder} was begun with the base {known}, not {order.model}.\nName another folder with --out.")


def _begin(at: Project, order: Finished, paths: Sequence[Path]) -> list[str]:
    """Bring the pictures in and write prompts and settings, these last."""
    if order.data is None or not order.model:
        missing = " and ".join(name for name, given in (("--data", order.data), ("--base", order.model)) if not given)
        raise SettingsError(
            f"{missing} {'are' if ' and ' in missing else 'is'} missing.\n"
            "decal compare --adapters 'out/*.safetensors' --base sd1.5 --data pictures/  compares what was trained on those pictures."
        )
    if at.dataset.exists():
        raise SettingsError(f"{at.dataset} is there already, without settings; it is left alone.\nName another folder with --out.")
    base_preset(order.model)
    brought = dataset.bring_in(order.data, at.dataset)
    sources, told = [brought.source], [f"trained on: {brought.told()}"]
    if order.heldout is not None:
        other = dataset.bring_in(order.heldout, at.folder / HELD_OUT)
        _merge(at, at.folder / HELD_OUT)
        sources.append(other.source)
        told.append(f"held out: {other.told()}")
    project.write_lines(at.sources, sources)
    captions = [text for row in dataset.scan(at.dataset).rows for text in row.captions if text]
    keyword = order.keyword or shared_keyword(paths, captions)
    if keyword and not order.keyword:
        told.append(f'keyword: "{keyword}", from the files or from all captions; --keyword names another')
    template = "{subject}, {keyword} style" if keyword else "{subject}"
    avoid: list[str] = []
    for path, count in ((at.prompts, GRID_PROMPTS), (at.compare_prompts, COMPARE_PROMPTS)):
        project.write_text(path, "\n".join(grid.propose(captions, keyword, frame_of(captions, template, keyword), count, avoid)) + "\n")
        avoid += grid.read_prompts(path)
    table: dict[str, dict[str, object]] = {
        "base": {"model": str(as_folder(order.model) or order.model)},
        "data": {"holdout_share": 0.0, "faulty": "leave out"},
        "caption": {"keyword": keyword, "kind_words": [], "template": template},
    }
    parse(table, where="decal compare --adapters")
    project.write_text(at.settings, to_toml(table))
    return told


def _take_files(at: Project, numbered: Sequence[Numbered]) -> list[str]:
    """Put the files into the run, each once it is known to fit; where all are there, nothing is loaded or looked at."""
    run = at.run(RUN)
    kept = {one.step: one for one in runs.checkpoints(run) if runs.is_whole(run, one)}
    hashes = {one.step: project.sha256(one.path) for one in numbered}
    fresh = [one for one in numbered if one.step not in kept or kept[one.step].sha256 != hashes[one.step]]
    told = ["the files are there already"]
    if fresh or not run.about.exists():
        told = _take_new(at, run, kept, [(one, hashes[one.step]) for one in fresh])
    records = project.read(run.dataset, Record)
    if not any(caption.strip() for record in records for caption in record.captions):
        told.append("no picture has a caption, so no prompt can be held against what was trained on")
    if not any(record.split == "holdout" for record in records):
        told.append(
            "nothing is held out, so a copy of a picture that was trained on looks good\n"
            "  --heldout DIR names pictures of the same kind that it has not seen"
        )
    return told


def _take_new(at: Project, run: Run, kept: dict[int, Checkpoint], fresh: Sequence[tuple[Numbered, str]]) -> list[str]:
    """The files that are not in the run yet, with their hashes, put into it."""
    import torch

    from decal import adapters
    from decal.bases import load, outline

    model = settings_of(at, []).base.model
    built = outline(model)
    problems: list[str] = []
    ranks = [runs.about(run).settings.train.rank] if run.about.exists() else []
    kinds: set[str] = set()
    for one, sha256 in fresh:
        try:
            adapter = adapters.read(one.path, built.parts)
        except AdapterError as problem:
            problems.append(str(problem))
            continue
        ranks.append(max((layer.rank for layer in adapter.layers.values()), default=1) or 1)
        kinds |= set(adapter.kinds)
        kept[one.step] = Checkpoint(step=one.step, attempt=1, file=_copied(run, one), sha256=sha256, state_sha256="", holdout_loss=None)
    if not kept:
        raise AdapterError("\n".join(problems[:3]))
    for sentence in problems:
        logger.warning("left out: %s", sentence)
    _write_run(at, run, kept, max(ranks), load(model, device=torch.device("cpu"), dtype=torch.float32).fingerprint())
    return [f"{', '.join(sorted(kinds))} of rank {max(ranks)}"] if kinds else []


def _write_run(at: Project, run: Run, kept: dict[int, Checkpoint], rank: int, base: str) -> None:
    settings = settings_of(at, [])
    checked = check(at, settings)
    faulty = {finding.file for finding in checked.findings if finding.level == "error" and finding.check not in OF_CAPTIONS}
    looks = {file: look for file, look in checked.looks.items() if file not in faulty}
    found = dataset.records(checked.listing, looks, holdout_share=0, seed=0)
    records = [one.model_copy(update={"split": "holdout"}) if one.file.startswith(f"{HELD_OUT}/") else one for one in found]
    if not any(record.split == "train" for record in records):
        raise DataError(f"{at.dataset} has no picture that can be used.\nSee  decal check {at.folder}")
    train = settings.train.model_copy(update={"steps": max(kept), "rank": rank, "alpha": float(rank), "targets": "imported"})
    resolved = resolve(settings.model_copy(update={"train": train}), 1)
    if run.about.exists():
        runs.go_on(run, resolved, records, device=runs.about(run).device)
    else:
        runs.begin(run, resolved, records, device="unknown: trained elsewhere", base=base)
    project.write_lines(run.checkpoints, [kept[step] for step in sorted(kept)])


def _copied(run: Run, one: Numbered) -> str:
    """The file in the run, as a link where the disk has it already; its path relative to the run."""
    target = run.checkpoint(one.step) / one.path.name
    with project.staged_folder(target.parent) as staged:
        beside = [one.path, *([one.path.with_name("adapter_config.json")] if one.path.name.startswith("adapter_model") else [])]
        beside += [learnt.path for learnt in embeddings.beside(one.path).values()]
        for path in beside:
            if path.is_file():
                try:
                    os.link(path.resolve(), staged / path.name)
                except OSError:
                    shutil.copyfile(path, staged / path.name)
    return target.relative_to(run.folder).as_posix()


def _merge(at: Project, other: Path) -> None:
    """Put an imagefolder into a folder of the data set, with its lines."""
    lines = []
    for line in (other / METADATA).read_text("utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue  # A line that cannot be used says nothing of a picture.
        if isinstance(row, dict) and isinstance(row.get("file_name"), str):
            lines.append(json.dumps(row | {"file_name": f"{HELD_OUT}/{row['file_name']}"}, sort_keys=True, ensure_ascii=False))
    (other / METADATA).unlink()
    other.rename(at.dataset / HELD_OUT)
    before = (at.dataset / METADATA).read_bytes()
    project.write_bytes(at.dataset / METADATA, before.rstrip(b"\n") + b"\n" + "".join(f"{line}\n" for line in lines).encode())


def shared_keyword(paths: Sequence[Path], captions: Sequence[str]) -> str:
    """What the files call their trigger, or else the first word that all captions have in the same place."""
    for path in paths:
        if trigger := numbering.header(path).get("modelspec.trigger_phrase", "").strip():
            return trigger
    rows: list[list[str]] = [re.findall(r"[\w-]+", caption) for caption in captions]
    for words in zip(*rows, strict=False) if len(rows) > 1 else ():
        if len(set(words)) > 1:
            break
        if words[0].casefold() not in LEAD_WORDS:
            return str(words[0])
    return ""


def frame_of(captions: Sequence[str], template: str, keyword: str) -> str:
    """A template with what all captions say around their subject, so that prompts look like captions."""
    return Frame.of(captions, template, keyword).put("{subject}")
