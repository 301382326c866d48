"""What goes to the hub: the LoRA, its card and pictures, checked without a network, and pushed in one commit."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from decal import card, embeddings, grid, numbering, project, runs
from decal.card import WEIGHTS, Card, Sample, Shown
from decal.errors import ProjectError, SettingsError
from decal.events import Event, Progress, Told
from decal.presets import base_preset, public_name
from decal.project import Project, Run
from decal.records import Checkpoint, Generation, Line, Record, Source, Verdict
from decal.settings import Resolved
from decal.wording import counted
from decal.workflow.choice import Choice, chosen, settings_of, trained, trained_words, warn_of_control
from decal.workflow.exchange import export_adapter

SAMPLES = 6
FOLDER = "publish"
OTHER_FORM = "kohya"


@dataclass(frozen=True)
class Target:
    """Where to publish. repo: owner/name, or a name in one's own space. token: None for that of `hf auth login`; never shown or kept."""

    repo: str
    is_public: bool = False
    token: str | None = None

    def __repr__(self) -> str:
        return f"Target({self.repo!r}, is_public={self.is_public})"


class Published(Line):
    """What was pushed last; `published.json`. asked: the repository as it was typed. files: hash of all that went. url: of the commit."""

    asked: str
    repo: str
    is_public: bool
    files: str
    url: str


def publish(at: Project, choice: Choice, step: int | None, target: Target, *, is_dry: bool) -> Iterator[Event]:
    """Make the folder that goes to the hub, say what is in it, and push it; a second call pushes nothing.

    step: of the checkpoint; None for that of the verdict, or else the last. Raises SettingsError where something names a place of this
    machine or the repository is public and was not to be, and ProjectError where the hub cannot be reached or does not let in.
    """
    if not card.HUB_ID.fullmatch(target.repo) and "/" in target.repo:
        raise SettingsError(f"--to {target.repo} is no repository of the hub.\nWrite owner/name, or a name alone for your own space.")
    run, resolved, checkpoints = trained(at, settings_of(at, []), choice)
    warn_of_control(run)
    kept = chosen(run, checkpoints, step).checkpoint
    yield Progress("writing the card")
    files = fill(at, run, resolved, kept, target.repo)
    problems = card.lint((files["README.md"]).read_text("utf-8"), list(files))
    who = "public" if target.is_public else "private"
    sizes = [f"  {name:{max(map(len, files))}}  {_size(path.stat().st_size)}" for name, path in files.items()]
    yield Told("\n".join([f"{target.repo}, {who}, in one commit: {run.name} at step {kept.step}", *sizes]))
    if problems:
        yield Told("\n".join(f"  warning  {problem}" for problem in problems))
    _require_nothing_private(at, files)
    if is_dry:
        yield Told(f"nothing was sent; the folder is {at.folder / FOLDER}")
        return
    hashes = _hash(files)
    before = project.read_record(at.folder / "published.json", Published)
    if before is not None and (before.asked, before.is_public, before.files) == (target.repo, target.is_public, hashes):
        yield Told(f"{before.repo} has it already: {before.url}")
        return
    yield Progress(f"pushing to {target.repo}")
    pushed = _push(target, files, f"LoRA of {kept.step} steps", hashes)
    project.write_record(at.folder / "published.json", pushed)
    yield Told(f"{pushed.repo}: {counted(len(files), 'file')} in one commit, {who}: {pushed.url}")


def fill(at: Project, run: Run, resolved: Resolved, kept: Checkpoint, repo: str) -> dict[str, Path]:
    """Make `publish/` of the project what goes to the hub; its files by name, the card first."""
    drawn, are_new = _samples(at, run, resolved, kept)
    samples = tuple(
        Sample(f"images/{number:02d}.png", one.cell.prompt, one.cell.guidance, one.cell.seed) for number, one in enumerate(drawn, start=1)
    )
    weights = runs.verified(run, kept)
    exported = export_adapter(at, OTHER_FORM, Choice(run.name), kept.step, None).path
    learnt = _learnt(weights, exported)
    others = {exported.name: "for A1111, Forge and ComfyUI", **{file.name: what for file, what in learnt.items()}}
    about = _card(at, run, resolved, kept, Shown(samples, are_new), others)
    sources = {WEIGHTS: weights, exported.name: exported, **{file.name: file for file in learnt}}
    sources |= {sample.file: run.folder / one.file for sample, one in zip(samples, drawn, strict=True)}
    with project.staged_folder(at.folder / FOLDER) as staged:
        (staged / "README.md").write_text(card.text(about, repo), "utf-8")
        for name, source in sources.items():
            (staged / name).parent.mkdir(exist_ok=True)
            (staged / name).write_bytes(source.read_bytes())
    return {name: at.folder / FOLDER / name for name in ("README.md", *sources)}


def _card(at: Project, run: Run, resolved: Resolved, kept: Checkpoint, shown: Shown, others: dict[str, str]) -> Card:
    """What the card says. others: files beside the weights, with what they are."""
    from decal.bases import outline

    preset, train = base_preset(resolved.base.model), resolved.train
    verdict = runs.verdict_of(run)
    is_judged = verdict is not None and verdict.checkpoint == kept.step
    keyword = resolved.caption.keyword.strip()
    licences = dict.fromkeys(source.licence for source in project.read(at.sources, Source) if source.licence)
    recipe = (
        f"{train.steps:,} steps of {train.batch * train.accumulation}, learning rate {train.learning_rate:g} {train.schedule}, "
        f"rank {train.rank} on {'attention' if train.targets == 'attention' else 'attention, feed-forward and convolutions'}, "
        f"{resolved.data.resolution} px"
    )
    if resolved.base.teacher is not None:
        recipe += _through(resolved.base.teacher, resolved.base.model)
    guidance, strength = _recommended(resolved, verdict if is_judged else None)
    return Card(
        title=f"{keyword or at.folder.resolve().name} LoRA",
        keyword=keyword,
        base=public_name(resolved.base.model),
        base_id=card.hub_id(preset.where),
        licence=preset.licence,
        family="stable-diffusion-xl" if "xl" in outline(resolved.base.model).architecture else "stable-diffusion",
        side_px=resolved.data.resolution,
        guidance=guidance,
        strength=strength,
        sampling_steps=resolved.compare.steps,
        sampler=resolved.compare.sampler,
        step=kept.step,
        pictures=sum(record.split == "train" for record in project.read(run.dataset, Record)),
        training=recipe,
        verdict=verdict.reason if verdict is not None and is_judged else "",
        shown=shown,
        others=others,
        data_licences=tuple(str(licence) for licence in licences),
        caution=preset.caution,
        words={word: one.path.name for word, one in embeddings.beside(run.folder / kept.file).items()},
    )


def _through(teacher: str, model: str) -> str:
    """That it was trained on another model than the one that it is drawn with, and under which licence that is."""
    preset = base_preset(teacher)
    found = card.hub_id(preset.where)
    named = f"[{found}](https://huggingface.co/{found})" if found else public_name(teacher)
    return f". It was trained on {named} ({preset.licence}), of which {public_name(model)} was made, so that its few steps stay"


def _learnt(weights: Path, other: Path) -> dict[Path, str]:
    """The files of embeddings beside the weights and their other form, and what reads them."""
    ours = {one.path: f"embeddings of {word}, for diffusers" for word, one in embeddings.beside(weights).items()}
    theirs = embeddings.beside(other).items()
    return ours | {one.path: f"the same for A1111, Forge and ComfyUI, as {word}.safetensors" for word, one in theirs}


def _recommended(resolved: Resolved, verdict: Verdict | None) -> tuple[float, float]:
    """Guidance and strength of the LoRA to draw with."""
    if verdict is None:
        return resolved.compare.guidance, 1.0
    return (
        resolved.compare.guidance if verdict.guidance is None else verdict.guidance,
        1.0 if verdict.strength is None else verdict.strength,
    )


def _samples(at: Project, run: Run, resolved: Resolved, kept: Checkpoint) -> tuple[list[Generation], bool]:
    """Pictures of the checkpoint for different new prompts, or else what was drawn on the way; whether their prompts are new."""
    guidance, strength = _recommended(resolved, runs.verdict_of(run))

    def far(one: Generation) -> tuple[float, float, int]:
        return abs(one.cell.guidance - guidance), abs(one.cell.lora_strength - strength), one.cell.seed

    for stream in (run.generations, run.validation):
        whole = [
            one
            for one in runs.drawn(run, stream).values()
            if one.cell.checkpoint == kept.step and not one.is_broken and one.cell.image_sha256 is None
        ]
        old = {prompt for prompt, _ in grid.seen({one.cell.prompt for one in whole}, *trained_words(run, resolved))}
        new = [one for one in whole if one.cell.prompt not in old]
        if stream == run.validation and not new:
            return sorted(whole, key=far)[:SAMPLES], False
        nearest: dict[str, Generation] = {}
        for one in sorted(new, key=far):
            nearest.setdefault(one.cell.prompt, one)
        if nearest:
            asked = grid.read_prompts(at.prompts) if at.prompts.exists() else []
            first = sorted(nearest.values(), key=lambda one: (one.cell.prompt not in asked, one.cell.prompt))
            return first[:SAMPLES], True
    return [], False


def _require_nothing_private(at: Project, files: Mapping[str, Path]) -> None:
    """Raise SettingsError where a card, a header or the recipe in a picture names a place of this machine."""
    own = {str(Path.home()), str(at.folder.resolve())} - {"/"}
    for name, path in files.items():
        told = _words(path)
        found = [*card.private(told), *(place for place in own if place in told)]
        if found:
            raise SettingsError(
                f"{name} names a place of this machine ({found[0]}), so nothing was sent.\n"
                f"It comes from a prompt, a caption.keyword or a name in {at.settings}; change that, and call again."
            )


def _words(path: Path) -> str:
    """What a file says in words: a card, the header of weights, the text in a picture."""
    if path.suffix == ".safetensors":
        return "\n".join(numbering.header(path).values())
    if path.suffix == ".png":
        with Image.open(path) as picture:
            return "\n".join(str(value) for value in picture.info.values())
    return path.read_text("utf-8")


def _push(target: Target, files: Mapping[str, Path], message: str, hashes: str) -> Published:
    """Make the repository where it is not there, and put all files into it in one commit."""
    from huggingface_hub import CommitOperationAdd, HfApi, errors

    api = HfApi(token=target.token)
    try:
        repo = api.create_repo(target.repo, private=not target.is_public, exist_ok=True).repo_id
        if not target.is_public and not api.repo_info(repo).private:
            raise SettingsError(
                f"{repo} is there already, and everybody can read it.\nWrite --public to publish there, or name another repository."
            )
        done = api.create_commit(
            repo, [CommitOperationAdd(name, path) for name, path in files.items()], commit_message=message, repo_type="model"
        )
    except SettingsError:
        raise
    except errors.OfflineModeIsEnabled as problem:
        raise ProjectError(f"{target.repo} cannot be reached, because HF_HUB_OFFLINE is set.\nUnset it and call again.") from problem
    # The client passes on the errors of the HTTP library that it happens to be built on, so they cannot be named.
    except Exception as problem:
        why = (str(problem).strip().splitlines() or [type(problem).__name__])[0][:200]
        raise ProjectError(
            f"{target.repo} was not written ({why}).\n"
            "Log in with  hf auth login  and a token that may write, check the network, and call again; what was made is kept."
        ) from problem
    return Published(asked=target.repo, repo=repo, is_public=target.is_public, files=hashes, url=done.commit_url)


def _hash(files: Mapping[str, Path]) -> str:
    return project.fingerprint({name: project.sha256(path) for name, path in files.items()})


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.1f} kB"
