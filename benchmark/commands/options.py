"""Options that several commands share."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from lrladder.benchmark.commands import completion
from lrladder.benchmark.config.text import preset_names
from lrladder.benchmark.errors import require_positive

Preset = Annotated[
    str,
    typer.Argument(
        help=f"A preset ({', '.join(preset_names())}), or the path of a study's YAML file.",
        autocompletion=completion.presets,
    ),
]
Folder = Annotated[
    Path,
    typer.Argument(help="The folder with the results, which was given to --out.", autocompletion=completion.folders),
]
Out = Annotated[Path, typer.Option(help="Folder for the results. An interrupted study continues there.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts instead of text.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Number of worker processes. Default: one per core, or 4 per GPU.")
]
NumGpus = Annotated[int, typer.Option(min=1, help="Number of these GPUs.")]
ExecutorKind = Annotated[
    str | None,
    typer.Option("--executor", help="What trains the runs: local (this machine), hosts or ray (docs/cluster.md)."),
]
Hostfile = Annotated[
    str | None,
    typer.Option(help="Train on the hosts of this file, with a line `HOST slots=N` for each (docs/devices.md)."),
]
Address = Annotated[
    str | None, typer.Option(help="Of the Ray cluster: HOST:PORT, auto (that of this machine) or local (start one).")
]
Listen = Annotated[
    str | None, typer.Option(help="Where Ray may listen: loopback, the default, or network, where it checks nobody.")
]
AllowImport = Annotated[
    bool, typer.Option("--allow-import", help="Allow classes of your own to be imported from the working directory.")
]

Options = TypeVar("Options")


def as_one(options: type[Options]) -> Callable[[Callable[[Options], None]], Callable[..., None]]:
    """Make a command whose options are the fields of a dataclass. The command gets them as one object."""

    def wrap(command: Callable[[Options], None]) -> Callable[..., None]:
        @functools.wraps(command)
        def call(**given: Any) -> None:
            command(options(**given))

        signature = inspect.signature(options)
        call.__signature__ = signature  # type: ignore[attr-defined]  # typer reads both
        call.__annotations__ = {name: one.annotation for name, one in signature.parameters.items()}
        return call

    return wrap


def finite(param: typer.CallbackParam, value: float | None) -> float | None:
    """The value, which must be positive, finite and not too large. Raises InputError otherwise."""
    require_positive(**{param.opts[0].removeprefix("--"): value})
    return value
