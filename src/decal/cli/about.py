"""Commands that only look: show, doctor, presets."""

from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    pass

from decal.cli.options import HERE, Folder, Json, print_records
from decal.errors import SettingsError


def show(folder: Folder = HERE, json: Json = False) -> None:
    """Say what is in a project, and what comes next."""
    from decal import overview
    from decal.project import open_project, to_json

    seen = overview.look(open_project(folder))
    for line in [to_json(seen)] if json else overview.show(seen):
        print(line)


def doctor(folder: Annotated[Path, typer.Argument(help="Where projects are to lie.")] = HERE, json: Json = False) -> None:
    """Check the installation: versions, GPU, torchvision, disk."""
    from decal import workflow

    findings = workflow.doctor(folder)
    if json:
        print_records(findings)
    else:
        for finding in findings:
            print(f"  {finding.level:8} {finding.check:14} {finding.reason}" + (f" {finding.remedy}" if finding.remedy else ""))
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(1)


def presets(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[diff A B]", help="diff A B: what preset B has otherwise than A, and why.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """List every setting, the presets of decal new, and the bases.

    Settings come with their default and what they do.
    """
    from decal import kinds, overview

    if words:
        if len(words) != 3 or words[0] != "diff":
            raise SettingsError(f"decal presets {' '.join(words)} is not understood.\nWrite  decal presets  or  decal presets diff A B")
        found = kinds.differences(words[1], words[2])
        for line in [dumps(asdict(one), sort_keys=True) for one in found] if json else overview.preset_differences(words[1], words[2]):
            print(line)
        return

    for line in overview.preset_records() if json else overview.presets():
        print(line)
