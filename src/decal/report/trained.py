"""How the LoRA was made: its data, its training, and what it takes to make it again."""

import statistics
from collections import Counter
from collections.abc import Sequence
from shlex import quote

from decal.presets import as_folder, base_preset, public_name
from decal.records import Checkpoint, Finding, Record
from decal.report import charts, strips
from decal.report.charts import Mark, Panel, Point
from decal.report.markup import Markup, element, join
from decal.report.matter import Matter
from decal.wording import counted

SHOWN_PICTURES = 60
"""Of more, this many are shown, evenly spaced."""
SHOWN_FINDINGS = 12
MAY_BE_FOLDERS = {"base.model", "base.teacher", "caption.captioner_model", "compare.embedder", "compare.reader"}
"""Settings that may name a folder of this machine, of which only the last part is shown."""
POINTS = 400
"""Of the training loss; more would not be seen and make the page heavy."""


def data_card(matter: Matter) -> Markup:
    """The pictures, their split, captions, licences, and what the check says of them."""
    train, holdout = ([record for record in matter.records if record.split == split] for split in ("train", "holdout"))
    words = sorted(len(caption.split()) for record in matter.records for caption in record.captions)
    captions = [caption for record in matter.records for caption in record.captions]
    sizes = sorted(min(record.width_px, record.height_px) for record in matter.records)
    facts = [
        ("Pictures", f"{len(train):,} trained on, {len(holdout):,} held out" if holdout else f"{len(train):,} trained on, none held out")
    ]
    if sizes:
        facts.append(("Shorter side", f"{sizes[0]:,} px" if sizes[0] == sizes[-1] else f"{sizes[0]:,} to {sizes[-1]:,} px"))
    if words:
        facts.append(("Captions", f"{len(captions):,}, {len(set(captions)):,} different, {words[0]} to {words[-1]} words"))
    facts.append(("Keyword", matter.about.settings.caption.keyword or "none"))
    sources = [
        join(
            f"{counted(source.pictures, 'picture')} from a {source.kind}, {_where(source.where)}",
            f", revision {source.revision}" if source.revision else "",
            ". Licence: " + (source.licence or "not stated"),
        )
        for source in matter.sources
    ]
    listed = (
        element("ul", *[element("li", source) for source in sources], class_="plain")
        if sources
        else element("p", "Where the pictures come from is not recorded.")
    )
    return join(
        _facts(facts),
        element("h3", "Where they come from"),
        listed,
        element("h3", "What the check says"),
        _findings(matter.findings),
        _pictures(matter.records, matter),
    )


def losses(matter: Matter) -> Markup:
    """The training loss, smoothed, and the held-out loss where there is one; empty before the second step."""
    trained = [(step.step, step.loss) for step in matter.steps if step.loss is not None]
    held = [Point(step.step, step.holdout_loss) for step in matter.steps if step.holdout_loss is not None]
    window = max(1, len(trained) // 50) // 2 * 2 + 1
    half = window // 2
    smooth = [
        Point(trained[middle][0], statistics.fmean(loss for _, loss in trained[middle - half : middle + half + 1]))
        for middle in range(half, len(trained) - half)
    ]
    smooth = smooth[:: max(1, len(smooth) // POINTS)]
    panels = [
        Panel(
            "Training loss",
            f"mean squared error, mean over {window} steps" if window > 1 else "mean squared error",
            smooth,
            110,
            kind="loss",
            is_dotted=False,
        ),
        Panel("Held-out loss", "the same noise every time; lower is better", held, 110, kind="held", is_dotted=len(held) <= 60),
    ]
    panels = [panel for panel in panels if len(panel.points) > 1]
    if not panels:
        return Markup("")
    marks = [Mark(matter.chosen, "chosen", f"step {matter.chosen:,}")] if matter.chosen is not None else []
    numbers = [0, *(checkpoint.step for checkpoint in matter.checkpoints)]
    return charts.columns(panels, marks, numbers, "Losses over training steps.")


def training(matter: Matter) -> Markup:
    """With what and for how long it was trained."""
    about, done = matter.about, [step for step in matter.steps if step.step > 0]
    train, seconds = about.settings.train, sum(step.seconds for step in done)
    if matter.is_from_elsewhere:
        return _facts(
            [
                ("Base", _base(about.settings.base.model, about.settings.data.resolution)),
                ("Trained", "by another tool; its settings, losses and times are not known here"),
                ("Time", f"{_clock(matter.drawing_seconds)} of drawing for the comparison; {about.device}"),
            ]
        )
    skipped = sum(step.is_skipped for step in done)
    facts = [
        ("Base", _base(about.settings.base.model, about.settings.data.resolution)),
        ("LoRA", f"rank {train.rank}, alpha {train.alpha:g}, on {'attention layers' if train.targets == 'attention' else 'all layers'}"),
        ("Steps", f"{done[-1].step if done else 0:,} of {train.steps:,}, {counted(train.batch * train.accumulation, 'picture')} each"),
        ("Learning rate", f"{train.learning_rate:g}, {train.schedule}"),
        ("Time", f"{_clock(seconds)} of training, {_clock(matter.drawing_seconds)} of drawing for the comparison; {about.device}"),
        ("Begun", about.begun),
    ]
    if done:
        facts.insert(5, ("A step", f"{statistics.median(step.seconds for step in done):.2f} s"))
    for heading, is_speed in (("For want of memory", False), ("For speed", True)):
        if rungs := [rung for rung in matter.rungs if rung.is_for_speed == is_speed]:
            facts.append((heading, "; ".join(f"from {rung.told()}" for rung in rungs)))
    if skipped:
        facts.append(("Skipped", f"{counted(skipped, 'step')} whose loss was not finite"))
    return _facts(facts)


def settings(matter: Matter) -> Markup:
    """Every setting that the run was made with."""
    rows = [
        element(
            "tr",
            element("th", f"{section}.{key}", scope="row"),
            element("td", _value(public_name(str(value)) if value and f"{section}.{key}" in MAY_BE_FOLDERS else value)),
        )
        for section, table in matter.about.settings.model_dump(mode="json").items()
        if not (matter.is_from_elsewhere and section == "train")
        for key, value in table.items()
    ]
    body = element("table", element("tbody", *rows), class_="settings")
    return element("details", element("summary", f"All {len(rows)} settings"), body)


def reproduce(matter: Matter) -> Markup:
    """The hashes of everything that decides the result, the versions, and the commands."""
    chosen = _checkpoint(matter)
    hashes = [("Data", matter.about.data), ("Base", matter.about.base)]
    if matter.suite is not None:
        hashes.append(("Embedder", matter.suite.embedder))
    if matter.verdict is not None and matter.verdict.suite:
        hashes.append(("Suite", matter.verdict.suite))
    if chosen is not None:
        hashes.append((f"LoRA of step {chosen.step:,}", chosen.sha256))
    folder, run = quote(matter.name), quote(matter.run.name)
    commands = [] if matter.is_from_elsewhere else [f"decal train {folder} --run {run}"]
    commands += [f"decal compare {folder} --run {run}", f"decal report {folder} --run {run}"]
    versions = ", ".join(f"{name} {number}" for name, number in matter.about.versions.items())
    seeds = [] if matter.is_from_elsewhere else [f"training seed {matter.about.settings.train.seed}"]
    if matter.verdict is not None:
        seeds.append(f"bootstrap seed {matter.verdict.seed} with {matter.verdict.resamples:,} resamples")
    return join(
        element("pre", element("code", *[element("span", command) for command in commands])),
        _facts([(name, element("code", value)) for name, value in hashes]),
        element("p", f"{', '.join(seeds).capitalize()}. " if seeds else "", f"Versions: {versions}."),
    )


def file_of(matter: Matter) -> str:
    """Where the chosen LoRA lies, relative to the project; empty where none was chosen."""
    chosen = _checkpoint(matter)
    return "" if chosen is None else f"runs/{matter.run.name}/{chosen.file}"


def _base(model: str, side_px: int) -> str:
    licence = "" if as_folder(model) else base_preset(model).licence
    return f"{public_name(model)}, {side_px} px" + (f", licence {licence}" if licence else "")


def _checkpoint(matter: Matter) -> Checkpoint | None:
    return next((checkpoint for checkpoint in matter.checkpoints if checkpoint.step == matter.chosen), None)


def _pictures(records: Sequence[Record], matter: Matter) -> Markup:
    """The pictures themselves; the held-out ones last, with a mark."""
    ordered = sorted(records, key=lambda record: record.split == "holdout")
    count = min(SHOWN_PICTURES, len(ordered))
    shown = [ordered[round(number * (len(ordered) - 1) / max(1, count - 1))] for number in range(count)]
    items = [
        element(
            "li",
            strips.small(matter, record.file, f"{'Held out: ' if record.split == 'holdout' else ''}{record.caption}"),
            class_="holdout" if record.split == "holdout" else None,
        )
        for record in shown
    ]
    if not items:
        return Markup("")
    told = "All pictures" if count == len(ordered) else f"{count} of {counted(len(ordered), 'picture')}, evenly spaced"
    marked = "; those with a dashed edge were held out" if any(record.split == "holdout" for record in shown) else ""
    captions = element(
        "details",
        element("summary", "Their captions"),
        element("ol", *[element("li", f"{record.file}: {record.caption}") for record in shown], class_="captions"),
    )
    return join(
        element("h3", "The pictures"), element("p", f"{told}{marked}.", class_="note"), element("ul", *items, class_="wall"), captions
    )


def _findings(findings: Sequence[Finding] | None) -> Markup:
    if findings is None:
        return element("p", "It was not run.")
    if not findings:
        return element("p", "Nothing to complain about.")
    levels = Counter(finding.level for finding in findings)
    told = ", ".join(counted(levels[level], level) for level in ("error", "warning", "note") if levels[level])
    shown = [
        element("li", f"{finding.level}: ", element("strong", f"{finding.file}: ") if finding.file else "", finding.reason)
        for finding in findings[:SHOWN_FINDINGS]
    ]
    if len(findings) > SHOWN_FINDINGS:
        shown.append(element("li", f"and {len(findings) - SHOWN_FINDINGS:,} more in findings.jsonl"))
    return join(element("p", f"{told}."), element("ul", *shown, class_="plain"))


def _facts(facts: Sequence[tuple[str, str]]) -> Markup:
    return element("dl", *[element("div", element("dt", name), element("dd", value)) for name, value in facts])


def _where(where: str) -> str:
    """A place as it may be shown to others: of a path on this machine only the last part."""
    return where if "://" in where or where.startswith("hf:") else where.rstrip("/").rpartition("/")[2]


def _value(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, list):
        return ", ".join(str(one) for one in value) or "–"
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value) or "–"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
