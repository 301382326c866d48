"""The command that puts a LoRA on the hub: publish."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from decal.cli.options import HERE, CheckpointStep, Folder, RunName, say_next


def publish(
    folder: Folder = HERE,
    to: Annotated[str, typer.Option("--to", metavar="OWNER/NAME", help="The repository; a name alone is in your own space.")] = "",
    checkpoint: CheckpointStep = None,
    run: RunName = None,
    public: Annotated[bool, typer.Option("--public", help="Let everybody read it; private where left out.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Make the folder and list what would go; needs no network.")] = False,
) -> None:
    """Put the LoRA of a run on the Hugging Face hub.

    With its card and pictures, in one commit.
    """
    from decal import workflow
    from decal.progress import Display
    from decal.project import open_project

    at = open_project(folder)
    target = workflow.Target(to or Path(folder).resolve().name, is_public=public)
    with Display(json=False) as display:
        display.show(workflow.publish(at, workflow.Choice(run), checkpoint, target, is_dry=dry_run))
    if dry_run:
        say_next(f"decal publish {quote(str(folder))} --to {quote(target.repo)}{' --public' if public else ''}")
