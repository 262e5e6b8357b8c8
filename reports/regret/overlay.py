"""The figure of the loss curves of all rungs in one panel for each parametrization, as inline SVG."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lrladder.benchmark.studies.regret.results import CurveResult, RegretResults
from lrladder.reports.drawing import (
    INK,
    PAPER,
    WIDTH,
    labels_of,
    parametrization_name,
    plain,
    power_axis,
    shades,
    style,
    to_svg,
)

TOP = 0.1  # nats above each curve's own minimum that a panel shows
COLUMNS = 4


def curves_of_all_rungs(results: RegretResults) -> str | None:
    """Loss above the minimum of each rung against LR, a shade per rung; None if no parametrization has two curves."""
    curves = _drawn(results)
    labels = [label for label in labels_of(results) if sum(c.parametrization == label for c in curves) > 1]
    if not labels:
        return None
    rungs = [r.name for r in results.rungs if any(c.rung == r.name for c in curves)]
    color_of = dict(zip(rungs, shades(len(rungs), "flare"), strict=True))
    columns = min(COLUMNS, len(labels))
    lines = math.ceil(len(labels) / columns)
    height = 0.55 + 2.4 * lines
    with style():
        figure = Figure(figsize=(WIDTH, height))
        grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
        figure.subplots_adjust(0.055, 0.48 / height, 0.99, 1 - 0.26 / height, wspace=0.06, hspace=0.2)
        for axes, label in zip(grid.flat, labels, strict=False):
            for curve in (c for c in curves if c.parametrization == label):
                _curve(axes, results, curve, color_of[curve.rung])
            axes.set_title(plain(parametrization_name(label)), loc="left", color=INK, weight="bold")
        for axes in list(grid.flat)[len(labels) :]:
            axes.set_visible(False)
        first = grid[0, 0]
        first.set_ylim(-0.06e3 * TOP, 1.06e3 * TOP)
        power_axis(first, *first.get_xlim())
        for row in grid:
            row[0].set_ylabel("above the rung's minimum\n(millinats/token)")
        figure.supxlabel("peak learning rate", fontsize=8.5, y=0.06 / height)
        label = "Loss above its minimum against learning rate, all rungs in one panel"
        return to_svg(figure, "overlay", label, _legend(color_of))


def _drawn(results: RegretResults) -> list[CurveResult]:
    """The curves with a fitted minimum at the longest horizon of each rung."""
    longest = {rung.name: max(rung.horizons, default=0) for rung in results.rungs}
    return [
        c
        for c in results.curves
        if c.horizon == longest.get(c.rung) and c.lr_best and c.minimum is not None and c.curvature and c.curvature > 0
    ]


def _curve(axes: Axes, results: RegretResults, curve: CurveResult, color: str) -> None:
    """Draw the parabola up to TOP, with its minimum on the axis, and the runs below TOP."""
    assert curve.lr_best and curve.minimum is not None and curve.curvature
    reach = math.sqrt(TOP / curve.curvature)
    offset, place = np.linspace(-reach, reach, 61), math.log2(curve.lr_best)
    axes.plot(place + offset / math.log(2), 1e3 * curve.curvature * offset**2, color=color, lw=1.3, zorder=2)
    axes.plot([place], [0], marker="D", ms=4.5, mfc=PAPER, mec=color, mew=1.2, zorder=4)
    here = (curve.rung, curve.horizon, curve.parametrization)
    runs = [m for m in results.measurements if (m.rung, m.horizon, m.parametrization) == here and not m.role_lrs]
    seen = [(math.log2(m.lr), m.loss - curve.minimum) for m in runs if m.loss is not None and m.lr > 0]
    seen = [(x, y) for x, y in seen if -0.05 * TOP <= y <= TOP]
    axes.plot([x for x, _ in seen], [1e3 * y for _, y in seen], "o", ms=3.2, mew=0, color=color, alpha=0.75, zorder=3)


def _legend(color_of: dict[str, str]) -> list[Line2D]:
    handles = [Line2D([], [], marker="o", ms=3.5, lw=1.3, color=color, label=name) for name, color in color_of.items()]
    return [*handles, Line2D([], [], marker="D", ls="", ms=4.5, mfc=PAPER, mec=INK, label="fitted minimum")]
