"""What figures of several panels share: their grid, their titles, and sizes of models on an axis."""

import math
from collections.abc import Callable, Iterable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from lrladder.reports.drawing import INK, MUTED, WIDTH, plain
from lrladder.reports.formats import short

COLUMNS = 4
SIZE_LABEL = "active non-embedding parameters"
LETTER = 0.07  # inches, of the width of a panel, that a letter of its title takes
FOOT = 0.5  # inches below the lowest row, for its ticks and the label of all x-axes
TICK = 0.42  # inches, that the label of a size takes
STROKES = ("-", "--", "-.", ":")  # of lines that are told apart by more than their shade


def panel_grid(
    n: int,
    *,
    row: float,
    xlabel: str,
    ylabel: str,
    columns: int = COLUMNS,
    width: float = WIDTH,
    left: float = 0.055,
    head: float = 0.26,
    **layout: Any,
) -> tuple[Figure, list[Axes]]:
    """A figure with `n` panels in rows of at most `columns`, `row` inches a row and `head` above the first.

    `layout` is `wspace`, `hspace`, `sharex` and `sharey`, as matplotlib takes them. Every lowest panel has its ticks.
    """
    columns = min(columns, n)
    lines = math.ceil(n / columns)
    height = FOOT + row * lines
    figure = Figure(figsize=(width, height))
    shared = {key: layout.pop(key) for key in ("sharex", "sharey") if key in layout}
    grid = figure.subplots(lines, columns, squeeze=False, **shared)
    figure.subplots_adjust(left, FOOT / height, 0.99, 1 - head / height, **layout)
    for place, axes in enumerate(grid.flat):
        axes.set_visible(place < n)
        axes.xaxis.set_tick_params(labelbottom=not shared.get("sharex") or place + columns >= n)
    for line in grid:
        line[0].set_ylabel(ylabel)
    figure.supxlabel(xlabel, fontsize=8.5, y=0.08 / height)
    return figure, list(grid.flat)[:n]


def panel_title(axes: Axes, text: str, note: str = "") -> None:
    """What a panel shows, above its left edge, and a note below that; a long name is cut."""
    room = int(_inches(axes) / LETTER)
    name = text if len(text) <= room else text[: room - 1] + "\N{HORIZONTAL ELLIPSIS}"
    axes.set_title(plain(name), loc="left", color=INK, weight="bold", pad=16 if note else None)
    if note:
        place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
        axes.annotate(note, (0, 1), (0, 5), color=MUTED, fontsize=8, **place)


def size_axis(
    axes: Axes, sizes: Iterable[float], *, margin: float = 1.3, named: Callable[[float], str] = short
) -> None:
    """Ticks at the ladder's own sizes where they are far enough apart to read; `margin` is a factor at both ends."""
    known = sorted(set(sizes))
    room = TICK / _inches(axes) * math.log(known[-1] / known[0] * margin**2)
    kept: list[float] = []
    for size in known:
        if not kept or math.log(size / kept[-1]) > room:
            kept.append(size)
    axes.set_xscale("log")
    axes.set_xlim(known[0] / margin, known[-1] * margin)
    axes.xaxis.set_major_locator(FixedLocator(kept))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: named(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _inches(axes: Axes) -> float:
    """Width of a panel."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return float(axes.get_position().width * figure.get_figwidth())
