"""Malformed pictures and metadata through every way in: 0 crashes, a sentence each, under 1 GB.

    python benchmarks/check/fuzz.py WORK     prints a line for each entry point and writes WORK/fuzz.json

40 pictures and 20 metadata files, made here. Each picture alone and all together, each metadata file alone, go through the commands as a
user types them: check of the folder where it lies, new, check, check --fix, caption, export, and, for some, train, which must refuse or
train. A crash is an exception that leaves the command, or an exit code that Decal does not have. Memory is that of the whole process.
"""

import argparse
import contextlib
import io
import json
import os
import random
import resource
import shutil
import struct
import sys
import traceback
import zlib
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from decal import cli

LIMIT_MIB = 1024
CODES = {0, 1, 2, 3}
DICE = random.Random(0)


def encoded(kind: str, size: tuple[int, int] = (64, 64), mode: str = "RGB", **options: object) -> bytes:
    """A picture of noise as the bytes of a file."""
    buffer = io.BytesIO()
    Image.effect_noise(size, 80).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, depth: int = 8, colour: int = 2, body: bytes = b"") -> bytes:
    """A PNG of any declared size."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def bent(data: bytes, times: int) -> bytes:
    """The bytes with some of them changed."""
    changed = bytearray(data)
    for _ in range(times):
        changed[DICE.randrange(16, len(changed))] = DICE.randrange(256)
    return bytes(changed)


def pictures() -> dict[str, bytes]:
    """Forty pictures that something is wrong with."""
    good = {kind: encoded(kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")}
    exif = Image.Exif()
    exif[0x0112] = 9
    found: dict[str, bytes] = {
        "empty.png": b"",
        "zeros.png": bytes(5000),
        "html.jpg": b"<html><body>404</body></html>",
        "text.gif": b"GIF89a",
    }
    found |= {f"cut.{kind.lower()}": data[: len(data) // 2] for kind, data in good.items()}
    found |= {f"head.{kind.lower()}": data[:24] for kind, data in good.items()}
    found |= {f"bent{times}.{kind.lower()}": bent(data, times) for kind, data in good.items() for times in (3,)}
    found |= {
        "bomb.png": png(8100, 8100, 1, 0, bytes(1013 * 8100)),
        "huge.png": png(60_000, 60_000),
        "nothing.png": png(0, 0),
        "negative.png": png(2**31, 2**31),
        "strip.png": encoded("PNG", (2000, 8)),
        "one.png": encoded("PNG", (1, 1)),
        "wrong.png": good["JPEG"],
        "wrong.jpg": good["PNG"],
        "deep.png": encoded("PNG", mode="I;16"),
        "float.tiff": encoded("TIFF", mode="F"),
        "cmyk.jpg": encoded("JPEG", mode="CMYK"),
        "exif.jpg": encoded("JPEG", exif=exif),
        "badexif.jpg": encoded("JPEG", exif=b"Exif\0\0II*\0" + b"\xff" * 60),
        "icc.png": encoded("PNG", icc_profile=b"x" * 200),
        "longchunk.png": b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 2**31 - 1) + b"IHDR" + bytes(50),
        "svg.png": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "zip.png": b"PK\x03\x04" + bytes(100),
        "tags.tiff": b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 65535) + bytes(300),
    }
    assert len(found) == 40, len(found)
    return found


def metadata() -> dict[str, bytes]:
    """Twenty metadata files that something is wrong with; each is about `a.png`."""
    row = b'{"file_name": "a.png", "text": "zorb style sticker of a fox"}'
    return {
        "empty": b"",
        "blank": b"\n\n \n",
        "binary": bytes(range(256)) * 20,
        "utf16": row.decode().encode("utf-16"),
        "latin1": '{"file_name": "a.png", "text": "café"}'.encode("latin-1"),
        "bom": b"\xef\xbb\xbf" + row,
        "array": b"[" + row + b"]",
        "broken": row[:-1],
        "nested": b'{"a":' * 5000 + b"1" + b"}" * 5000,
        "number": b'{"file_name": "a.png", "text": 1e999}',
        "digits": b'{"file_name": "a.png", "text": ' + b"9" * 10_000 + b"}",
        "surrogate": b'{"file_name": "a.png", "text": "\\ud800 zorb sticker"}',
        "nul": b'{"file_name": "a.png", "text": "zorb\\u0000 sticker"}',
        "outside": b'{"file_name": "../../etc/passwd", "text": "x"}',
        "address": b'{"file_name": "https://example.org/a.png", "text": "x"}',
        "backslash": b'{"file_name": "sub\\\\a.png", "text": "x"}',
        "names": b'{"file_name": ["a.png"], "text": {"a": 1}}',
        "long": b'{"file_name": "a.png", "text": "' + b"zorb sticker " * 100_000 + b'"}',
        "many": b"\n".join([row] * 20_000),
        "repeats": b'{"file_name": "a.png", "text": "zorb sticker", "repeats": 1e30}',
    }


def sources(work: Path) -> Iterator[Path]:
    """A folder for each picture and each metadata file alone, and one of all pictures."""
    good = encoded("PNG", (160, 160))
    for name, data in pictures().items():
        yield written(work / "in" / f"picture-{name}", {name: data, "good.png": good})
    yield written(work / "in" / "pictures", {**pictures(), "good.png": good})
    for name, data in metadata().items():
        yield written(work / "in" / f"metadata-{name}", {"metadata.jsonl": data, "a.png": good})


def written(folder: Path, files: dict[str, bytes]) -> Path:
    """The folder with these files in it."""
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def typed(*words: object) -> tuple[int, str]:
    """The exit code of a command, or the exception that left it, and all that it said."""
    said = io.StringIO()
    sys.argv = ["decal", *map(str, words)]
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            cli.main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0, said.getvalue()
    except BaseException:
        return -1, said.getvalue() + traceback.format_exc()
    return 0, said.getvalue()


def main() -> None:
    """Type every command on every source, and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--only", default="", help="sources whose name holds this")
    arguments = parser.parse_args()
    work = arguments.work
    shutil.rmtree(work, ignore_errors=True)
    os.environ["HF_HUB_OFFLINE"] = "1"
    calls: dict[str, int] = {}
    crashes: list[str] = []
    silent: list[str] = []
    for source in sources(work):
        if arguments.only not in source.name:
            continue
        at = work / "projects" / source.name
        commands = {
            "check in place": ("check", source, "--set", "caption.keyword=zorb"),
            "new": ("new", at, "--from", source, "--keyword", "zorb"),
            "check": ("check", at, "--quick"),
            "fix": ("check", at, "--fix"),
            "caption": ("caption", at),
            "train": ("train", at, "--set", "train.steps=1"),
            "export": ("export", at, "--dataset", work / "out" / source.name, "--as", "kohya"),
        }
        for name, words in commands.items():
            # Whether a set of one good picture trains is no question here, so training may only refuse.
            if name == "train" and source.name not in ("pictures", "picture-cut.png", "metadata-broken"):
                continue
            code, told = typed(*words)
            calls[name] = calls.get(name, 0) + 1
            if code not in CODES or "Traceback" in told:
                crashes.append(f"{name} {source.name}: {code} {told[-300:]}")
            if not told.strip():
                silent.append(f"{name} {source.name}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    result = {"calls": calls, "crashes": crashes, "silent": silent, "peak_mib": peak, "is_within_limit": peak <= LIMIT_MIB}
    (work / "fuzz.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    print(json.dumps(result, indent=1, sort_keys=True))
    sys.exit(bool(crashes or silent) or peak > LIMIT_MIB)


if __name__ == "__main__":
    main()
