"""Time and memory of `decal new` for data sets of each kind: pictures of 64 px with a caption each.

    python benchmarks/sources/run.py                                            10,000 rows of each kind, one JSON line a kind
    python benchmarks/sources/run.py --rows 300000 --kinds parquet webdataset   the largest tables

The pictures come from fixed seeds; every row has another one. Each source is made with `decal export`'s layouts, so this also writes them.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from decal import export
from decal.dataset import scan

KINDS = ("folder", "txt", "kohya", "zip", "table", "webdataset", "parquet")
SIDE_PX = 64


def main() -> None:
    """Make the sources, bring each in, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        draw(root / "folder", arguments.rows)
        for kind in arguments.kinds:
            source = make(root, kind)
            print(json.dumps({"kind": kind, "rows": arguments.rows} | bring_in(source, root / "project"), sort_keys=True), flush=True)
            shutil.rmtree(root / "project")


def draw(folder: Path, rows: int) -> None:
    """An imagefolder with soft blots, one seed a picture, in folders of a thousand."""
    lines = []
    for number in range(rows):
        file = folder / f"{number // 1000:03}" / f"{number:06}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        dice = np.random.default_rng(number)
        data = BytesIO()
        blots = Image.fromarray(dice.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
        blots.save(data, "PNG", compress_level=1)
        file.write_bytes(data.getvalue())
        row = {"file_name": file.relative_to(folder).as_posix(), "text": f"zorb style sticker of subject number {number}"}
        lines.append(json.dumps(row))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")


def make(root: Path, kind: str) -> Path:
    """A source of that kind with the drawn pictures."""
    folder = root / "folder"
    if kind == "folder":
        return folder
    if kind == "zip":
        with zipfile.ZipFile(root / "set.zip", "w", zipfile.ZIP_STORED) as archive:
            for path in folder.rglob("*"):
                archive.write(path, path.relative_to(folder))
        return root / "set.zip"
    if kind == "table":
        shutil.copyfile(folder / "metadata.jsonl", folder / "table.jsonl")
        return folder / "table.jsonl"
    export.write(scan(folder), folder, root / kind, kind=kind, keyword="zorb", masks={})
    return root / kind


def bring_in(source: Path, project: Path) -> dict[str, float | int]:
    """What `decal new` takes in a process of its own; memory is that of the largest process."""
    begun = time.perf_counter()
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "decal", "new", str(project), "--from", str(source), "--keyword", "zorb"],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, status, used = os.wait4(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, f"decal new --from {source} failed"
    return {
        "wall_seconds": round(time.perf_counter() - begun, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_mib": used.ru_maxrss // 1024,
        "load": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    main()
