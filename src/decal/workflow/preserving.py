"""Prior preservation: pictures of the kind in general, which every step learns as well, so that the base does not forget them.

They are those in the project's folder `prior/`, filled up with what the base draws for `train.prior_prompt` before anything is trained.
Drawn ones lie in `cache/`, named by what they are drawn from, so another prompt or base draws its own and a lost cache draws the same.
Source: Ruiz et al. 2022, arXiv:2208.12242, section 3.2.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING

from PIL import Image

from decal import gallery, pictures, project
from decal.errors import ChangedError
from decal.events import Event, Progress, Stop, stop_if
from decal.grid import compare_cells
from decal.project import Project, Run
from decal.records import Cell, Record
from decal.settings import Resolved

if TYPE_CHECKING:
    from decal.bases import Base

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def prior_pictures(at: Project, run: Run, base: "Base", resolved: Resolved, stop: Stop) -> Generator[Event, None, list[Record]]:
    """The pictures that are learnt beside those of the data set, drawn where there are too few; files are relative to the project.

    Raises ChangedError where a run goes on and they are not those that it was begun with, and StoppedError when `stop` said so.
    """
    own = sorted(path for path in (at.folder / "prior").glob("*") if path.suffix.lower() in ENDINGS)
    cells = _cells(resolved, resolved.train.prior_images - len(own))
    what = project.fingerprint("prior", base.fingerprint(), str(base.dtype), [cell.model_dump(exclude={"seed"}) for cell in cells[:1]])
    drawn = [at.cache / "prior" / what[:16] / f"{cell.seed:05d}.png" for cell in cells]
    missing = [cell for cell, path in zip(cells, drawn, strict=True) if not path.exists()]
    if missing:
        from decal.generate import finite, generate

        yield Progress("drawing pictures of the kind", 0, len(missing))
        for done, one in enumerate(finite(generate(base, missing, adapters={}, images={}, batch=resolved.compare.batch)), start=1):
            project.write_bytes(drawn[one.cell.seed], gallery.to_png(Image.fromarray(one.pixels)))
            yield Progress("drawing pictures of the kind", done, len(missing))
            stop_if(stop, "the same command goes on")
    records = []
    for path in [*own, *drawn]:
        look = pictures.look(path)
        file = path.relative_to(at.folder).as_posix()
        size = {"width_px": look.width_px, "height_px": look.height_px}
        records.append(Record(file=file, sha256=look.sha256, caption=resolved.train.prior_prompt, split="train", **size))
    before = project.read(run.prior, Record)
    if before and [one.sha256 for one in before] != [one.sha256 for one in records]:
        raise ChangedError(
            f"{run.folder}: this run was begun with other pictures in {at.folder / 'prior'} or of another machine.\n"
            "Put the old ones back, or begin another run with --new-run."
        )
    project.write_lines(run.prior, records)
    return records


def _cells(resolved: Resolved, count: int) -> list[Cell]:
    """What the base is to draw, one seed after the other."""
    drawing = resolved.compare.model_copy(update={"seeds": tuple(range(count)), "negative": ""})
    return compare_cells([resolved.train.prior_prompt], [], drawing, resolved.data.resolution) if count > 0 else []
