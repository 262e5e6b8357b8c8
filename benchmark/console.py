"""The console that commands print to."""

import sys

from rich.console import Console

LOG_WIDTH = 140  # columns, if the output is not a terminal


def make_console() -> Console:
    return Console(width=None if sys.stdout.isatty() else LOG_WIDTH)
