"""Commands about what a training did to its base: probe."""

from shlex import quote

from decal.cli.options import HERE, STOP, Changes, CheckpointStep, Folder, Json, RunName, say_next, show_work, typed


def probe(
    folder: Folder = HERE,
    changes: Changes = [],  # noqa: B006
    run: RunName = None,
    checkpoint: CheckpointStep = None,
    json: Json = False,
) -> None:
    """Say whether a few-step base kept its few steps.

    Draws prompts at 1, 2, 4 and 30 steps, without the LoRA and with it. `decal train` does it by itself for such bases.
    """
    from decal import workflow

    show_work(folder, changes, lambda at, settings: workflow.probe(at, settings, workflow.Choice(run), checkpoint, STOP), json)
    say_next(f"decal compare {quote(str(folder))}{typed(changes)}", json)
