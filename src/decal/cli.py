"""The command line: arguments in, one `workflow` function called, its records printed, an exit code out.

Results go to standard output, everything else to standard error. The first SIGINT or SIGTERM asks the work to stop at the next safe point.
The rooms are imported inside the commands, so that `decal --help` costs next to nothing.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from json import dumps
from pathlib import Path
from shlex import quote
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from decal.errors import DataError, DecalError, SettingsError, StoppedError
from decal.wording import counted, printable

if TYPE_CHECKING:
    from decal.candidates import Question
    from decal.edits import Changed
    from decal.events import Event
    from decal.project import Project
    from decal.records import Finding, Pick
    from decal.settings import Settings

app = typer.Typer(
    help="From a folder of pictures to a Stable Diffusion LoRA, the checkpoint to keep, and pictures drawn with it.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Folder = Annotated[Path, typer.Argument(help="The project folder.", show_default=True)]
Changes = Annotated[
    list[str], typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change a setting for this call, e.g. train.rank=16.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the records as JSON lines.")]
RunName = Annotated[str | None, typer.Option("--run", metavar="NAME", help="Which run; the newest where left out.")]
CheckpointStep = Annotated[int | None, typer.Option("--checkpoint", metavar="STEP", help="Which checkpoint; the last where left out.")]
NewRun = Annotated[bool, typer.Option("--new-run", help="Begin another run instead of going on with the newest.")]
Accept = Annotated[bool, typer.Option("--accept-changes", help="Go on with a run although settings or data are others than before.")]

HERE = Path(".")


class _Signals:
    """The first SIGINT or SIGTERM becomes a wish to stop; the second ends the process as usual."""

    received = 0

    def install(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._receive)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self.received = number
        signal.signal(number, signal.SIG_DFL)
        # Not print: a handler may interrupt a print that is under way.
        os.write(2, b"stopping at the next safe point; once more ends it at once\n")

    def __call__(self) -> bool:
        return self.received > 0


STOP = _Signals()


@app.command()
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
    base: Annotated[str, typer.Option(help="mini, sd1.5, sd2.1, sd2.1-base, a hub id or a folder.")] = "mini",
    preset: Annotated[str, typer.Option(help="What the pictures are: stickers, or style for any other kind.")] = "stickers",
    caption_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="The column or key that holds the captions, where it is not text, caption or prompt.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Take the first rows only; of the hub, no more is downloaded.")] = None,
    style: Annotated[str, typer.Option(help='The look in plain words, for captions that are made: "thick outline, flat colours".')] = "",
) -> None:
    """Make a project from pictures or a data set, or from nothing but a keyword."""
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
        _next(f"decal describe {quote(str(folder))}")
        return
    print(brought.told())
    is_bare = brought.captions < brought.rows - brought.faulty
    _next(f"decal caption {quote(str(folder))}" if is_bare else f"decal check {quote(str(folder))}")


@app.command()
def check(folder: Folder = HERE, changes: Changes = [], json: Json = False) -> None:  # noqa: B006
    """Say what is wrong with the pictures and captions; exit code 3 where there are errors."""
    from decal import overview, workflow
    from decal.project import open_project

    at = open_project(folder)
    checked = workflow.check(at, workflow.settings_of(at, changes))
    errors = sum(finding.level == "error" for finding in checked.findings)
    if json:
        _print_records(checked.findings)
    else:
        for line in overview.findings(at, checked):
            print(line)
        _next(f"mend what is an error, then  decal check {quote(str(folder))}" if errors else f"decal train {quote(str(folder))}")
    if errors:
        raise typer.Exit(DataError.exit_code)


@app.command()
def describe(
    folder: Folder = HERE,
    count: Annotated[int, typer.Option("-n", "--count", min=1, max=10_000, help="How many descriptions the table is to have.")] = 30,
    changes: Changes = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Make a table of descriptions for pictures that are not there yet, by the built-in grammar or the model of [language]."""
    from decal import workflow

    _show(folder, changes, lambda at, settings: workflow.describe(at, settings, count, STOP), json)
    _next(f"decal draw --from descriptions {quote(str(folder))}", json)


@app.command()
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
    """Give captions to pictures that have none, edit all captions, or choose pictures for descriptions.

    Without further options, a picture without caption gets that of the .txt file beside it, or one made from its name.
    """
    from decal import edits, workflow
    from decal.project import open_project

    if keyword not in (None, "first", "last"):
        raise SettingsError(f"--keyword {keyword} is neither first nor last.\nThe keyword itself stands in decal.toml, caption.keyword.")
    change = edits.Edit(
        (replace,) if replace else (), tuple(remove), prepend, append, "first" if keyword == "first" else "last" if keyword else None
    )
    is_edit, fills = change != edits.Edit(), add_keyword or by is not None
    asked = [name for name, is_on in (("--pick", pick), ("--undo", undo), ("--write-txt", write_txt), ("an edit", is_edit)) if is_on]
    asked += ["--add-keyword or --by"] if fills and asked else []
    if len(asked) > 1 or (dry_run and not is_edit) or (picks is not None and not pick):
        told = " and ".join(asked) if len(asked) > 1 else "--dry-run without an edit" if dry_run else "--picks without --pick"
        raise SettingsError(f"{told}: that does not go together.\nCall decal caption once for each.")
    if (replace and not replace[0].strip()) or any(not word.strip() for word in remove):
        raise SettingsError("There is nothing to look for.\nName the word after --replace and --remove.")
    at = open_project(folder)
    settings = workflow.settings_of(at, [*changes, *([f"caption.captioner={by}"] if by else [])])
    if pick:
        following = f"decal caption --pick {quote(str(folder))}" if _pick(at, picks, json) else f"decal check {quote(str(folder))}"
        _next(following, json)
        return
    if undo:
        print(f"taken back: {printable(workflow.undo_edit(at))}")
    elif write_txt:
        _write_txt(at)
    elif is_edit:
        _edit(at, settings, workflow.edit(at, settings, change, is_dry=dry_run), is_dry=dry_run, json=json)
    else:
        _fill(at, settings, adds_keyword=add_keyword, json=json)
    _next(f"decal check {quote(str(folder))}", json or dry_run)


@app.command()
def train(
    folder: Folder = HERE,
    changes: Changes = [],  # noqa: B006
    run: RunName = None,
    new_run: NewRun = False,
    accept_changes: Accept = False,
    json: Json = False,
) -> None:
    """Train the LoRA, or go on where it stopped."""
    from decal import workflow

    _show(folder, changes, lambda at, settings: workflow.train(at, settings, workflow.Choice(run, new_run, accept_changes), STOP), json)
    _next(f"decal compare {quote(str(folder))}", json)


@app.command()
def compare(folder: Folder = HERE, changes: Changes = [], run: RunName = None, json: Json = False) -> None:  # noqa: B006
    """Draw the base and every checkpoint side by side on prompts they never saw."""
    from decal import workflow

    _show(folder, changes, lambda at, settings: workflow.compare(at, settings, workflow.Choice(run), STOP), json)
    _next(f"decal grid {quote(str(folder))}", json)


@app.command()
def grid(
    folder: Folder = HERE,
    changes: Changes = [],  # noqa: B006
    run: RunName = None,
    checkpoint: CheckpointStep = None,
    json: Json = False,
) -> None:
    """Draw the prompts of prompts.txt at every guidance with one checkpoint: 10 x 3 pictures where nothing else is set."""
    from decal import workflow

    _show(folder, changes, lambda at, settings: workflow.draw_grid(at, settings, workflow.Choice(run), checkpoint, STOP), json)
    _next(f"decal show {quote(str(folder))}", json)


@app.command()
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
    """Draw a prompt with a checkpoint, from noise or from a picture; --checkpoint 0 is the base alone.

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
        _show(at, with_base, lambda one, settings: workflow.draw_candidates(one, settings, count, seed, STOP), json)
        _next(f"decal caption --pick {quote(str(at))}", json)
        return
    if prompt is None or candidates is not None or base is not None:
        raise SettingsError('Say what to draw:  decal draw "KEYWORD style sticker of a boat"\n-k and --base go with --from descriptions.')
    if strength is not None and image is None:
        raise SettingsError("--strength says how much of a picture is redrawn.\nName the picture with --image, or use --lora-strength.")
    wish = workflow.Wish(prompt, negative, guidance, seed, count, lora_strength, image, 0.6 if strength is None else strength)
    choice = workflow.Choice(run)
    _show(folder, changes, lambda at, settings: workflow.draw(at, settings, choice, checkpoint, wish, STOP), json, lists_pictures=True)


@app.command()
def run(
    folder: Folder = HERE,
    changes: Changes = [],  # noqa: B006
    new_run: NewRun = False,
    accept_changes: Accept = False,
    json: Json = False,
) -> None:
    """Check, train, compare and draw the grid; skips what is done."""
    from decal import workflow

    _show(folder, changes, lambda at, settings: workflow.run(at, settings, workflow.Choice(None, new_run, accept_changes), STOP), json)
    _next(f"decal show {quote(str(folder))}", json)


@app.command()
def demo(folder: Annotated[Path, typer.Argument(help="Where the project is made.")] = Path("demo"), json: Json = False) -> None:
    """The whole flow on the stickers and the small base model that come with Decal; needs no GPU and no network."""
    from decal import workflow

    if not (folder / "decal.toml").exists():
        brought = workflow.new(folder, workflow.sample_order())
        assert brought is not None, "the sample has pictures"
        print(brought.told(), file=sys.stderr if json else sys.stdout)
    _show(folder, [], lambda at, settings: workflow.run(at, settings, workflow.Choice(), STOP), json)
    _next(f"decal show {quote(str(folder))}", json)


@app.command()
def show(folder: Folder = HERE, json: Json = False) -> None:
    """Say what is in a project, and what comes next."""
    from decal import overview
    from decal.project import open_project, to_json

    seen = overview.look(open_project(folder))
    for line in [to_json(seen)] if json else overview.show(seen):
        print(line)


@app.command()
def export(
    folder: Folder = HERE,
    dataset: Annotated[Path | None, typer.Option("--dataset", metavar="TARGET", help="A new folder for the data set.")] = None,
    kind: Annotated[str, typer.Option("--as", metavar="FORMAT", help="imagefolder, kohya, txt, webdataset or parquet.")] = "imagefolder",
) -> None:
    """Write the data set of a project for other tools; read back with  decal new --from, it has the same captions and pictures."""
    from decal import workflow
    from decal.project import open_project

    if dataset is None:
        raise SettingsError("decal export needs a target.\nFor instance  decal export my-stickers --dataset stickers-kohya --as kohya")
    for line in workflow.export_dataset(open_project(folder), dataset, kind).told():
        print(line)


@app.command()
def doctor(folder: Annotated[Path, typer.Argument(help="Where projects are to lie.")] = HERE, json: Json = False) -> None:
    """Check the installation: versions, GPU, torchvision, disk."""
    from decal import workflow

    findings = workflow.doctor(folder)
    if json:
        _print_records(findings)
    else:
        for finding in findings:
            print(f"  {finding.level:8} {finding.check:14} {finding.reason}" + (f" {finding.remedy}" if finding.remedy else ""))
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(1)


@app.command()
def presets(json: Json = False) -> None:
    """List every setting of decal.toml with its default and what it does, and what is known of the bases."""
    from decal import overview

    for line in overview.preset_records() if json else overview.presets():
        print(line)


def main() -> None:
    """The `decal` command: every expected failure is a sentence and an exit code."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING, stream=sys.stderr)
    try:
        app()
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


def _show(
    folder: Path,
    changes: list[str],
    work: Callable[["Project", "Settings"], Iterable["Event"]],
    json: bool,
    *,
    lists_pictures: bool = False,
) -> None:
    """Open the project, do the work on it and show what happens; a signal stops it at the next safe point."""
    from decal import workflow
    from decal.progress import Display
    from decal.project import open_project

    at = open_project(folder)
    STOP.install()
    with Display(json, lists_pictures=lists_pictures) as display:
        display.show(work(at, workflow.settings_of(at, changes)))


def _pick(at: "Project", picks: Path | None, json: bool) -> int:
    """Ask for the choice of every description that is open, or take the choices from a file; how many are still open."""
    from decal import candidates, workflow
    from decal.project import to_json

    questions = candidates.to_pick(at)
    if not questions and not at.candidates.exists():
        raise DataError(
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


def _fill(at: "Project", settings: "Settings", *, adds_keyword: bool, json: bool) -> None:
    """Fill what is missing, and show it."""
    from decal import workflow

    STOP.install()
    captioned = workflow.caption(at, settings, adds_keyword=adds_keyword, stop=STOP)
    for file, texts in captioned.written.items():
        for text in texts:
            print(dumps({"file_name": file, "text": text}) if json else f"  {printable(file):28} {printable(text)}")
    if not json:
        print(f"{counted(len(captioned.written), 'caption')} written to {at.dataset / 'metadata.jsonl'}")
        if left := captioned.without:
            print(f"{counted(len(left), 'picture')} still without: {', '.join(left[:5])}{', ...' if len(left) > 5 else ''}")
            print(f'  nothing is known of them that the template needs; write their "text" into {at.dataset / "metadata.jsonl"}')


def _print_records(findings: Iterable["Finding"]) -> None:
    from decal.project import to_json

    for finding in findings:
        print(to_json(finding))


def _next(command: str, json: bool = False) -> None:
    if not json:
        print(f"next: {command}")
