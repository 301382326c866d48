"""A run folder -> `report.html`: one page that says which checkpoint to keep, and shows why; and one for pictures of posts. Only reads.

`matter` reads the run, `strips`, `judged` and `trained` each write a part of the page, `charts` and `thumbnails` draw, and `markup` makes
sure that captions and names stay words. The page needs no network and no script; its pictures stand in it.
"""

from pathlib import Path

from decal.posts.observed import Observed
from decal.project import Project, Run
from decal.records import Appraisal, EngagementReport, Verdict
from decal.report import audience, judged, strips, trained
from decal.report.markup import Markup, element, join
from decal.report.matter import Matter, gather
from decal.wording import counted

STYLE = Markup((Path(__file__).parent / "style.css").read_text("utf-8"))
# Nothing is fetched and nothing runs, whatever a caption holds.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(at: Project, run: Run) -> str:
    """The whole page of a run. Raises ProjectError where a file of the run is damaged."""
    matter = gather(at, run)
    parts = [*_judgement(matter), *_making(matter)]
    contents = element("nav", *[element("a", name, href=f"#{_anchor(name)}") for name, _ in parts], aria_label="Contents")
    sections = [element("section", element("h2", name), content, id_=_anchor(name)) for name, content in parts]
    body = element("body", _masthead(matter), contents, element("main", *sections), _colophon(matter))
    return _document(f"{_headline(matter)} {matter.name}, {run.name}", body)


def posts_page(at: Project, found: Appraisal, learnt: EngagementReport | None, observed: Observed | None) -> str:
    """The whole page of what pictures of posts reach."""
    return _document(*audience.body(at, found, learnt, observed))


def _document(title: str, body: Markup) -> str:
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name_="color-scheme", content="light dark"),
        element("meta", name_="generator", content="Decal"),
        element("title", title),
        element("style", STYLE),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _judgement(matter: Matter) -> list[tuple[str, Markup]]:
    """The parts that speak of the choice, as far as there is something to say."""
    parts = [("Pictures", _pictures(matter))]
    if matter.verdict is not None and matter.verdict.standings:
        parts += [*_comparison(matter), *_doubts(matter, matter.verdict), ("How it was measured", _measured(matter.verdict))]
    return [(name, content) for name, content in parts if content]


def _pictures(matter: Matter) -> Markup:
    if matter.drawn:
        steps = strips.columns(matter)
        how = "Not the prettiest: first the cells that change most from one checkpoint to the next, then the worst of the chosen one."
        return join(_lead(how) if matter.scores else Markup(""), strips.table(matter, strips.rows(matter, steps), steps))
    return join(_lead("Drawn while training."), strips.glimpses(matter)) if matter.glimpses else Markup("")


def _comparison(matter: Matter) -> list[tuple[str, Markup]]:
    """The checkpoints in numbers."""
    is_entered = any(standing.utility is not None for standing in matter.standings)
    how = (
        "Nearer to your style often means farther from what was asked for. For checkpoints on the dashed line, no other is surely "
        "better in one of the two or in diversity without being worse in the rest."
    )
    return [
        ("Step by step", judged.curves(matter) if is_entered else Markup("")),
        ("The trade-off", _under(how, judged.trade_off(matter))),
        ("All checkpoints", join(judged.table(matter), _more("Every measure", judged.every_value(matter)))),
    ]


def _doubts(matter: Matter, verdict: Verdict) -> list[tuple[str, Markup]]:
    """What speaks against the chosen one, what people say, and how to draw with it."""
    twins = (
        f"{counted(len(verdict.suspects), 'drawn picture')} may repeat a training picture: left the drawn one, right yours. "
        "The number is the distance between them over that to the next nearest; 0 is an exact copy."
    )
    voted = "Which of two pictures is better, asked without saying who drew them, on the cells where pictures differ most."
    return [
        (f"The worst of step {matter.chosen:,}" if matter.chosen is not None else "The worst", strips.cards(matter)),
        ("Suspected copies", _under(twins, strips.copies(matter, verdict.suspects)) if verdict.suspects else Markup("")),
        ("What people say", _under(voted, judged.people(verdict))),
        ("Guidance and strength", judged.trials(verdict)),
    ]


def _measured(verdict: Verdict) -> Markup:
    how = (
        f"On {counted(verdict.prompts, 'prompt')} with {counted(verdict.seeds, 'seed')} each, against "
        f"{counted(verdict.references, 'picture')} of yours. Each measure is tested on this data first; one that fails decides nothing."
    )
    return join(_lead(how), judged.measures(verdict), judged.otherwise(verdict)) if verdict.gauges else Markup("")


def _making(matter: Matter) -> list[tuple[str, Markup]]:
    return [
        ("The data", trained.data_card(matter)),
        ("The training", join(trained.training(matter), trained.losses(matter), trained.settings(matter))),
        ("Make it again", trained.reproduce(matter)),
    ]


def _masthead(matter: Matter) -> Markup:
    verdict = matter.verdict
    where = element("p", f"{matter.name} · {matter.run.name}", class_="kicker")
    parts = [where, element("h1", _headline(matter))]
    if verdict is None:
        following = f"decal compare {matter.name}" if matter.checkpoints else f"decal train {matter.name}"
        told = f"{counted(len(matter.checkpoints), 'checkpoint')} saved. Which one to keep is not known yet."
        parts += [element("p", told, class_="lead"), _next(following)]
    else:
        lead = _parted(verdict.reason)[1]
        parts += [element("p", lead, class_="lead") if lead else Markup(""), _next(verdict.next)]
        if matter.chosen is not None and (file := trained.file_of(matter)):
            parts.append(element("p", "The LoRA: ", element("code", file), class_="note"))
    return element("header", *parts)


def _headline(matter: Matter) -> str:
    """The verdict in a few words: what stands before the first colon or semicolon of its reason."""
    if matter.verdict is None:
        return "Not compared yet."
    first = _parted(matter.verdict.reason)[0]
    if matter.verdict.outcome == "undecided" and matter.chosen is not None:
        return f"{first} Best guess: step {matter.chosen:,}."
    return first


def _parted(reason: str) -> tuple[str, str]:
    """A reason as its headline and the rest, each with a capital and a stop of its own."""
    mark = next(
        (place for place, letter in enumerate(reason) if letter in ":;." and not reason[place + 1 : place + 2].isdigit()), len(reason)
    )
    rest = reason[mark + 1 :].strip()
    return f"{reason[:mark]}.", rest[:1].upper() + rest[1:]


def _next(command: str) -> Markup:
    is_command = command.startswith("decal ")
    return element("p", "Next: ", element("code", command) if is_command else command, class_="next")


def _colophon(matter: Matter) -> Markup:
    version = matter.about.versions.get("decal", "")
    return element(
        "footer",
        element("p", f"Written by Decal {version} from the files of {matter.run.name}. No network was needed, and none is to read it."),
    )


def _lead(words: str) -> Markup:
    return element("p", words, class_="how")


def _under(words: str, content: Markup) -> Markup:
    """Content under a sentence that explains it; nothing where there is none."""
    return join(_lead(words), content) if content else content


def _more(name: str, content: Markup) -> Markup:
    return element("details", element("summary", name), content) if content else Markup("")


def _anchor(name: str) -> str:
    return "-".join("".join(letter if letter.isalnum() else " " for letter in name.lower()).split())
