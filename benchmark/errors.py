"""Errors in the input, a check of numbers that many functions take, and the exit codes of the commands."""

from enum import IntEnum

LARGEST = 1e30  # of any number; assumption: above all sensible ones, while products of several still fit a float


class InputError(ValueError):
    """Bad config, corpus, store or environment. The message names the key, file or row and the remedy."""


def require_positive(**given: float | None) -> None:
    """Raise InputError for a value that is not positive, finite and at most LARGEST; it is named as its argument.

    None stands for a number that was not given.
    """
    for name, value in given.items():
        if value is not None and not 1 / LARGEST <= value <= LARGEST:
            raise InputError(
                f"--{name.replace('_', '-')} {value:g}: give a finite number above zero and at most {LARGEST:g}"
            )


def one_line(error: Exception) -> str:
    """The type and the message of an error that is not a user's fault."""
    name, message = type(error).__name__, " ".join(str(error).split())
    return f"{name}: {message}" if message else name


class ExitCode(IntEnum):
    """Exit codes of the process."""

    DONE = 0
    BAD_INPUT = 2
    FAILED_TRIALS = 3
    INTERRUPTED = 130
