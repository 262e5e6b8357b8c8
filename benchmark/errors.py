"""Errors in the input, and the exit codes of the commands."""

from enum import IntEnum


class InputError(ValueError):
    """Bad config, corpus, store or environment. The message names the key, file or row and the remedy."""


def one_line(error: Exception) -> str:
    """The type and the message of an error that is not a user's fault."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


class ExitCode(IntEnum):
    """Exit codes of the process."""

    DONE = 0
    BAD_INPUT = 2
    FAILED_TRIALS = 3
    INTERRUPTED = 130
