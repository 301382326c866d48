"""What can go wrong, in the user's words.

One base error and its kinds. A message has three parts: where, what is wrong with which value, and what to do next.
Each kind carries the exit code of the command line, so that scripts can tell the cases apart.
"""


class DecalError(Exception):
    """Something that the user can mend; its text is all that the command line prints."""

    exit_code = 1


class SettingsError(DecalError):
    """What was typed is wrong: an option, a setting, a prompt, or the name of a file or column that is not there; or two contradict."""

    exit_code = 2


class DataError(DecalError):
    """The data are not fit: pictures, captions, or a table of posts."""

    exit_code = 3


class DivergedError(DecalError):
    """Training produced non-finite losses again and again."""

    exit_code = 4


class MemoryFullError(DecalError):
    """The device has too little memory for these settings."""

    exit_code = 5


class BaseModelError(DecalError):
    """The base model cannot be found, read or used."""


class AdapterError(DecalError):
    """A LoRA file cannot be read or does not fit the base model."""


class ProjectError(DecalError):
    """The project folder is missing, busy, read-only or full, or lacks what an earlier command makes."""


class ChangedError(DecalError):
    """A run was asked to go on with settings or data other than those it began with."""

    exit_code = 2


class NotebookError(DecalError):
    """A notebook of the hand-in does not run from top to bottom."""


class StoppedError(DecalError):
    """The work was stopped by a signal and can be resumed."""

    exit_code = 130


class ProcessError(DecalError):
    """Another of the processes that train together is gone."""


class LanguageError(DecalError):
    """The language model cannot be reached, or does not take the question."""


class AnswerError(LanguageError):
    """The language model has no usable answer to one question; others may go well. reason: why, in a few words."""

    def __init__(self, told: str, reason: str) -> None:
        super().__init__(told)
        self.reason = reason
