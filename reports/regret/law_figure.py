"""The figure of the laws that entries fitted, as inline SVG: best LR against size, a panel for each entry."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from lrladder.benchmark.studies.regret.results import LawResult, RegretResults, RungResult
from lrladder.reports.drawing import BESIDE, INK, PAPER, WIDTH, paradigm_name, plain, power_axis, shades, style, to_svg
from lrladder.reports.formats import positive, short
from lrladder.reports.regret import analysis

COLUMNS = 4
MARGIN = 1.3  # factor by which the axis extends beyond the smallest and the largest size


def law_with_points(results: RegretResults) -> str | None:
    """Best LR against active parameters by entry, with its law extended to the targets; None without a best LR."""
    points = analysis.optima(results)
    if points.empty:
        return None
    entries, laws = list(dict.fromkeys(points["entry"])), analysis.laws(results)
    horizons = sorted({int(h) for h in points["horizon"]})
    color_of = dict(zip(horizons, shades(len(horizons)), strict=True))
    columns = min(COLUMNS, len(entries))
    rows = math.ceil(len(entries) / columns)
    height = 0.55 + 2.75 * rows
    with style():
        figure = Figure(figsize=(WIDTH * (BESIDE if columns == 1 else 1), height))
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        left = 0.085 if columns == 1 else 0.055
        figure.subplots_adjust(left, 0.48 / height, 0.99, 1 - 0.28 / height, wspace=0.06, hspace=0.2)
        for axes, entry in zip(grid.flat, entries, strict=False):
            _panel(axes, points[points["entry"] == entry], laws.get(entry), results.rungs, color_of)
            axes.set_title(plain(paradigm_name(entry)), loc="left", color=INK, weight="bold")
        for axes in list(grid.flat)[len(entries) :]:
            axes.set_visible(False)
        _size_axis(grid[0, 0], points)
        power_axis(grid[0, 0], *grid[0, 0].get_ylim(), vertical=True, ticks=7)
        for row in grid:
            row[0].set_ylabel("best learning rate")
        figure.supxlabel("active non-embedding parameters", fontsize=8.5, y=0.06 / height)
        label = "Best learning rate against active parameters, with the fitted laws"
        return to_svg(figure, "law", label, _legend(color_of, any_law=bool(laws)))


def _panel(
    axes: Axes, points: pd.DataFrame, law: LawResult | None, rungs: Sequence[RungResult], color_of: dict[int, str]
) -> None:
    for place, (horizon, color) in enumerate(color_of.items()):
        dodge = 1 + 0.02 * (place - (len(color_of) - 1) / 2)
        here = points[points["horizon"] == horizon]
        _points(axes, here, color, dodge)
        if law is not None and len(here):
            axes.plot(*_line(law, points, rungs, horizon), color=color, lw=1.1, zorder=1)


def _line(
    law: LawResult, points: pd.DataFrame, rungs: Sequence[RungResult], horizon: int
) -> tuple[list[float], list[float]]:
    """Sizes, and log2 of the LR of the law at each. Batch and share of active parameters are the nearest rung's."""
    sizes = np.geomspace(points["n_active"].min() / 1.25, points["n_active"].max() * 1.25, 60)
    found = []
    for size in sizes:
        rung = min(rungs, key=lambda rung: abs(math.log(rung.n_active / size)))
        total = size * rung.n_total / rung.n_active
        found.append(math.log2(law.lr(float(size), total, horizon, rung.batch_tokens)))
    return [float(size) for size in sizes], found


def _points(axes: Axes, rows: pd.DataFrame, color: str, dodge: float) -> None:
    for row in rows.itertuples(index=False):
        known: Any = row
        place = math.log2(known.lr)
        bars = None
        if positive(known.lr_low) and positive(known.lr_high):
            bars = [[max(0.0, place - math.log2(known.lr_low))], [max(0.0, math.log2(known.lr_high) - place)]]
        fill = color if known.part == "proxy" else PAPER
        look: dict[str, Any] = {"ms": 6, "mfc": fill, "mec": color, "mew": 1.3}
        look |= {"ecolor": color, "elinewidth": 1.0, "capsize": 2.5}
        axes.errorbar([known.n_active * dodge], [place], yerr=bars, fmt="o", zorder=3, **look)


def _size_axis(axes: Axes, points: pd.DataFrame) -> None:
    """Ticks at the sizes of the ladder that are far enough apart to read."""
    kept: list[float] = []
    sizes = sorted({float(n) for n in points["n_active"]})
    gap = 0.16 * math.log(sizes[-1] * 1.6 / sizes[0])
    for size in sizes:
        if not kept or math.log(size / kept[-1]) > gap:
            kept.append(size)
    axes.set_xscale("log")
    axes.set_xticks(kept)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(sizes[0] / MARGIN, sizes[-1] * MARGIN)


def _legend(color_of: dict[int, str], *, any_law: bool) -> list[Line2D]:
    handles = [
        Line2D([], [], marker="o", ls="-" if any_law else "", ms=5, color=color, label=f"{short(h)} tokens")
        for h, color in color_of.items()
    ]
    handles.append(Line2D([], [], marker="o", ls="", ms=5, color=INK, label="proxy: what the law was fitted to"))
    handles.append(Line2D([], [], marker="o", ls="", ms=5, mfc=PAPER, mec=INK, label="target: oracle (held out)"))
    if any_law:
        handles.append(Line2D([], [], color=INK, lw=1.1, label="law"))
    return handles
