"""CPU seconds that the data check takes for a thousand pictures of 512 px: 700 stickers with alpha (PNG) and 300 photographs (JPEG).

    python benchmarks/check/run.py              prints one JSON line
    python benchmarks/check/run.py --count 200  fewer pictures

The limit is 15 CPU seconds a thousand, of all threads together. The pictures are drawn from fixed seeds into a temporary folder first.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from decal import checks
from decal.settings import parse

SIDE_PX = 512
LIMIT_CPU_SECONDS = 15.0


def main() -> None:
    """Draw the pictures, check them, and print what it cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder, count)
        cpu, wall = time.process_time(), time.perf_counter()
        checked = checks.run(folder, parse({"caption": {"keyword": "inkpop"}, "data": {"resolution": SIDE_PX}}))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        size_bytes = sum(path.stat().st_size for path in folder.iterdir())
    result = {
        "pictures": len(checked.looks),
        "findings": len(checked.findings),
        "mib": round(size_bytes / 2**20, 1),
        "cpu_seconds": round(cpu, 2),
        "wall_seconds": round(wall, 2),
        "cpu_seconds_per_1000": round(1000 * cpu / count, 2),
        "is_within_limit": 1000 * cpu / count <= LIMIT_CPU_SECONDS,
        "load": round(os.getloadavg()[0], 1),
        "loaded_torch": "torch" in sys.modules,
    }
    print(json.dumps(result, sort_keys=True))
    sys.exit(not result["is_within_limit"])


def draw(folder: Path, count: int) -> None:
    """Stickers with smooth edges and photographs with grain, each from its own seed, with a caption each."""
    rows = []
    for number in range(count):
        dice = np.random.default_rng(number)
        if number % 10 < 7:
            file = f"{number:04}.png"
            sticker(dice).save(folder / file)
        else:
            file = f"{number:04}.jpg"
            photograph(dice).save(folder / file, quality=90)
        rows.append(json.dumps({"file_name": file, "text": f"inkpop style sticker of subject number {number}"}))
    (folder / "metadata.jsonl").write_text("\n".join(rows) + "\n")


def sticker(dice: np.random.Generator) -> Image.Image:
    """Twelve flat shapes on a transparent ground, drawn at twice the size for smooth edges."""
    picture = Image.new("RGBA", (2 * SIDE_PX, 2 * SIDE_PX))
    pen = ImageDraw.Draw(picture)
    for _ in range(12):
        x, y, w, h = (int(value) for value in dice.integers(40, SIDE_PX - 20, 4))
        colour = tuple(int(value) for value in dice.integers(0, 256, 3))
        (pen.ellipse if dice.random() < 0.7 else pen.rectangle)((x, y, x + w, y + h), fill=colour, outline="black", width=8)
    return picture.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)


def photograph(dice: np.random.Generator) -> Image.Image:
    """Soft blots with fine grain over them."""
    blots = Image.fromarray(dice.integers(0, 256, (12, 12, 3), dtype=np.uint8)).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
    grain = dice.normal(0, 12, (SIDE_PX, SIDE_PX, 1))
    return Image.fromarray(np.clip(np.asarray(blots) + grain, 0, 255).astype(np.uint8))


if __name__ == "__main__":
    main()
