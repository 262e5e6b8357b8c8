"""The figure of the loss curves of all rungs in one panel for each parametrization, as inline SVG."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lrladder.benchmark.studies.regret.results import CurveResult, RegretResults
from lrladder.paradigms.lab import Measurement
from lrladder.reports.drawing import (
    INK,
    MARKERS,
    PAPER,
    labels_of,
    parametrization_name,
    power_axis,
    shades,
    style,
    to_svg,
)
from lrladder.reports.panels import STROKES, panel_grid, panel_title
from lrladder.reports.regret.few import few

TOP = 0.1  # nats above each curve's own minimum that a panel shows


class Look(NamedTuple):
    """Of one rung. Neighbouring shades are too much alike to be told apart by themselves."""

    color: str
    marker: str
    stroke: str


def curves_of_all_rungs(results: RegretResults) -> str | None:
    """Loss above the minimum of each rung against LR, a shade per rung; None if no parametrization has two curves."""
    curves = _drawn(results)
    labels = [label for label in labels_of(results) if sum(c.parametrization == label for c in curves) > 1]
    if not labels:
        return None
    rungs = [r.name for r in results.rungs if any(c.rung == r.name for c in curves)]
    colors = shades(len(rungs), "flare")
    look_of = {
        rung: Look(color, MARKERS[i % len(MARKERS)], STROKES[i % len(STROKES)])
        for i, (rung, color) in enumerate(zip(rungs, colors, strict=True))
    }
    look: dict[str, Any] = {"xlabel": "peak learning rate", "ylabel": "above the rung's minimum\n(millinats/token)"}
    with style():
        figure, panels = panel_grid(
            len(labels), row=2.4, left=0.06, wspace=0.06, hspace=0.2, sharex=True, sharey=True, **look
        )
        runs = few(results).measurements
        for axes, label in zip(panels, labels, strict=True):
            for curve in (c for c in curves if c.parametrization == label):
                _curve(axes, runs, curve, look_of[curve.rung])
            panel_title(axes, parametrization_name(label))
        panels[0].set_ylim(-0.06e3 * TOP, 1.06e3 * TOP)
        power_axis(panels[0], *panels[0].get_xlim())
        label = "Loss above its minimum against learning rate, all rungs in one panel"
        return to_svg(figure, "overlay", label, _legend(look_of))


def _drawn(results: RegretResults) -> list[CurveResult]:
    """The curves with a fitted minimum at the longest horizon of each rung."""
    longest = {rung.name: max(rung.horizons, default=0) for rung in results.rungs}
    return [
        c
        for c in results.curves
        if c.horizon == longest.get(c.rung) and c.lr_best and c.minimum is not None and c.curvature and c.curvature > 0
    ]


def _curve(axes: Axes, measurements: Sequence[Measurement], curve: CurveResult, look: Look) -> None:
    """The parabola as far as TOP, with its minimum on the axis, and the runs below TOP."""
    assert curve.lr_best and curve.minimum is not None and curve.curvature
    reach = math.sqrt(TOP / curve.curvature)
    offset, place = np.linspace(-reach, reach, 61), math.log2(curve.lr_best)
    axes.plot(
        place + offset / math.log(2), 1e3 * curve.curvature * offset**2, look.stroke, color=look.color, lw=1.3, zorder=2
    )
    axes.plot([place], [0], marker="D", ms=4.5, mfc=PAPER, mec=look.color, mew=1.2, zorder=4)
    here = (curve.rung, curve.horizon, curve.parametrization)
    runs = [m for m in measurements if (m.rung, m.horizon, m.parametrization) == here and not m.role_lrs]
    seen = [(math.log2(m.lr), m.loss - curve.minimum) for m in runs if m.loss is not None and m.lr > 0]
    seen = [(x, y) for x, y in seen if -0.05 * TOP <= y <= TOP]
    x, y = [x for x, _ in seen], [1e3 * y for _, y in seen]
    axes.plot(x, y, look.marker, ms=3.6, mew=0, color=look.color, alpha=0.8, zorder=3)


def _legend(look_of: dict[str, Look]) -> list[Line2D]:
    handles = [
        Line2D([], [], marker=look.marker, ls=look.stroke, ms=3.8, mew=0, lw=1.3, color=look.color, label=name)
        for name, look in look_of.items()
    ]
    return [*handles, Line2D([], [], marker="D", ls="", ms=4.5, mfc=PAPER, mec=INK, label="fitted minimum")]
