"""LoRA files of any tool, in and out, and on a base and off it again.

`read` takes what diffusers, peft, kohya's sd-scripts, LyCORIS, OneTrainer, ai-toolkit, SimpleTuner and ComfyUI write and fits it to the
base at hand; `write` gives the forms of diffusers, kohya and ComfyUI. What changes weights is held as just that, so LoHa, LoKr and DoRA
are drawn with as exactly as plain LoRA.
"""

from decal.adapters.layers import Layer, Role
from decal.adapters.learnt import words_to_bytes
from decal.adapters.names import Parts, layers, original_names
from decal.adapters.reading import Adapter, read, read_tensors, split
from decal.adapters.swapping import Swapper
from decal.adapters.writing import Form, Written, folded, padded, peft_form, to_bytes, to_form, write

__all__ = [
    "Adapter", "Form", "Layer", "Parts", "Role", "Swapper", "Written",
    "folded", "layers", "original_names", "padded", "peft_form", "read", "read_tensors", "split", "to_bytes", "to_form",
    "words_to_bytes", "write",
]  # fmt: skip
