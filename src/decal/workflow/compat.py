"""A command of diffusers' scripts, done by Decal's own training: a project in `decal/` of the output folder, and their layout beside it.

What the command says goes into `decal.toml`, what it does not say stays as it stands there. The pictures are copied once; whether the
source is still what it was is known from the names, sizes and times of its files.
"""

import json
import re
import shutil
import tomllib
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from decal import captions as texts
from decal import compat, dataset, grid, project, reading, runs
from decal.captions import Tokenizer
from decal.checks import Checked
from decal.compat import Plan, Scene
from decal.compat.layout import MARK, STATE, WEIGHTS, folders, link_logs
from decal.compat.translating import shown
from decal.dataset import Listing
from decal.errors import ChangedError, DataError, ProjectError, SettingsError
from decal.events import Begun, Event, Progress, Stop, Told
from decal.presets import as_folder
from decal.project import Project, Run
from decal.records import Checkpoint, Line
from decal.settings import Settings, parse, to_toml
from decal.wording import counted
from decal.workflow.beginning import COMPARE_PROMPTS, GRID_PROMPTS
from decal.workflow.checking import LOOKED_AT_UNASKED, Texts, check, check_in_place, guest_settings
from decal.workflow.choice import Choice, run_to_train
from decal.workflow.exchange import export_adapter
from decal.workflow.finished import frame_of, shared_keyword
from decal.workflow.preserving import ENDINGS
from decal.workflow.publishing import FOLDER, Target, publish
from decal.workflow.training import is_done, probe_few_steps, train_on

BEGUN = "compat.json"
# Words that say of a caption which kind of picture it is, and not what is in it.
GENERAL = "a an the of with photo photograph picture image drawing painting"
# The name that the DreamBooth script of SDXL gives it.
KOHYA = "pytorch_lora_weights_kohya.safetensors"
REWOUND = "rewound.json"


class From(Line):
    """What the pictures of a project came from; `compat.json`. files: hash of their names, sizes and times; "" for the hub.

    prompt: the caption that all of them were given, if any. prior: as `files`, of the pictures of the kind in general; "" for none.
    """

    source: str
    caption_column: str | None
    limit: int | None
    files: str
    prompt: str | None = None
    prior: str = ""


class Rewound(Line):
    """Which state a run was begun with; `rewound.json` in the run."""

    checkpoint: str
    state_sha256: str


def foresee(plan: Plan) -> Iterator[Event]:
    """Say what a command means and where it does not do what it seems to; nothing is written.

    Raises DataError where a picture cannot be decoded.
    """
    has_cuda = _has_cuda()
    with check_in_place(plan.source, guest_settings([])) as guest:
        captions = _captions(guest.checked.listing, plan)
        keyword = _keyword(plan, captions)
        table = plan.settings(len(captions), keyword=keyword, has_cuda=has_cuda)
        parse({name: dict(values) for name, values in table.items()}, where="this command")
        yield Told("\n".join([_about(plan, len(captions)), *shown(table)]))
        scene = Scene(plan, guest.checked.looks, captions, Tokenizer.of_base(plan.model), {}, keyword, has_cuda)
        yield from _told(plan, scene)
        if broken := _broken(guest.checked):
            raise DataError(f"{broken} of {plan.source} cannot be decoded, so the command would stop there.\nMend or take out each.")


def train_as_typed(plan: Plan, stop: Stop) -> Iterator[Event]:
    """Train what a command asks for, or go on with it, and leave the folder that the scripts leave.

    Raises SettingsError where the pictures are others than those that the output folder was begun with, or where a checkpoint to go on from
    is not there, ChangedError where the command is another than before, and what `train` raises.
    """
    at = Project(plan.project)
    yield from _bring_in(at, plan)
    listing = dataset.scan(at.dataset)
    captions = _captions(listing, plan)
    yield Told(_about(plan, len(captions)))
    settings = _settings(at, plan, captions)
    choice = _choice(at, plan)
    run = run_to_train(at, choice)
    limit = plan.typed["checkpoints_total_limit"]
    kept = None if limit is None else int(limit)
    every, steps = plan.typed.whole("checkpointing_steps"), plan.steps(len(captions))
    if is_done(at, settings, run):
        compat.lay_out(run, plan.output, every=every, limit=kept, steps=steps)
        yield Told(f"{plan.output} is complete: the command and the pictures are as they were. Nothing to train.\n{_end(plan)}")
        yield from _finished(at, plan, settings, stop)
        return
    yield Progress("looking at the pictures")
    checked = check(at, settings)
    _require_decoded(at, checked, plan.source)
    yield from _told(plan, _scene(at, plan, settings, checked, captions))
    _require_prediction(plan, settings)
    try:
        for event in train_on(at, settings, checked, choice, stop):
            if isinstance(event, Begun) and settings.train.trackers:
                link_logs(run, plan.output, plan.typed.text("logging_dir") or "logs")
            yield event
            if isinstance(event, Checkpoint):
                compat.lay_out(run, plan.output, every=every, limit=kept, steps=steps)
    except ChangedError as problem:
        raise _changed(plan, problem) from problem
    laid = compat.lay_out(run, plan.output, every=every, limit=kept, steps=steps)
    assert laid.is_whole, "a training that ended has its last checkpoint"
    yield Told(_end(plan))
    yield from _finished(at, plan, settings, stop)


def _finished(at: Project, plan: Plan, settings: Settings, stop: Stop) -> Iterator[Event]:
    """What comes after the training: the form of kohya, whether few steps were kept, and the hub."""
    if plan.typed.is_on("output_kohya_format"):
        target = plan.output / KOHYA
        target.unlink(missing_ok=True)
        export_adapter(at, "kohya", Choice(), runs.checkpoints(at.runs()[-1])[-1].step, target)
        yield Told(f"{target}  for A1111 and ComfyUI")
    yield from probe_few_steps(at, settings, at.runs()[-1], stop)
    yield from _push(at, plan)


def _push(at: Project, plan: Plan) -> Iterator[Event]:
    """Publish the last checkpoint where --push_to_hub says so, and put the card beside the LoRA."""
    if not plan.typed.is_on("push_to_hub"):
        return
    repo = plan.typed.text("hub_model_id") or plan.output.resolve().name
    step = runs.checkpoints(at.runs()[-1])[-1].step
    yield from publish(at, Choice(), step, Target(repo, token=plan.typed.token), is_dry=False)
    for path in (at.folder / FOLDER).rglob("*"):
        name = path.relative_to(at.folder / FOLDER)
        if path.suffix in (".md", ".png"):
            project.write_bytes(plan.output / name, path.read_bytes())


def _about(plan: Plan, pictures: int) -> str:
    steps, an_epoch = plan.steps(pictures), plan.steps_an_epoch(pictures)
    return (
        f"{plan.typed.text('pretrained_model_name_or_path')}: {counted(steps, 'step')} on {counted(pictures, 'picture')}, "
        f"{counted(an_epoch, 'step')} an epoch; all of them are trained on, none is held out"
    )


def _end(plan: Plan) -> str:
    named = ", ".join(path.name for path in folders(plan.output).values()) or "no checkpoint-N"
    return f"{plan.output / WEIGHTS}  beside it {named}, validation/ and {plan.typed.text('logging_dir')}; the project is {plan.project}"


def _told(plan: Plan, scene: Scene) -> Iterator[Told]:
    """What a person should know of the command before it runs."""
    notes = [f"  note     {note}" for note in plan.notes]
    traps = [f"  warning  {trap}" for trap in compat.sprung(scene)]
    if notes or traps:
        yield Told("\n".join([*traps, *notes]))


def _captions(listing: Listing, plan: Plan) -> list[str]:
    """The caption of each picture. Raises DataError where none has one."""
    captions = [((row.caption if plan.has_captions else None) or plan.prompt or "") for row in listing.rows]
    if not any(caption.strip() for caption in captions):
        raise DataError(
            f"None of the {counted(len(listing.files), 'picture')} has a caption.\n"
            "Put metadata.jsonl with file_name and text beside them, a .txt file beside each, or name the column with --caption_column."
        )
    return captions


def _bring_in(at: Project, plan: Plan) -> Iterator[Event]:
    """Copy the pictures into the project, once. Raises SettingsError where others were copied before."""
    kind = _kind(plan)
    now = From(
        source=_source(plan.source),
        caption_column=plan.caption_column,
        limit=plan.limit,
        files=_files(plan.source),
        prompt=plan.prompt,
        prior="" if kind is None else _files(str(kind)),
    )
    before = project.read_record(at.folder / BEGUN, From)
    if at.dataset.is_dir() and before is not None:
        otherwise = _otherwise(plan, before, now)
        if otherwise is None and kind is not None and before.prior not in ("", now.prior):
            otherwise = f"with other pictures in --class_data_dir ({kind})"
        if otherwise is not None and before.source == now.source and not at.runs():
            # Whoever mends a picture that stopped the command need not know of the copy.
            yield Told(f"{plan.output} was begun {otherwise}; nothing is trained yet, so they are copied anew")
            shutil.rmtree(at.dataset)
            shutil.rmtree(at.folder / "prior", ignore_errors=True)
            yield from _copy(at, plan, now)
            return
        if otherwise is not None:
            raise SettingsError(
                f"{plan.output} was begun {otherwise}.\nWrite another --output_dir, or delete {at.folder} to begin anew in this one."
            )
        if kind is not None:
            # Prior preservation may be asked for only now, or with more pictures.
            _bring_in_prior(at, plan, kind)
            project.write_record(at.folder / BEGUN, now)
        return
    if at.settings.exists():
        raise SettingsError(f"{at.folder} is a project of its own.\nWrite another --output_dir.")
    yield from _copy(at, plan, now)


def _copy(at: Project, plan: Plan, now: From) -> Iterator[Event]:
    """Copy the pictures, and write down what they are a copy of."""
    yield Progress(f"copying the pictures of {plan.source}")
    brought = dataset.bring_in(plan.source, at.dataset, caption_column=plan.caption_column, limit=plan.limit)
    project.write_lines(at.sources, [brought.source])
    if plan.prompt is not None and plan.has_captions:
        # As the script for SDXL does with an empty cell of --caption_column (diffusers 58eb52c, DreamBoothDataset).
        bare = {row.file: plan.prompt for row in dataset.scan(at.dataset).rows if not row.caption}
        if bare:
            texts.write(at.dataset, bare)
    elif plan.prompt is not None:
        lines = [json.dumps({"file_name": row.file, "text": plan.prompt}, sort_keys=True) for row in dataset.scan(at.dataset).rows]
        project.write_text(at.dataset / dataset.METADATA, "\n".join(lines) + "\n")
    if (kind := _kind(plan)) is not None:
        _bring_in_prior(at, plan, kind)
    project.write_record(at.folder / BEGUN, now)
    yield Told(brought.told())


def _otherwise(plan: Plan, before: From, now: From) -> str | None:
    """How the pictures that are taught were begun with otherwise; None where they are the same."""
    if before.model_copy(update={"prior": now.prior}) == now:
        return None
    what = "with another --caption_column or --max_train_samples"
    if before.source != now.source:
        what = "with other pictures"
    elif before.files != now.files:
        what = "before those pictures changed"
    elif before.prompt != now.prompt:
        what = "with another --instance_prompt"
    return f"{what} ({plan.source})"


def _keyword(plan: Plan, captions: Sequence[str]) -> str:
    """The word that calls what is trained: of one caption for all, what its kind in general is called without."""
    if plan.prompt is None or plan.has_captions:
        return shared_keyword([], captions)
    general = plan.typed.text("class_prompt") or GENERAL
    known = {word.casefold() for word in re.findall(r"[\w-]+", f"{general} {GENERAL}")}
    return next((word for word in re.findall(r"[\w-]+", plan.prompt) if word.casefold() not in known), "")


def _kind(plan: Plan) -> Path | None:
    """Where the pictures of the kind in general are, if the command has some."""
    named = plan.typed.text("class_data_dir")
    return Path(named) if named is not None and plan.typed.is_on("with_prior_preservation") and Path(named).is_dir() else None


def _bring_in_prior(at: Project, plan: Plan, kind: Path) -> None:
    """Copy the pictures of the kind in general, as many as are asked for; those that are missing are drawn later."""
    there = sorted(path for path in kind.iterdir() if path.suffix.lower() in ENDINGS)
    for path in there[: plan.typed.whole("num_class_images")]:
        target = at.folder / "prior" / path.name
        if not target.exists():
            project.write_bytes(target, path.read_bytes())


def _settings(at: Project, plan: Plan, captions: Sequence[str]) -> Settings:
    """The settings of the project with what the command says in their place; written where they differ."""
    before = tomllib.loads(at.settings.read_text("utf-8")) if at.settings.is_file() else {}
    keyword = str(before["caption"].get("keyword", "")) if "caption" in before else _keyword(plan, captions)
    asked = plan.settings(len(captions), keyword=keyword, has_cuda=_has_cuda())
    if asked["train"]["trackers"] == ["all"]:
        from decal.train import available_trackers

        asked["train"]["trackers"] = available_trackers()
    if plan.revision is not None:
        asked["base"]["model"] = str(_at_revision(plan.model, plan.revision))
    if "caption" in before:
        del asked["caption"]
    table = before | {name: {**before.get(name, {}), **values} for name, values in asked.items()}
    table = {name: {key: value for key, value in values.items() if value is not None} for name, values in table.items()}
    settings = parse({name: dict(values) for name, values in table.items()}, where="this command")
    if not at.prompts.exists() or not at.compare_prompts.exists():
        _propose(at, plan, keyword, captions)
    text = to_toml(table)
    if not at.settings.is_file() or at.settings.read_text("utf-8") != text:
        project.write_text(at.settings, text)
    if plan.typed.is_on("allow_tf32"):
        import torch

        torch.backends.cuda.matmul.allow_tf32 = True
    return settings


def _propose(at: Project, plan: Plan, keyword: str, captions: Sequence[str]) -> None:
    """Write the prompts that `decal grid` and `decal compare` draw."""
    avoid: list[str] = []
    told = [caption for caption in captions if caption]
    frame = frame_of(told, plan.template(keyword), keyword)
    for path, count in ((at.prompts, GRID_PROMPTS), (at.compare_prompts, COMPARE_PROMPTS)):
        project.write_text(path, "\n".join(grid.propose(told, keyword, frame, count, avoid)) + "\n")
        avoid += grid.read_prompts(path)


def _choice(at: Project, plan: Plan) -> Choice:
    """Which run --resume_from_checkpoint goes on with. Raises SettingsError where its checkpoint is not there or not ours."""
    asked = plan.typed.text("resume_from_checkpoint")
    there = folders(plan.output)
    ours = {number: path for number, path in there.items() if (path / MARK).is_file()}
    if asked is None or (asked == "latest" and (at.runs() or not there)):
        return Choice(accept_changes=asked is not None)
    name = f"checkpoint-{max(there)}" if asked == "latest" else Path(asked).name
    chosen = next((path for path in there.values() if path.name == name), None)
    if chosen is None:
        names = ", ".join(path.name for path in ours.values()) or "none"
        raise SettingsError(f"--resume_from_checkpoint={asked}: {plan.output / name} is not there.\nThere are: {names}.")
    if chosen not in ours.values() or not (chosen / STATE).is_file():
        raise SettingsError(
            f"{chosen} was not written by Decal, so its optimizer cannot be gone on with.\n"
            "Write another --output_dir. decal import  begins a training with the LoRA in it."
        )
    mark = project.read_record(chosen / MARK, Checkpoint)
    assert mark is not None, "it was there a moment ago"
    newest = at.runs()[-1] if at.runs() else None
    if newest is not None and _goes_on_from(newest, mark):
        return Choice(accept_changes=True)
    run = at.run(runs.next_name(at))
    project.write_bytes(run.stop_state, (chosen / STATE).read_bytes())
    project.write_record(run.folder / REWOUND, Rewound(checkpoint=chosen.name, state_sha256=mark.state_sha256))
    return Choice(run.name, is_new=True, accept_changes=True)


def _goes_on_from(run: Run, mark: Checkpoint) -> bool:
    """Whether a run that simply goes on does so from that checkpoint, or was begun with it."""
    known = runs.checkpoints(run)
    rewound = project.read_record(run.folder / REWOUND, Rewound)
    is_newest = bool(known) and known[-1].state_sha256 == mark.state_sha256 and not run.stop_state.is_file()
    return is_newest or (rewound is not None and rewound.state_sha256 == mark.state_sha256)


def _scene(at: Project, plan: Plan, settings: Settings, checked: Checked, captions: Sequence[str]) -> Scene:
    """What the traps look at; text on pictures is read where that is installed, they are few, and flips make it matter."""
    texts: dict[str, str] = {}
    if plan.typed.is_on("random_flip") and reading.is_installed() and len(checked.looks) <= LOOKED_AT_UNASKED:
        read = Texts(at.cache, settings.data.ground)
        for file, look in checked.looks.items():
            read.read(at.dataset / file, look.sha256)
            texts[file] = read.known[look.sha256]
    keyword = settings.caption.keyword
    return Scene(plan, checked.looks, captions, Tokenizer.of_base(settings.base.model), texts, keyword, _has_cuda())


def _require_decoded(at: Project, checked: Checked, source: str) -> None:
    """Raise DataError where a picture cannot be decoded; the scripts would stop at it, in the middle of the training."""
    if broken := _broken(checked):
        raise DataError(
            f"{broken} of {at.dataset} cannot be decoded.\n"
            f"decal check {at.folder}  says what is wrong with each. Mend or take out each in {source}, and call again."
        )


def _broken(checked: Checked) -> str:
    """The pictures that cannot be decoded, in words; "" for none."""
    broken = [file for file in checked.listing.files if file not in checked.looks]
    if not broken:
        return ""
    some = ", ".join(broken[:3]) + (", ..." if len(broken) > 3 else "")
    return f"{counted(len(broken), 'picture')} ({some})"


def _require_prediction(plan: Plan, settings: Settings) -> None:
    """Raise SettingsError where --prediction_type is not what the base predicts."""
    asked = plan.typed.text("prediction_type")
    if asked is None:
        return
    from decal.bases import outline

    told = outline(settings.base.model).prediction
    if told != asked:
        raise SettingsError(
            f"--prediction_type={asked}: the base predicts {told}, and a LoRA that is trained for anything else draws noise.\nLeave it out."
        )


def _changed(plan: Plan, problem: ChangedError) -> ChangedError:
    """The same in words of the scripts' flags."""
    told = "\n".join(line for line in str(problem).splitlines()[:-1])
    can = "other base, rank" not in told and "another base" not in told
    remedy = "Add --resume_from_checkpoint=latest to go on with the new ones, or write another --output_dir."
    return ChangedError(f"{told}\n{remedy if can else 'Write another --output_dir.'}")


def _at_revision(model: str, revision: str) -> Path:
    """The folder of a base at a revision of the hub. Raises ProjectError where it cannot be had."""
    from huggingface_hub import snapshot_download

    from decal.presets import base_preset

    where = base_preset(model).where
    weights = ["*/model.safetensors", "*/diffusion_pytorch_model.safetensors"]
    try:
        return Path(snapshot_download(where, revision=revision, allow_patterns=["*.json", "tokenizer*/*", *weights]))
    # The client passes on the errors of the HTTP library that it happens to be built on, so they cannot be named.
    except Exception as problem:
        why = (str(problem).strip().splitlines() or [type(problem).__name__])[0][:200]
        raise ProjectError(
            f"--revision={revision} of {where} cannot be had ({why}).\nCheck the spelling and the network, or leave --revision out."
        ) from problem


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _source(source: str) -> str:
    """A source as it is known again from any folder."""
    folder = as_folder(source)
    return str(folder) if folder is not None else str(Path(source).resolve()) if Path(source).exists() else source


def _files(source: str) -> str:
    """Hash of the names, sizes and times of the files of a source; "" where it is not here."""
    path = Path(source)
    if not path.exists():
        return ""
    files = chain([path], path.rglob("*")) if path.is_dir() else [path]
    stats = sorted((file.relative_to(path).as_posix(), file.stat()) for file in files if file.is_file())
    return project.fingerprint([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])
