"""Telling of a run: the page that says which checkpoint to keep, and shows why."""

from collections.abc import Iterator

from decal import project, report
from decal.events import Event, Told
from decal.project import Project, Run
from decal.workflow.choice import Choice, run_of


def write_report(at: Project, choice: Choice) -> Iterator[Event]:
    """Write `report.html` into the folder of a run, whatever stands in it so far."""
    yield told_in_report(at, run_of(at, choice.name))


def told_in_report(at: Project, run: Run) -> Told:
    """Write the page of a run, unless the same bytes are there already, and say where it is."""
    data = report.page(at, run).encode()
    if not run.report.exists() or run.report.read_bytes() != data:
        project.write_bytes(run.report, data)
    return Told(f"the report, for any browser: {run.report}")
