"""The command that makes the hand-in: submit."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from decal.cli.options import HERE, STOP, Changes, CheckpointStep, Folder, Json, RunName, say_next, show_work


def submit(
    folder: Folder = HERE,
    out: Annotated[Path | None, typer.Option(metavar="ZIP", help="Where to write it; hand-in.zip in the project where left out.")] = None,
    changes: Changes = [],  # noqa: B006
    run: RunName = None,
    checkpoint: CheckpointStep = None,
    json: Json = False,
) -> None:
    """Write the hand-in, one zip with all that was made.

    Data set, executed notebooks, LoRA and sheets, with a checklist of what is still to mend.
    """
    from decal import workflow

    show_work(folder, changes, lambda at, settings: workflow.submit(at, settings, workflow.Choice(run), checkpoint, out, STOP), json)
    say_next(f"unzip {quote(str(out or folder / 'hand-in.zip'))} -d hand-in  and read hand-in/README.md", json)
