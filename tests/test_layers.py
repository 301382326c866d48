"""The plan of the house as data: which room may import which, and which may import torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "decal"

# From the ground up; a room may import rooms that stand before it.
ORDER = """
    errors wording extras records subjects single_files
    presets schedule settings kinds
    project numbering events metadata
    lettering curves quality pictures masks variants reading duplicates crops
    sources intake dataset export undo
    captions edits grid checks mending
    axes sheets contact
    scores compare
    doctor
    grammar language descriptions translating suite
    posts
    embeddings runs
    report voting
    bases adapters batches objective optimizers lora cache state processes train generate
    vision embedders captioners
    viewing judging
    gallery exhibits candidates overview
    checklist notebooks parcel card
    compat
    bench
    workflow
    progress cli
""".split()
# Rooms that may import torch and the Hugging Face stack.
TORCH = {"bases", "adapters", "objective", "optimizers", "lora", "cache", "state", "processes", "train", "generate", "vision"}
TORCH |= {"embedders", "captioners"}
HEAVY = {"torch", "diffusers", "transformers", "peft", "accelerate"}


def rooms() -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room not in ("__init__", "__main__"):
            files.setdefault(room, []).append(path)
    return files


def imports(path: Path) -> set[str]:
    """Modules named by import statements at the top of a file; `decal.x` for rooms."""
    names = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"decal.{alias.name}" for alias in node.names} if node.module == "decal" else {node.module}
    return names


def test_every_room_has_its_place_in_the_order() -> None:
    assert set(rooms()) - {"mini"} == set(ORDER)


@pytest.mark.parametrize("room", ORDER)
def test_imports_go_one_way(room: str) -> None:
    ours = {name.split(".")[1] for path in rooms()[room] for name in imports(path) if name.startswith("decal.")}
    assert ours - {room} <= set(ORDER[: ORDER.index(room)])


@pytest.mark.parametrize("room", [room for room in ORDER if room not in TORCH])
def test_rooms_without_torch_do_not_name_it(room: str) -> None:
    named = {name for path in rooms()[room] for name in imports(path)}
    assert not {name.split(".")[0] for name in named} & HEAVY
    assert not {name.split(".")[1] for name in named if name.startswith("decal.")} & TORCH


def test_help_takes_half_a_second_of_cpu_and_loads_no_torch() -> None:
    code = (
        "import sys, time; sys.argv = ['decal', '--help']\n"
        "from decal.cli import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        "print('torch' in sys.modules, time.process_time() < 0.5, file=sys.stderr)"
    )
    told = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr for _ in range(3)]
    assert "False True\n" in told  # the best of three: a busy machine slows CPU time as well
