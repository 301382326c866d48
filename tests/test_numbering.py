import json
from pathlib import Path

import pytest

from decal.errors import SettingsError
from decal.numbering import Numbered, files, number, told


def touched(folder: Path, names: list[str]) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return files([str(folder)])


def with_header(path: Path, about: dict[str, str]) -> Path:
    data = json.dumps({"__metadata__": about}).encode()
    path.write_bytes(len(data).to_bytes(8, "little") + data)
    return path


@pytest.mark.parametrize(
    ("names", "steps"),
    [
        (["fox-step00000400.safetensors", "fox-step00000800.safetensors", "fox.safetensors"], [400, 800, 801]),  # kohya, by steps
        (["fox-000001.safetensors", "fox-000002.safetensors", "fox.safetensors"], [1, 2, 3]),  # kohya, by epochs
        (["fox_000000250.safetensors", "fox_000000500.safetensors", "fox.safetensors"], [250, 500, 501]),  # ai-toolkit
        (["checkpoint-400/pytorch_lora_weights.safetensors", "checkpoint-1200/pytorch_lora_weights.safetensors"], [400, 1200]),  # diffusers
        (["2025-01-01_10-00-00-save-200-4-0.safetensors", "2025-01-01_10-30-00-save-400-8-0.safetensors"], [200, 400]),  # OneTrainer
        (["step-000075/pytorch_lora_weights.safetensors", "step-000150/pytorch_lora_weights.safetensors"], [75, 150]),  # Decal
        (["fox_e2.safetensors", "fox_e10.safetensors"], [2, 10]),
        (["early.safetensors", "late.safetensors"], [1, 2]),
        (["fox v2.safetensors", "bear v2.safetensors"], [1, 2]),  # one number for two files means something else
    ],
)
def test_a_step_is_read_from_the_name_as_each_tool_writes_it(names: list[str], steps: list[int], tmp_path: Path) -> None:
    assert [one.step for one in number(touched(tmp_path, names))] == steps


def test_a_header_is_believed_before_an_epoch_in_the_name(tmp_path: Path) -> None:
    first = with_header(tmp_path / "fox-000001.safetensors", {"ss_steps": "420"})
    last = with_header(tmp_path / "fox.safetensors", {"training_info": '{"step": 840, "epoch": 2}'})
    assert number([last, first]) == [Numbered(first, 420, "header"), Numbered(last, 840, "header")]


def test_files_are_told_with_their_steps(tmp_path: Path) -> None:
    numbered = number(touched(tmp_path, ["fox-step00000400.safetensors", "fox.safetensors"]))
    assert told(numbered) == [
        "2 LoRAs, steps as the names say",
        "  400  fox-step00000400.safetensors",
        "  401  fox.safetensors  (no number, so the last)",
    ]


def test_a_pattern_that_names_nothing_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="names no file"):
        files([str(tmp_path / "*.safetensors")])
