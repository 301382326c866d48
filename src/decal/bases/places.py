"""Where the files of a base are: a folder, or a hub id that is first brought onto the disk.

So from there on every base is a folder and its fingerprint is that of its files.
"""

from functools import cache
from pathlib import Path

from huggingface_hub import snapshot_download

from decal.errors import BaseModelError
from decal.presets import base_preset

WEIGHTS = {
    "unet": "unet/diffusion_pytorch_model.safetensors",
    "vae": "vae/diffusion_pytorch_model.safetensors",
    "text_encoder": "text_encoder/model.safetensors",
    "text_encoder_2": "text_encoder_2/model.safetensors",
}


@cache
def locate(model: str) -> Path:
    """The folder of a model, fetched from the hub where it is an id. Raises BaseModelError that says what to do."""
    preset = base_preset(model)
    folder = Path(preset.where).expanduser()
    if folder.is_dir():
        return folder
    problems = []
    for where in (preset.where, *preset.mirrors):
        try:
            return Path(snapshot_download(where, allow_patterns=["*.json", "tokenizer*/*", *WEIGHTS.values()]))
        # The client passes on the errors of the HTTP library that it happens to be built on, so they cannot be named.
        except Exception as problem:
            problems.append(f"{where}: {first_line(problem)}")
    raise BaseModelError(
        f"The base model {model!r} is neither a folder here nor to be had from the hub.\n  "
        + "\n  ".join(problems)
        + "\nCheck the spelling and the network, accept the licence on its page and log in where it is gated, "
        'or name a folder with the model. base.model = "mini" needs no hub.'
    )


def first_line(problem: Exception) -> str:
    """What an error says first, or else what it is."""
    return (str(problem).strip() or type(problem).__name__).splitlines()[0]
