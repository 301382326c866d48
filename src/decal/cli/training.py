"""Commands that train and draw: train, compare, grid, draw, run, demo."""

import sys
from json import dumps
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from decal.cli.options import (
    HERE,
    STOP,
    Accept,
    Changes,
    CheckpointStep,
    Folder,
    GuidanceList,
    Json,
    NewRun,
    RunName,
    alone,
    listed,
    say_next,
    show_work,
    together,
    typed,
)
from decal.errors import SettingsError


def train(
    folder: Folder = HERE,
    changes: Changes = [],  # noqa: B006
    run: RunName = None,
    new_run: NewRun = False,
    accept_changes: Accept = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure a few steps, and say what training does, takes and needs.")] = False,
    tries: Annotated[
        int | None,
        typer.Option("--search", min=2, max=24, metavar="N", help="Race N choices of rate, rank and targets by held-out loss instead."),
    ] = None,
    json: Json = False,
) -> None:
    """Train the LoRA, or go on where it stopped."""
    from decal import workflow
    from decal.project import Project

    if tries is not None or dry_run:
        alone("--search" if tries is not None else "--dry-run")
    if tries is not None:
        if dry_run or new_run or accept_changes or run is not None:
            raise SettingsError(
                "--search trains no run, so --dry-run, --run, --new-run and --accept-changes do not go with it.\nLeave them out."
            )
        show_work(folder, changes, lambda at, settings: workflow.search(at, settings, tries, STOP), json)
        say_next(f"decal train {quote(str(folder))}{typed(changes)}", json)
        return
    if dry_run:
        show_work(folder, changes, lambda at, settings: workflow.rehearse(at, settings, STOP), json)
        say_next(f"decal train {quote(str(folder))}{typed(changes)}", json)
        return
    with together() as is_first:
        if is_first:
            choice = workflow.Choice(run, new_run, accept_changes)
            show_work(folder, changes, lambda at, settings: workflow.train(at, settings, choice, STOP), json)
            named, at = f" --run {quote(run)}" if run is not None else "", quote(str(folder))
            compare = f"decal compare {at}{named}{typed(changes)}"
            # Whoever trained a control wants the real buckets back.
            say_next(f"decal posts plan {at} && decal posts build {at}" if Project(folder).is_control else compare, json)


def grid(
    folder: Folder = HERE,
    changes: Changes = [],  # noqa: B006
    run: RunName = None,
    checkpoint: CheckpointStep = None,
    guidance: GuidanceList = "",
    json: Json = False,
) -> None:
    """Draw the prompts of prompts.txt at every guidance.

    With one checkpoint; 10 x 3 pictures where nothing else is set.
    """
    from decal import workflow

    asked = [*listed("grid.guidance", guidance), *changes]
    show_work(folder, asked, lambda at, settings: workflow.draw_grid(at, settings, workflow.Choice(run), checkpoint, STOP), json)
    say_next(f"decal submit {quote(str(folder))}{typed(changes)}", json)


def draw(
    prompt: Annotated[str | None, typer.Argument(help="What to draw; hold the keyword in it.", show_default=False)] = None,
    folder: Folder = HERE,
    source: Annotated[
        str | None, typer.Option("--from", metavar="descriptions", help="Draw candidates for every description, with the base alone.")
    ] = None,
    candidates: Annotated[int | None, typer.Option("-k", min=1, max=100, help="With --from: candidates of each description; 4.")] = None,
    base: Annotated[str | None, typer.Option(help="With --from: another base than that of the project.")] = None,
    image: Annotated[Path | None, typer.Option(help="A picture to start from (image-to-image).")] = None,
    strength: Annotated[
        float | None, typer.Option(min=0.01, max=1, help="With --image: the share of the steps that redraw it; 0.6.")
    ] = None,
    negative: Annotated[str, typer.Option(help="What to steer away from.")] = "",
    guidance: Annotated[float | None, typer.Option(min=0, max=50, help="Guidance; the base's own where left out.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first picture; each further one takes the next.")] = 0,
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many pictures.")] = 1,
    lora_strength: Annotated[float, typer.Option(help="Factor on the LoRA.")] = 1.0,
    checkpoint: CheckpointStep = None,
    run: RunName = None,
    changes: Changes = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Draw a prompt with a checkpoint, from noise or from a picture.

    --checkpoint 0 is the base alone.

    decal draw --from descriptions FOLDER  draws candidates for a data set instead.
    """
    from decal import workflow

    if source is not None:
        # Without a prompt, what stands in its place is the folder.
        at = folder if prompt is None else Path(prompt)
        if source != "descriptions" or (prompt is not None and folder != HERE):
            raise SettingsError(
                f"--from {source}: only descriptions can be drawn from, and no prompt.\ndecal draw --from descriptions FOLDER"
            )
        with_base = [*changes, *([f"base.model={dumps(base)}"] if base else [])]
        count = candidates or workflow.CANDIDATES
        show_work(at, with_base, lambda one, settings: workflow.draw_candidates(one, settings, count, seed, STOP), json)
        say_next(f"decal caption --pick {quote(str(at))}", json)
        return
    if prompt is None or candidates is not None or base is not None:
        raise SettingsError('Say what to draw:  decal draw "KEYWORD style sticker of a boat"\n-k and --base go with --from descriptions.')
    if strength is not None and image is None:
        raise SettingsError("--strength says how much of a picture is redrawn.\nName the picture with --image, or use --lora-strength.")
    wish = workflow.Wish(prompt, negative, guidance, seed, count, lora_strength, image, 0.6 if strength is None else strength)
    choice = workflow.Choice(run)
    show_work(folder, changes, lambda at, settings: workflow.draw(at, settings, choice, checkpoint, wish, STOP), json, lists_pictures=True)


def run(
    folder: Folder = HERE,
    changes: Changes = [],  # noqa: B006
    new_run: NewRun = False,
    accept_changes: Accept = False,
    json: Json = False,
) -> None:
    """Check, train, compare, draw the grid and write the hand-in.

    What is done is skipped.
    """
    from decal import workflow

    with together() as is_first:
        if is_first:
            choice = workflow.Choice(None, new_run, accept_changes)
            show_work(folder, changes, lambda at, settings: workflow.run(at, settings, choice, STOP), json)
            say_next(f"decal show {quote(str(folder))}", json)


def demo(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[posts] [FOLDER]", help="Where the project is made; posts: that of decal posts demo.")
    ] = None,
    json: Json = False,
) -> None:
    """Do the whole flow on stickers and a base that come with Decal.

    Needs no GPU and no network.

    `decal demo posts` goes from a table of posts to pictures for new ones instead.
    """
    from decal import workflow
    from decal.cli.posts import demo as demo_of_posts

    given = words or ["demo"]
    if given[0] == "posts" and len(given) < 3:
        demo_of_posts(Path(*given[1:] or ["demo-posts"]), json)
        return
    if len(given) > 1:
        raise SettingsError(f"decal demo takes one folder, not {len(given)}.\nCall  decal demo FOLDER  or  decal demo posts FOLDER")
    folder = Path(given[0])
    if not (folder / "decal.toml").exists():
        brought = workflow.new(folder, workflow.sample_order())
        assert brought is not None, "the sample has pictures"
        print(brought.told(), file=sys.stderr if json else sys.stdout)
    show_work(folder, [], lambda at, settings: workflow.run(at, settings, workflow.Choice(), STOP), json)
    say_next(f"decal show {quote(str(folder))}", json)
