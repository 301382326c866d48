"""Train everything in `src/decal/mini/` on one GPU in under 20 minutes: data in as one folder, weights out as one.

    python recipes/mini/data.py DATA                      where npm is (no GPU needed)
    python recipes/mini/gpu.py OUT --data DATA            where the GPU is (no network needed)

DATA may hold pictures.npy or the smaller pictures.zip (PNG) that `--pack` makes of it. Each stage is one of the recipe's own commands with
larger batches, so what is written in the README about them holds here too. Stopped and started again it goes on.
"""

import argparse
import io
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent


def pack(data: Path) -> None:
    """Write DATA/pictures.zip: the same pictures as PNG, about a tenth of the size."""
    pictures = np.load(data / "pictures.npy", mmap_mode="r")
    with zipfile.ZipFile(data / "pictures.zip", "w") as archive:
        for number, pixels in enumerate(pictures):
            png = io.BytesIO()
            Image.fromarray(pixels).save(png, "PNG", optimize=True)
            archive.writestr(f"{number:05d}.png", png.getvalue())


def unpack(data: Path) -> None:
    """The inverse of `pack`; does nothing where pictures.npy is there."""
    if (data / "pictures.npy").exists():
        return
    with zipfile.ZipFile(data / "pictures.zip") as archive:
        pictures = [np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in sorted(archive.namelist())]
    np.save(data / "pictures.npy", np.stack(pictures))


def stage(name: str, *arguments: object) -> None:
    """Run one script of the recipe and say how long it took."""
    started = time.monotonic()
    subprocess.run([sys.executable, HERE / name, *map(str, arguments)], check=True)
    print(f"{name} {' '.join(map(str, arguments))}: {time.monotonic() - started:.0f} s", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the embedded models on one GPU.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pack", action="store_true", help="only write DATA/pictures.zip")
    parser.add_argument("--hurry", type=int, default=1, help="divide all steps by this, to try the way through")
    given = parser.parse_args()
    if given.pack:
        pack(given.data)
        return
    unpack(given.data)
    runs, faster = given.out / "runs", given.hurry
    weights = runs / "vae" / "vae.safetensors"
    stage("vae.py", runs / "vae", "--data", given.data, "--steps", 6000 // faster, "--batch", 256)
    data = ("--data", given.data, "--vae", weights)
    stage("base.py", runs / "base", *data, "--steps", 9000 // faster, "--decay", 3000 // faster, "--batch", 512, "--rate", "1.5e-3")
    stage("base.py", runs / "xl", *data, "--steps", 4000 // faster, "--decay", 1500 // faster, "--batch", 512, "--rate", "1.5e-3", "--twin")
    pairs = ("--pairs", 16384 // faster, "--steps", 4000 // faster, "--batch", 512)
    stage("turbo.py", runs / "turbo", "--base", runs / "base", "--data", given.data, *pairs)
    stage("export.py", runs / "base", *data, "--out", given.out / "sd", "--sheet", given.out / "sd.png")
    stage(
        "export.py",
        runs / "turbo",
        *data,
        "--out",
        given.out / "turbo",
        "--sheet",
        given.out / "turbo.png",
        "--guidance",
        "0",
        "--sampling-steps",
        "4",
    )
    stage("export.py", runs / "xl", *data, "--out", given.out / "xl", "--twin", "--sheet", given.out / "xl.png")
    for run in runs.iterdir():
        shutil.copy(run / "losses.jsonl", given.out / f"losses-{run.name}.jsonl")


if __name__ == "__main__":
    main()
