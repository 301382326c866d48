"""Runs a notebook from top to bottom, with the Python that runs Decal and nothing of what a user has configured for notebooks."""

import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

from decal.errors import NotebookError
from decal.events import Progress, Stop, stop_if
from decal.notebooks.cells import as_bytes
from decal.wording import printable

# A busy machine takes a while to import IPython.
START_SECONDS = 180


class Execution:
    """A notebook while it runs. `data` are its bytes, with the outputs of the cells that ran."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self._written = data
        self._notebook: Any = None

    @property
    def data(self) -> bytes:
        """The notebook as it is now."""
        if self._notebook is None:
            return self._written
        # What the kernel adds of itself would change from machine to machine.
        about = json.loads(self._written)["metadata"]
        return as_bytes({**self._notebook, "metadata": about})

    def run(self, folder: Path, stop: Stop) -> Iterator[Progress]:
        """Run every cell in that folder; yields how far it is.

        Raises NotebookError for a cell that fails, and StoppedError before the next cell where `stop` says so.
        """
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError, DeadKernelError

        to_notebook: Any = nbformat.from_dict
        self._notebook = to_notebook(json.loads(self._written))
        cells = self._notebook.cells
        yield Progress(f"running {self.name}", 0, len(cells))
        with tempfile.TemporaryDirectory(prefix="decal-kernel-") as apart:
            # What a cell prints arrives in as many pieces as it happens to; joined, the same run gives the same notebook.
            client: Any = NotebookClient(
                self._notebook, km=_kernel(apart), timeout=None, record_timing=False, coalesce_streams=True, startup_timeout=START_SECONDS
            )
            try:
                with client.setup_kernel(cwd=str(folder), env=_environment(apart), cleanup_kc=True, stdout=DEVNULL, stderr=DEVNULL):
                    for index, cell in enumerate(cells):
                        stop_if(stop, "no hand-in was written, the same command begins it anew")
                        client.execute_cell(cell, index)
                        yield Progress(f"running {self.name}", index + 1, len(cells))
            except CellExecutionError as problem:
                where = f"{self.name}, cell {index + 1} ({_head(cells, index)})"
                raise NotebookError(f"{where} failed: {problem.ename}: {_first_line(problem.evalue)}.") from problem
            except DeadKernelError as problem:
                raise NotebookError(f"{self.name}: Python ended in cell {index + 1}, most likely for want of memory.") from problem
            except RuntimeError as problem:
                raise NotebookError(f"{self.name}: its Python could not be started ({_first_line(str(problem))}).") from problem


def _kernel(apart: str) -> Any:
    """The Python that runs now, whatever kernels are installed."""
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    # Without folders to look in, only the kernel of the running interpreter is left.
    specs = KernelSpecManager(kernel_dirs=[], ensure_native_kernel=True)
    # Sockets in a folder of one's own where there are such: over TCP, every user of the machine could listen.
    how = {"transport": "ipc", "ip": str(Path(apart, "socket"))} if os.name == "posix" else {}
    return AsyncKernelManager(kernel_name="python3", kernel_spec_manager=specs, connection_file=str(Path(apart, "kernel.json")), **how)


def _environment(apart: str) -> dict[str, str]:
    """The environment, with the settings of IPython and Jupyter in an empty folder, so that none of a user's own are run or changed."""
    here = {"IPYTHONDIR": apart, "JUPYTER_CONFIG_DIR": apart, "JUPYTER_RUNTIME_DIR": apart, "JUPYTER_DATA_DIR": apart}
    # Warnings of libraries name paths of this machine, and tell a reader nothing.
    return {**os.environ, **here, "PYTHONWARNINGS": "ignore", "NO_COLOR": "1"}


def _head(cells: Sequence[Any], index: int) -> str:
    """The heading that a cell stands under."""
    texts = [cell.source for cell in cells[:index] if cell.cell_type == "markdown"]
    heads = re.findall(r"^#+ (.*)$", "\n".join(texts), re.MULTILINE)
    return heads[-1] if heads else "the first"


def _first_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return printable(re.sub(r"\x1b\[[0-9;]*m", "", lines[0] if lines else "no reason given")).rstrip(".")
