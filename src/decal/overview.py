"""A project in a few lines: what the check found, what a run is about, what is there and what comes next. Only reads."""

from collections.abc import Mapping
from shlex import quote

from decal import checks, dataset, project, runs
from decal.checks import Checked
from decal.presets import BASES, base_preset
from decal.project import Project, Run
from decal.records import Finding, Generation
from decal.settings import Resolved, fields, options, read, resolve
from decal.wording import counted


def findings(at: Project, checked: Checked) -> list[str]:
    """What a check found, as lines to print."""
    counts = [counted(sum(finding.level == level for finding in checked.findings), level) for level in ("error", "warning")]
    head = f"{counted(len(checked.listing.files), 'picture')} in {at.dataset}"
    return [head, *checks.summary(checked.findings), f"{', '.join(counts)}, written to {at.findings}"]


def training(run: Run, resolved: Resolved, counts: Mapping[str, int], where: str, reached: int) -> str:
    """What a training is about to do, with what."""
    train = resolved.train
    kept = f"{counts['holdout']} held out" if counts["holdout"] else "none held out (fewer than 12), so there is no held-out loss"
    begin = f"going on from step {reached}" if reached else "from the beginning"
    return (
        f"{run.folder}: {counted(train.steps, 'step')} of {train.batch * train.accumulation} on {counted(counts['train'], 'picture')}, "
        f"{kept}; {begin}\n"
        f"  base {resolved.base.model}, {resolved.data.resolution} px, rank {train.rank}, alpha {train.alpha:g}, targets {train.targets}, "
        f"learning rate {train.learning_rate:g} {train.schedule}, {where}"
    )


def show(at: Project) -> list[str]:
    """What is in a project and what comes next, as lines to print."""
    settings = read(at.settings)
    listing = dataset.scan(at.dataset)
    captioned = sum(bool(row.caption) for row in listing.rows)
    keyword = settings.caption.keyword or "(none)"
    there = f"{counted(len(listing.files), 'picture')}, {counted(captioned, 'caption')}"
    lines = [f"{at.folder}: {there}, keyword {keyword}, base {settings.base.model}"]
    following = f"decal check {quote(str(at.folder))}" if captioned >= len(listing.files) else f"decal caption {quote(str(at.folder))}"
    if at.findings.exists():
        findings = project.read(at.findings, Finding)
        errors = sum(finding.level == "error" for finding in findings)
        lines.append(f"  check     {counted(errors, 'error')}, {counted(len(findings) - errors, 'other finding')}")
        following = f"decal train {quote(str(at.folder))}" if not errors else f"mend the errors, then  {following}"
    for one in at.runs():
        about, steps, checkpoints = runs.about(one), project.read_steps(one.steps), runs.checkpoints(one)
        done = steps[-1].step if steps else 0
        drawn = len(project.read(one.generations, Generation))
        of = about.settings.train.steps
        made = f"{counted(len(checkpoints), 'checkpoint')}, {counted(drawn, 'picture')}"
        lines.append(f"  {one.name}    {done} of {counted(of, 'step')}, {made}, begun {about.begun}")
        for checkpoint in checkpoints:
            loss = "-" if checkpoint.holdout_loss is None else f"{checkpoint.holdout_loss:.4f}"
            lines.append(f"    step {checkpoint.step:6}  held-out loss {loss}")
        lines += [f"    {path}" for path in sorted(one.sheets.glob("*.png"))]
        following = f"decal compare {quote(str(at.folder))}"
        if done < of:
            following = f"decal train {quote(str(at.folder))}{options(resolve(settings, 1), about.settings)}"
        elif any(one.sheets.glob("grid-*.png")):
            following = f'decal draw "..." {at.folder}'
        elif (one.sheets / "compare.png").exists():
            following = f"decal grid {quote(str(at.folder))}"
    return [*lines, f"next: {following}"]


def presets() -> list[str]:
    """Every setting with its default and meaning, and every base, as lines to print."""
    lines = ["Settings of decal.toml:"]
    for name, default, meaning in fields():
        lines += [f"  {name} = {default}", f"      {meaning}"]
    lines.append("Bases:")
    for name, preset in BASES.items():
        preset = base_preset(name)
        where = "comes with Decal" if name == "mini" else preset.where
        lines += [
            f"  {name:11} {preset.resolution} px, {where}, licence {preset.licence}",
            f"      rank {preset.rank}, targets {preset.targets}, learning_rate {preset.learning_rate:g}, batch {preset.batch}, "
            f"steps {preset.steps}, checkpoint_every {preset.checkpoint_every}",
        ]
    return lines
