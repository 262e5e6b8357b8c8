"""What several commands take."""

from pathlib import Path
from typing import Annotated

import typer

from lrladder.benchmark.config.text import preset_names
from lrladder.benchmark.errors import InputError

OWN = "your own model: what is left out is the ladder's"

Preset = Annotated[str, typer.Argument(help=f"a preset ({', '.join(preset_names())}) or a YAML file")]
Folder = Annotated[Path, typer.Argument(help="the folder of a study: OUT of make benchmark")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for scripts")]
Size = Annotated[int | None, typer.Option(min=1, rich_help_panel=OWN)]
Workers = Annotated[int | None, typer.Option(min=1, help="worker processes (default: one per core, or 4 per GPU)")]


def finite(param: typer.CallbackParam, value: float | None) -> float | None:
    """Refuses what no quantity of ours can be."""
    if value is not None and not 0 < value < float("inf"):
        raise InputError(f"{param.opts[0]} {value:g}: must be above zero and finite")
    return value
