"""The command line: arguments in, one `workflow` function called, its records printed, an exit code out.

Results go to standard output, everything else to standard error. The first SIGINT or SIGTERM asks the work to stop at the next safe point.
The rooms are imported inside the commands, so that `decal --help` costs next to nothing.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable
from importlib import metadata
from typing import Annotated

import typer

from decal.cli.about import doctor, presets, show
from decal.cli.benching import bench
from decal.cli.checking import check
from decal.cli.choosing import compare
from decal.cli.compat import AS_TYPED, compat
from decal.cli.data import caption, describe, new
from decal.cli.exchange import export, import_
from decal.cli.judging import report, vote
from decal.cli.options import STOP, alone
from decal.cli.posts import app as posts
from decal.cli.probing import probe
from decal.cli.publishing import publish
from decal.cli.submitting import submit
from decal.cli.training import demo, draw, grid, run, train
from decal.errors import DecalError, StoppedError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

# Commands that train, which several processes may do together.
SHARED = ("train", "run", "compat")

# In the order of a project's life, as `decal --help` lists them.
for command in (
    new,
    check,
    describe,
    caption,
    train,
    probe,
    compare,
    report,
    vote,
    grid,
    draw,
    submit,
    run,
    demo,
    show,
    export,
    import_,
    publish,
    doctor,
    presets,
    bench,
):
    app.command(command.__name__.strip("_"))(command)
app.command("compat", context_settings=AS_TYPED)(compat)
app.add_typer(posts, name="posts")


def _say_version(is_asked: bool) -> None:
    if is_asked:
        print(f"decal {metadata.version('decal')}")
        raise typer.Exit


@app.callback()
def about(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say which Decal this is.")] = False,
) -> None:
    """From a folder of pictures to a Stable Diffusion LoRA, the checkpoint to keep, and pictures drawn with it."""
    if context.invoked_subcommand not in SHARED and "RANK" in os.environ:
        alone(f"decal {context.invoked_subcommand}")


def main() -> None:
    """The `decal` command."""
    ended(app)


def ended(work: Callable[[], object]) -> None:
    """Do the work of a program: every expected failure is a sentence and an exit code."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING, stream=sys.stderr)
    try:
        work()
    except StoppedError as problem:
        print(problem, file=sys.stderr)
        sys.exit(128 + (STOP.received or signal.SIGINT))
    except DecalError as problem:
        print(problem, file=sys.stderr)
        sys.exit(problem.exit_code)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:
        # The reader went away; what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
