"""How a project begins: from pictures, or from descriptions whose pictures are drawn and chosen."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from decal import candidates, captions, dataset, descriptions, gallery, grid, kinds, project, sheets
from decal.candidates import Question
from decal.captions import Tokenizer
from decal.dataset import Brought
from decal.errors import ProjectError, SettingsError
from decal.events import Event, Progress, Stop, Told
from decal.language import Client
from decal.presets import as_folder, base_preset, public_name
from decal.project import Project
from decal.records import Candidate, Description, Pick
from decal.settings import CaptionSettings, Settings, parse, resolve, resolve_describe, to_toml
from decal.wording import counted

logger = logging.getLogger(__name__)

GRID_PROMPTS = 10
COMPARE_PROMPTS = 8
SAMPLE = Path(__file__).parents[1] / "mini" / "sample"
SAMPLE_KEYWORD = "cobink"
MINI_NAME = "mini"
DESCRIPTIONS = 30
CANDIDATES = 4


@dataclass(frozen=True)
class Order:
    """What a new project is made of.

    source: a path, a pattern of tars, or an address on the hub; None for a project from nothing. model: a base by name, hub id or folder;
    "" for the preset's. kind: one of `kinds.KINDS`. style: the look in words that a base knows, for every caption that is made.
    caption_column: the key that holds the captions; None where it has a usual name. limit: rows to take; None for all. settings: further
    ones to write, by section.
    """

    source: Path | str | None
    keyword: str
    model: str
    kind: str
    style: str = ""
    caption_column: str | None = None
    limit: int | None = None
    settings: Mapping[str, dict[str, object]] = field(default_factory=dict)


def sample_order() -> Order:
    """The stickers that come with Decal, on the base model that comes with it."""
    # Half of the usual comparison, so that the whole flow stays a matter of minutes on two cores.
    return Order(SAMPLE, SAMPLE_KEYWORD, "mini", "stickers", settings={"compare": {"prompts": 16, "seeds": [0]}})


def new(folder: Path, order: Order) -> Brought | None:
    """Make a project: copy the pictures with their captions, write the settings and the prompts; None where it begins without pictures.

    Raises SettingsError for a wrong option or a folder that is a project already, and DataError where there are no pictures.
    Content is never a reason to refuse: `check` reports it.
    """
    at = Project(folder)
    if at.settings.exists():
        raise SettingsError(f"{folder} is a project already.\nChoose another folder, or look at this one with  decal show {folder}")
    if at.dataset.exists() and (not at.dataset.is_dir() or any(at.dataset.iterdir())):
        raise SettingsError(f"{at.dataset} is there already and not empty; it is left alone.\nMake the project in another folder.")
    table = kinds.sections(order.kind)
    # A folder is kept by its full path, so that the project can be used from anywhere.
    model = order.model or str(table.get("base", {}).get("model", MINI_NAME))
    model = str(as_folder(model) or model)
    named: dict[str, dict[str, object]] = {"base": {"model": model}}
    table = named | table | named | {"caption": {"keyword": order.keyword, **table.get("caption", {})}}
    if order.style.strip():
        template = str(table["caption"].get("template", CaptionSettings().template))
        words = [word.strip() for word in order.style.split(",") if word.strip()]
        table["caption"] |= {"template": f"{template}, {', '.join(words)}", "style_words": words}
    table |= order.settings
    settings = parse(table, where="decal new")
    base_preset(model)
    brought = None
    if order.source is None:
        at.dataset.mkdir(parents=True, exist_ok=True)
    else:
        brought = dataset.bring_in(order.source, at.dataset, caption_column=order.caption_column, limit=order.limit)
        project.write_lines(at.sources, [brought.source])
    rows = dataset.scan(at.dataset).rows
    told = [text for row in rows for text in (row.captions if row.caption else (captions.subject(row.file),))]
    avoid: list[str] = []
    for path, count in ((at.prompts, GRID_PROMPTS), (at.compare_prompts, COMPARE_PROMPTS)):
        given = None if order.source is None else Path(order.source) / path.name
        if given is not None and given.is_file():
            project.write_bytes(path, given.read_bytes())
        else:
            proposed = grid.propose(told, order.keyword, settings.caption.template, count, avoid)
            project.write_text(path, "\n".join(proposed) + "\n")
        avoid += grid.read_prompts(path)
    project.write_text(at.settings, to_toml(table))
    return brought


def describe(at: Project, settings: Settings, count: int, stop: Stop) -> Iterator[Event]:
    """Make the table of descriptions as long as asked for; yields all of it, those that were there first, and how it is spread."""
    with project.lock(at.descriptions, "describing"):
        lines = project.read(at.descriptions, Description)
        describing = resolve_describe(settings)
        prompts = [prompt for path in (at.prompts, at.compare_prompts) if path.exists() for prompt in grid.read_prompts(path)]
        known = [row.caption for row in dataset.scan(at.dataset).rows if row.caption]
        tokenizer = Tokenizer.of_base(settings.base.model)
        table = descriptions.Table(describing, settings.caption, tokenizer, known, prompts, lines)
        yield from list(lines)
        if len(lines) >= count:
            yield Told(f"{counted(len(lines), 'description')} there already; -n {len(lines) + 10} adds more")
        elif settings.language.endpoint:
            client = Client(settings.language, at.cache)
            yield Told(f"{counted(count - len(lines), 'description')} in the words of {client.name}")
            written = descriptions.by_model(table, count, client, api=settings.language.api, stop=stop)
            yield from _appended(written, at.descriptions)
        else:
            yield Told(f"{counted(count - len(lines), 'description')} from the built-in grammar")
            yield from _appended(descriptions.by_grammar(table, count), at.descriptions)
    if table.lines:
        yield Told("\n".join(descriptions.coverage(table.lines)))
    if len(table.lines) < count:
        reasons = ", ".join(f"{number} {why}" for why, number in table.refused.most_common(4)) or "nothing more fits"
        remedy = "for more: another describe.subjects, describe.kinds or describe.detail, or a language model"
        logger.warning("only %d of %d descriptions (%s); %s", len(table.lines), count, reasons, remedy)


def draw_candidates(at: Project, settings: Settings, count: int, seed: int, stop: Stop) -> Iterator[Event]:
    """Draw so many candidates for each description with the base alone, and the sheets to choose by."""
    lines = project.read(at.descriptions, Description)
    if not lines:
        raise ProjectError(f"{at.descriptions} holds no description.\nMake some with  decal describe {at.folder}")
    resolved = resolve(settings, 1)
    wanted = candidates.cells(lines, resolved, count, seed)
    side, model = resolved.data.resolution, public_name(resolved.base.model)
    yield Told(f"{counted(len(wanted), 'picture')} of {side} x {side} px for {counted(len(lines), 'description')}, drawn with {model}")
    yield from candidates.draw(at, resolved, wanted, stop)
    drawn: dict[int, list[Candidate]] = {}
    for one in candidates.whole(at):
        drawn.setdefault(one.description, []).append(one)
    for first in range(0, len(lines), candidates.DESCRIPTIONS_A_SHEET):
        part = [line for line in lines[first : first + candidates.DESCRIPTIONS_A_SHEET] if line.number in drawn]
        shown = [one for line in part for one in drawn[line.number]]
        if shown:
            rows = [(f"{line.number}  {line.content}", {one.number: at.folder / one.file for one in drawn[line.number]}) for line in part]
            title = f"Candidates for descriptions {part[0].number} to {part[-1].number}"
            bases = ", ".join(dict.fromkeys(one.base for one in shown))
            picture = sheets.candidates_sheet(rows, [one.cell for one in shown], title=title, base=bases)
            yield gallery.write_sheet(candidates.sheet_of(at, first), picture, len(shown))


def pick(at: Project, picks: Iterable[tuple[Question, Pick]]) -> Iterator[Pick]:
    """Put what is chosen into the data set; yields each choice once its pictures are there."""
    with project.lock(at.folder / "metadata", "choosing pictures"):
        for question, one in picks:
            candidates.keep(at, question, one)
            yield one


def _appended(events: Iterable[Description | Progress | Told], path: Path) -> Iterator[Event]:
    """The same events; each description is on disk before it is passed on."""
    for event in events:
        if isinstance(event, Description):
            project.append(path, event)
        yield event
