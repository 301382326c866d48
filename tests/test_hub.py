"""Data sets of the hub, from a server on this machine that answers as the hub does."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub import COMMIT, Hub
from PIL import Image
from test_sources import parquet, pictures, png, tar

from decal.dataset import scan
from decal.project import read
from decal.records import Source
from decal.sources.hub import Address, _place, parse


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Hub]:
    """An empty data set on a hub of its own."""
    (tmp_path / "hub" / "main").mkdir(parents=True)
    hub = Hub(tmp_path / "hub", {"license": "cc-by-4.0"})
    yield hub
    hub.server.shutdown()


# Types `decal new PROJECT --from SOURCE` for each source.
ASK = """
import contextlib, io, json, sys
from decal import cli

project, *sources = sys.argv[1:]
for source in sources:
    sys.argv = ["decal", "new", project, "--from", source, "--keyword", "zorb"]
    with contextlib.redirect_stderr(io.StringIO()) as told, contextlib.redirect_stdout(io.StringIO()):
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
    print(json.dumps([code, told.getvalue()]))
"""


def of(hub: Hub, offline: str = "0") -> dict[str, str]:
    """What makes the hub's client ask this one."""
    return {"HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": offline, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


def new(hub: Hub, project: Path, source: str, *words: str, offline: str = "0") -> subprocess.CompletedProcess[str]:
    """Types `decal new` in a process of its own, since the hub's client reads its address once."""
    command = [sys.executable, "-m", "decal", "new", str(project), "--from", source, "--keyword", "zorb", *words]
    return subprocess.run(command, env=os.environ | of(hub, offline), capture_output=True, text=True, check=False)


def noise(count: int, size: int) -> list[dict[str, object]]:
    """Rows with pictures that cannot be packed."""
    dice = np.random.default_rng(0)
    rows: list[dict[str, object]] = []
    for place in range(count):
        data = Image.fromarray(dice.integers(0, 256, (size, size, 3), dtype=np.uint8))
        packed = io.BytesIO()
        data.save(packed, "PNG")
        rows.append({"image": {"bytes": packed.getvalue(), "path": f"{place}.png"}, "text": f"picture {place}"})
    return rows


def test_an_address_has_a_revision_a_configuration_and_a_split() -> None:
    assert parse("hf:own/set") == Address("own/set", None, None, None)
    assert parse("hf:own/set@v1.0/small:test") == Address("own/set", "v1.0", "small", "test")
    assert parse("hf:own/set@refs/pr/3:test").where == "hf:own/set@refs/pr/3:test"


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ("default/train/0000.parquet", ("default", "train")),
        ("small/partial-test/0003.parquet", ("small", "test")),
        ("data/train-00000-of-00002-0a1b.parquet", ("default", "train")),
        ("small/validation-00000-of-00001.parquet", ("small", "validation")),
        ("train/0001.tar", ("default", "train")),
        ("0001.tar", ("default", "train")),
        ("test.parquet", ("default", "test")),
    ],
)
def test_names_of_files_say_configuration_and_split(file: str, place: tuple[str, str]) -> None:
    assert _place(file, {}) == place


def test_a_card_decides_over_the_names_of_files() -> None:
    card = {"configs": [{"config_name": "big", "data_files": [{"split": "train", "path": "x/*.parquet"}]}]}
    assert (_place("x/test.parquet", card), _place("y/test.parquet", card)) == (("big", "train"), None)


def test_a_limit_downloads_no_more_than_the_blocks_of_its_rows(served: Hub, tmp_path: Path) -> None:
    path = served.folder / "main" / "data" / "train-00000-of-00001.parquet"
    path.parent.mkdir()
    pq.write_table(pa.Table.from_pylist(noise(120, 256)), path, row_group_size=10)
    ended = new(served, tmp_path / "project", "hf:own/set", "--limit", "5")
    assert ended.returncode == 0, ended.stderr
    assert [row.caption for row in scan(tmp_path / "project" / "dataset").rows] == [f"picture {place}" for place in range(5)]
    assert path.stat().st_size > 20e6
    # The description at the end, the first group of 10 pictures of 200 kB, and the rest of the blocks of 1 MiB around them.
    assert served.sent_bytes < 5e6
    source = Source(kind="hub", where="hf:own/set", revision=COMMIT, licence="cc-by-4.0", pictures=5)
    assert read(tmp_path / "project" / "sources.jsonl", Source) == [source]


def test_the_conversion_is_read_where_the_repository_holds_nothing_to_read(served: Hub, tmp_path: Path) -> None:
    (served.folder / "main" / "script.py").write_text("x")
    for split in ("train", "test"):
        folder = served.folder / "convert" / "default" / split
        folder.mkdir(parents=True)
        parquet(folder / "0000.parquet", [{"image": {"bytes": png("red"), "path": "a.png"}, "text": split}])
    ended = new(served, tmp_path / "project", "hf:own/set:test")
    assert (ended.returncode, [row.caption for row in scan(tmp_path / "project" / "dataset").rows]) == (0, ["test"])
    assert "read from the hub's own conversion" in ended.stdout
    ended = new(served, tmp_path / "other", "hf:own/set:dev")
    assert (ended.returncode, ended.stderr.splitlines()[0]) == (3, "hf:own/set:dev has no split 'dev'.")


def test_an_imagefolder_and_tars_of_the_hub_come_in(served: Hub, tmp_path: Path) -> None:
    root = pictures(served.folder / "main", "train/a.png", "train/b.png", "test/c.png")
    (root / "train" / "metadata.jsonl").write_text('{"file_name": "b.png", "text": "B"}\n{"file_name": "gone.png"}\n')
    ended = new(served, tmp_path / "project", "hf:own/set")
    assert ended.returncode == 0, ended.stderr
    rows = [json.loads(line) for line in (tmp_path / "project" / "dataset" / "metadata.jsonl").read_text().splitlines()]
    assert rows == [{"file_name": "train/b.png", "text": "B"}, {"file_name": "train/gone.png"}, {"file_name": "train/a.png"}]
    tar(root / "0000.tar", {"x.png": png("red"), "x.txt": b"X"})
    ended = new(served, tmp_path / "tars", "hf:own/set")
    assert [row.caption for row in scan(tmp_path / "tars" / "dataset").rows] == ["X"], ended.stderr


def test_what_cannot_be_had_is_said_in_one_sentence_and_leaves_nothing(served: Hub, tmp_path: Path) -> None:
    cases = {
        "hf:own/none": "is not on the hub, or private",
        "hf:own/set@v9": "has no such revision",
        "hf:own/set": "has no parquet files, tars or pictures",
        "hf:own": "is not the address of a data set",
    }
    # All in one process, which says a JSON array for each: the exit code, and what it told.
    asked = subprocess.run(
        [sys.executable, "-c", ASK, tmp_path / "project", *cases], env=os.environ | of(served), capture_output=True, text=True
    )
    told = [json.loads(line) for line in asked.stdout.splitlines()]
    found = [(code, why in err, len(err.splitlines())) for why, (code, err) in zip(cases.values(), told, strict=True)]
    assert found == [(3, True, 2)] * 4, told
    served.gated = True
    assert "is gated" in new(served, tmp_path / "project", "hf:own/set").stderr
    assert "HF_HUB_OFFLINE is set" in new(served, tmp_path / "project", "hf:own/set", offline="1").stderr
    assert not (tmp_path / "project").exists()
