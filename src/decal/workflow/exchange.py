"""LoRA files for other tools and from them: a checkpoint written in their form, and a run that begins with one of theirs."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from decal import embeddings, project, runs
from decal.errors import AdapterError, SettingsError
from decal.presets import Targets, public_name
from decal.project import Project
from decal.records import Record, Start
from decal.settings import Settings
from decal.wording import counted
from decal.workflow.choice import Choice, chosen, settings_of, trained, warn_of_control


@dataclass(frozen=True)
class Exported:
    """A LoRA that was written, or stood there already. notes: what to know of its readers."""

    path: Path
    form: str
    run: str
    step: int
    kinds: tuple[str, ...]
    rank: int
    layers: int
    size_bytes: int
    notes: tuple[str, ...]
    was_there: bool

    def told(self) -> list[str]:
        """All of it as lines to print."""
        what = f"{' and '.join(self.kinds)} of rank {self.rank} on {counted(self.layers, 'layer')}, {self.size_bytes / 1e6:.1f} MB"
        head = f"{self.path} holds it already" if self.was_there else f"{self.path} written"
        return [f"{head}: step {self.step} of {self.run} in the form of {self.form}, {what}", *(f"  {note}" for note in self.notes)]


def export_adapter(at: Project, form: str, choice: Choice, step: int | None, target: Path | None) -> Exported:
    """Write the LoRA of a checkpoint in the form of another tool; without a target, into `exports/` of the project.

    Raises SettingsError where the target is another file already.
    """
    from decal import adapters
    from decal.adapters.headers import Told, header
    from decal.bases import outline

    kind = adapters.to_form(form)
    run, resolved, checkpoints = trained(at, settings_of(at, []), choice)
    warn_of_control(run)
    checkpoint = chosen(run, checkpoints, step).checkpoint
    keyword = resolved.caption.keyword.strip()
    word = re.sub(r"\W+", "-", keyword or at.folder.resolve().name).strip("-")
    name = f"{word or 'lora'}-{checkpoint.step:06d}"
    path = target or at.folder / "exports" / f"{name}-{form}.safetensors"
    if path.suffix != ".safetensors" or path.is_dir():
        raise SettingsError(f"--out {path} is not the name of a .safetensors file.\nWrite one, for instance  --out {name}.safetensors")
    built = outline(resolved.base.model)
    adapter = adapters.read(runs.verified(run, checkpoint), built.parts)
    pictures = sum(record.split == "train" for record in project.read(run.dataset, Record))
    told = Told(name, keyword, public_name(resolved.base.model), resolved.data.resolution, checkpoint.step, pictures)
    about = header(told, built, adapter)
    learnt = {}
    for own, rows in (adapter.words.rows if adapter.words is not None else {}).items():
        suffix = "embeddings" if own == keyword else f"embeddings-{own}"
        learnt[own] = path.with_name(f"{path.stem}-{suffix}.safetensors"), adapters.words_to_bytes(rows)
    about |= embeddings.header(learnt)
    files = dict(learnt.values())
    written = adapters.write(adapter, kind, names=adapters.layers(built.parts["unet"]), about=about)
    files[path] = written.data
    others = [file for file, data in files.items() if file.exists() and file.read_bytes() != data]
    if others and (target is not None or not all(_holds_as_much(file, files[file]) for file in others)):
        raise SettingsError(f"{others[0]} is another file already.\nName a new one with --out, or move that one away.")
    was_there = all(file.exists() for file in files) and not others
    if not was_there:
        for file, data in files.items():
            project.write_bytes(file, data)
    kinds = tuple(adapter.kinds)
    counts = written.rank, len(adapter.layers), len(written.data)
    anew = [f"{file.name} was there with the same weights and a header of an earlier Decal" for file in others]
    notes = (*anew, *_of_words({own: file.name for own, (file, _) in learnt.items()}), *written.notes)
    return Exported(path, form, run.name, checkpoint.step, kinds, *counts, notes, was_there)


def _holds_as_much(path: Path, data: bytes) -> bool:
    """Whether these bytes have all that a safetensors file has: the same tensors, and every entry of its header but that of embeddings."""
    try:
        (old, said), (new, says) = (_taken_apart(one) for one in (path.read_bytes(), data))
        return old == new and all(says.get(key) == value for key, value in said.items() if key != embeddings.KEY)
    except (ValueError, AttributeError, TypeError):
        return False  # No file of this kind.


def _taken_apart(data: bytes) -> tuple[tuple[dict[str, object], bytes], dict[str, str]]:
    """The tensors of a safetensors file, and the text of its header."""
    length = int.from_bytes(data[:8], "little")
    table = json.loads(data[8 : 8 + length])
    said = table.pop("__metadata__", {})
    return (table, data[8 + length :]), said


def _of_words(files: Mapping[str, str]) -> Iterator[str]:
    """What is said of the files of embeddings, by word: each once, and what readers do with them once for all."""
    for own, name in files.items():
        yield f"{name} holds the embeddings of {own}, without which it draws something else"
    if files:
        named = f"{next(iter(files))}.safetensors" if len(files) == 1 else "WORD.safetensors"
        yield f"A1111, Forge and ComfyUI take {'it' if len(files) == 1 else 'each'} as {named} in their folder of embeddings, and diffusers"
        yield "with load_textual_inversion (docs/training.md)"


def import_adapter(at: Project, settings: Settings, path: Path, *, without_text: bool) -> str:
    """Make a run that begins with the LoRA of another tool; the next training goes on with it. Gives what to tell.

    without_text: leave the text encoder's part out. Raises AdapterError where the file does not fit the base or cannot be trained on.
    """
    from decal import adapters, lora
    from decal.bases import outline

    if not path.is_file():
        raise SettingsError(f"{path} is not a file.\nName a LoRA, a .safetensors file.")
    sha256 = project.sha256(path)
    for run in at.waiting():
        start = project.read_record(run.start, Start)
        if start is not None and start.sha256 == sha256:
            return f"{run.name} waits to begin with {start.file} already"
        raise SettingsError(
            f"{run.name} waits to begin with {start.file if start else 'another LoRA'}.\n"
            f"Train it first, or delete {run.folder} and call again."
        )
    built = outline(settings.base.model)
    adapter = adapters.read(path, built.parts)
    left_out = [place for place in adapter.layers if not place.startswith("unet.")] if without_text else []
    adapter = adapters.Adapter(
        {place: layer for place, layer in adapter.layers.items() if place not in left_out}, adapter.about, adapter.words
    )
    if not adapter.layers:
        raise SettingsError(f"{path} changes the text encoder alone, so nothing of it would be left.\nName another file.")
    try:
        factors, rank, raised = lora.trainable(adapter, built.parts["unet"])
    except AdapterError as problem:
        raise AdapterError(f"{path}: {problem}") from problem
    names = set(lora.layers_of(factors))
    layers = adapters.layers(built.parts["unet"])
    targets: Targets = "imported"
    for which, ends in built.targets.items():
        if names == {name for name in layers if name.endswith(tuple(f".{end}" for end in ends))}:
            targets = which
    run = at.run(runs.next_name(at))
    data = adapters.to_bytes({f"unet.{name}": tensor for name, tensor in factors.items()}, {})
    start = Start(
        file=path.name,
        sha256=sha256,
        factors_sha256=hashlib.sha256(data).hexdigest(),
        rank=rank,
        targets=targets,
        layers=len(names),
        raised=raised,
    )
    runs.fixed_by(start, settings)
    with project.lock(run.start, "importing"):
        project.write_bytes(run.start_factors, data)
        project.write_record(run.start, start)
    told = f"{run.name} begins with {path.name}: LoRA of rank {rank} on {counted(len(names), 'layer')}"
    if raised:
        told += f"\n  {counted(raised, 'layer')} of a smaller rank brought to {rank}, without a change of what it draws"
    if left_out:
        told += f"\n  {counted(len(left_out), 'layer')} of the text encoder left out: what it draws is not what the file draws"
    return told
