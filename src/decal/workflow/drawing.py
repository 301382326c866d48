"""Pictures of a trained run: one prompt, or the sheet to hand in."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from decal import captions, gallery, grid, overview, pictures, project, sheets
from decal.errors import SettingsError
from decal.events import Begun, Event, Stop, Told
from decal.project import Project
from decal.records import Cell
from decal.settings import Settings
from decal.wording import counted
from decal.workflow.choice import Choice, chosen, new_prompts, trained, unsaid

logger = logging.getLogger(__name__)


def draw_grid(at: Project, settings: Settings, choice: Choice, step: int | None, stop: Stop) -> Iterator[Event]:
    """Draw the prompts of `prompts.txt` at every guidance with one checkpoint: the sheet to hand in.

    step: of the checkpoint; None takes that of the verdict, or the last. Raises DataError where a prompt is not new.
    """
    run, resolved, checkpoints = trained(at, settings, choice)
    picked = chosen(run, checkpoints, step)
    step = picked.checkpoint.step
    prompts = new_prompts(at.prompts, run, resolved)
    cells = grid.grid_cells(prompts, step, resolved.grid, resolved.data.resolution)
    why = f" ({picked.why})" if picked.why else ""
    shown = f"{counted(len(prompts), 'new prompt')} at {counted(len(resolved.grid.guidance), 'guidance scale')}"
    told = f"{run.name}, step {step}{why}: {shown}, {counted(len(cells), 'picture')}"
    yield Begun(run, resolved.train.steps, told)
    if silent := unsaid(prompts, at.prompts, resolved):
        yield Told(f"  {silent}; write them into some of its lines to see what they do")
    yield from (Told(f"  {line}") for line in overview.burning(resolved, resolved.grid.guidance))
    found: dict[Cell, Path] = {}
    yield from gallery.noted(gallery.draw(run, resolved, cells, stop, batch=resolved.grid.batch), run, found)
    picture = sheets.grid_sheet(cells, found, run=run.name, base=resolved.base.model)
    yield gallery.write_sheet(run.sheets / f"grid-step-{step:06d}.png", picture, len(cells))


@dataclass(frozen=True)
class Wish:
    """What `draw` is asked for. image: the picture to start from; image_strength: the share of the steps that redraw it, 0..1."""

    prompt: str
    negative: str
    guidance: float | None
    seed: int
    count: int
    lora_strength: float
    image: Path | None
    image_strength: float


def draw(at: Project, settings: Settings, choice: Choice, step: int | None, wish: Wish, stop: Stop) -> Iterator[Event]:
    """Draw pictures of one prompt with a checkpoint, from noise or from a picture; warns where nothing in the prompt calls the LoRA."""
    if not wish.prompt.strip():
        raise SettingsError('The prompt is empty.\nSay what to draw, for instance  decal draw "KEYWORD style sticker of a boat"')
    run, resolved, checkpoints = trained(at, settings, choice)
    picked = None if step == 0 else chosen(run, checkpoints, step)
    step = 0 if picked is None else picked.checkpoint.step
    keyword, is_on = resolved.caption.keyword.strip(), step != 0 and wish.lora_strength != 0
    if keyword and is_on and not captions.holds(wish.prompt, [keyword], ending=""):
        logger.warning("the prompt lacks the keyword %s, so the LoRA may hardly show", keyword)
    side = resolved.data.resolution
    images: dict[str, Image.Image] = {}
    size, source = (side, side), None
    if wish.image is not None:
        if not wish.image.is_file():
            raise SettingsError(f"--image {wish.image} is not a file.\nName a picture to start from.")
        source = project.sha256(wish.image)
        images[source] = _to_start_from(pictures.load(wish.image, resolved.data.ground), side)
        size = images[source].size
        if int(resolved.grid.steps * wish.image_strength) < 1:
            raise SettingsError(
                f"--strength {wish.image_strength:g} of {counted(resolved.grid.steps, 'step')} is less than one, so nothing would change.\n"
                f"Write at least {1 / resolved.grid.steps:.2f}, or raise grid.steps."
            )
    cells = [
        Cell(
            prompt=wish.prompt,
            negative=wish.negative,
            guidance=wish.guidance if wish.guidance is not None else resolved.compare.guidance,
            seed=seed,
            steps=resolved.grid.steps,
            sampler=resolved.grid.sampler,
            width_px=size[0],
            height_px=size[1],
            checkpoint=step,
            lora_strength=wish.lora_strength,
            image_sha256=source,
            image_strength=None if source is None else wish.image_strength,
        )
        for seed in range(wish.seed, wish.seed + wish.count)
    ]
    what = "the base alone" if picked is None else f"step {step} ({picked.why})" if picked.why else f"step {step}"
    told = f"{run.name}, {what}: {counted(wish.count, 'picture')} of {size[0]} x {size[1]} px"
    yield Begun(run, resolved.train.steps, told)
    yield from (Told(f"  {line}") for line in overview.burning(resolved, [cell.guidance for cell in cells]))
    yield from gallery.draw(run, resolved, cells, stop, batch=resolved.grid.batch, images=images)


def _to_start_from(picture: Image.Image, side_px: int) -> Image.Image:
    """The picture with its longer side at the training size, both sides multiples of 8 px."""
    scale = side_px / max(picture.size)
    width, height = (max(8, round(length * scale / 8) * 8) for length in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)
