"""What reports can do with results of one schema: load them, write their page, and say them in a line or a table."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from rich.console import Console

Results = TypeVar("Results")


class Held(NamedTuple):
    """What a folder holds, in one line. `complete` is None for what cannot be partial."""

    kind: str  # the command or the kind of study
    name: str  # preset, or the file that was fitted
    targets: str
    line: str
    complete: bool | None = None
    simulated: bool = False


@dataclass(frozen=True)
class ResultsPage(Generic[Results]):
    """Of one schema. `write` takes the folder of the page and returns the page; None for results that have none."""

    load: Callable[[Path], Results]  # from a folder; raises InputError
    write: Callable[[Results, Path], Path] | None
    held: Callable[[Results], Held]
    show: Callable[[Results, Console], None]


def in_a_line(parts: Iterable[str], nothing: str, *, head: str = "") -> str:
    text = "; ".join(parts)
    return head + text if text else nothing
