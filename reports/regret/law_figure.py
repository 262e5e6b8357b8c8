"""The figure of the laws that entries fitted, as inline SVG: best LR against size, a panel for each entry."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lrladder.benchmark.studies.regret.results import LawResult, RegretResults, RungResult
from lrladder.reports.drawing import BESIDE, INK, MARKERS, PAPER, WIDTH, power_axis, shades, style, to_svg
from lrladder.reports.formats import positive, short
from lrladder.reports.panels import SIZE_LABEL, STROKES, panel_grid, panel_title, size_axis
from lrladder.reports.regret import analysis


def law_with_points(results: RegretResults) -> str | None:
    """Best LR against active parameters by entry, with its law extended to the targets; None without a best LR."""
    points = analysis.optima(results)
    if points.empty:
        return None
    entries, laws = list(dict.fromkeys(points["entry"])), analysis.laws(results)
    horizons = sorted({int(h) for h in points["horizon"]})
    color_of = dict(zip(horizons, shades(len(horizons)), strict=True))
    alone = len(entries) == 1
    look: dict[str, Any] = {"width": WIDTH * (BESIDE if alone else 1), "left": 0.085 if alone else 0.055}
    look |= {"xlabel": SIZE_LABEL, "ylabel": "best learning rate"}
    with style():
        figure, panels = panel_grid(len(entries), row=2.75, wspace=0.06, hspace=0.2, sharex=True, sharey=True, **look)
        for axes, entry in zip(panels, entries, strict=True):
            _panel(axes, points[points["entry"] == entry], laws.get(entry), results.rungs, color_of)
            panel_title(axes, entry)
        size_axis(panels[0], points["n_active"])
        power_axis(panels[0], *panels[0].get_ylim(), vertical=True, ticks=7)
        label = "Best learning rate against active parameters, with the fitted laws"
        return to_svg(figure, "law", label, _legend(color_of, any_law=bool(laws)))


def _panel(
    axes: Axes, points: pd.DataFrame, law: LawResult | None, rungs: Sequence[RungResult], color_of: dict[int, str]
) -> None:
    for place, (horizon, color) in enumerate(color_of.items()):
        marker, stroke = MARKERS[place % len(MARKERS)], STROKES[place % len(STROKES)]
        dodge = 1 + 0.02 * (place - (len(color_of) - 1) / 2)
        here = points[points["horizon"] == horizon]
        _points(axes, here, color, marker, dodge)
        if law is not None and len(here):
            axes.plot(*_line(law, points, rungs, horizon), stroke, color=color, lw=1.1, zorder=1)


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


def _points(axes: Axes, rows: pd.DataFrame, color: str, marker: str, dodge: float) -> None:
    for row in rows.itertuples(index=False):
        known: Any = row
        place = math.log2(known.lr)
        bars = None
        if positive(known.lr_low) and positive(known.lr_high):
            bars = [[max(0.0, place - math.log2(known.lr_low))], [max(0.0, math.log2(known.lr_high) - place)]]
        fill = color if known.part == "proxy" else PAPER
        look: dict[str, Any] = {"ms": 5.5, "mfc": fill, "mec": color, "mew": 1.3}
        look |= {"ecolor": color, "elinewidth": 1.0, "capsize": 2.5}
        axes.errorbar([known.n_active * dodge], [place], yerr=bars, fmt=marker, zorder=3, **look)


def _legend(color_of: dict[int, str], *, any_law: bool) -> list[Line2D]:
    handles = [
        Line2D(
            [], [], marker=MARKERS[place % len(MARKERS)], ls=STROKES[place % len(STROKES)] if any_law else "", ms=5,
            color=color, label=f"{short(h)} tokens",
        )
        for place, (h, color) in enumerate(color_of.items())
    ]  # fmt: skip
    handles.append(Line2D([], [], marker="o", ls="", ms=5, color=INK, label="proxy: what the law was fitted to"))
    handles.append(Line2D([], [], marker="o", ls="", ms=5, mfc=PAPER, mec=INK, label="target: oracle (held out)"))
    if any_law:
        handles.append(Line2D([], [], color=INK, lw=1.1, label="law"))
    return handles
