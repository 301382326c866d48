"""Lines about drawn pictures."""

from typing import Literal

from decal.records.line import Line


class Cell(Line):
    """One picture to be drawn; two cells with the same fields give the same picture.

    guidance: classifier-free guidance scale; at 1 or below there is no unconditional pass.
    checkpoint: step of the adapter; 0 is the base without one. lora_strength: factor on the adapter.
    image_sha256, image_strength: for image-to-image, the picture to start from and the share of the steps that redraw it, 0..1.
    """

    prompt: str
    negative: str = ""
    guidance: float
    seed: int
    steps: int
    sampler: Literal["ddim", "euler", "euler_a", "dpm++"]
    width_px: int
    height_px: int
    checkpoint: int
    lora_strength: float = 1.0
    image_sha256: str | None = None
    image_strength: float | None = None


class Generation(Line):
    """One drawn picture.

    fingerprint: of the cell, the base and the adapter's bytes. file: relative to the run. seconds: the picture's share of its batch.
    is_broken: what came out is not finite, so the file shows nothing.
    """

    cell: Cell
    fingerprint: str
    file: str
    sha256: str
    seconds: float
    is_broken: bool = False
