"""From a table of posts to prompts, a data set, and pictures for new posts."""

import hashlib
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from decal import project
from decal.errors import DataError, ProjectError, SettingsError
from decal.events import Event, Progress, Stop, Told, stop_if
from decal.posts import reading, tables
from decal.posts.report import Report
from decal.posts.shards import ROWS, Stage
from decal.posts.sides import Sides
from decal.presets import as_folder, base_preset
from decal.project import Project
from decal.records import Post, PostTable, Shard
from decal.settings import Settings, parse, read, to_toml
from decal.wording import counted, printable
from decal.workflow.planning import table_of

logger = logging.getLogger(__name__)

# Raised whenever a row would be read otherwise than before.
READING = 6
# Raised whenever a post would be placed otherwise than before.
PLACING = 2
# Nothing is lost without them: rows count as ids, and a company is a finer kind of account.
NOT_MISSED = ("id", "company")
NAMED = 10


@dataclass(frozen=True)
class PostOrder:
    """What posts are imported.

    columns: those that are called otherwise, as `{"content": "tweet_text"}`. model, keyword: of a new project; "" for the usual.
    """

    table: Path
    columns: Mapping[str, str]
    model: str = ""
    keyword: str = ""


def begin_posts(folder: Path, order: PostOrder) -> Project:
    """The project in a folder, made where there is none.

    Raises SettingsError where the base or the keyword cannot be, or is another than that of the project that is there.
    """
    at = Project(folder)
    if at.settings.exists():
        _require_same(at, order)
        return at
    if folder.is_file():
        raise SettingsError(f"{folder} is a file.\nName a folder for the project.")
    model = order.model or "mini"
    template = "{keyword} style sticker of {subject}" if model in ("mini", "mini-turbo", "mini-xl") else "{subject}, {keyword} style"
    table: dict[str, dict[str, object]] = {
        "base": {"model": str(as_folder(model) or model)},
        # Pictures of posts carry lettering and logos, which must not be mirrored; their shapes are those of feeds.
        "data": {"fit": "bucket", "flip": False, "faulty": "leave out"},
        "caption": {"keyword": order.keyword, "kind_words": [], "template": template if order.keyword else _without_keyword(template)},
        "posts": {"writer": "grammar"},
    }
    parse(table, where="decal posts import")
    base_preset(model)
    project.write_text(at.settings, to_toml(table))
    return at


def _require_same(at: Project, order: PostOrder) -> None:
    """Raise SettingsError where a project that is there is asked for with another keyword or base, which would change nothing."""
    settings = read(at.settings)
    wanted = {"caption.keyword": order.keyword, "base.model": str(as_folder(order.model) or order.model) if order.model else ""}
    there = {"caption.keyword": settings.caption.keyword, "base.model": settings.base.model}
    others = [f"{at.settings}: {name} is {there[name]!r} and not {one!r}." for name, one in wanted.items() if one and one != there[name]]
    if others:
        raise SettingsError("\n".join([*others, "The project is there already: change it in that file, or leave the option out."]))


def import_posts(at: Project, settings: Settings, order: PostOrder, stop: Stop) -> Iterator[Event]:
    """Read a table of posts into the project, a shard at a time, and say where each may be used.

    Shards that are there are not read again; where the map of companies changed, all are. Raises DataError where the table cannot be read,
    and ProjectError where the project holds another one.
    """
    with project.lock(at.posts / "rows", "importing posts"):
        about = _table(at, order)
        companies = reading.read_companies(at.posts / "companies.csv")
        known = reading.Known(companies, datetime.fromisoformat(about.begun))
        stage = Stage(at.posts / "rows", project.fingerprint(READING, ROWS, about.columns, about.begun, companies))
        yield Told("\n".join(_columns_told(about)))
        sides, report = Sides(settings.posts.seed), Report()
        shards: list[Shard] = []
        for shard, posts in _imported(stage, about, order, known):
            sides.add(posts)
            report.add(posts)
            shards.append(shard)
            yield shard
            if len(shards) % 10 == 0:
                yield Progress(f"reading posts, {report.rows:,} so far")
            stop_if(stop, f"{counted(report.rows, 'row')} read, the same command goes on")
        if report.rows == 0:
            raise DataError(f"{order.table} has a head and no rows.\nName a table with posts.")
        stage.drop_beyond(len(shards))
        yield Progress("comparing posts")
        places = sides.places()
        placed = Stage(at.posts / "places", project.fingerprint(PLACING, settings.posts.seed, *(one.sha256 for one in shards)))
        for first in range(0, len(places), ROWS):
            part = places[first : first + ROWS]
            if placed.whole(first // ROWS, shards[first // ROWS].sha256) is None:
                placed.write(first // ROWS, shards[first // ROWS].sha256, part, Counter(place.side for place in part))
        placed.drop_beyond(len(shards))
        report.place(places)
        project.write_text(at.posts / "report.json", report.to_json() + "\n")
        project.write_text(at.posts / "companies-doubtful.csv", report.doubtful_csv())
        project.write_text(at.posts / "import.json", project.to_json(about.model_copy(update={"rows": report.rows})) + "\n")
    yield Told("\n".join(report.lines()))
    yield Told(f"written to {at.posts / 'report.json'}")


def _imported(stage: Stage, about: PostTable, order: PostOrder, known: reading.Known) -> Iterator[tuple[Shard, list[Post]]]:
    """Every shard of the table with its posts: made anew where it is not whole."""
    number = 0
    if about.rows is not None:
        there = [stage.whole(shard, _input(about, shard)) for shard in range(-(-about.rows // ROWS))]
        if all(shard is not None for shard in there):
            yield from ((shard, stage.read(shard.shard, Post)) for shard in there if shard is not None)
            return
    table = tables.read(order.table, about.columns)
    batch: list[tables.Raw] = []
    for raw in table.rows:
        batch.append(raw)
        if len(batch) == ROWS:
            yield _import_shard(stage, number, _input(about, number), batch, known)
            number, batch = number + 1, []
    if batch:
        yield _import_shard(stage, number, _input(about, number), batch, known)


def _import_shard(stage: Stage, number: int, wanted: str, batch: list[tables.Raw], known: reading.Known) -> tuple[Shard, list[Post]]:
    if (there := stage.whole(number, wanted)) is not None and there.rows == len(batch):
        return there, stage.read(number, Post)
    posts = [reading.read(raw, known) for raw in batch]
    return stage.write(number, wanted, posts, Counter(post.status for post in posts)), posts


def _input(about: PostTable, shard: int) -> str:
    return project.fingerprint(about.sha256, shard)


def _table(at: Project, order: PostOrder) -> PostTable:
    """What is known of the table, from an earlier import where it is the same one. Raises ProjectError where it is another."""
    sha256 = _sha256(order.table)
    path = at.posts / "import.json"
    before = table_of(at)
    opened = tables.read(order.table, order.columns, earlier=before.columns if before is not None else None)
    opened.rows.close()  # type: ignore[attr-defined]
    if before is not None and before.sha256 != sha256:
        raise ProjectError(
            f"{at.folder} holds the posts of {before.where}, which is another table or has changed since.\n"
            f"Import this one into a project of its own:  decal posts import {order.table} FOLDER"
        )
    if before is not None and before.columns == dict(opened.columns):
        return before
    about = PostTable(
        where=str(order.table),
        kind=opened.kind,
        sha256=sha256,
        columns=dict(opened.columns),
        unused=opened.unused,
        begun=datetime.now(UTC).isoformat(timespec="seconds") if before is None else before.begun,
    )
    project.write_text(path, project.to_json(about) + "\n")
    return about


def _columns_told(about: PostTable) -> list[str]:
    """Which column of the table is what, and which are not used."""
    lines = [f"{about.where}: a table of kind {about.kind}; " + ", ".join(f"{name} from {own!r}" for name, own in about.columns.items())]
    lacks = [name for name in tables.COLUMNS if name not in about.columns and name not in NOT_MISSED]
    if lacks:
        lines.append(f"  no column for {', '.join(lacks)}")
    if about.unused:
        told = ", ".join(repr(printable(name)[:40]) for name in about.unused[:NAMED])
        more = f" and {len(about.unused) - NAMED} more" if len(about.unused) > NAMED else ""
        example = f"; where one of them is what is missing, say  --column {lacks[0]}=NAME" if lacks else ""
        lines.append(f"  not used: {told}{more}{example}")
    return lines


def _sha256(path: Path) -> str:
    if not path.is_file():
        raise SettingsError(f"{path} is not a file.\nName a table of posts: {', '.join(tables.ENDINGS)}.")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _without_keyword(template: str) -> str:
    return template.replace("{keyword} style ", "").replace(", {keyword} style", "")
