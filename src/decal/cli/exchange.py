"""Commands for what goes to other tools and comes from them: export, import."""

import sys
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from decal.cli.options import HERE, CheckpointStep, Folder, RunName, say_next
from decal.errors import SettingsError

Adapters = Annotated[
    list[str],
    typer.Option("--adapters", metavar="FILES", help="LoRA files of any tool: a folder, or a pattern in quotes; with --base and --data."),
]
Base = Annotated[str, typer.Option("--base", help="With --adapters: the base that they were trained on.")]
Data = Annotated[str | None, typer.Option("--data", metavar="PICTURES", help="With --adapters: the pictures they were trained on.")]
HeldOut = Annotated[
    str | None, typer.Option("--heldout", metavar="PICTURES", help="With --adapters: pictures of the same kind they were not trained on.")
]
Keyword = Annotated[str, typer.Option("--keyword", help="With --adapters: the word that calls the style; found where left out.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="With --adapters: the project that is made for the comparison.")]


def export(
    folder: Folder = HERE,
    form: Annotated[str | None, typer.Option("--format", metavar="FORM", help="Write the LoRA as diffusers, kohya or comfyui.")] = None,
    checkpoint: CheckpointStep = None,
    run: RunName = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="With --format: the file; in exports/ where left out.")] = None,
    dataset: Annotated[Path | None, typer.Option("--dataset", metavar="TARGET", help="Write the data set into this new folder.")] = None,
    kind: Annotated[
        str | None, typer.Option("--as", metavar="FORMAT", help="With --dataset: imagefolder, kohya, txt, webdataset or parquet.")
    ] = None,
) -> None:
    """Write the LoRA, or the data set, for other tools.

    What is written draws the same there; a data set that is read back with  decal new --from  has the same captions and pictures.
    """
    from decal import workflow
    from decal.project import open_project

    if (form is None) == (dataset is None):
        raise SettingsError(
            f"decal export needs {'one of' if form is None else 'only one of'} --format and --dataset.\n"
            "The LoRA:      decal export my-stickers --format kohya\n"
            "The data set:  decal export my-stickers --dataset stickers-kohya --as kohya"
        )
    given = {"--checkpoint": checkpoint, "--run": run, "--out": out} if dataset is not None else {"--as": kind}
    stray = [name for name, value in given.items() if value is not None]
    if stray:
        raise SettingsError(
            f"{' and '.join(stray)} {'goes' if len(stray) == 1 else 'go'} with {'--format' if dataset is not None else '--dataset'}.\n"
            "Leave it out, or write that."
        )
    at = open_project(folder)
    if dataset is not None:
        lines = workflow.export_dataset(at, dataset, kind or "imagefolder").told()
    else:
        lines = workflow.export_adapter(at, form or "", workflow.Choice(run), checkpoint, out).told()
    for line in lines:
        print(line)


def import_(
    file: Annotated[Path, typer.Argument(help="A LoRA of any tool, .safetensors.")],
    folder: Folder = HERE,
    without_text_encoder: Annotated[
        bool, typer.Option("--without-text-encoder", help="Leave the text encoder's part out, which is not trained on.")
    ] = False,
) -> None:
    """Begin a new run with a LoRA of another tool, to train it on."""
    from decal import workflow
    from decal.project import open_project

    at = open_project(folder)
    print(workflow.import_adapter(at, workflow.settings_of(at, []), file, without_text=without_text_encoder))
    say_next(f"decal train {quote(str(folder))}")


def finished(adapters: list[str], base: str, data: tuple[str | None, str | None], keyword: str, out: Path | None) -> Path:
    """Take the LoRA files of a finished training in; gives the project that they are compared in. data: trained on, and held out."""
    from decal import workflow

    if not adapters:
        given = {"--base": base, "--data": data[0], "--heldout": data[1], "--keyword": keyword, "--out": out}
        stray = [name for name, value in given.items() if value]
        assert stray, "it is called where one of the options is there"
        raise SettingsError(
            f"{' and '.join(stray)} {'goes' if len(stray) == 1 else 'go'} with --adapters.\nName the files, or leave it out."
        )
    first = Path(adapters[0])
    at = out or Path(f"{(first if first.is_dir() else first.parent).resolve().name}-compared")
    order = workflow.Finished(tuple(adapters), base, *data, keyword, at)
    for line in workflow.take_in(order):
        print(line, file=sys.stderr)
    return at
