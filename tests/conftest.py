"""Fixtures that many tests share: a random-weight model, and pictures of simple shapes with captions."""

import json
import os
import sys
from pathlib import Path

import pytest
from typed import Call

# Set before torch is imported anywhere: two workers with a thread each are faster here than two threads in one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

SHAPES = ("circle", "square", "triangle", "ring")
COLOURS = ("red", "green", "blue", "orange")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random-weight Stable Diffusion 1.x of 64 px that predicts epsilon."""
    from models import build

    return build(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="session")
def tiny_xl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random-weight SDXL of 64 px."""
    from models import build_xl

    return build_xl(tmp_path_factory.mktemp("tiny-xl") / "model")


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen different 96 px pictures with good captions, as an imagefolder."""
    from PIL import Image, ImageDraw

    folder = tmp_path_factory.mktemp("shapes")
    rows = []
    for i, (shape, colour) in enumerate((s, c) for s in SHAPES for c in COLOURS):
        picture = Image.new("RGB", (96, 96), "white")
        draw = ImageDraw.Draw(picture)
        box = (10 + 3 * i, 8, 50 + 2 * i, 80 - 2 * i)
        if shape == "circle":
            draw.ellipse(box, fill=colour)
        elif shape == "square":
            draw.rectangle(box, fill=colour)
        elif shape == "triangle":
            draw.polygon([(box[0], box[3]), (box[2], box[3]), (box[0], box[1])], fill=colour)
        else:
            draw.ellipse(box, outline=colour, width=6 + i)
        picture.save(folder / f"{colour}-{shape}.png")
        rows.append({"file_name": f"{colour}-{shape}.png", "text": f"zorb style sticker of a {colour} {shape} on white"})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row, sort_keys=True) + "\n" for row in rows))
    return folder


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Types a command; gives its exit code, what it printed, and what it told on standard error."""

    from decal import cli

    def type_it(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["decal", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), out, err

    return type_it
