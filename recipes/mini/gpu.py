"""Train everything in `src/decal/mini/` on one GPU in under 20 minutes: data in as one folder, weights out as one.

    python recipes/mini/data.py DATA                      where npm is (no GPU needed)
    python recipes/mini/gpu.py OUT --data DATA            where the GPU is (no network needed)

DATA may hold pictures.npy or the smaller pictures.zip (PNG) that `--pack` makes of it. Each stage is one of the recipe's own commands with
larger batches, so what is written in the README about them holds here too. Stopped and started again it goes on.

OUT/bundle-NN are the models, sheets and losses in pieces of 15 MiB, for machines that give back small files only:

    python recipes/mini/gpu.py OUT --unbundle FOLDER      puts them together as FOLDER/sd, FOLDER/turbo and FOLDER/xl
"""

import argparse
import io
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
from model import TOKENIZER
from PIL import Image

HERE = Path(__file__).parent
MODELS = ("sd", "turbo", "xl")
PIECE_BYTES = 15 * 2**20


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


def bundle(out: Path) -> None:
    """Write OUT/bundle-NN. Left out is what `unbundle` can put back: tokenizers, and the autoencoder of all but the base."""

    def wanted(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        model, _, part = member.name.partition("/")
        return None if part.startswith("tokenizer") or (part.startswith("vae") and model != MODELS[0]) else member

    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for name in (*MODELS, *(found.name for pattern in ("*.png", "losses-*.jsonl") for found in sorted(out.glob(pattern)))):
            archive.add(out / name, name, filter=wanted)
    for number, start in enumerate(range(0, whole.tell(), PIECE_BYTES)):
        (out / f"bundle-{number:02d}").write_bytes(whole.getbuffer()[start : start + PIECE_BYTES])


def unbundle(out: Path, folder: Path) -> None:
    """The inverse of `bundle`, into a folder that may hold the models already."""
    whole = io.BytesIO(b"".join(piece.read_bytes() for piece in sorted(out.glob("bundle-*"))))
    with tarfile.open(fileobj=whole) as archive:
        archive.extractall(folder, filter="data")
    for name in MODELS:
        if name != MODELS[0]:
            shutil.copytree(folder / MODELS[0] / "vae", folder / name / "vae", dirs_exist_ok=True)
        for tokenizer in ("tokenizer", "tokenizer_2") if name == "xl" else ("tokenizer",):
            if (folder / name / tokenizer).resolve() != TOKENIZER:
                shutil.copytree(TOKENIZER, folder / name / tokenizer, dirs_exist_ok=True)


def stage(name: str, *arguments: object) -> None:
    """Run one script of the recipe and say how long it took."""
    started = time.monotonic()
    subprocess.run([sys.executable, HERE / name, *map(str, arguments)], check=True)
    print(f"{name} {' '.join(map(str, arguments))}: {time.monotonic() - started:.0f} s", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the embedded models on one GPU.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--pack", action="store_true", help="only write DATA/pictures.zip")
    parser.add_argument("--hurry", type=int, default=1, help="divide steps and batches by this, to try the way through, on a CPU too")
    parser.add_argument("--unbundle", type=Path, metavar="FOLDER", help="only put the models of OUT/bundle-NN into FOLDER")
    given = parser.parse_args()
    if given.unbundle:
        unbundle(given.out, given.unbundle)
        return
    if given.data is None:
        parser.error("--data is needed: the folder that data.py wrote")
    if given.pack:
        pack(given.data)
        return
    unpack(given.data)
    train(given.out, given.data, hurry=given.hurry)
    for run in sorted((given.out / "runs").iterdir()):
        # Losses are written every hundred steps, so a hurried run has none.
        if (run / "losses.jsonl").exists():
            shutil.copy(run / "losses.jsonl", given.out / f"losses-{run.name}.jsonl")
    bundle(given.out)


def train(out: Path, data: Path, hurry: int) -> None:
    """All stages, in the order in which they need each other: the turbo student and the twin begin from the base."""

    def steps(count: int, least: int = 4) -> int:
        return max(least, count // hurry)

    runs, base = out / "runs", out / "sd"
    weights = runs / "vae" / "vae.safetensors"
    given = ("--data", data, "--vae", weights)
    fast = ("--batch", steps(512, 8), "--rate", "1.5e-3")
    stage("vae.py", runs / "vae", "--data", data, "--steps", steps(6000), "--batch", steps(256, 8))
    stage("base.py", runs / "base", *given, "--steps", steps(9000), "--decay", steps(3000), *fast)
    stage("export.py", runs / "base", *given, "--out", base, "--sheet", out / "sd.png")
    pairs = ("--pairs", steps(16384, 64), "--steps", steps(4000), "--batch", steps(512, 8))
    stage("turbo.py", runs / "turbo", "--base", base, "--data", data, *pairs)
    few = ("--guidance", "0", "--sampling-steps", "4")
    stage("export.py", runs / "turbo", *given, "--out", out / "turbo", "--sheet", out / "turbo.png", *few)
    stage("base.py", runs / "xl", *given, "--steps", steps(6000), "--decay", steps(2000), *fast, "--twin", "--begin", base)
    stage("export.py", runs / "xl", *given, "--out", out / "xl", "--twin", "--sheet", out / "xl.png")


if __name__ == "__main__":
    main()
