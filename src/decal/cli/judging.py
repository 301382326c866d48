"""Commands about the choice of a checkpoint: report."""

from decal.cli.options import HERE, Folder, Json, RunName, show_work


def report(folder: Folder = HERE, run: RunName = None, json: Json = False) -> None:
    """Write report.html: what came of a run and which checkpoint to keep, on one page that any browser shows."""
    from decal import workflow

    show_work(folder, [], lambda at, _: workflow.write_report(at, workflow.Choice(run)), json)
