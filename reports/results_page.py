"""The interface of a kind of results: how they are loaded, written as a page, and shown in a line or as a table."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from rich.console import Console

Results = TypeVar("Results")


class Held(NamedTuple):
    """The results in a folder, in one line."""

    kind: str  # the command or the kind of study
    name: str  # preset, or the file that was fitted
    targets: str  # what the results are about, such as the names of the targets
    line: str
    complete: bool | None = None  # None for results that cannot be partial
    simulated: bool = False


@dataclass(frozen=True)
class ResultsPage(Generic[Results]):
    """The functions for results of one schema."""

    load: Callable[[Path], Results]  # from a folder; raises InputError
    write: Callable[[Results, Path], Path] | None  # into a folder; returns the page; None for results without a page
    held: Callable[[Results], Held]
    show: Callable[[Results, Console], None]


def in_a_line(parts: Iterable[str], nothing: str, *, head: str = "") -> str:
    """The parts in one line after `head`, or `nothing` if there are none."""
    text = "; ".join(parts)
    return head + text if text else nothing
