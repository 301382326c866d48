"""Fetch the IconPark icons from npm, draw thirty of them and write the sample data set.

Needs npm on the PATH, resvg-py 0.5.0 and Pillow 13.0.0:

    python recipes/sample/build.py              writes src/decal/mini/sample
    python recipes/sample/build.py --check      compares with what is there and writes nothing
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import resvg_py
from PIL import Image

PACKAGE, VERSION = "@iconify-json/icon-park", "1.2.4"
TARBALL_SHA256 = "c1a25212a31602aca93c3fa6f6b3288e89b9d7811afc132dfd78506e9d586b6f"
SIZE = 256
CAPTION = "cobink style sticker of {}, thick outline"
FOLDER = Path(__file__).resolve().parents[2] / "src" / "decal" / "mini" / "sample"

# (file name, icon in the package, content of the caption)
SUBJECTS = [
    ("angry-face", "angry-face", "an angry face with slanted brows and a frown"),
    ("astonished-face", "astonished-face", "an astonished face with an open mouth"),
    ("disappointed-face", "disappointed-face", "a disappointed face looking down"),
    ("dizzy-face", "dizzy-face", "a dizzy face with crosses for eyes"),
    ("grinning-face", "grinning-face-with-open-mouth", "a grinning face with a wide open mouth"),
    ("winking-face", "winking-face", "a winking face with a gentle smile"),
    ("neutral-face", "neutral-face", "a neutral face with a straight mouth"),
    ("relieved-face", "relieved-face", "a relieved face with closed eyes"),
    ("upside-down-face", "upside-down-face", "an upside down face that smiles"),
    ("confounded-face", "confounded-face", "a confounded face with a zigzag mouth"),
    ("bear", "bear", "a bear face with round ears"),
    ("cow", "cattle", "a cow face with drooping ears"),
    ("koala", "koala-bear", "a koala with big ears and a large nose"),
    ("frog", "frog", "a frog face with bulging eyes"),
    ("owl", "owl", "an owl with round staring eyes"),
    ("rabbit", "rabbit", "a rabbit face with tall ears"),
    ("whale", "whale", "a whale with a raised tail"),
    ("rubber-duck", "duck", "a rubber duck seen from the side"),
    ("fish", "fish-one", "a fish swimming to the right"),
    ("pear", "pear", "a pear with a short stem"),
    ("avocado", "avocado", "an avocado cut in half"),
    ("peach", "peach", "a peach with a small leaf"),
    ("cheese-wedge", "cheese", "a wedge of cheese with holes"),
    ("hamburger", "hamburger", "a hamburger in a bun"),
    ("chicken-leg", "chicken-leg", "a roasted chicken leg with a bone"),
    ("cactus", "cactus", "a cactus with two arms"),
    ("wrapped-gift", "gift", "a wrapped gift with a bow"),
    ("ghost", "ghost", "a ghost with a wavy hem"),
    ("star", "star", "a star with five points"),
    ("snowman", "snowman", "a snowman with stick arms"),
]


def fetch_icons() -> dict[str, Any]:
    """Return icons.json of the pinned npm package, after checking the archive."""
    with tempfile.TemporaryDirectory() as scratch:
        command = ["npm", "pack", "--silent", f"{PACKAGE}@{VERSION}"]
        done = subprocess.run(command, cwd=scratch, check=True, capture_output=True, text=True)
        archive = Path(scratch, done.stdout.split()[-1]).read_bytes()
    found = hashlib.sha256(archive).hexdigest()
    if found != TARBALL_SHA256:
        raise SystemExit(f"{PACKAGE}@{VERSION} has SHA-256 {found}, expected {TARBALL_SHA256}")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        member = tar.extractfile("package/icons.json")
        assert member is not None
        icons: dict[str, Any] = json.load(member)
    return icons


def draw(icons: dict[str, Any], name: str) -> bytes:
    """Draw one icon on a transparent square and return it as PNG."""
    icon = icons["icons"][name]
    width = icon.get("width", icons.get("width", 16))
    height = icon.get("height", icons.get("height", 16))
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="{SIZE}" height="{SIZE}" viewBox="0 0 {width} {height}">{icon["body"]}</svg>'
    raw = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=SIZE, height=SIZE))
    picture = Image.open(io.BytesIO(raw)).convert("RGBA")
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()


def build() -> dict[str, bytes]:
    """Return the generated files by name."""
    icons = fetch_icons()
    files: dict[str, bytes] = {}
    lines: list[str] = []
    for number, (name, icon, content) in enumerate(SUBJECTS, start=1):
        file_name = f"{number:04d}-{name}.png"
        files[file_name] = draw(icons, icon)
        row = {"file_name": file_name, "text": CAPTION.format(content)}
        lines.append(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n")
    files["metadata.jsonl"] = "".join(lines).encode("utf-8")
    return files


def main() -> int:
    """Write or compare the generated files; return the exit status."""
    parser = argparse.ArgumentParser(description="Write the sample data set, or compare it with what is there.")
    parser.add_argument("--check", action="store_true", help="compare only, write nothing")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write or compare")
    args = parser.parse_args()
    files = build()
    if not args.check:
        args.out.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (args.out / name).write_bytes(data)
        return 0
    there = {path.name for path in args.out.glob("*.png")} | {"metadata.jsonl"}
    wrong = sorted(there ^ files.keys())
    for name in sorted(there & files.keys()):
        path = args.out / name
        if not path.is_file() or path.read_bytes() != files[name]:
            wrong.append(name)
    print("\n".join(f"differs: {name}" for name in wrong) or f"all {len(files)} files are equal")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
