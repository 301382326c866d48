"""Commands of diffusers' scripts, as typed: `decal compat`, and the scripts of the same names in `scripts/`."""

import os
import sys
from collections.abc import Sequence
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from decal.cli.options import STOP, refuse, say_next, together

if TYPE_CHECKING:
    from decal.compat import Launch, Typed

# Everything after `decal compat` is the command as it was typed, --help included.
AS_TYPED = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
HELP = ("-h", "--help")


def compat(words: Annotated[list[str] | None, typer.Argument(metavar="COMMAND", help="The command.", show_default=False)] = None) -> None:
    """Do a command of diffusers' LoRA scripts, as it was typed.

    decal compat accelerate launch train_text_to_image_lora.py --...  trains with Decal, says where the command does not do what it
    seems to, and leaves the same folder.
    """
    from decal import compat as room
    from decal.compat import launching
    from decal.compat.flags import SCRIPTS

    if not words or any(word in HELP for word in words):
        _print_help()
        return
    command = room.split(words)
    typed, launch = room.read(command.words, command.script), launching.of_environment(os.environ)
    if launch.processes > 1:
        do(typed, launch)
    elif command.launch.processes > 1 and not typed.is_on("dry_run"):
        _require(command.launch, room.translate(typed, command.launch)[1])
        script = [name for name, kind in SCRIPTS.items() if kind == command.script]
        program, environment = launching.to_start(command.launch, ["compat", *script, *command.words], os.environ)
        sys.stdout.flush()
        os.execve(program[0], program, environment)
    else:
        do(typed, command.launch)


def script(name: str) -> None:
    """What a script of that name does when it is called, by `accelerate launch` or without."""
    from decal.compat import launching
    from decal.compat.flags import SCRIPTS, read

    if any(word in HELP for word in sys.argv[1:]):
        _print_help()
        return
    do(read(sys.argv[1:], SCRIPTS[name]), launching.of_environment(os.environ))


def do(typed: "Typed", launch: "Launch") -> None:
    """Do what was typed, or say all that is wrong with it."""
    from decal import workflow
    from decal.compat import translate
    from decal.progress import Display

    plan, problems = translate(typed, launch)
    _require(launch, problems)
    if launch.gpu_ids is not None:
        # Read when torch starts CUDA, which it has not yet.
        os.environ["CUDA_VISIBLE_DEVICES"] = launch.gpu_ids
    with together() as is_first:
        if not is_first:
            return
        STOP.install()
        with Display(json=False) as display:
            if typed.is_on("dry_run"):
                display.show(workflow.foresee(plan))
                return
            display.show(workflow.train_as_typed(plan, STOP))
        say_next(f"decal compare {quote(str(plan.project))}")


def _require(launch: "Launch", problems: Sequence[str]) -> None:
    """Raise SettingsError where something is wrong with a command; of several processes in the first alone."""
    from decal.wording import counted

    if problems:
        refuse(launch, "\n".join([*problems, f"{counted(len(problems), 'problem')}, nothing was started."]))


def _print_help() -> None:
    from decal.compat import FLAGS

    print("decal compat COMMAND, with or without accelerate launch, python and the name of the script before the flags.\n")
    for name, flag in FLAGS.items():
        default = "" if flag.default in (None, False) else f" ({flag.default})"
        default += "" if len(flag.purposes) > 1 else f" [{next(iter(flag.purposes))}]"
        print(f"  --{name}{default}\n      {flag.does}")


def as_script(name: str) -> None:
    """Be the program of that name: do what it was called with, and end as `decal` would."""
    from decal.cli import ended

    ended(lambda: script(name))
