"""What pictures of posts reach, as one page: the targets, each way of drawing, the pictures, and what is known of the audience."""

from collections.abc import Sequence
from pathlib import Path

from decal.posts.appraisal import WAYS, headline
from decal.posts.observed import Observed
from decal.project import Project
from decal.records import Appraisal, AppraisedDifference, EngagementFigure, EngagementReport
from decal.report.markup import Markup, element, join
from decal.report.thumbnails import thumbnail
from decal.wording import counted

SPLITS = {
    "accounts in turn": "Each account predicted from all others",
    "kept-out accounts": "Accounts that were kept out of training",
    "kept-out time": "The latest posts, kept out of training",
}
MEASURES = {"fit": "fit", "adds": "expected log likes"}


def body(at: Project, found: Appraisal, learnt: EngagementReport | None, observed: Observed | None) -> tuple[str, Markup]:
    """The title of the page, and everything in its body."""
    title = f"{headline(found.targets)} {at.folder.resolve().name}"
    parts = [
        ("Targets", _targets(found)),
        ("What each way is worth", join(_ways(found), _differences(found))),
        ("Pictures", _pictures(at, found)),
        ("The audience", _audience(learnt)),
        ("What people did", _observed(observed)),
        ("How it was measured", _measured(found)),
    ]
    sections = [element("section", element("h2", name), content, id_=_anchor(name)) for name, content in parts if content]
    links = [element("a", name, href=f"#{_anchor(name)}") for name, content in parts if content]
    return title, element(
        "body", _masthead(at, found, learnt), element("nav", *links, aria_label="Contents"), element("main", *sections), _end()
    )


def _masthead(at: Project, found: Appraisal, learnt: EngagementReport | None) -> Markup:
    lead = (
        "What is said of likes is what a model of this audience expects of pictures, tested on accounts that it did not learn from. Only "
        "a test with people says what they do."
        if found.is_told
        else f"Nothing is claimed about likes. {found.reason[:1].upper()}{found.reason[1:]}"
    )
    following = "decal posts learn" if learnt is None else "decal posts observe LIKES.csv"
    return element(
        "header",
        element("p", f"{at.folder.resolve().name} · {found.drawn_with} · {counted(found.posts, 'kept-out post')}", class_="kicker"),
        element("h1", headline(found.targets)),
        element("p", lead, class_="lead"),
        element("p", "Next: ", element("code", f"{following} {at.folder.name}"), class_="next"),
    )


def _targets(found: Appraisal) -> Markup:
    names = {"high": "chosen pictures that count as high", "fit": "how well they show what was asked for"}
    rows = [
        (names.get(one.name, one.name), f"{one.wanted:.0%}", _told((one.value, one.low, one.high), percent=True), one.outcome, one.reason)
        for one in found.targets
    ]
    return _table(("target", "declared", "found, 95 % interval", "outcome", "because"), rows)


def _ways(found: Appraisal) -> Markup:
    rows = [(one.name, one.what, _told(one.fit, percent=True), _told(one.high, percent=True)) for one in found.ways]
    how = "Every way draws the same posts from the same noise. High: the share of chosen pictures that count as high."
    return join(element("p", how, class_="how"), _table(("way", "drawn with", "fit", "high"), rows))


def _differences(found: Appraisal) -> Markup:
    def row(one: AppraisedDifference) -> tuple[str | Markup, ...]:
        return one.name, MEASURES[one.measure], _told((one.value, one.low, one.high), signed=True), one.outcome

    note = "Differences are paired by post. The best of several is chosen by what one half of the accounts teaches and judged by the other."
    if not any(one.name.startswith("real") for one in found.differences):
        note += " No control with shuffled buckets was named (--control)."
    table = _table(("comparison", "measure", "difference, 95 % interval", "outcome"), [row(one) for one in found.differences])
    return join(element("h3", "Paired differences"), table, element("p", note, class_="note"))


def _pictures(at: Project, found: Appraisal) -> Markup:
    ways = [one.name for one in found.ways]
    head = element("thead", element("tr", element("td"), *[element("th", name, scope="col", title=WAYS[name]) for name in ways]))
    rows = []
    for post in found.shown:
        label = element("th", element("span", post.text, class_="prompt"), element("span", post.prompt, class_="note"), scope="row")
        cells = [element("td", thumbnail(_inside(at, post.files.get(name)), f"{post.text[:80]}, {name}")) for name in ways]
        # As wide as with all four ways, so that pictures do not grow.
        rows.append(element("tr", label, *cells, *[element("td")] * max(0, 4 - len(cells))))
    return join(
        element("p", "Not the prettiest: the first posts by lot, and what was chosen for each in every way.", class_="how"),
        element("table", head, element("tbody", *rows), class_="strip"),
    )


def _inside(at: Project, file: str | None) -> Path | None:
    path = None if file is None else at.folder / file
    return path if path is not None and path.resolve().is_relative_to(at.folder.resolve()) else None


def _audience(learnt: EngagementReport | None) -> Markup:
    if learnt is None:
        return Markup("")
    more = (
        f" Learnt from {counted(learnt.published, 'published variant')} as well, which are tested on nowhere." if learnt.published else ""
    )
    parts = [element("p", f"{learnt.reason}{more}")]
    for split, what in SPLITS.items():
        here = [one for one in learnt.figures if one.split == split]
        if here:
            by = {(one.predictor, one.measure): one for one in here}
            rows = [
                (name, *(_figure(by.get((name, measure))) for measure in ("spearman", "r2", "gain", "slope")))
                for name in dict.fromkeys(one.predictor for one in here)
            ]
            heads = ("predictor", "order within the account", "R2 of log likes", "beyond the account's mean", "slope")
            size = f"{what}: {counted(here[0].posts, 'post')} of {counted(here[0].accounts, 'account')}."
            parts += [element("h3", size), _table(heads, rows)]
    if learnt.calibration:
        rows = [(f"{place} of 5", f"{expected:+.2f}", f"{came:+.2f}") for place, (expected, came) in enumerate(learnt.calibration, start=1)]
        parts += [
            element("h3", "Calibration of the picture alone, within the account"),
            _table(("fifth", "expected log likes", "what came"), rows),
        ]
    return join(*parts)


def _figure(one: EngagementFigure | None) -> str | Markup:
    if one is not None and one.value is not None and one.low is None:
        return _value(f"{one.value:.2f}", "too few accounts")
    return "–" if one is None else _told((one.value, one.low, one.high))


def _observed(observed: Observed | None) -> Markup:
    if observed is None:
        return Markup("")
    first, *rest = observed.lines()
    return join(element("p", f"{first}."), element("ul", *[element("li", line.strip()) for line in rest], class_="plain"))


def _measured(found: Appraisal) -> Markup:
    told = (
        "Posts are of accounts or days that nothing was trained on. Fit: the share of the other posts' prompts whose pictures by the base "
        "are farther from a picture than those of its own prompt; chance is 50 %. High: expected above what nine of ten pictures of the "
        "training posts are expected to get. Intervals are of 2,000 resamples of whole posts, by the same bootstrap as everywhere in "
        "Decal; where all posts agree on 0 or 100 %, the exact bound for so many is taken. "
        f"{counted(len(found.differences), 'difference')} are shown; at 95 %, one in twenty is sure by luck."
    )
    return element("p", told, class_="how")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str | Markup]]) -> Markup:
    head = element("thead", element("tr", *[element("th", name, scope="col") for name in heads]))
    told = []
    for first, *rest in rows:
        cells = [element("td", cell, data_label=name) for name, cell in zip(heads[1:], rest, strict=True)]
        told.append(element("tr", element("th", first, scope="row"), *cells))
    table = element("table", head, element("tbody", *told), class_="standings worded")
    return element("div", table, class_="scroll", tabindex="0", role="group", aria_label=heads[0])


def _told(bounds: tuple[float | None, float | None, float | None], *, percent: bool = False, signed: bool = False) -> str | Markup:
    value, low, high = bounds
    if value is None or low is None or high is None:
        return "–"
    form = ".0%" if percent else "+.2f" if signed else ".2f"
    return _value(f"{value:{form}}", f"{low:{form}} to {high:{form}}")


def _value(value: str, interval: str) -> Markup:
    """A figure with its interval beneath."""
    return join(element("span", value, class_="number"), element("span", interval, class_="interval"))


def _end() -> Markup:
    return element("footer", element("p", "Written by Decal. No network was needed, and none is to read it."))


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")
