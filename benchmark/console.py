"""The console that commands print to."""

import sys

from rich.console import Console

LOG_WIDTH = 140  # columns, if the output is not a terminal; assumption


def make_console() -> Console:
    """A console that prints text as it is: rich's markup in brackets and emoji codes such as `:bug:` are off."""
    return Console(width=None if sys.stdout.isatty() else LOG_WIDTH, markup=False, emoji=False)
