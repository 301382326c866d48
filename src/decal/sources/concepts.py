"""OneTrainer's `concepts.json` -> Items: each concept is a folder of pictures with a weight.

The fields are read as OneTrainer's window writes them: `path`, `enabled`, `type`, `include_subdirectories`, `balancing` with its strategy
(`REPEATS`: how often an epoch; `SAMPLES`: how many pictures of it an epoch) and `text.prompt_source` (`sample`: a .txt file beside each
picture; `concept`: the lines of one file; `filename`). It is a file of the user's own program, so its folders are opened wherever they lie.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath

from decal.errors import DataError
from decal.metadata import MAX_REPEATS, caption_cell, sidecar_captions
from decal.pictures import SUFFIXES
from decal.sources import Item, Opened, Told
from decal.sources.folders import sidecar
from decal.wording import printable

MAX_BYTES = 16 * 2**20


@dataclass(frozen=True)
class _Concept:
    """One folder. weight: how often its pictures are shown an epoch. prompts: captions for all of them; None for files beside them."""

    name: str
    folder: Path
    files: tuple[Path, ...]
    weight: Fraction
    prompts: tuple[str, ...] | None


def read(source: Path) -> Opened:
    """The pictures of all concepts that are switched on. Raises DataError where the file is none, or names no picture."""
    if source.stat().st_size > MAX_BYTES:
        raise DataError(
            f"{source} is larger than {MAX_BYTES / 2**20:.0f} MiB, so it is no concepts.json.\nName another source after --from."
        )
    try:
        given = json.loads(source.read_bytes())
    except (ValueError, RecursionError) as problem:
        raise DataError(f"{source} is not JSON ({problem}).\nMend it, or name a folder of pictures.") from problem
    if not isinstance(given, list) or not all(isinstance(one, dict) and isinstance(one.get("path"), str) for one in given):
        raise DataError(
            f'{source} is not a list of concepts with a "path" each.\nName a concepts.json of OneTrainer, or a table as .jsonl.'
        )
    told = Told()
    concepts = [concept for one in given if (concept := _concept(one, source.parent, told)) is not None]
    if not any(concept.files for concept in concepts):
        raise DataError(f"{source} names no folder with pictures ({', '.join(SUFFIXES)}).\nMend its paths, or name a folder of pictures.")
    return Opened("concepts", str(source), _items(concepts, told), told)


def _concept(given: dict[str, object], beside: Path, told: Told) -> _Concept | None:
    path = str(given["path"])
    name = printable(str(given.get("name") or "") or PurePosixPath(path.replace("\\", "/")).name)
    kind = given.get("type", "STANDARD")
    if given.get("enabled", True) is not True or kind != "STANDARD":
        told.notes.append(f"concept {name} is left out: it is {'switched off' if kind == 'STANDARD' else f'of type {kind}'}")
        return None
    folder = Path(path) if Path(path).is_absolute() else beside / path
    if not folder.is_dir():
        told.notes.append(f"concept {name} is left out: {folder} is not a folder")
        return None
    found = folder.rglob("*") if given.get("include_subdirectories") is True else folder.iterdir()
    files = tuple(sorted(file for file in found if _is_picture(file, folder)))
    text = given.get("text")
    settings = text if isinstance(text, dict) else {}
    prompts: tuple[str, ...] | None = None
    if settings.get("prompt_source") == "filename":
        prompts = ()
    elif settings.get("prompt_source") == "concept":
        prompts = _prompts(str(settings.get("prompt_path") or ""), beside, name, told)
    return _Concept(name, folder, files, _weight(given, len(files), name, told), prompts)


def _is_picture(file: Path, folder: Path) -> bool:
    is_hidden = any(part.startswith((".", "__")) for part in file.relative_to(folder).parts)
    return not is_hidden and file.suffix.lower() in SUFFIXES and file.is_file() and not file.is_symlink()


def _prompts(path: str, beside: Path, name: str, told: Told) -> tuple[str, ...]:
    file = Path(path) if Path(path).is_absolute() else beside / path
    if file.suffix.lower() != ".txt" or not file.is_file() or file.stat().st_size > MAX_BYTES:
        told.notes.append(f"the prompts of concept {name} are not in a .txt file that can be read ({path or 'no path'})")
        return ()
    return sidecar_captions(file.read_bytes())


def _weight(given: dict[str, object], count: int, name: str, told: Told) -> Fraction:
    balancing = given.get("balancing", 1)
    if not isinstance(balancing, int | float) or isinstance(balancing, bool) or not 0 < balancing < 1e6:
        told.notes.append(f"the balancing of concept {name} is {balancing!r}, which is taken as 1")
        return Fraction(1)
    exact = Fraction(balancing).limit_denominator(100) or Fraction(1, 100)
    return exact / max(1, count) if given.get("balancing_strategy") == "SAMPLES" else exact


def _items(concepts: list[_Concept], told: Told) -> Iterator[Item]:
    repeats = _whole([concept.weight for concept in concepts])
    if len(set(repeats)) > 1:
        listed = ", ".join(f"{concept.name} ({count})" for concept, count in zip(concepts, repeats, strict=True))
        told.notes.append(f'the balancing of the concepts, in whole numbers: {listed}; kept as "repeats" of each row')
    folders: set[str] = set()
    for concept, count in zip(concepts, repeats, strict=True):
        top = _folder_name(concept, folders)
        for file in concept.files:
            captions = sidecar(file) if concept.prompts is None else concept.prompts
            row = caption_cell(captions) | ({"repeats": count} if len(set(repeats)) > 1 else {})
            yield Item(f"{top}/{file.relative_to(concept.folder).as_posix()}", file, row=row)


def _whole(weights: list[Fraction]) -> list[int]:
    """Whole numbers from 1 to 1000 in the ratio of the weights, as near as they can be."""
    scale = Fraction(math.lcm(*(weight.denominator for weight in weights)))
    common = math.gcd(*(int(weight * scale) for weight in weights))
    largest = max(weights) * scale / common
    scale = scale / common if largest <= MAX_REPEATS else MAX_REPEATS / max(weights)
    return [max(1, round(weight * scale)) for weight in weights]


def _folder_name(concept: _Concept, taken: set[str]) -> str:
    """A folder of the project for the pictures of a concept, unlike the others."""
    plain = "".join(letter if letter.isalnum() or letter in " -_" else "-" for letter in concept.name).strip(" -_")[:60] or "concept"
    name, number = plain, 2
    while name in taken:
        name, number = f"{plain}-{number}", number + 1
    taken.add(name)
    return name
