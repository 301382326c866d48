"""Commands for tables of posts: posts import, plan, media, build, learn, draw, observe, report, demo."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from decal.cli.options import HERE, STOP, Changes, CheckpointStep, Folder, Json, RunName, say_next, show_work, typed
from decal.errors import SettingsError

app = typer.Typer(
    help="Go from a table of posts to pictures for new posts.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Columns = Annotated[
    list[str],
    typer.Option("--column", metavar="content=NAME", help="What a column is called, where it has no usual name; may be repeated."),
]


@app.command("import")
def import_(
    table: Annotated[Path, typer.Argument(help="The table: .csv, .tsv, .jsonl, .xlsx or .parquet.")],
    folder: Annotated[Path | None, typer.Argument(metavar="[PROJECT]", help="The project; one beside the table where left out.")] = None,
    column: Columns = [],  # noqa: B006
    keyword: Annotated[str, typer.Option(help="A new project: the word that will call the style of the account or brand.")] = "",
    base: Annotated[
        str,
        typer.Option(
            help="A new project: mini, mini-turbo, mini-xl, sd1.5, sd2.1, sd2.1-base, sdxl, sdxl-turbo, a hub id or a folder.",
            show_default="mini",
        ),
    ] = "",
    changes: Changes = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Read a table of posts into a project.

    Says what is odd about its rows, and which of them may be trained on.
    """
    from decal import workflow

    at = table.with_suffix("") if folder is None else folder
    order = workflow.PostOrder(table, named_columns(column), base, keyword)
    if not table.is_file():
        raise SettingsError(f"{table} is not a file.\nName a table of posts, such as  decal posts import posts.csv")
    workflow.begin_posts(at, order)
    show_work(at, changes, lambda one, settings: workflow.import_posts(one, settings, order, STOP), json)
    say_next(f"decal posts plan {quote(str(at))}{typed(changes)}", json)


@app.command()
def plan(folder: Folder = HERE, changes: Changes = [], json: Json = False) -> None:  # noqa: B006
    """Turn every post into a prompt that fits the base.

    Several processes may share the work.
    """
    from decal import workflow

    show_work(folder, changes, lambda at, settings: workflow.plan_posts(at, settings, STOP), json)
    has_pictures = (folder / "posts/pictures").is_dir()
    # Plans that were made with --set are built with the same.
    following = f"build {quote(str(folder))}" if has_pictures else f"media {quote(str(folder))} --from PICTURES"
    say_next(f"decal posts {following}{typed(changes)}", json)


@app.command()
def media(
    folder: Folder = HERE,
    source: Annotated[
        Path | None, typer.Option("--from", metavar="PICTURES", help="A folder with the pictures, found by the names in their addresses.")
    ] = None,
    download: Annotated[bool, typer.Option("--download", help="Get them from their addresses; noai and limits are honoured.")] = False,
    changes: Changes = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Get the pictures of posts, and say what is gone.

    From a folder, or from their addresses.
    """
    from decal import workflow
    from decal.posts.downloads import Downloader

    if (source is None) != download:
        raise SettingsError("Say where the pictures come from: --from PICTURES or --download, one of them.")
    show_work(folder, changes, lambda at, _: workflow.get_pictures(at, source, Downloader(), STOP), json)
    say_next(f"decal posts build {quote(str(folder))}{typed(changes)}", json)


@app.command()
def build(folder: Folder = HERE, changes: Changes = [], json: Json = False) -> None:  # noqa: B006
    """Make a data set of pictures and captions.

    Several processes may share the work.
    """
    from decal import workflow

    show_work(folder, changes, lambda at, settings: workflow.build_posts(at, settings, STOP), json)
    say_next(f"decal check {quote(str(folder))}{typed(changes)}", json)


@app.command()
def learn(folder: Folder = HERE, changes: Changes = [], json: Json = False) -> None:  # noqa: B006
    """Learn what the audience likes, and say how surely.

    Needs 10 posts with a picture and likes, and 8 accounts of 5 each before it claims anything. Every figure stands beside the
    constant and the account's mean.
    """
    from decal import workflow

    show_work(folder, changes, lambda at, settings: workflow.learn_posts(at, settings, STOP), json)
    say_next(_draw(folder, changes), json)


@app.command()
def draw(
    table: Annotated[Path, typer.Argument(help="New posts: .csv, .tsv, .jsonl, .xlsx or .parquet.")],
    folder: Folder = HERE,
    candidates: Annotated[int, typer.Option("-k", min=1, max=50, help="Candidates of each post.")] = 4,
    checkpoint: CheckpointStep = None,
    run: RunName = None,
    seed: Annotated[int, typer.Option(min=0, help="Another one gives other candidates.")] = 0,
    column: Columns = [],  # noqa: B006
    changes: Changes = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Draw candidates for new posts, on a labelled sheet.

    With the last checkpoint, or with the base where there is none or with --checkpoint 0.
    """
    from decal import workflow

    wish = workflow.PostWish(table, named_columns(column), candidates, checkpoint, seed)
    show_work(folder, changes, lambda at, settings: workflow.draw_posts(at, settings, workflow.Choice(run), wish, STOP), json)
    say_next(f"once some are published, with their likes  decal posts observe LIKES.csv {quote(str(folder))}", json)


@app.command()
def observe(
    likes: Annotated[
        Path, typer.Argument(help="A table with the columns variant (or utm_content) and likes: .csv, .tsv, .jsonl, .xlsx or .parquet.")
    ],
    folder: Folder = HERE,
    column: Annotated[
        list[str],
        typer.Option("--column", metavar="variant=NAME", help="What a column is called, where it has no usual name; may be repeated."),
    ] = [],  # noqa: B006
    changes: Changes = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Take in the likes of published variants.

    Says how they agree with what was expected before, over all that was observed so far, and learns the audience anew with them, so that
    the next candidates are ordered by it.
    """
    from decal import workflow

    show_work(folder, changes, lambda at, settings: workflow.observe_posts(at, settings, likes, named_columns(column), STOP), json)
    say_next(_draw(folder, changes), json)


@app.command()
def report(
    folder: Folder = HERE,
    posts: Annotated[int, typer.Option("--posts", min=8, max=500, help="Kept-out posts to draw for.")] = 24,
    candidates: Annotated[int, typer.Option("-k", min=2, max=50, help="Candidates of each post in every way.")] = 4,
    checkpoint: CheckpointStep = None,
    run: RunName = None,
    control: Annotated[str | None, typer.Option(metavar="RUN", help="A run trained with posts.buckets=shuffled.")] = None,
    changes: Changes = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Say which targets are reached, missed, or cannot be told.

    Draws kept-out posts with base, prompt, LoRA and both, and writes a page.
    """
    from decal import workflow

    wish = workflow.Report(posts, candidates, checkpoint, control)
    show_work(folder, changes, lambda at, settings: workflow.report_posts(at, settings, workflow.Choice(run), wish, STOP), json)
    is_learnt = (folder / "posts/engagement.json").is_file()
    say_next(_draw(folder, changes) if is_learnt else f"decal posts learn {quote(str(folder))}{typed(changes)}", json)


@app.command()
def demo(folder: Annotated[Path, typer.Argument(help="Where the project is made.")] = Path("demo-posts"), json: Json = False) -> None:
    """All of it on invented posts that come with Decal.

    Import, plan, media, build, train and draw; needs no GPU and no network.
    """
    from decal import workflow
    from decal.progress import Display

    STOP.install()
    with Display(json) as display:
        display.show(workflow.demo_posts(folder, STOP))
    say_next(f"decal show {quote(str(folder))}", json)


def _draw(folder: Path, changes: list[str]) -> str:
    """The command that draws for new posts."""
    return f"decal posts draw NEXT.csv {quote(str(folder))}{typed(changes)}"


def named_columns(given: list[str]) -> dict[str, str]:
    """What `--column` says, as `{"content": "tweet_text"}`."""
    named = {}
    for one in given:
        column, equals, name = one.partition("=")
        if not equals or not column.strip() or not name.strip():
            raise SettingsError(f"--column {one!r} is not of the form content=tweet_text.")
        named[column.strip()] = name.strip()
    return named
