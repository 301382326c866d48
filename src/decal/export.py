"""The data set of a project -> the layouts that other tools read: imagefolder, `.txt` sidecars, kohya, WebDataset, parquet.

Pictures are copied to the byte. What `decal new --from` reads back has the same captions; a layout that has no place for something says so.
Masks go where their readers look: OneTrainer's `pear-masklabel.png` beside the picture, a column for `datasets`, folders of their own and
a configuration for sd-scripts, which wants a mask of every picture. The target is filled under another name and renamed when it is whole.
Sources: OneTrainer docs/QuickStartGuide.md (23df383); sd-scripts docs/masked_loss_README.md and `ControlNetDataset` (48d368f); `datasets`
folder_based_builder.py (5.2.0).
"""

import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from PIL import Image

from decal import masks, pictures
from decal.dataset import Listing
from decal.errors import DataError, SettingsError
from decal.metadata import METADATA, Row, caption_cell, caption_key, further_keys, sidecar_captions, text_lines
from decal.pictures import PictureError
from decal.project import staged_folder
from decal.sources import parquets, to_line, to_row
from decal.wording import counted

# What a reader of tars or parquet likes to have in one piece.
SHARD_BYTES = 512 * 2**20
SHARD_PICTURES = 10_000
# As `datasets` writes pictures, so that a reader can take a few rows of a large file.
GROUP_ROWS = 100
GROUP_BYTES = 32 * 2**20
MASKS = "masks"
"""The folder of masks beside kohya's folders; a name without a number is none of those."""


@dataclass(frozen=True)
class Exported:
    """What was written. left_out: lines that cannot be used, and so were not. notes: what the layout has no place for."""

    target: Path
    kind: str
    pictures: int
    left_out: int
    notes: tuple[str, ...]

    def told(self) -> list[str]:
        """All of it as lines to print."""
        head = f"{counted(self.pictures, 'picture')} written to {self.target} as {self.kind}"
        lost = [f"{counted(self.left_out, 'line')} of {METADATA} left out, because they cannot be used (decal check names them)"]
        return [head, *(f"  {note}" for note in [*(lost if self.left_out else []), *self.notes])]


@dataclass
class _Job:
    """What a layout is written from, and what it has to say. keys: other keys of a row, by its line. masks: as for `write`."""

    dataset: Path
    rows: Sequence[Row]
    keyword: str
    keys: dict[int, dict[str, object]]
    masks: Mapping[str, Path]
    notes: list[str] = field(default_factory=list)


def write(listing: Listing, dataset: Path, target: Path, *, kind: str, keyword: str, masks: Mapping[str, Path]) -> Exported:
    """Write a data set into a new folder.

    kind: imagefolder, kohya, txt, webdataset or parquet. keyword: names kohya's folders. masks: of the pictures that have one.
    Raises SettingsError for another kind or a target that is not empty, and DataError where there is nothing to write.
    """
    layout = LAYOUTS.get(kind)
    if layout is None:
        raise SettingsError(f"--as {kind} is not known.\nThere are: {', '.join(LAYOUTS)}.")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise SettingsError(f"{target} is there already and not empty; it is left alone.\nName another folder after --dataset.")
    rows = [*listing.rows, *(Row(file, None, None) for file in listing.unnamed)]
    if not rows:
        raise DataError(f"{dataset} has no picture to export.\nSee  decal check")
    job = _Job(dataset, rows, keyword, _other_keys(dataset, rows), masks)
    with staged_folder(target) as staged:
        layout(job, staged)
    broken = sum(finding.check in ("bad_line", "outside", "bad_caption", "bad_repeats") for finding in listing.faults)
    return Exported(target, kind, len({row.file for row in rows}), broken, tuple(job.notes))


def _imagefolder(job: _Job, staged: Path) -> None:
    # `datasets` refuses a column that holds texts and lists.
    has_several = any(row.others for row in job.rows)
    stored: set[str] = set()
    with (staged / METADATA).open("wb") as lines:
        for row in job.rows:
            if row.file not in stored:
                _copy(job.dataset / row.file, staged / row.file)
                _put(_mask(job, row.file), staged / masks.beside(row.file))
                stored.add(row.file)
            # `datasets` reads what ends in _file_name as a picture, without the ending.
            mask = {"mask_file_name": masks.beside(row.file)} if row.file in job.masks else {}
            cell: dict[str, object] = {"text": list(row.captions)} if has_several else caption_cell(row.captions)
            lines.write(to_line({"file_name": row.file} | cell | _repeats(row) | job.keys.get(row.line or 0, {}) | mask) + b"\n")
    if has_several:
        job.notes.append("captions are lists, since some pictures have several; the diffusers scripts draw one of them")


def _sidecars(job: _Job, staged: Path) -> None:
    for file, path in _with_texts(job, staged, lambda row: row.file).items():
        _put(_mask(job, file), staged / masks.beside(path.as_posix()))
    if job.masks:
        job.notes.append(f"{counted(len(job.masks), 'mask')} beside the pictures, as OneTrainer reads them")
    if any(row.repeats > 1 for row in job.rows):
        job.notes.append("repeats have no place in .txt files; --as kohya keeps them as names of folders")


def _kohya(job: _Job, staged: Path) -> None:
    words = "".join(letter if letter.isalnum() or letter in " -" else "-" for letter in job.keyword).strip(" -") or "pictures"
    # Pictures in folders below are not seen by kohya's trainer.
    places = _with_texts(job, staged, lambda row: f"{row.repeats}_{words}/{row.file.replace('/', '-')}")
    if job.masks:
        _kohya_masks(job, staged, places)
    job.notes.append("kohya's trainer reads it with  --caption_extension .txt")
    if any(row.others for row in job.rows):
        job.notes.append("several captions of a picture are lines of its .txt file, of which kohya draws one with  --enable_wildcard")


def _kohya_masks(job: _Job, staged: Path, places: Mapping[str, PurePosixPath]) -> None:
    """Masks under the names of their pictures, in folders that kohya's trainer takes for no pictures, and what names them to it."""
    for file, path in places.items():
        _put(_mask(job, file) or _white(job, file), staged / MASKS / path.with_suffix(".png"))
    subsets = [
        f"[[datasets.subsets]]\nimage_dir = {json.dumps(folder)}\nconditioning_data_dir = {json.dumps(f'{MASKS}/{folder}')}\n"
        f'num_repeats = {folder.partition("_")[0]}\ncaption_extension = ".txt"\n'
        for folder in sorted({path.parent.as_posix() for path in places.values()})
    ]
    (staged / f"{MASKS}.toml").write_text("\n".join(["[[datasets]]\n", *subsets]), "utf-8")
    without = len(places) - len(job.masks)
    job.notes.append(
        f"{counted(len(job.masks), 'mask')} in {MASKS}/, which kohya's trainer reads from within that folder with  "
        f"--dataset_config {MASKS}.toml --masked_loss"
        + (f"; {counted(without, 'picture')} without got a white one, since it wants one of each" if without else "")
    )


def _with_texts(job: _Job, staged: Path, place: Callable[[Row], str]) -> dict[str, PurePosixPath]:
    """Pictures with `.txt` files beside them, one caption a line; where each went."""
    captions: dict[str, list[str]] = {}
    places: dict[str, str] = {}
    for row in job.rows:
        captions.setdefault(row.file, []).extend(row.captions)
        places.setdefault(row.file, place(row))
    taken: set[str] = set()
    went: dict[str, PurePosixPath] = {}
    joined = 0
    for file, texts in captions.items():
        wanted = PurePosixPath(places[file])
        path, number = wanted, 2
        # Two pictures whose names differ in the ending only would share a text file.
        while path.with_suffix("").as_posix().casefold() in taken:
            path, number = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}"), number + 1
        taken.add(path.with_suffix("").as_posix().casefold())
        went[file] = path
        _copy(job.dataset / file, staged / path)
        lines = [" ".join(text.split()) for text in texts]
        joined += lines != texts
        # An empty file says that there is no caption; kohya would take the name of the folder.
        (staged / path.with_suffix(".txt")).write_text("".join(line + "\n" for line in lines), "utf-8")
    if joined:
        job.notes.append(f"line breaks and double blanks became single blanks in the captions of {counted(joined, 'picture')}")
    if any(job.keys.values()):
        job.notes.append("other keys of the rows have no place in .txt files and are left out")
    return went


def _webdataset(job: _Job, staged: Path) -> None:
    taken: set[str] = set()
    for number, rows in enumerate(_shards(job)):
        with tarfile.open(staged / f"{number:05d}.tar", "w", format=tarfile.PAX_FORMAT) as archive:
            for row in rows:
                path = PurePosixPath(row.file)
                # A key ends at the first dot of the name.
                wanted = path.with_name(path.stem.replace(".", "-")).as_posix()
                key, place = wanted, 2
                while key in taken:
                    key, place = f"{wanted}-{place}", place + 1
                taken.add(key)
                about = {"file_name": row.file} | caption_cell(row.captions) | _repeats(row) | job.keys.get(row.line or 0, {})
                _add(archive, key + path.suffix.lower(), (job.dataset / row.file).read_bytes())
                _add(archive, f"{key}.json", to_line(about))
                if (mask := _mask(job, row.file)) is not None:
                    _add(archive, f"{key}.mask.png", mask)
                plain = "\n".join(row.captions).encode()
                # Most readers of tars look for captions here only; one with line breaks would come back as several.
                if row.captions and sidecar_captions(plain) == row.captions:
                    _add(archive, f"{key}.txt", plain)


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """A member without owner and time, so that equal sets give equal tars."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def _parquet(job: _Job, staged: Path) -> None:
    parquets.require()
    import pyarrow as pa
    import pyarrow.parquet as pq

    has_several, has_repeats = any(row.others for row in job.rows), any(row.repeats > 1 for row in job.rows)
    kind = pa.list_(pa.string()) if has_several else pa.string()
    feature: dict[str, object] = {"_type": "Value", "dtype": "string"}
    features: dict[str, object] = {"image": {"_type": "Image"}, "text": {"_type": "List", "feature": feature} if has_several else feature}
    columns = [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("text", kind)]
    if has_repeats:
        features["repeats"] = {"_type": "Value", "dtype": "int32"}
        columns.append(("repeats", pa.int32()))
    if job.masks:
        features["mask"] = {"_type": "Image"}
        columns.append(("mask", columns[0][1]))
    schema = pa.schema(columns, metadata={"huggingface": json.dumps({"info": {"features": features}})})
    shards = list(_shards(job))
    for number, rows in enumerate(shards):
        with pq.ParquetWriter(staged / f"train-{number:05d}-of-{len(shards):05d}.parquet", schema, compression="snappy") as file:
            for group in _groups(job, rows):
                pictures = [{"bytes": (job.dataset / row.file).read_bytes(), "path": row.file} for row in group]
                one = [(list(row.captions) if has_several else row.caption) for row in group]
                values = {"image": pictures, "text": one, "repeats": [row.repeats for row in group]}
                if job.masks:
                    greys = [_mask(job, row.file) for row in group]
                    values["mask"] = [
                        grey and {"bytes": grey, "path": masks.beside(row.file)} for grey, row in zip(greys, group, strict=True)
                    ]
                arrays = [pa.array(values[name], kind) for name, kind in columns]
                file.write_batch(pa.record_batch(arrays, schema=schema), row_group_size=GROUP_ROWS)
    if any(job.keys.values()):
        job.notes.append("other keys of the rows are left out")


def _shards(job: _Job) -> Iterator[list[Row]]:
    """The rows in pieces of at most `SHARD_PICTURES` and about `SHARD_BYTES`."""
    return _pieces(job, job.rows, SHARD_PICTURES, SHARD_BYTES)


def _groups(job: _Job, rows: Sequence[Row]) -> Iterator[list[Row]]:
    return _pieces(job, rows, GROUP_ROWS, GROUP_BYTES)


def _pieces(job: _Job, rows: Sequence[Row], most_rows: int, most_bytes: int) -> Iterator[list[Row]]:
    piece: list[Row] = []
    size_bytes = 0
    for row in rows:
        size = (job.dataset / row.file).stat().st_size
        if piece and (len(piece) >= most_rows or size_bytes + size > most_bytes):
            yield piece
            piece, size_bytes = [], 0
        piece.append(row)
        size_bytes += size
    yield piece


def _other_keys(dataset: Path, rows: Sequence[Row]) -> dict[int, dict[str, object]]:
    """What a line holds besides the name, the captions and the repeats, by its number."""
    lines = {row.line for row in rows if row.line is not None}
    found: dict[int, dict[str, object]] = {}
    if not lines:
        return found
    for number, line in enumerate(text_lines((dataset / METADATA).read_bytes()), start=1):
        row = to_row(line) if number in lines else None
        if row is not None:
            own = {"file_name", "repeats", caption_key(row), *further_keys(row)}
            found[number] = {key: value for key, value in row.items() if key not in own}
    return found


def _mask(job: _Job, file: str) -> bytes | None:
    """The mask of a picture as a grey PNG; None where it has none."""
    return masks.to_png(masks.load(job.masks[file]), is_own=True) if file in job.masks else None


def _white(job: _Job, file: str) -> bytes | None:
    """A mask that lets all of a picture count; None for a picture that cannot be read, which cannot be trained on with a mask either."""
    try:
        look = pictures.look(job.dataset / file)
    except PictureError:
        return None
    return masks.to_png(Image.new("L", (look.width_px, look.height_px), 255), is_own=False)


def _put(mask: bytes | None, target: Path) -> None:
    if mask is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(mask)


def _repeats(row: Row) -> dict[str, object]:
    return {"repeats": row.repeats} if row.repeats > 1 else {}


def _copy(picture: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(picture, target)


LAYOUTS: dict[str, Callable[[_Job, Path], None]] = {
    "imagefolder": _imagefolder,
    "kohya": _kohya,
    "txt": _sidecars,
    "webdataset": _webdataset,
    "parquet": _parquet,
}
