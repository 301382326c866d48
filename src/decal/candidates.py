"""Pictures drawn for descriptions, to be chosen from: `candidates/`, their records, the sheets to choose by, and what was chosen.

A candidate is drawn with the base alone, from the prompt of its description. It is there once its record and its file are; what was drawn
is never drawn again, also where more are asked for later. Chosen ones are copied into the data set with where they come from.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from decal import captions, grid, project
from decal.errors import DataError, SettingsError
from decal.events import Progress, Stop, Told, stop_if
from decal.gallery import to_png
from decal.metadata import METADATA
from decal.presets import base_preset, public_name
from decal.project import Project
from decal.records import Candidate, Cell, Description, Pick
from decal.settings import Resolved
from decal.wording import counted

# So that a few more candidates of one description never take the seeds of the next.
SEEDS_A_DESCRIPTION = 1000
DESCRIPTIONS_A_SHEET = 8


@dataclass(frozen=True)
class Question:
    """A description to choose a picture for. sheet: where its candidates are side by side."""

    description: Description
    candidates: tuple[Candidate, ...]
    sheet: Path


def cells(lines: Sequence[Description], resolved: Resolved, count: int, seed: int) -> list[tuple[Description, Cell]]:
    """What is drawn for each description: so many pictures, each with a seed of its own."""
    return [
        (
            line,
            Cell(
                prompt=line.prompt,
                negative=resolved.grid.negative,
                guidance=resolved.compare.guidance,
                seed=seed + SEEDS_A_DESCRIPTION * line.number + number,
                steps=resolved.grid.steps,
                sampler=resolved.grid.sampler,
                width_px=resolved.data.resolution,
                height_px=resolved.data.resolution,
                checkpoint=0,
            ),
        )
        for line in lines
        for number in range(count)
    ]


def draw(at: Project, resolved: Resolved, wanted: Sequence[tuple[Description, Cell]], stop: Stop) -> Iterator[Told | Progress | Candidate]:
    """Draw the candidates that are not there; yields the records of the new ones.

    Raises StoppedError where `stop` says so; what is drawn by then is kept.
    """
    base_name = public_name(resolved.base.model)
    there = whole(at)
    known = {(one.description, one.cell, one.base) for one in there}
    missing = [(line, cell) for line, cell in wanted if (line.number, cell, base_name) not in known]
    if not missing:
        yield Told("  all of them are there already")
        return
    yield Progress("loading the base")
    import torch

    from decal.bases import load, told_when_full
    from decal.generate import finite, generate
    from decal.train import choose_device

    device = choose_device(resolved.train)
    is_half = device.type == "cuda" and resolved.train.precision != "fp32"
    base = load(resolved.base.model, device=device, dtype=torch.float16 if is_half else torch.float32)
    about = (base.fingerprint(), base_preset(resolved.base.model).licence)
    numbers: dict[int, int] = defaultdict(int)
    for one in project.read(at.candidates, Candidate):
        numbers[one.description] = max(numbers[one.description], one.number)
    owners = {cell: line for line, cell in missing}
    remedy = f"Draw fewer pictures at a time (now {resolved.grid.batch}): lower grid.batch."
    with project.lock(at.candidates, "drawing candidates"), told_when_full("drawing", remedy):
        drawn = finite(generate(base, [cell for _, cell in missing], adapters={}, images={}, batch=resolved.grid.batch))
        for done, picture in enumerate(drawn, start=1):
            line = owners[picture.cell]
            numbers[line.number] += 1
            path = at.folder / "candidates" / f"{line.number:04d}-{numbers[line.number]}.png"
            info = grid.png_text(picture.cell, base=base_name, lora=None, lora_sha256=None)
            project.write_bytes(path, to_png(Image.fromarray(picture.pixels), info))
            record = Candidate(
                description=line.number,
                number=numbers[line.number],
                cell=picture.cell,
                file=path.relative_to(at.folder).as_posix(),
                sha256=project.sha256(path),
                base=base_name,
                base_sha256=about[0],
                licence=about[1],
            )
            project.append(at.candidates, record)
            yield record
            yield Progress("drawing", done, len(missing))
            stop_if(stop, f"{done} of {counted(len(missing), 'picture')} drawn, the same command draws the rest")


def whole(at: Project) -> list[Candidate]:
    """The candidates whose file is there and is what was recorded, by description and number."""
    found: dict[tuple[int, int], Candidate] = {}
    for one in project.read(at.candidates, Candidate):
        path = at.folder / one.file
        if re.fullmatch(r"candidates/\d+-\d+\.png", one.file) and path.is_file() and project.sha256(path) == one.sha256:
            found[one.description, one.number] = one
    return [found[key] for key in sorted(found)]


def sheet_of(at: Project, place: int) -> Path:
    """The sheet on which the description at that place of the table stands, counted from 0."""
    return at.folder / "candidates" / f"sheet-{place // DESCRIPTIONS_A_SHEET + 1:02d}.png"


def to_pick(at: Project) -> list[Question]:
    """The descriptions that nothing was chosen or skipped for yet, or that were skipped and have new candidates since."""
    seen: dict[int, Pick] = {}
    for pick in project.read(at.picks, Pick):
        seen[pick.description] = pick
    offered: dict[int, list[Candidate]] = defaultdict(list)
    for one in whole(at):
        offered[one.description].append(one)
    questions = []
    for place, line in enumerate(project.read(at.descriptions, Description)):
        before, now = seen.get(line.number), offered[line.number]
        if now and (before is None or (not before.numbers and before.seen < len(now))):
            questions.append(Question(line, tuple(now), sheet_of(at, place)))
    return questions


def parse_numbers(text: str, question: Question) -> tuple[int, ...]:
    """The candidates that somebody typed, as `2` or `1 3`; none for `-`. Raises SettingsError where one is not there."""
    there = [one.number for one in question.candidates]
    if text.strip() in ("-", "s", "skip"):
        return ()
    words = re.split(r"[\s,]+", text.strip())
    if not words[0] or not all(re.fullmatch(r"\d{1,6}", word) and int(word) in there for word in words):
        told = ", ".join(str(number) for number in there)
        raise SettingsError(f"{text.strip()!r} is no choice for description {question.description.number}.\nThere are: {told}; - skips it.")
    return tuple(dict.fromkeys(int(word) for word in words))


def read_picks(path: Path, questions: Sequence[Question]) -> list[Pick]:
    """Choices from a text file, a line each: the description's number, a colon, and numbers of candidates or - to skip.

    Lines about descriptions that are decided already are passed over. Raises SettingsError that names every line that makes no sense.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise SettingsError(f"{path} cannot be read ({problem}).\nWrite a line for each description, such as  7: 2") from problem
    by_number = {question.description.number: question for question in questions}
    picks, problems = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"\s*(\d{1,6})\s*:\s*(\S.*)", line)
        if match is None:
            problems.append(f"{path}, line {number}: {line.strip()[:60]!r} is not of the form  7: 2  or  7: -")
        elif (question := by_number.get(int(match.group(1)))) is not None:
            try:
                picks.append(
                    Pick(description=int(match.group(1)), numbers=parse_numbers(match.group(2), question), seen=len(question.candidates))
                )
            except SettingsError as problem:
                problems.append(f"{path}, line {number}: {problem}")
    if problems:
        raise SettingsError("\n".join([*problems, "Nothing was chosen."]))
    return picks


def keep(at: Project, question: Question, pick: Pick) -> list[str]:
    """Copy what was chosen into the data set, each with its caption and where it comes from, then append the choice; the files' names.

    Raises DataError where another picture of that name is in the data set.
    """
    files = []
    for one in question.candidates:
        if one.number not in pick.numbers:
            continue
        name = Path(one.file).name
        data, target = (at.folder / one.file).read_bytes(), at.dataset / name
        if target.exists() and target.read_bytes() != data:
            raise DataError(f"{target} is there already and is another picture.\nRename it, in {METADATA} too, and choose again.")
        project.write_bytes(target, data)
        cell, line = one.cell, question.description
        origin = {
            "made_by": "drawn with a base model",
            "base": one.base,
            "base_sha256": one.base_sha256,
            "licence": one.licence,
            "description": line.number,
            "prompt": cell.prompt,
            "negative": cell.negative,
            "guidance": cell.guidance,
            "seed": cell.seed,
            "steps": cell.steps,
            "sampler": cell.sampler,
        }
        captions.add_row(at.dataset, {"file_name": name, "text": line.caption, "provenance": origin})
        files.append(name)
    project.append(at.picks, pick)
    return files
