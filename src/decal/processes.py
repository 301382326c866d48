"""Several processes that train one LoRA together, as `accelerate launch` or torchrun starts them.

The first does all that one process does: it checks, encodes, measures, draws, writes and talks. The others wait for what it says and do
their share of its steps (`batches.share`). What is said goes between processors, so no step waits for a GPU; only gradients go between
GPUs. An error is not sent round: a process that ends closes its connections, and those that wait for it end too.
"""

import importlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta

import torch
from torch import Tensor, distributed

from decal.errors import ProcessError, SettingsError

# The first process may measure and draw for hours while the others wait for its word.
PATIENCE = timedelta(days=7)
GONE = (
    "Another process of this training has ended, and what it said stands above, or the processes do not reach each other ({}).\n"
    "The same command goes on from the last checkpoint."
)


def launch(words: Sequence[str]) -> int:
    """Start processes as torchrun does with these words; the exit code of the first process, or of whichever failed, 0 where none did.

    What the processes said of an error stands there already, so the launcher's own traceback is left out.
    """
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        run.main(list(words))
    except ChildFailedError as problem:
        failure = problem.failures.get(0) or problem.get_first_failure()[1]
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    except SignalException as problem:
        return 128 + problem.sigval
    return 0


def join() -> int:
    """Meet the other processes that were launched; the place of this one, 0 for the first. Raises ProcessError where they do not meet."""
    # The functions in there keep the group that they find when they are imported, as a default, and its threads with it until the process
    # ends, which then now and then aborts. accelerate, peft and diffusers import them; imported before there is a group, they keep none.
    importlib.import_module("torch.distributed.nn.functional")
    # Every kind of device gets the way to compute together that suits it: gloo for processors, NCCL for NVIDIA's GPUs.
    _wait(lambda: distributed.init_process_group(timeout=PATIENCE))
    # One that ends at once, over a misspelt setting, would otherwise take the connection from those that are still setting it up.
    _wait(lambda: distributed.all_reduce(torch.zeros(1)))
    return distributed.get_rank()


def leave() -> None:
    """Part from the other processes."""
    distributed.destroy_process_group()


def index() -> int:
    """The place of this process, 0 for the first or only one."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def count() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def own(device: torch.device) -> torch.device:
    """The device of that kind that belongs to this process, which becomes its usual one. Raises SettingsError where there are too few."""
    if count() == 1 or device.type == "cpu":
        return device
    there = torch.cuda.device_count() if device.type == "cuda" else 1
    if there < count():
        raise SettingsError(
            f"{count()} processes were launched, and torch sees {there} device{'s' * (there != 1)} of the kind {device.type}.\n"
            f'Launch as many processes as there are, or write train.device = "cpu".'
        )
    found = torch.device(device.type, int(os.environ["LOCAL_RANK"]))
    if found.type == "cuda":
        torch.cuda.set_device(found)
    return found


def first_says(word: bool) -> bool:
    """What the first process says; the others wait for it, and what they pass does not matter."""
    if count() == 1:
        return word
    said = torch.tensor([word], dtype=torch.uint8)
    _wait(lambda: distributed.broadcast(said, src=0))
    return bool(said)


def from_first(value: object) -> object:
    """What the first process hands over, on all of them; the others wait for it and pass None."""
    if count() == 1:
        return value
    box = [value]
    _wait(lambda: distributed.broadcast_object_list(box, src=0, device=torch.device("cpu")))
    return box[0]


def average(tensors: Sequence[Tensor]) -> None:
    """Put the mean over the processes in the place of these tensors, of one type and device; one process leaves them as they are."""
    if count() == 1:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    _wait(lambda: distributed.all_reduce(flat))
    flat /= count()
    for tensor, mean in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(mean.view_as(tensor))


def _wait(work: Callable[[], object]) -> None:
    """Do what all processes do together. Raises ProcessError where one of them is gone or not reached."""
    try:
        work()
    except torch.OutOfMemoryError:
        # Of this process, and told with what to do about it.
        raise
    except RuntimeError as problem:
        why = (str(problem).strip() or type(problem).__name__).splitlines()[0].partition(". ")[0]
        raise ProcessError(GONE.format(why)) from problem


if __name__ == "__main__":
    sys.exit(launch(sys.argv[1:]))
