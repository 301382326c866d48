import os
import shutil
import subprocess
import sys
from pathlib import Path

from decal.doctor import Torch, examine_base, examine_disk, examine_gpu, examine_memory, examine_python, examine_versions
from decal.presets import MINI
from decal.records import Finding

CPU_BUILD = Torch(version="2.13.0+cpu", built_for=None, gpus=[], has_mps=False, threads=1)


def in_a_child(code: str, search_path: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(search_path)}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout


def levels(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.level, finding.check) for finding in findings]


def test_examine_looks_at_everything_and_imports_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from decal.doctor import examine\n"
        f"print(*(finding.check for finding in examine(Path({str(tmp_path)!r}))), 'torch' in sys.modules, sep='|')"
    )
    *checks, has_torch = in_a_child(code, tmp_path).strip().split("|")
    assert set(checks) >= {"python", "versions", "torch", "cuda", "threads", "disk", "embedded base"}
    assert has_torch == "False"


def test_a_torchvision_that_does_not_import_is_an_error_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    code = "from decal.doctor import examine_torchvision; [found] = examine_torchvision(); print(found.model_dump_json())"
    found = Finding.model_validate_json(in_a_child(code, tmp_path))
    assert (found.level, found.check) == ("error", "torchvision")
    assert "RuntimeError: operator torchvision::nms does not exist" in found.reason
    assert "pip uninstall torchvision" in found.remedy


def test_a_missing_package_and_one_that_is_too_old_are_errors_with_the_command_that_mends_them() -> None:
    missing, old, note = examine_versions(["no-such-thing-here>=1.0", "pillow>=999,<1000", "torch>=2.7", 'nothing>=1; extra == "web"'])
    assert [missing.level, old.level, note.level] == ["error", "error", "note"]
    assert missing.remedy.endswith('pip install "no-such-thing-here>=1.0"')
    assert "decal needs pillow>=999,<1000" in old.reason
    assert "torch" in note.reason


def test_versions_are_compared_as_numbers() -> None:
    bounds = [">=3.9", ">=3.11", ">=3.11.0", "<4", ">=3.100", "<3.11"]
    assert [examine_python(bound).level for bound in bounds] == ["note", "note", "note", "note", "error", "error"]


def test_a_cpu_build_of_torch_beside_a_gpu_is_a_warning_that_names_both() -> None:
    found = examine_gpu(CPU_BUILD, ["NVIDIA H200"])
    assert (found.level, found.check) == ("warning", "cuda")
    assert "NVIDIA H200" in found.reason
    assert "2.13.0+cpu is a build without CUDA" in found.reason


def test_a_machine_without_a_gpu_is_no_fault() -> None:
    assert examine_gpu(CPU_BUILD, []).level == "note"


def test_too_little_disk_or_memory_is_a_warning(tmp_path: Path) -> None:
    plenty, little = 1, 2**80
    assert [examine_disk(tmp_path / "not" / "yet", size).level for size in (plenty, little)] == ["note", "warning"]
    assert {found.level for found in examine_memory(plenty)} <= {"note"}
    assert {found.level for found in examine_memory(little)} <= {"warning"}


def test_the_embedded_base_is_whole() -> None:
    assert levels(examine_base(Path(MINI.where))) == [("note", "embedded base")]


def test_lost_bytes_and_files_of_the_embedded_base_are_noticed(tmp_path: Path) -> None:
    base = Path(shutil.copytree(MINI.where, tmp_path / "sd"))
    vae = base / "vae" / "diffusion_pytorch_model.safetensors"
    vae.write_bytes(vae.read_bytes()[:-1])
    (base / "unet" / "diffusion_pytorch_model.safetensors").write_text("version https://git-lfs.github.com/spec/v1")
    (base / "model_index.json").unlink()
    reasons = [found.reason for found in examine_base(base)]
    assert [reason.removeprefix(f"{base}/").split(" (")[0] for reason in reasons] == [
        "model_index.json is missing.",
        "unet/diffusion_pytorch_model.safetensors is damaged",
        "vae/diffusion_pytorch_model.safetensors is damaged",
    ]
