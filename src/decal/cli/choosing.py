"""Commands that choose: compare."""

import re
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from decal.cli.exchange import Adapters, Base, Data, HeldOut, Keyword, Out, finished
from decal.cli.options import HERE, STOP, Changes, Folder, GuidanceList, Json, RunName, listed, say_next, show_work

QUICK = ("compare.prompts=12", "compare.seeds=[0]", "compare.fresh=false", "compare.sweep=false")


def compare(
    folder: Folder = HERE,
    adapters: Adapters = [],  # noqa: B006
    base: Base = "",
    data: Data = None,
    heldout: HeldOut = None,
    keyword: Keyword = "",
    out: Out = None,
    checkpoints: Annotated[
        str, typer.Option(metavar="STEPS", help='Which, e.g. 75,150 or "75-300 (+75)" or "75-300 [5]"; all where left out.')
    ] = "",
    prompts: Annotated[int | None, typer.Option(min=4, max=1000, help="How many prompts, instead of compare.prompts.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A first look: 12 prompts, one seed, nothing measured again or tried.")] = False,
    guidance: GuidanceList = "",
    changes: Changes = [],  # noqa: B006
    run: RunName = None,
    json: Json = False,
) -> None:
    """Say which checkpoint to keep, and how sure that is.

    Draws the base and every checkpoint on prompts they never saw. --guidance lists what the best ones are tried at in the end; what
    they are compared at is compare.guidance.
    """
    from decal import workflow

    if adapters or base or data or heldout or keyword or out:
        folder = finished(adapters, base, (data, heldout), keyword, out)
    asked = [*(QUICK if quick else ()), *([f"compare.prompts={prompts}"] if prompts else []), *listed("compare.guidances", guidance)]
    choice = workflow.Choice(run)
    show_work(folder, [*asked, *changes], lambda at, settings: workflow.compare(at, settings, choice, STOP, checkpoints), json)
    if not json:
        kept = [*(["--quick"] if quick else []), *_options("--checkpoints", checkpoints), *_options("--guidance", guidance)]
        say_next(following(folder, choice.name, [*kept, *_options("--set", *changes)]))


def _options(name: str, *values: str) -> list[str]:
    return [word for value in values if value for word in (name, quote(value))]


def following(folder: Path, run: str | None, asked: Sequence[str] = ()) -> str:
    """What the verdict says to do next, for this folder and run. asked: the options that another comparison has to have again."""
    from decal import runs
    from decal.project import open_project

    verdict = runs.verdict_of(runs.newest(open_project(folder), run))
    if verdict is None:
        return f"decal grid {quote(str(folder))}"
    where = quote(str(folder)) + (f" --run {quote(run)}" if run else "")
    command = re.sub(r"^decal \w+", lambda command: f"{command[0]} {where}", verdict.next)
    return " ".join([command, *asked]) if command.startswith("decal compare ") else command
