"""Lines about pictures that are trained on: where they come from, what is wrong with them, what they were drawn for."""

from typing import Literal

from decal.records.drawing import Cell
from decal.records.line import Line

Level = Literal["error", "warning", "note"]
Split = Literal["train", "holdout"]

Fit = Literal["pad", "crop", "bucket"]


class Record(Line):
    """One picture with its caption, fit to train on.

    file: relative to `dataset/`. sha256: of the file's bytes, hex. Sizes are after the EXIF rotation.
    other_captions: where the picture has several, those after the first. repeats: how often it is shown while others are shown once.
    mask: the grey picture that says how much of it counts, relative to the project; "" where all of it does. mask_sha256: of its bytes.
    """

    file: str
    sha256: str
    width_px: int
    height_px: int
    caption: str
    split: Split
    other_captions: tuple[str, ...] = ()
    repeats: int = 1
    mask: str = ""
    mask_sha256: str = ""

    @property
    def captions(self) -> tuple[str, ...]:
        return (self.caption, *self.other_captions)


class Source(Line):
    """Where pictures of a project come from; a line of `sources.jsonl`, written once by `decal new`.

    kind: folder, picture, zip, table, kohya, concepts, parquet, webdataset or hub. where: the path or the address as it was given.
    revision: the commit on the hub. licence: as the source states it. Both are None where the source says nothing.
    pictures: how many came.
    """

    kind: str
    where: str
    revision: str | None = None
    licence: str | None = None
    pictures: int


class Start(Line):
    """The LoRA of another tool that a run begins with; `start.json` in the run, its factors beside it.

    file: its name, without folders. sha256: of its bytes. factors_sha256: of the file beside. targets: attention or all where its layers
    are just those, else imported. layers: how many. raised: how many of them were brought to the rank of the largest.
    """

    file: str
    sha256: str
    factors_sha256: str
    rank: int
    targets: Literal["attention", "all", "imported"]
    layers: int
    raised: int


class Finding(Line):
    """One thing that the data check has to say.

    check: the name of the check that found it. file: relative to `dataset/`; None where the finding is about the whole set.
    line: of `metadata.jsonl` or `metadata.csv`, from 1, where it is about a row.
    """

    level: Level
    check: str
    file: str | None = None
    line: int | None = None
    reason: str
    remedy: str


class Description(Line):
    """One picture that is wanted; a line of `descriptions.jsonl`, which a person may edit.

    number: from 1, never given twice. kind: of subject. aspect: its mood or colour. content: what is to be seen. caption: what the picture
    is trained with. prompt: what candidates are drawn with. tokens: of the caption, BOS and EOS included. writer: grammar, or the model.
    """

    number: int
    kind: str
    subject: str
    aspect: str
    content: str
    caption: str
    prompt: str
    tokens: int
    writer: str


class Candidate(Line):
    """One picture that was drawn for a description, to be chosen or not.

    number: of the candidate within its description, from 1. file: relative to the project. base, base_sha256: the base it was drawn with
    and the hash of its files. licence: of that base.
    """

    description: int
    number: int
    cell: Cell
    file: str
    sha256: str
    base: str
    base_sha256: str
    licence: str


class Pick(Line):
    """What was chosen for a description: numbers of its candidates, none where it was skipped. seen: how many there were to choose from."""

    description: int
    numbers: tuple[int, ...]
    seen: int
