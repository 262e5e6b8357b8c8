"""How far the preparation of a corpus is: a bar on a terminal, elsewhere a line now and then."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from rich import progress as bars
from rich.console import Console

SECONDS = 15.0  # between two lines


class Progress(NamedTuple):
    """What has been read of a source. `most`: bytes that it can become."""

    name: str
    num_bytes: int
    most: int
    tokens: int

    def __str__(self) -> str:
        share = f"{self.num_bytes / 1e6:,.1f} of at most {self.most / 1e6:,.1f} MB"
        return f"{self.name}: {share}, {self.tokens:,} tokens"


Show = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Shows nothing."""


@contextmanager
def shown(console: Console) -> Iterator[Show]:
    """A function that shows progress on `console`."""
    if console.is_terminal:
        columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), bars.TimeRemainingColumn())
        with bars.Progress(*columns, console=console, transient=True) as bar:
            yield _on_bar(bar)
    else:
        yield _in_lines(console)


def _on_bar(bar: bars.Progress) -> Show:
    tasks: dict[str, bars.TaskID] = {}

    def show(progress: Progress) -> None:
        if progress.name not in tasks:
            tasks[progress.name] = bar.add_task(progress.name, total=progress.most)
        bar.update(tasks[progress.name], description=str(progress), completed=progress.num_bytes)

    return show


def _in_lines(console: Console) -> Show:
    last = time.monotonic()

    def show(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS:
            last = time.monotonic()
            console.print(f"{progress}", soft_wrap=True, highlight=False)

    return show
