"""Commands for the data set: new, describe, caption."""

import sys
from collections.abc import Iterable, Iterator
from json import dumps
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from decal.errors import ProjectError, SettingsError
from decal.wording import counted, printable, shown

if TYPE_CHECKING:
    from decal.candidates import Question
    from decal.edits import Changed
    from decal.project import Project
    from decal.records import Pick
    from decal.settings import Settings

from decal.cli.options import FILE_COLUMN, HERE, STOP, Changes, Folder, Json, say_next, show_work


def new(
    folder: Annotated[Path, typer.Argument(help="The folder to make.")] = Path("my-stickers"),
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="PICTURES",
            help="A folder of pictures, a picture, a zip, a table, parquet, WebDataset tars, or hf:owner/name; copied.",
        ),
    ] = None,
    keyword: Annotated[str, typer.Option(help="The word that will call your style; best one that means nothing yet.")] = "",
    base: Annotated[
        str,
        typer.Option(
            help="mini, mini-turbo, mini-xl, sd1.5, sd2.1, sd2.1-base, sdxl, sdxl-turbo, a hub id, a folder or a .safetensors file; "
            "mini where neither it nor the preset names one."
        ),
    ] = "",
    preset: Annotated[
        str, typer.Option(help="What the pictures are: stickers, posts, or style for any other kind; decal presets lists more.")
    ] = "stickers",
    caption_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="The column or key that holds the captions, where it is not text, caption or prompt.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Take the first rows only; of the hub, no more is downloaded.")] = None,
    style: Annotated[str, typer.Option(help='The look in plain words, for captions that are made: "thick outline, flat colours".')] = "",
) -> None:
    """Make a project from pictures, or from nothing but a keyword."""
    from decal import workflow

    if source is None and not keyword.strip():
        raise SettingsError(
            "decal new needs pictures, or at least a keyword.\n"
            "For instance  decal new my-stickers --from pictures/ --keyword inkpop\n"
            'or from nothing  decal new my-stickers --keyword inkpop --style "thick outline, flat colours"'
        )
    brought = workflow.new(folder, workflow.Order(source, keyword, base, preset, style, caption_column, limit))
    if brought is None:
        print(f"{folder} has no pictures yet; a table of descriptions comes first")
        say_next(f"decal describe {quote(str(folder))}")
        return
    print(shown(brought.told()))
    is_bare = brought.captions < brought.rows - brought.faulty
    say_next(f"decal caption {quote(str(folder))}" if is_bare else f"decal check {quote(str(folder))}")


def describe(
    folder: Folder = HERE,
    count: Annotated[int, typer.Option("-n", "--count", min=1, max=10_000, help="How many descriptions the table is to have.")] = 30,
    changes: Changes = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Make a table of descriptions for pictures that are wanted.

    By the built-in grammar, or by the model of [language].
    """
    from decal import workflow

    show_work(folder, changes, lambda at, settings: workflow.describe(at, settings, count, STOP), json)
    say_next(f"decal draw --from descriptions {quote(str(folder))}", json)


def caption(
    folder: Folder = HERE,
    changes: Changes = [],  # noqa: B006
    add_keyword: Annotated[bool, typer.Option("--add-keyword", help="Also put the keyword before captions that lack it.")] = False,
    by: Annotated[str | None, typer.Option(metavar="CAPTIONER", help="names, endpoint, local or module:Name, for this call.")] = None,
    prepend: Annotated[str, typer.Option(metavar="TEXT", help="Edit: put this before every caption.")] = "",
    append: Annotated[str, typer.Option(metavar="TEXT", help="Edit: put this after every caption.")] = "",
    replace: Annotated[tuple[str, str] | None, typer.Option(metavar="OLD NEW", help="Edit: replace whole words.")] = None,
    remove: Annotated[list[str], typer.Option(metavar="WORD", help="Edit: take whole words out; may be repeated.")] = [],  # noqa: B006
    keyword: Annotated[str | None, typer.Option(metavar="first|last", help="Edit: move the keyword there.")] = None,
    translate: Annotated[
        bool, typer.Option("--translate", help="Edit: put English in the place of other languages, by the model of [language].")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what an edit would change, and change nothing.")] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Take the newest change of captions back; once more takes back the one before.")
    ] = False,
    write_txt: Annotated[bool, typer.Option("--write-txt", help="Write every caption into a .txt file beside its picture.")] = False,
    pick: Annotated[bool, typer.Option("--pick", help="Choose among the candidates of each description.")] = False,
    picks: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --pick: choices from a file of lines such as  7: 2  or  7: -")
    ] = None,
    json: Json = False,
) -> None:
    """Give captions to pictures that have none, or edit them all.

    --pick chooses pictures for descriptions. Without further options, a picture without caption gets that of the .txt file beside
    it, or one made from its name.
    """
    from decal import edits, workflow
    from decal.project import open_project

    if keyword not in (None, "first", "last"):
        raise SettingsError(f"--keyword {keyword} is neither first nor last.\nThe keyword itself stands in decal.toml, caption.keyword.")
    change = edits.Edit(
        (replace,) if replace else (), tuple(remove), prepend, append, "first" if keyword == "first" else "last" if keyword else None
    )
    is_edit, fills = change != edits.Edit(), add_keyword or by is not None
    asked = [
        name
        for name, is_on in (
            ("--pick", pick),
            ("--undo", undo),
            ("--write-txt", write_txt),
            ("an edit", is_edit),
            ("--translate", translate),
        )
        if is_on
    ]
    asked += ["--add-keyword or --by"] if fills and asked else []
    if len(asked) > 1 or (dry_run and not is_edit and not translate) or (picks is not None and not pick):
        told = " and ".join(asked) if len(asked) > 1 else "--dry-run without an edit" if dry_run else "--picks without --pick"
        raise SettingsError(f"{told}: that does not go together.\nCall decal caption once for each.")
    if (replace and not replace[0].strip()) or any(not word.strip() for word in remove):
        raise SettingsError("There is nothing to look for.\nName the word after --replace and --remove.")
    at = open_project(folder)
    settings = workflow.settings_of(at, [*changes, *([f"caption.captioner={by}"] if by else [])])
    if pick:
        following = f"decal caption --pick {quote(str(folder))}" if _pick(at, picks, json) else f"decal check {quote(str(folder))}"
        say_next(following, json)
        return
    if undo:
        print(f"taken back: {printable(workflow.undo_edit(at))}")
    elif write_txt:
        _write_txt(at)
    elif translate:
        _translate(at, settings, is_dry=dry_run, json=json)
    elif is_edit:
        _edit(at, settings, workflow.edit(at, settings, change, is_dry=dry_run), is_dry=dry_run, json=json)
    else:
        _fill(at, settings, adds_keyword=add_keyword, json=json)
    say_next(f"decal check {quote(str(folder))}", json or dry_run)


def _pick(at: "Project", picks: Path | None, json: bool) -> int:
    """Ask for the choice of every description that is open, or take the choices from a file; how many are still open."""
    from decal import candidates, workflow
    from decal.project import to_json

    questions = candidates.to_pick(at)
    if not questions and not at.candidates.exists():
        raise ProjectError(
            f"{at.candidates} is not there, so there is nothing to choose from.\nDraw some with  decal draw --from descriptions"
        )
    if not questions:
        print("every candidate is decided on", file=sys.stderr)
        return 0
    if picks is None:
        chosen: Iterable[tuple[Question, Pick]] = _typed(questions)
    else:
        by_number = {question.description.number: question for question in questions}
        chosen = [(by_number[one.description], one) for one in candidates.read_picks(picks, questions)]
    kept = decided = 0
    for one in workflow.pick(at, chosen):
        decided += 1
        kept += len(one.numbers)
        if json:
            print(to_json(one))
    if not json:
        print(f"{counted(kept, 'picture')} put into {at.dataset}, {counted(len(questions) - decided, 'description')} still open")
    return len(questions) - decided


def _typed(questions: "Iterable[Question]") -> "Iterator[tuple[Question, Pick]]":
    """Ask for one description after the other until the last, q or the end of the input; each answer is passed on at once."""
    from decal import candidates
    from decal.records import Pick

    sheet = None
    for question in questions:
        if question.sheet != sheet:
            sheet = question.sheet
            print(f"look at {sheet}", file=sys.stderr)
        print(f"  {question.description.number:4}  {printable(question.description.content)}", file=sys.stderr)
        numbers = None
        while numbers is None:
            print(f"        which of {len(question.candidates)}? (2, or 1 3, - skips, q stops) ", end="", file=sys.stderr, flush=True)
            answer = sys.stdin.readline()
            if answer.strip() in ("q", "quit") or not answer:
                return
            try:
                numbers = candidates.parse_numbers(answer, question)
            except SettingsError as problem:
                print(f"        {problem}", file=sys.stderr)
        yield question, Pick(description=question.description.number, numbers=numbers, seen=len(question.candidates))


def _write_txt(at: "Project") -> None:
    from decal import workflow

    written, shared = workflow.write_txt(at)
    print(f"{counted(len(written), '.txt file')} written to {at.dataset}; --undo takes them back")
    if shared:
        told = ", ".join(printable(file) for file in shared[:5])
        print(f"{counted(len(shared), 'picture')} left out, because two would share one .txt file: {told}", file=sys.stderr)


def _edit(at: "Project", settings: "Settings", changed: "list[Changed]", *, is_dry: bool, json: bool) -> None:
    """Show each caption before and after, with its tokens."""
    from decal.captions import Tokenizer

    tokenizer = Tokenizer.of_base(settings.base.model)
    for one in changed:
        before, after = tokenizer.counts([one.before, one.after])
        if json:
            print(dumps({"file_name": one.file, "before": one.before, "text": one.after, "tokens": after}, ensure_ascii=False))
            continue
        over = f", more than the {tokenizer.limit} that {settings.base.model} sees" if after > tokenizer.limit else ""
        print(f"  {printable(one.file)}  {before} -> {after} tokens{over}")
        print(f"    - {printable(one.before)}\n    + {printable(one.after)}")
    if not json:
        what = f"{counted(len(changed), 'caption')} {'would change' if is_dry else 'changed'}"
        print(what if is_dry or not changed else f"{what} in {at.dataset / 'metadata.jsonl'}; --undo takes it back")


def _translate(at: "Project", settings: "Settings", *, is_dry: bool, json: bool) -> None:
    """Translate, show each caption before and after, and name those that stay."""
    from decal import workflow

    STOP.install()
    changed, left = workflow.translate(at, settings, STOP, is_dry=is_dry)
    _edit(at, settings, changed, is_dry=is_dry, json=json)
    for text, why in left.items():
        print(f"not translated ({printable(why)}): {printable(text)}", file=sys.stderr)


def _fill(at: "Project", settings: "Settings", *, adds_keyword: bool, json: bool) -> None:
    """Fill what is missing, and show it."""
    from decal import workflow

    STOP.install()
    captioned = workflow.caption(at, settings, adds_keyword=adds_keyword, stop=STOP)
    width = min(FILE_COLUMN, max((len(printable(file)) for file in captioned.written), default=0))
    for file, texts in captioned.written.items():
        for text in texts:
            print(dumps({"file_name": file, "text": text}) if json else f"  {printable(file):{width}}  {printable(text)}")
    if not json:
        print(f"{counted(len(captioned.written), 'caption')} written to {at.dataset / 'metadata.jsonl'}")
        if left := captioned.without:
            print(f"{counted(len(left), 'picture')} still without: {', '.join(left[:5])}{', ...' if len(left) > 5 else ''}")
            print(
                "  nothing is known of them that the template needs; --by local or --by endpoint looks at them, "
                f'or write their "text" into {at.dataset / "metadata.jsonl"}'
            )
