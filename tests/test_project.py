import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from decal.errors import ProjectError
from decal.project import Project, append, append_all, lock, open_project, read, read_steps, staged_folder, write_bytes
from decal.records import Checkpoint, Step


def step(number: int, attempt: int = 1) -> Step:
    return Step(step=number, attempt=attempt, epoch=0, loss=0.5, grad_norm=1.0, learning_rate=1e-3, seconds=0.1)


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    append_all(tmp_path / "steps.jsonl", [step(1), step(2)])
    append(tmp_path / "steps.jsonl", step(3))
    assert read(tmp_path / "steps.jsonl", Step) == [step(1), step(2), step(3)]


def test_a_torn_last_line_is_dropped_and_written_over(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    append(path, step(1))
    with path.open("ab") as file:
        file.write(b'{"step": 2, "att')
    assert read(path, Step) == [step(1)]
    append(path, step(2))
    assert read(path, Step) == [step(1), step(2)]


def test_lines_of_an_older_attempt_beyond_the_resumed_step_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    append_all(path, [step(1), step(2), step(3), step(2, attempt=2), step(3, attempt=2), step(3, attempt=3)])
    assert read_steps(path) == [step(1), step(2, attempt=2), step(3, attempt=3)]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    append(path, step(1))
    path.write_bytes(path.read_bytes() + b"{}\n")
    with pytest.raises(ProjectError, match=r"steps\.jsonl, line 2 is not a Step record"):
        read(path, Step)


def test_a_record_of_another_kind_is_not_half_understood(tmp_path: Path) -> None:
    append(tmp_path / "steps.jsonl", step(1))
    with pytest.raises(ProjectError):
        read(tmp_path / "steps.jsonl", Checkpoint)


def test_a_staged_folder_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "old").write_text("old")
    with pytest.raises(FileNotFoundError), staged_folder(tmp_path / "done") as staged:
        (staged / "no such folder" / "new").write_text("half")
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["done", "done/old"]


def test_an_orphan_of_a_crash_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "done").mkdir()
    (tmp_path / ".staging-done-dead").mkdir()
    with staged_folder(tmp_path / "done") as staged:
        (staged / "new").write_text("whole")
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["done", "done/new"]


def test_a_second_writer_is_refused_and_told_who_is_there(tmp_path: Path) -> None:
    with lock(tmp_path / "steps.jsonl", "training"):
        held = f"lock(Path({str(tmp_path / 'steps.jsonl')!r}), 'training')"
        code = f"from decal.project import lock; from pathlib import Path\nwith {held}: pass"
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr
    assert "is being written by another process, which is training here" in told


def test_a_folder_that_was_made_for_a_lock_goes_with_it_unless_something_was_written(tmp_path: Path) -> None:
    for name in ("refused", "begun"):
        with contextlib.suppress(ProjectError), lock(tmp_path / name / "steps.jsonl", "training"):
            if name == "begun":
                (tmp_path / name / "run.json").touch()
            raise ProjectError("it cannot be trained on")
    assert [path.name for path in tmp_path.iterdir()] == ["begun"]


def test_a_lock_is_free_after_its_holder_was_killed(tmp_path: Path) -> None:
    held = f"lock(Path({str(tmp_path / 's')!r}), 'x')"
    code = f"import os; from decal.project import lock; from pathlib import Path\nwith {held}: os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    with lock(tmp_path / "s", "training"):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_sentence() -> None:
    with pytest.raises(ProjectError, match="The disk is full"):
        append(Path("/dev/full"), step(1))


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_is_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ProjectError, match="It may not be written"):
        write_bytes(tmp_path / "run.json", b"{}")


def test_a_folder_without_settings_is_not_a_project(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="decal new"):
        open_project(tmp_path)


def test_a_run_name_cannot_leave_the_project(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="cannot be the name of a run"):
        Project(tmp_path).run("../elsewhere")
