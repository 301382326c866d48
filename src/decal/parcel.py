"""What goes into a hand-in: a folder that works as a project by itself, and the zip of it.

The folder holds the data set as it was trained on, the settings and records of one run, the adapter, the pictures of the new prompts and
the sheets; what is private to this machine (the place of a local base, of the originals, of the project) is left out or renamed. The zip is
sorted and dated the same every time, so equal contents give equal bytes.
"""

import contextlib
import hashlib
import json
import re
import secrets
import shutil
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from PIL import Image

from decal import embeddings, project, runs
from decal.errors import BaseModelError, SettingsError
from decal.metadata import METADATA, text_lines
from decal.presets import MINI, as_folder, base_preset, public_name
from decal.project import Project, Run
from decal.records import Checkpoint, Generation, HandIn, Record, Source
from decal.runs import About
from decal.settings import CaptionSettings, to_toml
from decal.single_files import SUFFIX

MANIFEST = "hand-in.json"
STAGING = f"{project.STAGING_PREFIX}hand-in-"
# The first moment that a zip can tell.
DATE = (1980, 1, 1, 0, 0, 0)
# Of larger entries a zip says so with fields that not every reader knows.
MAX_BYTES = 2**31 - 1
# These are packed already.
PACKED = {".png", ".jpg", ".jpeg", ".webp", ".safetensors", ".gif"}
TEXT = {".json", ".jsonl", ".md", ".toml", ".txt", ".html", ".ipynb"}
# A picture in a page or a notebook, as base64; no path is so long without a dot or a dash.
PICTURE = rb"[A-Za-z0-9+/]{200,}"
# Settings of `compare` that may name a folder.
LOOKING = ("embedder", "reader")
GPS = 0x8825


def public(about: About) -> About:
    """The same run on a base that is named so that the name means something elsewhere: a folder is looked for in `base/`."""
    settings, base = about.settings, about.settings.base
    teacher = None if base.teacher is None else _in_parcel(base.teacher)
    # Models that look at pictures may be folders of this machine.
    usual = CaptionSettings()
    looking = settings.compare.model_dump(include=set(LOOKING)).items()
    changed = {
        "base": base.model_copy(update={"model": _in_parcel(base.model), "teacher": teacher}),
        "caption": settings.caption.model_copy(update={"captioner": usual.captioner, "captioner_model": usual.captioner_model}),
        "compare": settings.compare.model_copy(update={key: public_name(name) for key, name in looking if name}),
    }
    return about.model_copy(update={"settings": settings.model_copy(update=changed)})


def _in_parcel(model: str) -> str:
    """A model by its hub id or short name, or a folder as it is called in a hand-in."""
    # A folder that is not there any more looks like a hub id.
    if (folder := as_folder(model) or Path(model)).is_absolute() or model.startswith((".", "~")):
        # A single file is unpacked there.
        return f"base/{folder.stem if folder.suffix == SUFFIX else folder.name}"
    return model


def base_in_python(about: About) -> tuple[str, str]:
    """What diffusers loads for the base of a public run, as Python, and where a reader gets it, as a sentence."""
    model = about.settings.base.model
    if (where := Path(base_preset(model).where)).parent == Path(MINI.where).parent:
        return f'files("decal") / "mini" / "{where.name}"', "The base comes with Decal: `pip install decal`."
    if model.startswith("base/"):
        return repr(model), (
            f"Put the folder of the base model at `{model}`, beside this notebook. A single file becomes one with diffusers: "
            f'`StableDiffusionPipeline.from_single_file(FILE).save_pretrained("{model}")`, with `StableDiffusionXLPipeline` for SDXL.'
        )
    return repr(base_preset(model).where), "diffusers fetches the base from the hub."


def fill(staged: Path, at: Project, run: Run, about: About) -> list[str]:
    """Put the data set as it was trained on, the settings and the records of a run into a folder; what is missing of the data, in words.

    about: as `public` gives it.
    """
    there = runs_folder(staged, run)
    there.mkdir(parents=True)
    records = project.read(run.dataset, Record)
    missing = [*_data(staged / "dataset", at, records), *_prior(staged, at, run)]
    # What made captions once is no part of the run.
    tables = about.settings.model_dump(mode="json", exclude={"caption": {"captioner", "captioner_model"}})
    (staged / project.SETTINGS_FILE).write_text(to_toml(tables), "utf-8")
    (there / run.about.name).write_text(about.model_dump_json(indent=2) + "\n", "utf-8")
    for path in (at.prompts, at.compare_prompts):
        if path.is_file():
            shutil.copyfile(path, staged / path.name)
    sources = [one if one.kind == "hub" else one.model_copy(update={"where": _last(one)}) for one in project.read(at.sources, Source)]
    if sources:
        (staged / at.sources.name).write_text("".join(project.to_json(one) + "\n" for one in sources), "utf-8")
    for path in (run.dataset, run.prior, run.steps, run.rungs, run.checkpoints, run.verdict, run.suite, run.start, run.start_factors):
        if path.is_file():
            shutil.copyfile(path, there / path.name)
    if run.report.is_file():
        shutil.copyfile(run.report, staged / run.report.name)
    _pictures(there, run, run.validation, list(runs.drawn(run, run.validation).values()))
    here = runs.about(run).settings.base
    for public_one, one in ((about.settings.base.model, here.model), (about.settings.base.teacher, here.teacher)):
        if one is not None and public_one is not None and public_one.startswith("base/"):
            _link_base(staged / public_one, one)
    return missing


def _prior(staged: Path, at: Project, run: Run) -> list[str]:
    """Put in the pictures of the kind in general that the run learnt, drawn ones too; what is missing of them, in words.

    Without them, training on would draw others, and refuse them.
    """
    missing = []
    for record in project.read(run.prior, Record):
        path = at.folder / record.file
        if path.is_file() and project.sha256(path) == record.sha256:
            _copy(path, staged / record.file)
        else:
            missing.append(f"{record.file} is not there any more as it was trained on")
    return missing


def add_weights(staged: Path, run: Run, kept: Iterable[Checkpoint], *, is_trained: bool) -> None:
    """Put the portable files of these checkpoints into the folder; of an unfinished training also what it takes to go on."""
    there = runs_folder(staged, run)
    for checkpoint in kept:
        path = runs.verified(run, checkpoint)
        for file in (path, *(one.path for one in embeddings.beside(path).values())):
            _copy(file, (there / checkpoint.file).with_name(file.name))
    if not is_trained:
        newest = run.checkpoint(max(checkpoint.step for checkpoint in kept))
        for path in (*newest.glob("state/*"), run.stop_state):
            if path.is_file():
                _copy(path, there / path.relative_to(run.folder))


def add_drawn(staged: Path, run: Run, drawn: Sequence[Generation], sheets: Iterable[Path]) -> None:
    """Put the pictures of the new prompts and the sheets into the folder."""
    there = runs_folder(staged, run)
    _pictures(there, run, run.generations, drawn)
    for path in filter(Path.is_file, sheets):
        _copy(path, there / path.relative_to(run.folder))


def pages(sheets: Path, kind: str) -> list[Path]:
    """The pages of a sheet in their order: compare.png, compare-2.png, ..., compare-10.png."""
    return sorted(sheets.glob(f"{kind}*.png"), key=lambda path: (len(path.stem), path.stem))


def runs_folder(staged: Path, run: Run) -> Path:
    """Where the run lies in the folder."""
    return staged / "runs" / run.name


def located(folder: Path) -> list[str]:
    """The pictures whose EXIF data say where they were taken."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"):
            try:
                with Image.open(path) as picture:
                    if picture.getexif().get_ifd(GPS):
                        found.append(path.relative_to(folder).as_posix())
            except (OSError, ValueError, SyntaxError):
                continue  # The check tells what is wrong with it.
    return found


def without_places(data: bytes, places: Mapping[str, str]) -> bytes:
    """Text in which each folder of this machine has another name; the longest are replaced first.

    Pictures within text stay as they are, although `/usr` may well stand in them too.
    """
    names = {place.encode(): name.encode() for place, name in places.items() if len(place) > 1}
    either = b"|".join(re.escape(place) for place in sorted(names, key=len, reverse=True))
    pattern = PICTURE + rb"|(" + either + rb")(?![\w-])"
    return re.sub(pattern, lambda found: names[found[1]] if found[1] else found[0], data)


def contents(staged: Path, places: Mapping[str, str]) -> dict[str, bytes | Path]:
    """What is packed, by name: text as bytes without names of places on this machine, everything else as the file itself."""
    files: dict[str, bytes | Path] = {}
    for path in sorted(staged.rglob("*")):
        name = path.relative_to(staged)
        if name.parts[0] != "base" and path.is_file() and not path.is_symlink() and not path.name.startswith("."):
            files[name.as_posix()] = without_places(path.read_bytes(), places) if path.suffix in TEXT else path
    return files


def hashes(files: Mapping[str, bytes | Path]) -> dict[str, str]:
    """The sha256 of each file, hex."""
    return {name: project.sha256(data) if isinstance(data, Path) else hashlib.sha256(data).hexdigest() for name, data in files.items()}


def pack(files: Mapping[str, bytes | Path], out: Path) -> None:
    """Write the zip, so that it is the old one or the new one; equal files give equal bytes, and large ones are never held in memory."""
    with project.writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        staged = out.with_name(f"{project.STAGING_PREFIX}{out.name}-{secrets.token_hex(4)}")
        try:
            with zipfile.ZipFile(staged, "w") as archive:
                for name, data in sorted(files.items()):
                    entry = zipfile.ZipInfo(name, DATE)
                    entry.external_attr = 0o644 << 16
                    entry.compress_type = zipfile.ZIP_STORED if Path(name).suffix.lower() in PACKED else zipfile.ZIP_DEFLATED
                    size = data.stat().st_size if isinstance(data, Path) else len(data)
                    with archive.open(entry, "w", force_zip64=size > MAX_BYTES) as target:
                        if isinstance(data, bytes):
                            target.write(data)
                        else:
                            with data.open("rb") as source:
                                shutil.copyfileobj(source, target)
            project.sync(staged)
            staged.replace(out)
        finally:
            staged.unlink(missing_ok=True)
        project.sync_folder(out.parent)


def there_already(path: Path) -> HandIn | None:
    """The hand-in that was written to a file before and is whole; None where there is none.

    Raises SettingsError where the file is something else, which must not be lost.
    """
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            if MANIFEST in archive.namelist():
                found = HandIn.model_validate_json(archive.read(MANIFEST))
                return found if archive.testzip() is None else None
    except (OSError, zipfile.BadZipFile, ValueError):
        pass
    raise SettingsError(f"{path} is there already and no hand-in of Decal; it is left alone.\nName another file with --out.")


def _link_base(link: Path, model: str) -> None:
    """Put the base where the notebooks look for it; a link is never packed."""
    if (base := as_folder(model)) is None:
        raise BaseModelError(f"The base model {model} is not there any more, and the notebooks draw with it.\nPut it back, and call again.")
    if base.is_file():
        from decal.bases.unpacking import unpacked

        base = unpacked(base)
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(base, target_is_directory=True)


def _data(folder: Path, at: Project, records: Sequence[Record]) -> list[str]:
    """The pictures of the records and their metadata; what is missing or other than it was, in words."""
    folder.mkdir()
    has_several = any(record.other_captions for record in records)
    made = _provenance(at.dataset / METADATA)
    lines, wrong = [], []
    for record in records:
        source = at.dataset / record.file
        if not source.is_file():
            wrong.append(f"{record.file} is gone")
            continue
        if project.sha256(source) != record.sha256:
            wrong.append(f"{record.file} is another picture")
        _copy(source, folder / record.file)
        if record.mask:
            mask = at.folder / record.mask
            if not mask.is_file():
                wrong.append(f"{record.mask} is gone")
            else:
                if project.sha256(mask) != record.mask_sha256:
                    wrong.append(f"{record.mask} is another mask")
                _copy(mask, folder.parent / record.mask)
        line: dict[str, object] = {"file_name": record.file, "text": list(record.captions) if has_several else record.caption}
        line |= {"repeats": record.repeats} if record.repeats != 1 else {}
        lines.append(line | ({"provenance": made[record.file]} if record.file in made else {}))
    (folder / METADATA).write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    return wrong


def _provenance(metadata: Path) -> dict[str, object]:
    """By file, what a drawn picture was made with; other keys of a row were never trained on, and may be private."""
    found: dict[str, object] = {}
    for line in text_lines(metadata.read_bytes()) if metadata.is_file() else []:
        with contextlib.suppress(ValueError, RecursionError):
            row = json.loads(line)
            if isinstance(row, dict) and "provenance" in row:
                found[str(row.get("file_name"))] = row["provenance"]
    return found


def _pictures(there: Path, run: Run, stream: Path, drawn: Sequence[Generation]) -> None:
    """Pictures of a stream, and their records where there are some."""
    whole = [one for one in drawn if (run.folder / one.file).is_file()]
    for one in whole:
        _copy(run.folder / one.file, there / one.file)
    (there / stream.name).write_text("".join(project.to_json(one) + "\n" for one in whole), "utf-8")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _last(source: Source) -> str:
    """The last part of a path; where a source lay is nobody's business."""
    return re.split(r"[\\/]", source.where.rstrip("\\/"))[-1]


README = """# {keyword}: a LoRA for {base}

{total}. {todo}

| what | where |
| --- | --- |
| the data set: {pictures} pictures with captions | `dataset/`, captions in `metadata.jsonl` |
| the training: command, settings, log, losses | `train.ipynb` |
| the comparison of checkpoints and the new pictures | `inference.ipynb` |
| the LoRA, step {step} | `{adapter}` |
| the checklist | `checklist.md` |{report}

Both notebooks have run, and run again wherever this folder is unpacked: `pip install decal`, then open them with Jupyter in this folder.
{base_note} In A1111, ComfyUI and others, put the LoRA into their folder of LoRAs and write `{keyword}` in the prompt.

`decal.toml`, `prompts.txt` and `runs/` make this folder a project of Decal: `decal show .` says what is in it, `decal train .` does nothing
where the training is finished and goes on where it is not.
"""
