"""Projects that several tests train once and copy."""

from pathlib import Path

from decal import workflow
from decal.project import Project


def trained(folder: Path, base: Path, pictures: Path, settings: str) -> Path:
    """A project of these pictures with a run that is done. settings: TOML after that of `decal new`."""
    at = Project(folder)
    workflow.new(folder, workflow.Order(pictures, "zorb", str(base), "stickers"))
    with at.settings.open("a", encoding="utf-8") as file:
        file.write(settings)
    for _ in workflow.train(at, workflow.settings_of(at, []), workflow.Choice(), lambda: False):
        pass
    return folder
