"""Trackers such as tensorboard, by way of accelerate: which are there, and the steps of a training told to them."""

from collections.abc import Iterable, Iterator, Sequence

from accelerate import Accelerator
from accelerate.tracking import get_available_trackers

from decal.errors import SettingsError
from decal.project import Run
from decal.settings import Resolved
from decal.train.loop import Happening


def available_trackers() -> list[str]:
    """The names of the trackers that are installed."""
    return sorted(str(tracker) for tracker in get_available_trackers())


def require_trackers(names: Sequence[str]) -> None:
    """Raise SettingsError where a tracker is named that is not installed."""
    unknown = [name for name in names if name not in {str(tracker) for tracker in get_available_trackers()}]
    if unknown:
        raise SettingsError(
            f"train.trackers names {', '.join(unknown)}, which accelerate does not find here.\n"
            "Install the package of that name, or take it out; train.trackers = [] logs to steps.jsonl only."
        )


def tracked(events: Iterable[Happening], run: Run, settings: Resolved) -> Iterator[Happening]:
    """The same events, logged to the trackers that `train.trackers` names."""
    names = list(settings.train.trackers)
    if not names:
        yield from events
        return
    accelerator = Accelerator(log_with=names, project_dir=run.folder / "trackers", cpu=True)
    flat = {f"{section}/{key}": str(value) for section, values in settings.model_dump().items() for key, value in values.items()}
    accelerator.init_trackers("decal", config=flat)
    try:
        for event in events:
            for step in event if isinstance(event, list) else []:
                numbers = step.model_dump(include={"loss", "grad_norm", "learning_rate", "holdout_loss"}, exclude_none=True)
                accelerator.log(numbers, step=step.step)
            yield event
    finally:
        # Not its end_training, which also parts the processes.
        for tracker in accelerator.trackers:
            tracker.finish()
