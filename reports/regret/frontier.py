"""The figure of LR regret against search cost, as inline SVG: a panel per target with its entries and baselines."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from lrladder.benchmark.studies.regret.results import RegretResults, TargetResult
from lrladder.reports.drawing import (
    INK,
    MUTED,
    PAPER,
    colors_of,
    markers_of,
    parametrization_name,
    style,
    to_svg,
)
from lrladder.reports.formats import short
from lrladder.reports.panels import panel_grid, panel_title
from lrladder.reports.regret.baselines import KEEP, SWEEP, baselines

COLUMNS = 3
DODGE = 0.03  # of a decade of cost, between entries that cost the same
BASELINE_MARKERS = {SWEEP: "*", KEEP: "d"}


class Point(NamedTuple):
    """An entry or a baseline at a target: cost in runs of that target, LR regret and its 90% interval in nats."""

    name: str
    parametrization: str
    is_entry: bool
    cost: float
    regret: float
    low: float | None = None
    high: float | None = None


def place_of(target: TargetResult) -> str:
    """The rung and horizon of a target in words."""
    return f"{target.rung}, {short(target.tokens)} tokens"


def points(results: RegretResults, target: TargetResult) -> list[Point]:
    """The entries and baselines at a target that have a search cost and an LR regret."""
    entries = [
        Point(p.name, p.parametrization, True, p.cost_fraction, p.lr_regret, p.lr_regret_low, p.lr_regret_high)
        for p in target.paradigms
        if p.lr_regret is not None and p.cost_fraction > 0
    ]
    return entries + [
        Point(b.name, b.parametrization, False, b.cost_flops / target.run_flops, b.lr_regret, b.low, b.high)
        for b in baselines(results, target)
        if b.lr_regret is not None and b.cost_flops > 0 and target.run_flops > 0
    ]


def frontier(found: Sequence[Point]) -> list[Point]:
    """The entries that have a lower LR regret than every entry that costs less or the same, by rising cost."""
    best: list[Point] = []
    for point in sorted((p for p in found if p.is_entry), key=lambda p: (p.cost, p.regret)):
        if not best or point.regret < best[-1].regret:
            best.append(point)
    return best


def rows(results: RegretResults) -> pd.DataFrame:
    """The data of the figure: a row per target and point."""
    at_targets = [(t, points(results, t)) for t in results.targets]
    found = [(t.rung, t.tokens, *p, p in frontier(some)) for t, some in at_targets for p in some]
    return pd.DataFrame(found, columns=["rung", "tokens", *Point._fields, "on_frontier"])


def regret_against_cost(results: RegretResults) -> str | None:
    """The figure as SVG; None if no entry has an LR regret."""
    shown = [(t, points(results, t)) for t in results.targets]
    shown = [(t, found) for t, found in shown if any(p.is_entry for p in found)]
    if not shown:
        return None
    names = list(dict.fromkeys(p.name for _, found in shown for p in found if p.is_entry))
    marker_of = {name: marker for name, marker in markers_of(results).items() if name in names}
    look: dict[str, Any] = {"columns": COLUMNS, "ylabel": "LR regret (millinats/token)"}
    look |= {"xlabel": "search cost, in training runs at the target"}
    with style():
        figure, panels = panel_grid(len(shown), row=2.7, wspace=0.14, hspace=0.45, **look)
        for axes, (target, found) in zip(panels, shown, strict=True):
            _panel(axes, found, marker_of, colors_of(results))
            panel_title(axes, place_of(target))
        handles = _legend(results, marker_of, [p for _, found in shown for p in found if not p.is_entry])
        return to_svg(figure, "cost", "LR regret against search cost, by entry", handles)


def _panel(axes: Axes, found: Sequence[Point], marker_of: dict[str, str], colors: dict[str, str]) -> None:
    edge, place = frontier(found), _places(found)
    if edge:
        x = [place[p] for p in edge] + [1.5 * max(place.values())]
        y = [1e3 * p.regret for p in (*edge, edge[-1])]
        axes.step(x, y, where="post", color=MUTED, lw=1.0, ls="--", zorder=1)
    for p in found:
        look: dict[str, Any] = {"ms": 6, "elinewidth": 1.0, "capsize": 2.5, "zorder": 3}
        bars = None
        if p.low is not None and p.high is not None:
            bars = [[1e3 * max(0.0, p.regret - p.low)], [1e3 * max(0.0, p.high - p.regret)]]
        if p.is_entry:
            look |= {"fmt": marker_of[p.name], "color": colors[p.name]}
        else:
            look |= {"fmt": BASELINE_MARKERS[p.name], "color": INK, "mfc": PAPER, "ms": 8 if p.name == SWEEP else 6}
        axes.errorbar([place[p]], [1e3 * p.regret], yerr=bars, **look)
    axes.axhline(0, color=MUTED, lw=0.9, zorder=1)
    _cost_axis(axes, min(place.values()), max(place.values()))


def _places(found: Sequence[Point]) -> dict[Point, float]:
    """Where each point is drawn on the cost axis. Points with the same cost are drawn side by side."""
    places: dict[Point, float] = {}
    for p in found:
        alike = sum(abs(math.log10(p.cost / other.cost)) < DODGE for other in places)
        places[p] = p.cost * 10 ** (DODGE * alike)
    return places


def _cost_axis(axes: Axes, low: float, high: float) -> None:
    axes.set_xscale("log")
    axes.set_xlim(low / 1.6, high * 1.6)
    axes.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5) if high / low < 100 else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}\u00d7"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _legend(results: RegretResults, marker_of: dict[str, str], kinds: Sequence[Point]) -> list[Line2D]:
    colors, arms = colors_of(results), {p.name: p.parametrization for t in results.targets for p in t.paradigms}
    handles = []
    for name, marker in marker_of.items():
        label = f"{name} · {parametrization_name(arms[name])}"
        handles.append(Line2D([], [], marker=marker, ls="", ms=5.5, color=colors[name], label=label))
    for name in dict.fromkeys(p.name for p in kinds):
        marker, size = BASELINE_MARKERS[name], 7 if name == SWEEP else 5
        label = f"baseline: {name}" + (", one for each parametrization" if name == SWEEP else "")
        handles.append(Line2D([], [], marker=marker, ls="", ms=size, color=INK, mfc=PAPER, label=label))
    handles.append(Line2D([], [], color=MUTED, lw=1.0, ls="--", label="frontier of the entries"))
    return handles
