"""Malformed pictures, lines and containers through every way into a project: nothing crashes, and each is told."""

import io
import json
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_sources import parquet, png, tar
from typed import Call

from decal import checks
from decal.dataset import bring_in, scan
from decal.errors import DataError
from decal.settings import parse
from decal.sources.parquets import _frame

LINES = [b"{broken", b"[]", b'{"file_name": 3}', b'{"file_name": "../x.png"}', b"\xff\xfe\x00", b'{"file_name": "a.png", "text": 7}']


def huge() -> bytes:
    """A PNG of 30,000 x 30,000 px in a few bytes."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))


BAD = [b"", b"x", png("red")[:40], b"GIF89a", b"<svg/>", b"\xff\xd8\xff" + bytes(99), b"BM" + b"\xff" * 60, huge(), b"II*\0" + b"\xff" * 40]


def as_folder(folder: Path) -> Path:
    (folder / "in").mkdir()
    for place, data in enumerate(BAD):
        (folder / "in" / f"{place}.png").write_bytes(data)
    return folder / "in"


def as_kohya(folder: Path) -> Path:
    as_folder(folder).rename(folder / "5_fox")
    (folder / "in").mkdir()
    (folder / "5_fox").rename(folder / "in" / "5_fox")
    return folder / "in"


def as_table(folder: Path) -> Path:
    (as_folder(folder) / "t.csv").write_text("path\n" + "".join(f"{place}.png\n" for place in range(len(BAD))))
    return folder / "in" / "t.csv"


def as_zip(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        for place, data in enumerate(BAD):
            archive.writestr(f"{place}.png", data)
    return folder / "x.zip"


def as_tar(folder: Path) -> Path:
    return tar(folder / "x.tar", {f"{place}.png": data for place, data in enumerate(BAD)})


def as_parquet(folder: Path) -> Path:
    return parquet(folder / "x.parquet", [{"image": {"bytes": data, "path": f"{place}.png"}} for place, data in enumerate(BAD)])


@pytest.mark.parametrize("source", [as_folder, as_kohya, as_table, as_zip, as_tar, as_parquet])
def test_every_malformed_picture_arrives_and_is_an_error_of_its_own(source: Callable[[Path], Path], tmp_path: Path) -> None:
    bring_in(source(tmp_path), tmp_path / "dataset")
    checked = checks.run(tmp_path / "dataset", parse({}))
    found = [finding.file for finding in checked.findings if finding.check in ("unreadable", "truncated", "huge", "extreme_ratio")]
    assert (len(scan(tmp_path / "dataset").rows), len(set(found)), len(found)) == (9, 9, 9)


def test_every_command_that_reads_malformed_files_ends_with_a_sentence(tmp_path: Path, call: Call) -> None:
    folder, project = as_folder(tmp_path), tmp_path / "project"
    (folder / "good.png").write_bytes(png("red"))
    (folder / "metadata.jsonl").write_bytes(b"\n".join([*LINES, b'{"file_name": "good.png", "text": "zorb style sticker of a fox"}']))
    commands: list[tuple[object, ...]] = [
        ("check", folder),
        ("new", project, "--from", folder, "--keyword", "zorb"),
        ("check", project, "--quick"),
        ("check", project, "--fix"),
        ("caption", project),
        ("train", project, "--set", "train.steps=1"),
        ("export", project, "--dataset", tmp_path / "out", "--as", "kohya"),
    ]
    outcomes = [call(*words) for words in commands]
    assert [code for code, _, _ in outcomes] == [3, 0, 3, 0, 0, 3, 0]
    assert all(out.strip() or err.strip() for _, out, err in outcomes)
    assert (tmp_path / "project" / "left_out" / "0.png").is_file()


def test_every_malformed_line_arrives_from_a_folder_a_table_a_zip_and_a_tar(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(png("red"))
    for name in ("metadata.jsonl", "table.jsonl"):
        (tmp_path / "in" / name).write_bytes(b"\n".join([*LINES, b'{"file_name": "a.png", "text": "A"}']))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for path in (tmp_path / "in").iterdir():
            archive.write(path, path.name)
    for place, source in enumerate((tmp_path / "in", tmp_path / "in" / "table.jsonl", tmp_path / "x.zip")):
        told = bring_in(source, tmp_path / f"{place}")
        assert (told.rows, told.faulty, told.captions) == (len(LINES) + 1, len(LINES), 1)
    samples = {"0.png": png("red")} | {f"{place}.json": line for place, line in enumerate(LINES)}
    assert bring_in(tar(tmp_path / "x.tar", samples), tmp_path / "tar").rows == len(LINES)


def test_a_tar_with_damaged_bytes_comes_in_or_is_refused(tmp_path: Path) -> None:
    whole = tar(tmp_path / "x.tar", {f"{place}.{end}": png("red") for place in range(6) for end in ("png", "json", "txt")}).read_bytes()
    dice, outcomes = random.Random(0), set()
    for place in range(80):
        data = bytearray(whole if place % 2 else whole[: dice.randrange(len(whole))])
        for _ in range(dice.choice([0, 1, 9])):
            data[dice.randrange(len(data))] = dice.choice([0, 0x7F, 0x80, 255])
        (tmp_path / "y.tar").write_bytes(data)
        try:
            outcomes.add(bring_in(tmp_path / "y.tar", tmp_path / str(place)).source.kind)
        except DataError as problem:
            outcomes.add(f"{len(str(problem).splitlines())} lines")
    assert outcomes == {"webdataset", "2 lines"}


@pytest.mark.parametrize(
    "header", [("a.png", tarfile.REGTYPE, 2**33), ("././@LongLink", tarfile.GNUTYPE_LONGNAME, 2**32), ("x", tarfile.XHDTYPE, 2**31)]
)
def test_a_size_that_a_tar_only_declares_costs_nothing(header: tuple[str, bytes, int], tmp_path: Path) -> None:
    member = tarfile.TarInfo(header[0])
    member.type, member.size = header[1], header[2]
    (tmp_path / "x.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(9999))
    with pytest.raises(DataError, match="is damaged"):
        bring_in(tmp_path / "x.tar", tmp_path / "dataset")


def test_a_mask_of_a_row_without_a_picture_is_written_nowhere(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"image": png("red"), "mask": None, "file_name": "a.png"}]
    rows += [{"image": None, "mask": png("grey"), "file_name": "../evil.png"}]
    bring_in(parquet(tmp_path / "x.parquet", rows), tmp_path / "project/dataset")
    assert [path.name for path in sorted(tmp_path.rglob("*.png"))] == ["a.png"]


@pytest.mark.slow
def test_parquet_that_is_cut_overwritten_or_a_bomb_is_refused_in_a_sentence(tmp_path: Path) -> None:
    whole = parquet(tmp_path / "x.parquet", [{"image": png("red"), "text": str(place)} for place in range(40)]).read_bytes()
    pq.write_table(pa.table({"image": pa.array([bytes(2**25)], pa.binary())}), tmp_path / "bomb.parquet", compression="zstd")
    length = int.from_bytes(whole[-8:-4], "little")  # of the description at the end
    cases = {
        "cut": whole[:-100],
        "empty": b"",
        "other": png("red"),
        "footer": whole[:-8] + struct.pack("<I", 2**31 - 1) + b"PAR1",
        "zeros": whole[: -8 - length] + bytes(length) + whole[-8:],
        "bomb": (tmp_path / "bomb.parquet").read_bytes(),
    }
    for name, data in cases.items():
        (tmp_path / f"{name}.parquet").write_bytes(data)
        with pytest.raises(DataError, match=r"cannot be read as parquet|the limit is 300 times") as problem:
            bring_in(tmp_path / f"{name}.parquet", tmp_path / "dataset")
        assert len(str(problem.value).splitlines()) == 2
    assert not (tmp_path / "dataset").exists()


def test_a_reader_that_breaks_off_in_the_middle_is_noticed() -> None:
    head = json.dumps({"size": 9}).encode() + b"\n"
    assert _frame(io.BytesIO(head + b"123456789")) == ({"size": 9}, (b"123456789", None))
    assert [_frame(io.BytesIO(data)) for data in (head + b"123", b'{"size"', b"")] == [None, None, None]
