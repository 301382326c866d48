"""Commands about the choice of a checkpoint: report, vote."""

from typing import Annotated

import typer

from decal.cli.choosing import following
from decal.cli.options import HERE, STOP, Folder, Json, RunName, say_next, show_work


def report(folder: Folder = HERE, run: RunName = None, json: Json = False) -> None:
    """Write report.html, one page about what came of a run.

    It says which checkpoint to keep and why; any browser shows it.
    """
    from decal import workflow

    show_work(folder, [], lambda at, _: workflow.write_report(at, workflow.Choice(run)), json)


def vote(
    folder: Folder = HERE,
    run: RunName = None,
    stop_after: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="End after so many answers; left out, when all is asked.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 for a free one.")] = 0,
    json: Json = False,
) -> None:
    """Ask people which of two pictures is better.

    Nobody is told which checkpoint drew it, and the answers join the verdict. The page is served to this machine only. Every answer
    is kept at once, and the same command goes on.
    """
    from decal import workflow

    show_work(folder, [], lambda at, _: workflow.vote(at, workflow.Choice(run), STOP, stop_after=stop_after, port=port), json)
    say_next(following(folder, run), json)
