"""What the fixture `call` gives: a command is typed, and gives its exit code and what it printed to standard output and error."""

from collections.abc import Callable

Call = Callable[..., tuple[int, str, str]]
