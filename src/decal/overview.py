"""A project in a few lines: what the check found, what a run is about, what is there and what comes next. Only reads."""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from json import dumps
from pathlib import Path, PurePosixPath
from shlex import quote

from decal import checks, dataset, kinds, project, runs
from decal.checks import Checked
from decal.errors import SettingsError
from decal.presets import BASES, base_preset, public_name
from decal.project import Project, Run
from decal.records import Checkpoint, Finding, Generation, Line, Rung
from decal.settings import Resolved, Settings, fields, options, read, resolve
from decal.wording import counted


def findings(at: Project, checked: Checked, told: Callable[[Sequence[Finding]], list[str]] = checks.summary) -> list[str]:
    """What a check found, as lines to print. told: how the findings are."""
    counts = [counted(sum(finding.level == level for finding in checked.findings), level) for level in ("error", "warning")]
    head = f"{counted(len(checked.listing.files), 'picture')} in {at.dataset}"
    return [head, *told(checked.findings), f"{', '.join(counts)}, written to {at.findings}"]


def training(run: Run, resolved: Resolved, counts: Mapping[str, int], where: str, reached: int) -> str:
    """What a training is about to do, with what."""
    train = resolved.train
    kept = f"{counts['holdout']} held out" if counts["holdout"] else "none held out, so there is no held-out loss"
    kind = f"{train.algorithm}, " if train.algorithm != "lora" else ""
    of_text = ""
    if train.changes_texts:
        learns = _words_told(resolved) if train.learns_words else f"text encoders learn at {train.text_learning_rate:g}"
        of_text = f"\n  {learns}, so captions are encoded in every step and not once"
    begin = f"going on from step {reached}" if reached else "from the beginning"
    begin += "; a control, its buckets are by lot" if run.is_control else ""
    return (
        f"{run.folder}: {counted(train.steps, 'step')} of {train.batch * train.accumulation} on {counted(counts['train'], 'picture')}, "
        f"{kept}; {begin}\n"
        f"  base {resolved.base.model}, {resolved.data.resolution} px, {kind}rank {train.rank}, alpha {train.alpha:g}, "
        f"targets {train.targets}, learning rate {train.learning_rate:g} {train.schedule}, {where}{of_text}"
    )


def _words_told(resolved: Resolved) -> str:
    """Which words learn embeddings of their own, and how."""
    train = resolved.train
    whose = [f"{counted(train.pivotal, 'new token')} for {resolved.caption.keyword.strip()}"] if train.pivotal else []
    words = [f"{word} (begun as {start})" if start else f"{word} (begun at random)" for word, start in train.pivotal_words.items()]
    whose += [f"new tokens for {', '.join(words)}"] if words else []
    return f"{' and '.join(whose)} learn at {train.pivotal_learning_rate:g} for {train.pivotal_share:.0%} of the steps"


def cautions(resolved: Resolved) -> list[str]:
    """What to know of the base before it is trained on or drawn with, one sentence each."""
    preset, train = base_preset(resolved.base.model), resolved.train
    said = [preset.caution] if preset.caution else []
    if not preset.has_few_steps:
        return said
    if resolved.base.teacher:
        said.append(
            f"trained on {public_name(resolved.base.teacher)}, drawn with {public_name(resolved.base.model)}, which keeps its few steps"
        )
    elif train.recipe == "plain":
        said.append('plain training undoes the few steps of this base; leave train.recipe out, or write "few_steps"')
    return [*said, *burning(resolved, (resolved.compare.guidance, *resolved.grid.guidance))]


def burning(resolved: Resolved, scales: Iterable[float]) -> list[str]:
    """What guidance does to a base that was made for none; empty for others."""
    large = sorted({scale for scale in scales if scale > 1})
    if not large or not base_preset(resolved.base.model).has_few_steps:
        return []
    return [f"guidance {', '.join(f'{scale:g}' for scale in large)} burns what this base draws; it was made for guidance 0"]


class RunOverview(Line):
    """How far a run is.

    step: the last one done. pictures: drawn with `compare`, `grid` and `draw`. sheets: relative to the project.

    rungs: what was done for want of memory, or for speed. is_control: trained on buckets by lot.
    """

    name: str
    begun: str
    step: int
    steps: int
    checkpoints: tuple[Checkpoint, ...]
    pictures: int
    sheets: tuple[str, ...]
    rungs: tuple[Rung, ...]
    is_control: bool


class Overview(Line):
    """What is in a project.

    errors, other_findings: of the last check; None before the first. is_control: the data set has buckets by lot. next: what to do next.
    """

    folder: str
    pictures: int
    captions: int
    keyword: str
    base: str
    errors: int | None
    other_findings: int | None
    is_control: bool
    runs: tuple[RunOverview, ...]
    next: str


def look(at: Project) -> Overview:
    """What is in a project and what comes next."""
    settings = read(at.settings)
    listing = dataset.scan(at.dataset)
    captioned = sum(bool((row.caption or "").strip()) for row in listing.rows)
    folder = quote(str(at.folder))
    following = f"decal check {folder}" if captioned >= len(listing.files) else f"decal caption {folder}"
    if not listing.files:
        following = _from_nothing(at)
    errors = others = None
    if at.findings.exists():
        levels = [finding.level for finding in project.read(at.findings, Finding)]
        errors = levels.count("error")
        others = len(levels) - errors
        following = f"mend the errors, then  {following}" if errors else f"decal train {folder}"
    begun = at.runs()
    known = {run.name: _look_at_run(at, run) for run in begun}
    # Training goes on with a run of the kind of the data set, all else takes the newest that is no control.
    of_kind, real = ([run for run in begun if run.is_control == kind] for kind in (at.is_control, False))
    if of_kind and not runs.is_complete(of_kind[-1], runs.about(of_kind[-1]).settings):
        following = f"decal train {folder}{_options(of_kind[-1], settings)}"
    elif at.is_control and not of_kind and not errors:
        following = f"decal train {folder}"
    elif real:
        drawn = {PurePosixPath(sheet).name.partition("-")[0] for sheet in known[real[-1].name].sheets}
        following = f"decal compare {folder}"
        if "grid" in drawn:
            following = f'decal draw "..." {folder}' if (at.folder / "hand-in.zip").exists() else f"decal submit {folder}"
        elif "compare.png" in drawn:
            following = f"decal grid {folder}"
    return Overview(
        folder=str(at.folder),
        pictures=len(listing.files),
        captions=captioned,
        keyword=settings.caption.keyword,
        base=settings.base.model,
        errors=errors,
        other_findings=others,
        is_control=at.is_control,
        runs=tuple(known.values()),
        next=following,
    )


def _options(run: Run, settings: Settings) -> str:
    """What to add to `decal train` so that it goes on with the run as it was begun."""
    with contextlib.suppress(SettingsError):  # Training will say what contradicts the run.
        settings = runs.with_start(run, settings)
    return options(resolve(settings, 1), runs.about(run).settings)


def _from_nothing(at: Project) -> str:
    """What comes next in a project without pictures."""
    folder = quote(str(at.folder))
    if at.posts.is_dir():
        stages = [name for name, stage in (("plan", "plans"), ("media", "pictures")) if not (at.posts / stage).is_dir()]
        return f"decal posts {stages[0] if stages else 'build'} {folder}" + (" --from PICTURES" if stages[:1] == ["media"] else "")
    if not at.descriptions.exists():
        return f"decal describe {folder}"
    return f"decal caption --pick {folder}" if at.candidates.exists() else f"decal draw --from descriptions {folder}"


def _look_at_run(at: Project, run: Run) -> RunOverview:
    about, steps = runs.about(run), project.read_steps(run.steps)
    return RunOverview(
        name=run.name,
        begun=about.begun,
        step=steps[-1].step if steps else 0,
        steps=about.settings.train.steps,
        checkpoints=tuple(runs.checkpoints(run)),
        pictures=len(project.read(run.generations, Generation)),
        sheets=tuple(path.relative_to(at.folder).as_posix() for path in sorted(run.sheets.glob("*.png"))),
        rungs=tuple(project.read(run.rungs, Rung)),
        is_control=about.is_control,
    )


def show(seen: Overview) -> list[str]:
    """What is in a project and what comes next, as lines to print."""
    there = f"{counted(seen.pictures, 'picture')}, {counted(seen.captions, 'caption')}"
    lines = [f"{seen.folder}: {there}, keyword {seen.keyword or '(none)'}, base {seen.base}"]
    if seen.errors is not None and seen.other_findings is not None:
        lines.append(f"  check     {counted(seen.errors, 'error')}, {counted(seen.other_findings, 'other finding')}")
    if seen.is_control:
        lines.append("  data set  of a control, with buckets by lot; decal posts plan, build  put the real ones back")
    width = max((len(run.name) for run in seen.runs), default=0)
    for run in seen.runs:
        made = f"{counted(len(run.checkpoints), 'checkpoint')}, {counted(run.pictures, 'picture')}"
        made += ", a control" if run.is_control else ""
        lines.append(f"  {run.name:{max(width, 8)}}  {run.step} of {counted(run.steps, 'step')}, {made}, begun {run.begun}")
        lines += [f"    {'speed' if rung.is_for_speed else 'memory'}: from {rung.told()}" for rung in run.rungs]
        for checkpoint in run.checkpoints:
            loss = "-" if checkpoint.holdout_loss is None else f"{checkpoint.holdout_loss:.4f}"
            lines.append(f"    step {checkpoint.step:6}  held-out loss {loss}")
        lines += [f"    {Path(seen.folder) / sheet}" for sheet in run.sheets]
    return [*lines, f"next: {seen.next}"]


def presets() -> list[str]:
    """Every setting with its default and meaning, and every base, as lines to print."""
    lines = ["Settings of decal.toml:"]
    for name, default, meaning in fields():
        lines += [f"  {name} = {default}", f"      {meaning}"]
    lines.append("Presets of decal new, and decal presets diff A B says what they have otherwise:")
    lines += [f"  {name:14} {about}" for name, about in kinds.ABOUT.items()]
    lines.append("Bases:")
    for name, preset in BASES.items():
        preset = base_preset(name)
        where = "comes with Decal" if Path(preset.where).is_dir() else preset.where
        lines += [
            f"  {name:11} {preset.resolution} px, {where}, licence {preset.licence}",
            *([f"      {preset.caution}"] if preset.caution else []),
            f"      rank {preset.rank}, targets {preset.targets}, learning_rate {preset.learning_rate:g}, batch {preset.batch}, "
            f"steps {preset.steps}, checkpoint_every {preset.checkpoint_every}",
        ]
    return lines


def preset_differences(first: str, second: str) -> list[str]:
    """What the second preset has otherwise than the first, a setting a line with the reason."""
    found = kinds.differences(first, second)
    told = [(one.setting, one.before, one.after, one.why) for one in found]
    widths = [max((len(line[column]) for line in told), default=0) for column in range(3)]
    return [
        f"{first} -> {second}: {counted(len(found), 'difference')}",
        *(f"  {a:{widths[0]}}  {b:>{widths[1]}} -> {c:{widths[2]}}  {why}" for a, b, c, why in told),
    ]


def preset_records() -> list[str]:
    """The same as JSON lines: one a setting, then one a base."""
    settings = [{"setting": name, "default": default, "help": meaning} for name, default, meaning in fields()]
    bases = [{"base": name} | asdict(base_preset(name)) for name in BASES]
    return [dumps(line, sort_keys=True, ensure_ascii=False) for line in (*settings, *bases)]
