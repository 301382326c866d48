"""What was drawn for posts and published, and what people made of it, as it stands in the project."""

from decal import project
from decal.posts import observed
from decal.project import Project
from decal.records import ObservedLikes, PostVariant


def variants_of(at: Project) -> list[PostVariant]:
    """Every variant that was drawn; of one that was drawn for several tables, the latest."""
    paths = sorted((at.posts / "new").glob("*/variants.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    found = {one.variant: one for path in paths for one in project.read(path, PostVariant)}
    return list(found.values())


def likes_of(at: Project) -> list[ObservedLikes]:
    """What was observed so far, and the ranks that were expected of it."""
    return project.read(at.posts / "observed.jsonl", ObservedLikes)


def observed_of(at: Project) -> observed.Observed | None:
    """Expected against observed so far; None where nothing was."""
    known = likes_of(at)
    return observed.score(variants_of(at), known) if known else None
