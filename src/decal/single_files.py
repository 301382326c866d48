"""What a single file of a whole model is, told from its header: a `.safetensors` as A1111 and ComfyUI use them.

Such a file holds weights under the names of the original code, and says nothing of how its model is built or what it predicts. Only the
header is read, a few hundred kilobytes of gigabytes.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from decal.errors import BaseModelError

SUFFIX = ".safetensors"
MAX_HEADER_BYTES = 100_000_000
_ENCODERS = re.compile(r"(cond_stage_model\.\w+\.|conditioner\.embedders\.\d+\.\w+\.)")


def is_single(model: str) -> bool:
    """Whether a base is named by a file."""
    return model.endswith(SUFFIX) and Path(model).expanduser().is_file()


@cache
def family_of(path: Path) -> str:
    """The short name of the known base that the model in a file is built like.

    Raises BaseModelError where it is like none of them, or where nothing says what the model predicts.
    """
    header = _header(path)
    about = header.pop("__metadata__", {})
    called = f"{path.stem} {about.get('modelspec.title', '')}".casefold()
    starts = {match[1] for name in header if (match := _ENCODERS.match(name))}
    if {"conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."} <= starts:
        return "sdxl-turbo" if "turbo" in called else "sdxl"
    if "cond_stage_model.transformer." in starts:
        return "sd1.5"
    if "cond_stage_model.model." in starts:
        predicts = about.get("modelspec.prediction_type", "")
        if predicts in ("v", "v_prediction") or "768" in called:
            return "sd2.1"
        if predicts == "epsilon" or "512" in called:
            return "sd2.1-base"
        raise BaseModelError(
            f"{path} is a Stable Diffusion 2, and neither its header nor its name says whether it predicts noise or v.\n"
            "Put 512 (noise) or 768 (v) into its name, or use a folder in the diffusers layout."
        )
    what = "holds a LoRA" if any("lora_" in name for name in header) else "is not a whole Stable Diffusion 1.x, 2.x or SDXL model"
    raise BaseModelError(f"{path} {what}.\nName a checkpoint with UNet, VAE and text encoders in it, or a folder in the diffusers layout.")


def _header(path: Path) -> dict[str, Mapping[str, str]]:
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > MAX_HEADER_BYTES:
                raise ValueError(f"its header would have {size:,} bytes")
            found = json.loads(file.read(size))
        if not isinstance(found, dict):
            raise ValueError("its header is no table")
    except (OSError, ValueError) as problem:
        raise BaseModelError(f"{path} cannot be read as safetensors ({problem}).\nIt is damaged; get it again.") from problem
    return found
