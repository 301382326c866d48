"""Several processes train what one trains: what each does of a step, and two real ones on processors."""

import importlib
import multiprocessing
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from test_fitting import cramped, difference, last, rungs_of
from test_train import resolved_of, run_all, stop_before, task_of
from typed import Call

from decal import cli, processes, state
from decal.batches import Share, share
from decal.compat import launching
from decal.errors import ProcessError, SettingsError
from decal.project import Project
from decal.runs import checkpoints
from decal.train import assist, train
from decal.workflow.following import Assignment

# Sums over a batch that is halved are rounded otherwise; of factors of about 0.1 that AdamW moves by 1e-3 a step.
TOLERANCE = 2e-6


@pytest.mark.parametrize(("batch", "accumulation"), [(4, 1), (1, 4), (4, 2), (2, 6), (12, 5)])
def test_all_processes_together_do_every_sample_once(batch: int, accumulation: int) -> None:
    counts = [count for count in range(1, 13) if batch * accumulation % count == 0]
    for count in counts:
        shares = [share(index, count, batch=batch, accumulation=accumulation) for index in range(count)]
        done = [(one, sample) for each in shares for one in each.passes for sample in range(batch)[each.samples]]
        assert sorted(done) == [(one, sample) for one in range(accumulation) for sample in range(batch)]
    assert len(counts) > 2


def test_passes_are_dealt_out_before_they_are_cut() -> None:
    assert share(1, 2, batch=4, accumulation=2) == Share(range(1, 2, 2), slice(0, 4))


def test_a_step_that_cannot_be_shared_evenly_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"A step of 3 pictures .* cannot be shared evenly by 2 processes"):
        share(0, 2, batch=3, accumulation=1)


@pytest.mark.parametrize("code", [0, 3])
def test_processes_that_decal_starts_end_in_their_own_words_and_code(code: int, tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text(f"import os, sys\nsys.stderr.write('refused\\n' * (os.environ['RANK'] == '0'))\nsys.exit({code})\n")
    command = [sys.executable, "-m", "decal.processes", "--standalone", "--nproc-per-node=2", str(tmp_path / "child.py")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", "refused\n")


def started(count: int, work: Callable[[int], object]) -> list[int]:
    """The exit codes of so many processes that each do this work, as a launcher would start them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def do(index: int) -> None:
        os.environ |= {"RANK": str(index), "LOCAL_RANK": str(index), "WORLD_SIZE": str(count)}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        work(index)

    begun = [multiprocessing.get_context("fork").Process(target=do, args=(index,)) for index in range(count)]
    for one in begun:
        one.start()
    for one in begun:
        one.join()
    return [one.exitcode or 0 for one in begun]


def launched(count: int, *words: str) -> list[int]:
    """The exit codes of so many processes that each do this command."""

    def do(_index: int) -> None:
        sys.argv = ["decal", *words]
        cli.main()

    return started(count, do)


def test_all_processes_compile_after_the_step_at_which_an_earlier_sitting_did(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    """One that asked the others whether it pays, which know that it did, would wait for an answer to another question."""
    base, task = task_of(tmp_path / "run", shapes, resolved_of(tiny), model=tiny)
    given = Assignment.of(replace(task, compiled_after=20), tmp_path / "cache")
    assert (given.task(base).compiled_after, given.task(base).rungs) == (20, task.rungs)


@pytest.mark.slow
def test_where_the_first_process_stops_all_stop(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    base, task = task_of(tmp_path / "run", shapes, resolved_of(tiny), model=tiny)

    def work(index: int) -> None:
        assert processes.join() == index
        if index == 0:
            list(train(base, replace(task, stop=stop_before(4))))
        else:
            assist(base, task)
        processes.leave()

    assert (started(2, work), state.load(task.run.stop_state).step) == ([0, 0], 3)


@pytest.mark.slow
def test_a_process_that_is_out_of_memory_does_less_at_a_time_and_the_same_in_all(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    (base, task), alone = cramped(tmp_path / "shared", shapes, tiny), cramped(tmp_path / "alone", shapes, tiny)
    alone[0].most = 4
    run_all(*alone)

    def work(index: int) -> None:
        processes.join()
        # Each of the two has two samples at a time, which only the first has room for.
        base.most = 2 if index == 0 else 1
        if index == 0:
            assert rungs_of(base, task) == []
        else:
            assist(base, task)
        processes.leave()

    assert started(2, work) == [0, 0]
    assert difference(last(task), last(alone[1])) < 1e-5


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_a_process_that_has_parted_keeps_no_thread_of_the_others() -> None:
    def work(_index: int) -> None:
        # As in a new process, where accelerate imports it once the processes have met.
        del sys.modules["torch.distributed.nn.functional"]
        processes.join()
        together = len(os.listdir("/proc/self/task"))
        importlib.import_module("torch.distributed.nn.functional")
        processes.leave()
        assert (together > 1, len(os.listdir("/proc/self/task"))) == (True, 1)

    assert started(2, work) == [0, 0]


def test_where_one_process_fails_the_others_end_and_say_why_they_could_not_go_on(tmp_path: Path) -> None:
    def work(index: int) -> None:
        processes.join()
        if index == 0:
            sys.exit(3)
        try:
            processes.first_says(False)
        except ProcessError as problem:
            (tmp_path / "told").write_text(str(problem))

    assert started(2, work) == [3, 0]
    assert re.search(r"Another process .* has ended, .*Connection \w+ by peer.*\)\.\nThe same command", (tmp_path / "told").read_text())


SETTINGS = """
[base]
model = "{base}"
[train]
steps = 4
batch = 4
rank = 2
schedule = "constant"
learning_rate = 1e-3
checkpoint_every = 2
validation_prompts = []
trackers = []
"""


def made(folder: Path, tiny: Path, shapes: Path) -> Path:
    shutil.copytree(shapes, folder / "dataset")
    (folder / "decal.toml").write_text(SETTINGS.format(base=tiny))
    return folder


def weights(folder: Path) -> dict[int, dict[str, torch.Tensor]]:
    """Of the checkpoints, by step."""
    (run,) = Project(folder).runs()
    return {one.step: load_file(run.folder / one.file) for one in checkpoints(run)}


@pytest.mark.slow
def test_two_processes_train_what_one_trains_and_one_goes_on(tiny: Path, shapes: Path, tmp_path: Path) -> None:
    alone, shared = (made(tmp_path / name, tiny, shapes) for name in ("alone", "shared"))
    assert launched(1, "train", str(alone)) == [0]
    assert launched(2, "train", str(shared), "--set", "train.steps=2") == [0, 0]
    assert launched(1, "train", str(shared), "--accept-changes") == [0]
    one, two = weights(alone), weights(shared)
    assert (list(one), list(two)) == ([2, 4], [2, 4])
    apart = [float((one[step][name] - two[step][name]).abs().max()) for step in one for name in one[step]]
    assert (max(apart) < TOLERANCE, float(max(tensor.abs().max() for name, tensor in one[4].items() if "lora_B" in name)) > 1e-3) == (
        True,
    ) * 2


def test_what_one_process_does_is_refused_to_several(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    told = [call(*words)[::2] for words in (("show",), ("train", "--search", "2"), ("train", "--dry-run"))]
    assert told == [
        (2, f"2 processes were launched, and {what} is done by one.\nCall it without the launcher.\n")
        for what in ("decal show", "--search", "--dry-run")
    ]


def test_what_is_wrong_with_a_command_is_told_by_the_first_process_alone(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    told = []
    for index in ("0", "1"):
        monkeypatch.setenv("RANK", index)
        told.append(call("compat", "train_text_to_image_lora.py", "--rnak=4")[::2])
    assert [(code, "1 problem" in err or "problems, nothing" in err, bool(err)) for code, err in told] == [
        (2, True, True),
        (2, False, False),
    ]


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"ACCELERATE_USE_FSDP": "true"}, "accelerate launch asks for FSDP"),
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, "accelerate launch asks for DeepSpeed"),
        ({"RANK": "0", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}, "2 machines were asked for"),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "mpirun has started several processes"),
    ],
)
def test_a_launch_that_cannot_work_is_refused_by_name(environment: dict[str, str], told: str) -> None:
    (problem,) = launching.of_environment(environment).problems
    assert problem.startswith(told)


def test_a_launcher_that_started_one_process_in_place_of_several_is_told_of() -> None:
    # What accelerate 1.15 leaves after  accelerate launch --cpu --num_processes 2 .
    (note,) = launching.of_environment({"ACCELERATE_MIXED_PRECISION": "no", "ACCELERATE_USE_CPU": "True", "MASTER_PORT": "29500"}).notes
    assert "that one trains alone" in note
