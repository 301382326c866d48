"""The command check: what is wrong with a data set, shown on a sheet, mended and taken back."""

from collections.abc import Callable, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from decal.cli.options import FILE_COLUMN, STOP, Changes, Json, print_records, say_next, show_events, show_work, typed
from decal.errors import DataError, SettingsError
from decal.wording import counted, printable, shown

if TYPE_CHECKING:
    from decal.checks import Checked
    from decal.mending import Plan
    from decal.project import Project
    from decal.records import Finding
    from decal.settings import Settings

Tell = Callable[[Sequence["Finding"]], list[str]]
UNLOOKED = "text, crops and other styles were not looked for in so many pictures; --look does it"


def check(
    folder: Annotated[str, typer.Argument(help="A project, or a data set of another tool, in which nothing is written.")] = ".",
    changes: Changes = [],  # noqa: B006
    look: Annotated[
        bool | None,
        typer.Option("--look/--quick", help="Look for text, crops and other styles; left out, where there are at most 200 pictures."),
    ] = None,
    lists_all: Annotated[bool, typer.Option("--all", help="List every finding, those of a picture together.")] = False,
    sheet: Annotated[bool, typer.Option("--sheet", help="Draw every picture with its caption and what was found.")] = False,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what needs no judgement; pictures are moved at most, never changed.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what --fix would mend, and change nothing.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take the newest change back; once more takes back the one before.")] = False,
    keyword: Annotated[
        bool,
        typer.Option(
            "--keyword", help="Draw what the base makes of the keyword, beside invented words: some 80 pictures, a minute of CPU on mini."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Say what is wrong with the pictures and captions.

    Exit code 3 where there are errors.
    """
    from decal import checks, workflow
    from decal.project import Project, open_project

    if undo + (fix or dry_run) + sheet + keyword > 1:
        raise SettingsError("--undo, --fix, --sheet and --keyword are done one at a time.\nCall decal check once for each.")
    tell = checks.by_picture if lists_all else checks.summary
    if not Project(Path(folder)).settings.is_file() and (folder.startswith("hf:") or Path(folder).exists()):
        if undo or fix or dry_run or keyword:
            raise SettingsError(
                f"{folder} is no project, so nothing is changed there.\n"
                f"Make one of it with  decal new my-project --from {quote(folder)}  and call again there."
            )
        _check_guest(folder, changes, look=look, sheet=sheet, tell=tell, json=json)
        return
    at = open_project(Path(folder))
    settings = workflow.settings_of(at, changes)
    if undo:
        print(f"taken back: {printable(workflow.undo_edit(at))}")
    elif keyword:
        show_work(at.folder, changes, lambda here, now: workflow.draw_keyword(here, now, STOP), json)
    elif fix or dry_run:
        _show_plan(workflow.fix(at, settings, is_dry=not fix or dry_run), at, is_dry=not fix or dry_run, json=json)
    else:
        _check(at, settings, changes, look=look, sheet=sheet, tell=tell, json=json)
        return
    say_next(f"decal check {quote(folder)}" + (" --fix" if dry_run else ""), json)


def _check(at: "Project", settings: "Settings", changes: list[str], *, look: bool | None, sheet: bool, tell: Tell, json: bool) -> None:
    from decal import mending, overview, workflow

    checked = _looked_at(at, settings, workflow.check(at, settings), look, json=json)
    if json:
        print_records(checked.findings)
    else:
        for line in overview.findings(at, checked, tell):
            print(shown(line))
        if look is None and not workflow.was_looked_at(at, settings, checked):
            print(UNLOOKED)
    folder = quote(str(at.folder))
    if sheet:
        _draw(at.dataset, checked, at.folder / workflow.SHEET, f"{at.folder.resolve().name}: what the check found", json=json)
    if not (errors := _errors(checked)):
        say_next(f"decal train {folder}{typed(changes)}", json)
    elif mends := mending.plan(at.dataset, checked).mends:
        say_next(f"decal check {folder} --fix  mends {counted(len(mends), 'thing')} by itself; mend the rest by hand", json)
    else:
        say_next(f"mend what is an error, then  decal check {folder}{typed(changes)}", json)
    if errors:
        raise typer.Exit(DataError.exit_code)


def _looked_at(at: "Project", settings: "Settings", checked: "Checked", look: bool | None, *, json: bool) -> "Checked":
    """The same with a closer look, where it is wanted or costs little."""
    from decal import workflow

    is_wanted = len(checked.listing.files) <= workflow.LOOKED_AT_UNASKED if look is None else look
    if not is_wanted or workflow.was_looked_at(at, settings, checked):
        return checked
    show_events(workflow.look_closer(at, settings, checked, STOP), json)
    return workflow.complete(at, settings, checked)


def _check_guest(source: str, changes: list[str], *, look: bool | None, sheet: bool, tell: Tell, json: bool) -> None:
    from decal import workflow
    from decal.metadata import METADATA

    settings = workflow.guest_settings(changes)
    with workflow.check_in_place(source, settings) as guest:
        if not json:
            print(f"{source}, a data set of the kind {guest.brought.source.kind}; nothing is written there")
            print(guest.brought.told())
            print(f"  held against {settings.base.model} as Decal would train it; --set base.model=NAME for another base")
        checked = workflow.for_guests(_looked_at(guest.at, settings, guest.checked, look, json=json))
        if json:
            print_records(checked.findings)
        else:
            for line in tell(checked.findings):
                print(shown(line))
            if any(METADATA in f"{one.file} {one.reason}" for one in checked.findings) and not (Path(source) / METADATA).is_file():
                print(f"lines are those of the {METADATA} that  decal new  would write")
            told = [counted(sum(one.level == level for one in checked.findings), level) for level in ("error", "warning")]
            print(", ".join(told))
            if look is None and not workflow.was_looked_at(guest.at, settings, checked):
                print(UNLOOKED)
        if sheet:
            name = Path(source).resolve().name.partition(".")[0] or "set"
            _draw(guest.at.dataset, checked, Path(f"{name}-{workflow.SHEET}"), f"{name}: what the check found", json=json)
    say_next(f"decal new my-project --from {quote(source)}", json)
    if _errors(checked):
        raise typer.Exit(DataError.exit_code)


def _draw(folder: Path, checked: "Checked", target: Path, title: str, *, json: bool) -> None:
    from decal import workflow

    for drawn in workflow.draw_findings(folder, checked, target, title):
        if not json:
            print(f"  {counted(drawn.pictures, 'picture')} on {drawn.path}")


def _show_plan(planned: "Plan", at: "Project", *, is_dry: bool, json: bool) -> None:
    from dataclasses import asdict
    from json import dumps

    width = min(FILE_COLUMN, max((len(printable(mend.file)) for mend in planned.mends), default=0))
    for mend in planned.mends:
        if json:
            print(dumps(asdict(mend), ensure_ascii=False, sort_keys=True))
            continue
        print(f"  {printable(mend.file):{width}}  {printable(mend.what)}")
        if mend.before is not None and mend.after is not None:
            print(f"    - {printable(mend.before)}\n    + {printable(mend.after)}")
    if json:
        return
    what = counted(len(planned.mends), "thing")
    if not planned.mends:
        print("nothing to mend that needs no judgement")
    elif is_dry:
        print(f"{what} would be mended")
    else:
        print(f"{what} mended in {at.folder}; --undo takes it back")


def _errors(checked: "Checked") -> int:
    return sum(one.level == "error" for one in checked.findings)
