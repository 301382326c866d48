"""Writes the notebooks of a hand-in, and runs them from top to bottom.

`training` and `inference` say what stands in each; cells come out as text, so that a notebook is the same for the same run. Every path in
them is relative to the folder that they lie in, and values come in as Python or Markdown that is escaped: captions come from strangers.
"""

from decal.notebooks.cells import Cell, Subject, code, prose, to_bytes
from decal.notebooks.executing import Execution
from decal.notebooks.inference import inference
from decal.notebooks.training import training

__all__ = ["Cell", "Execution", "Subject", "code", "inference", "prose", "to_bytes", "training"]
