"""What the comparison says: curves, trade-off, the table of standings, the measures, and what to draw with."""

from collections.abc import Callable, Sequence

from decal.records import Gauge, Standing, Trial, Value, Verdict
from decal.report import charts
from decal.report.charts import Mark, Panel, Point, Spot
from decal.report.markup import Markup, element, join
from decal.report.matter import BASE, Matter
from decal.wording import counted

MEANINGS = {
    "style": "How far single pictures lie on the way from the base's style to yours.",
    "adherence": "Whether pictures show what was asked for: by how much better their own prompt fits than the others.",
    "copying": "Share of pictures that repeat a training picture, or its mirror image.",
    "contrast": "More contrast than your pictures and the base's have.",
    "chroma": "Stronger colours than your pictures and the base's have.",
    "clipping": "More pixels at the ends of the scale than in your pictures and the base's.",
    "harshness": "Harsher edges than in your pictures and the base's.",
    "blur": "Softer edges than in your pictures and the base's.",
    "diversity": "How different pictures of different prompts are, beside the base's.",
    "text": "Share of pictures with writing in them.",
    "distance": "Distance between all drawn pictures and all of yours, as sets.",
    "drift": "How much pictures change whose prompts do not hold the keyword.",
    "held-out loss": "Loss on pictures that were kept out of training, beside the base's.",
}
ROLES = {
    "objective": "decides",
    "guardrail": "can reject",
    "information": "informs only",
    "skipped": "skipped",
}
PLACES = {
    "chosen": "chosen",
    "tied": "may be as good",
    "open": "not told apart",
    "beaten": "surely worse",
    "rejected": "rejected",
    "dropped": "left the race early",
    "broken": "cannot be used",
}


def curves(matter: Matter) -> Markup:
    """Utility, style, adherence and the held-out loss over steps."""
    entered = [standing for standing in matter.standings if standing.utility is not None]
    best = max((standing.utility or 0.0 for standing in entered if standing.place != "rejected"), default=None)
    utility = Panel(
        "Utility",
        "style and adherence together; bars are 95 %, paired with the best: one that reaches the line is not surely worse",
        [_beside_best(standing, best) for standing in entered],
        200,
        level=best,
        has_whiskers=True,
    )
    panels = [utility]
    for measure, note in (
        ("style", "0 is the base's, 1 is yours; the band is its 95 % interval"),
        ("adherence", "0 is chance, 1 is as well as the base does"),
    ):
        panels.append(Panel(measure.capitalize(), note, _scaled(entered, measure), 120, kind=measure))
    panels += _losses(matter)
    steps = [BASE, *(standing.checkpoint for standing in matter.standings)]
    return charts.columns(panels, _marks(matter), steps, _told_curves(matter, entered))


def trade_off(matter: Matter) -> Markup:
    """Style against adherence: what is gained and what is paid for it. Empty where either is missing."""
    spots = [Spot("base", "base", Point(BASE, 1.0, name="base"), Point(BASE, 0.0, name="base"))]
    for standing in matter.standings:
        style, adherence = (_value(standing, measure) for measure in ("style", "adherence"))
        if style is None or adherence is None or style.scaled is None or adherence.scaled is None:
            continue
        name = f"step {standing.checkpoint:,}: style {style.scaled:.2f}, adherence {adherence.scaled:.2f}"
        x, y = (
            Point(standing.checkpoint, value.scaled or 0.0, value.scaled_low, value.scaled_high, name=name) for value in (adherence, style)
        )
        spots.append(Spot(f"{standing.checkpoint:,}", standing.place, x, y, standing.is_on_front))
    if len(spots) < 2:
        return Markup("")
    told = "Style against adherence. " + ". ".join(spot.x.name for spot in spots[1:]) + "."
    return charts.trade_off(spots, "adherence →", "style ↑", told)


def table(matter: Matter) -> Markup:
    """The standings, a line a checkpoint."""
    heads = ("step", "", "utility", "style", "adherence", "behind the best", "best in", "pictures")
    rows = []
    for standing in matter.standings:
        cells = (
            f"{standing.checkpoint:,}",
            join(element("span", PLACES[standing.place], class_=f"place {standing.place}"), _reasons(standing)),
            _interval(standing.utility, standing.low, standing.high),
            _interval(*_on_scale(_value(standing, "style"))),
            _interval(*_on_scale(_value(standing, "adherence"))),
            "–" if standing.behind is None else _interval(standing.behind.gap, standing.behind.low, standing.behind.high),
            f"{standing.best_share:.0%}",
            str(standing.pictures),
        )
        rows.append(_row(cells, heads, standing))
    head = element("thead", element("tr", *[element("th", name, scope="col") for name in heads]))
    return element("table", head, element("tbody", *rows), class_="standings")


def every_value(matter: Matter) -> Markup:
    """All measures of all checkpoints as they are, with their intervals."""
    names = list(dict.fromkeys(value.measure for standing in matter.standings for value in standing.values))
    entered = [standing for standing in matter.standings if standing.values]
    if not names:
        return Markup("")
    head = element("tr", element("th", "measure", scope="col"), *[element("th", f"{one.checkpoint:,}", scope="col") for one in entered])
    rows = [
        element(
            "tr",
            element("th", name, scope="row"),
            *[
                element("td", _interval(value.value, value.low, value.high, 3) if (value := _value(standing, name)) is not None else "–")
                for standing in entered
            ],
        )
        for name in names
    ]
    return element(
        "div",
        element("table", element("thead", head), element("tbody", *rows), class_="values"),
        class_="scroll",
        tabindex="0",
        role="group",
        aria_label="All values",
    )


def measures(verdict: Verdict) -> Markup:
    """Each measure, what it is used for here, and why not more."""
    return element("ul", *[_gauge(gauge) for gauge in verdict.gauges], class_="measures")


def otherwise(verdict: Verdict) -> Markup:
    """Whether another weighing would choose another checkpoint."""
    if not verdict.picks or verdict.best is None:
        return Markup("")
    same = [pick.how for pick in verdict.picks if pick.checkpoint == verdict.best]
    other = [f"{pick.how}, step {pick.checkpoint:,}" for pick in verdict.picks if pick.checkpoint != verdict.best]
    told = [f"Weighed otherwise, the measures' choice, step {verdict.best:,}, stays the same: {'; '.join(same)}."] if same else []
    told += [f"It would be another: {'; '.join(other)}."] if other else []
    return element("p", " ".join(told))


def people(verdict: Verdict) -> Markup:
    """What votes say, beside what the measures say. Empty without votes."""
    said = verdict.people
    if said is None:
        return Markup("")
    heads = ("step", "preferred", "not", "as good", "worth, with the measures", "chance to be the best")
    rows = []
    for favour in said.favours:
        chance = element("span", f"{favour.best_share_before:.0%} before the votes", class_="interval")
        cells = (
            str(favour.won),
            str(favour.lost),
            str(favour.same),
            _interval(favour.worth, favour.low, favour.high),
            join(element("span", f"{favour.best_share:.0%}", class_="number"), " ", chance),
        )
        first = element("th", element("span", "step ", class_="only-narrow"), f"{favour.checkpoint:,}", scope="row")
        rest = [element("td", cell, data_label=head) for cell, head in zip(cells, heads[1:], strict=True)]
        rows.append(element("tr", first, *rest, class_="chosen" if favour.checkpoint == verdict.checkpoint else None))
    head = element("thead", element("tr", *[element("th", name, scope="col") for name in heads]))
    agreements = [
        element("li", f"with {one.measure} in {one.agreed} of {counted(one.of, 'vote')} (95 %: {one.low:.0%} to {one.high:.0%})")
        for one in said.agreements
    ]
    agreed = join(element("p", "People agree"), element("ul", *agreements, class_="plain")) if agreements else Markup("")
    return join(element("table", head, element("tbody", *rows), class_="standings"), agreed)


def trials(verdict: Verdict) -> Markup:
    """What other guidances and strengths are worth, and which to draw with. Empty where none was tried."""
    if not verdict.trials:
        return Markup("")
    advice = []
    if verdict.guidance is not None:
        advice.append(f"Draw step {verdict.checkpoint:,} with guidance {verdict.guidance:g} and strength {verdict.strength or 1:g}.")
    if verdict.guidances is not None:
        low, high = verdict.guidances
        advice.append(f"From guidance {low:g} to {high:g} it is about as good." if low < high else "Other guidances are worse.")
    told = element("p", " ".join(advice)) if advice else Markup("")
    return join(
        told,
        _sweep(verdict, "guidance", lambda trial: (trial.guidance, trial.strength)),
        _sweep(verdict, "strength", lambda trial: (trial.strength, trial.guidance)),
    )


def _sweep(verdict: Verdict, name: str, places: Callable[[Trial], tuple[float, float]]) -> Markup:
    """Utilities: a column for each value of one setting, a row for each checkpoint and value of the other that was tried with several.

    places: a trial's value of the setting named, and of the other.
    """
    by_row: dict[tuple[int, float], dict[float, Trial]] = {}
    for trial in verdict.trials:
        value, other = places(trial)
        by_row.setdefault((trial.checkpoint, other), {})[value] = trial
    by_row = {row: tried for row, tried in by_row.items() if len(tried) > 1}
    if not by_row:
        return Markup("")
    values = sorted({value for tried in by_row.values() for value in tried})
    other_name = "strength" if name == "guidance" else "guidance"
    rows = []
    for (checkpoint, other), tried in by_row.items():
        cells = []
        for value in values:
            here = tried.get(value)
            is_advised = here is not None and (here.checkpoint, here.guidance, here.strength) == _advised(verdict)
            cells.append(element("td", _trial(here), class_="chosen" if is_advised else None))
        note = element("span", f"{other_name} {other:g}", class_="interval")
        rows.append(element("tr", element("th", f"step {checkpoint:,} ", note, scope="row"), *cells))
    heads = [element("th", f"{name} {value:g}", scope="col") for value in values]
    pictures = counted(max(trial.pictures for trial in verdict.trials), "picture")
    table = element(
        "table",
        element("caption", f"Utility by {name}, on {pictures} each"),
        element("thead", element("tr", element("td"), *heads)),
        element("tbody", *rows),
        class_="sweep",
    )
    return element("div", table, class_="scroll", tabindex="0", role="group", aria_label=f"Utility by {name}")


def _advised(verdict: Verdict) -> tuple[int | None, float | None, float | None]:
    return verdict.checkpoint, verdict.guidance, verdict.strength


def _trial(trial: Trial | None) -> Markup:
    if trial is None:
        return Markup("–")
    shade = element("span", style=f"width:{max(0.0, min(1.0, trial.utility)):.0%}", class_="bar", aria_hidden="true")
    warned = element("span", "; ".join(trial.complaints), class_="note") if trial.complaints else Markup("")
    return join(_interval(trial.utility, trial.low, trial.high), shade, warned)


def _beside_best(standing: Standing, best: float | None) -> Point:
    """A checkpoint's utility, with the interval of its distance to the best around it."""
    assert standing.utility is not None, "only what was compared is drawn"
    low = high = None
    if standing.behind is not None and best is not None:
        low, high = best - standing.behind.high, best - standing.behind.low
    name = f"step {standing.checkpoint:,}: {standing.utility:.2f}, {PLACES[standing.place]}"
    return Point(standing.checkpoint, standing.utility, low, high, name, standing.place)


def _losses(matter: Matter) -> list[Panel]:
    """The held-out loss from the first checkpoint on: beside the base's, the differences between checkpoints would vanish."""
    measured = [(step.step, step.holdout_loss) for step in matter.steps if step.holdout_loss is not None]
    shown = [(step, loss) for step, loss in measured if step > BASE]
    if not shown:
        return []
    lowest = min(loss for _, loss in shown)
    points = [Point(step, loss, name=f"step {step:,}: {loss:.4f}", kind="best" if loss == lowest else "") for step, loss in shown]
    note = "on pictures kept out of training; the lowest does not name the best pictures"
    if measured[0][0] == BASE:
        note += f"; the base has {measured[0][1]:.3f}"
    return [Panel("Held-out loss", note, points, 110, kind="loss", is_dotted=len(points) <= 60)]


def _scaled(standings: Sequence[Standing], measure: str) -> list[Point]:
    points = []
    for standing in standings:
        value = _value(standing, measure)
        if value is not None and value.scaled is not None:
            name = f"step {standing.checkpoint:,}: {value.scaled:.2f}"
            kind = standing.place if standing.place in ("chosen", "rejected") else ""
            points.append(Point(standing.checkpoint, value.scaled, value.scaled_low, value.scaled_high, name, kind))
    return points


def _marks(matter: Matter) -> list[Mark]:
    marks = [Mark(one.checkpoint, "rejected", "rejected") for one in matter.standings if one.place in ("rejected", "broken")]
    marks += [Mark(one.checkpoint, "dropped", "dropped") for one in matter.standings if one.place == "dropped"]
    if matter.chosen is not None:
        guess = matter.verdict is not None and matter.verdict.outcome == "undecided"
        marks.append(Mark(matter.chosen, "chosen", f"step {matter.chosen:,}, {'the best guess' if guess else 'chosen'}"))
    return marks


def _told_curves(matter: Matter, entered: Sequence[Standing]) -> str:
    values = [f"step {one.checkpoint:,} {one.utility:.2f}{' (rejected)' if one.place == 'rejected' else ''}" for one in entered]
    return f"Curves over training steps. Utility: {', '.join(values) or 'none'}. All numbers stand in the table below."


def _gauge(gauge: Gauge) -> Markup:
    role = element("span", ROLES[gauge.role], class_=f"role {gauge.role}")
    why = element("span", f"{_sentence(gauge.reason)}", class_="note") if gauge.reason else Markup("")
    return element("li", element("span", gauge.measure, class_="measure"), role, element("span", MEANINGS.get(gauge.measure, "")), why)


def _reasons(standing: Standing) -> Markup:
    return element("span", _sentence("; ".join(standing.reasons)), class_="note") if standing.reasons else Markup("")


def _row(cells: Sequence[str], heads: Sequence[str], standing: Standing) -> Markup:
    first = element("th", element("span", "step ", class_="only-narrow"), cells[0], scope="row")
    rest = [element("td", cell, data_label=head) for cell, head in zip(cells[1:], heads[1:], strict=True)]
    return element("tr", first, *rest, class_=standing.place)


def _value(standing: Standing, measure: str) -> Value | None:
    return next((value for value in standing.values if value.measure == measure), None)


def _on_scale(value: Value | None) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if value is None else (value.scaled, value.scaled_low, value.scaled_high)


def _interval(value: float | None, low: float | None, high: float | None, decimals: int = 2) -> Markup:
    """A number with its interval beneath, or a dash."""
    if value is None:
        return Markup("–")
    told = element("span", _number(value, decimals), class_="number")
    if low is None or high is None:
        return told
    return join(told, " ", element("span", f"{_number(low, decimals)} to {_number(high, decimals)}", class_="interval"))


def _number(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}".replace("-", "−")


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + ("" if words.endswith(".") else ".")
