"""The `lrladder` command.

Exit codes: 0 done, 2 bad input, 3 some trials failed, or something could not be written (for example because the disk
is full), 130 interrupted. In some commands 3 means something else: `design` expects an interval too wide to be of use,
`ask` or `tell` has no run for the user's trainer until LR Ladder has trained some itself, `watch` saw a run leave its
bands, or `gpu-check` has a step left.
"""

import io
import signal
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from lrladder.benchmark.errors import ExitCode, InputError
from lrladder.benchmark.registry import Registry

# The files in commands/, and their commands in the order of `--help`.
FILES = {
    "studies": ("plan", "run", "extend", "tune-recipe"),
    "status": ("status",),
    "reports": ("report", "compare", "index"),
    "export": ("export",),
    "external": ("ask", "tell"),
    "text": ("prepare",),
    "design": ("design",),
    "recommend": ("recommend",),
    "watch": ("watch",),
    "laws": ("coordcheck", "schedule", "fit", "replay"),
    "machine": ("doctor", "bench", "gpu-check"),
}
MAX_LINE = 1000  # characters of a refusal: a key from a hostile file may be of any length


def _command(place: str) -> Any:
    file, _, name = place.partition(":")
    return typer.main.get_group(import_module(f"lrladder.benchmark.commands.{file}").app).commands[name]


class Commands(typer.core.TyperGroup):
    """The commands. The file of a command is imported when the command is asked for."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = Registry({name: f"{file}:{name}" for file, names in FILES.items() for name in names}, _command)


app = typer.Typer(
    name="lrladder",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        print(f"lrladder {metadata.version('lr-ladder')}")
        raise typer.Exit


@app.callback()
def lrladder(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Find a learning rate (LR) for a large mixture-of-experts model, and learn which way of choosing it to trust."""


def main() -> None:
    """Entry point: bad input is one line on stderr and exit code 2."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # schedulers send SIGTERM; treat it like Ctrl-C
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal may lack our minus sign
    try:
        app()
    except InputError as error:
        sys.exit(_refuse(error))


def _refuse(error: InputError) -> int:
    from lrladder.benchmark.reading import printable

    line = " ".join(printable(str(error)).split())
    print(f"lrladder: {line[:MAX_LINE]}", file=sys.stderr)
    return ExitCode.BAD_INPUT
