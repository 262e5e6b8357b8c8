"""The console that commands print to."""

import sys

from rich.console import Console

LOG_WIDTH = 140  # columns, if the output is not a terminal


def make_console() -> Console:
    """Text is shown as it is: a name in brackets is no colour, and `:bug:` no picture."""
    return Console(width=None if sys.stdout.isatty() else LOG_WIDTH, markup=False, emoji=False)
