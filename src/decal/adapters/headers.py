"""What a LoRA file says of itself, in the words of ModelSpec and of kohya's tools, for those who have only the file.

Nothing of the machine goes in: no path, no user, no date, no caption; the keyword is meant to be known.
Sources: Stability-AI/ModelSpec 1.0.1; sd-scripts library/sai_model_spec.py and train_network.py (`ss_*`, all values text).
"""

import json
from dataclasses import dataclass

from decal.adapters.reading import Adapter
from decal.bases import Outline


@dataclass(frozen=True)
class Told:
    """What is known of the training. base: as it may be named in public. side_px: of the training pictures."""

    title: str
    keyword: str
    base: str
    side_px: int
    step: int
    pictures: int


def header(told: Told, outline: Outline, adapter: Adapter) -> dict[str, str]:
    """The entries for a file of any form, and those that kohya's tools and A1111 look for."""
    entries = {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": f"{outline.architecture}/lora",
        "modelspec.implementation": "diffusers",
        "modelspec.title": told.title,
        "modelspec.resolution": f"{told.side_px}x{told.side_px}",
        "modelspec.prediction_type": "v" if outline.prediction == "v_prediction" else "epsilon",
        "ss_network_module": "networks.lora" if set(adapter.kinds) <= {"LoRA", "DoRA"} else "lycoris.kohya",
        "ss_output_name": told.title,
        "ss_sd_model_name": told.base,
        "ss_resolution": f"({told.side_px}, {told.side_px})",
        "ss_steps": str(told.step),
        "ss_num_train_images": str(told.pictures),
        "ss_v2": str(outline.architecture.startswith("stable-diffusion-v2")),
    }
    if told.keyword:
        entries["modelspec.trigger_phrase"] = told.keyword
    if outline.kohya_version is not None:
        entries["ss_base_model_version"] = outline.kohya_version
    ranks = {layer.rank for layer in adapter.layers.values() if "up" in layer.tensors and layer.tensors["down"].shape[2:] > (1, 1)}
    if ranks:
        entries["ss_network_args"] = json.dumps({"conv_dim": str(max(ranks)), "conv_alpha": str(float(max(ranks)))})
    return entries
