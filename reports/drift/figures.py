"""Figures of a drift study, as inline SVG: loss against LR at each point, and the best LRs along the axis."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from lrladder.benchmark.studies.drift.config import OFF
from lrladder.benchmark.studies.drift.results import AxisResult, DriftResults, PointResult, VariantResult
from lrladder.paradigms.lab import Measurement
from lrladder.reports.drawing import (
    BESIDE,
    BLUE,
    INK,
    MUTED,
    PALETTE,
    PAPER,
    SERIES,
    WIDTH,
    points_up_to,
    power_axis,
    shades,
    style,
    to_svg,
)
from lrladder.reports.formats import short, signed
from lrladder.reports.panels import COLUMNS, panel_grid, panel_title

MARKERS = "os^Dv"  # of the values of an axis, in their order
REACH = 0.35  # nats above the lowest loss of a curve that a panel shows
OTHERS = tuple(PALETTE[name] for name in SERIES[1:])  # rules that are on, in the order of the config


class Look(NamedTuple):
    """How the runs at one value of an axis are drawn."""

    color: str
    marker: str


def axis_panels(results: DriftResults, axis: AxisResult) -> str | None:
    """One panel of loss curves per variant, and one of the optima against the axis; None before any measurement.

    What was not measured has no panel.
    """
    axis = axis.model_copy(update={"variants": measured(axis)})
    if not axis.variants:
        return None
    fitted = any(variant.drift is not None for variant in axis.variants)
    n_panels = len(axis.variants) + fitted
    columns = min(COLUMNS, n_panels)
    values = sorted({point.value for variant in axis.variants for point in variant.points})
    looks = {value: Look(color, MARKERS[i % len(MARKERS)]) for i, (value, color) in enumerate(_shaded(values))}
    with style():
        look: dict[str, Any] = {"wspace": 0.3, "hspace": 0.42, "left": 0.055 if columns > 2 else 0.08}
        width = WIDTH if columns > 2 else WIDTH * BESIDE
        ylabel = "above the value's best (nats/token)"
        figure, panels = panel_grid(n_panels, row=2.7, xlabel="", ylabel=ylabel, width=width, **look)
        span, top = _lr_span(results, axis), _top(results, axis)
        for panel, variant in zip(panels, axis.variants, strict=False):
            _bowls(panel, results, variant, span, top, looks)
        if fitted:
            _optima(panels[-1], axis)
        label = f"Loss against learning rate along {axis.axis}, and the best ones"
        return to_svg(figure, f"axis-{axis.axis}", label, _legend(axis, looks))


def measured(axis: AxisResult) -> tuple[VariantResult, ...]:
    """The variants of which a run finished or diverged."""
    return tuple(v for v in axis.variants if any(point.n or point.n_diverged for point in v.points))


def _shaded(values: Sequence[int]) -> Iterator[tuple[int, str]]:
    return zip(values, shades(len(values)), strict=True)


def _legend(axis: AxisResult, looks: dict[int, Look]) -> list[Line2D]:
    """Legend entries for the values of the axis, and then for the lines of the last panel."""
    name = axis.axis.replace("_", " ")
    handles = [
        Line2D([], [], marker=look.marker, ms=4, mew=0, lw=1.1, color=look.color, label=f"{name} {short(value)}")
        for value, look in looks.items()
    ]
    handles.append(Line2D([], [], marker="D", ls="", ms=4, mfc=PAPER, mec=INK, mew=1.2, label="minimum"))
    for variant in axis.variants:
        drift = "" if variant.drift is None else f", drift {signed(variant.drift)}"
        color = colour(axis, variant)
        handles.append(Line2D([], [], marker="s", ms=4, mew=0, lw=1.4, color=color, label=f"{variant.name}{drift}"))
    expected = f"expected without the rule, {signed(axis.expected)}"
    return [*handles, Line2D([], [], ls="--", lw=1, color=MUTED, label=expected)]


def _top(results: DriftResults, axis: AxisResult) -> float:
    """Up to how many nats above the lowest a panel shows losses: all of them, but at most REACH."""
    found = [
        (m.loss or 0.0) - _floor(_runs(results, variant, point), point)
        for variant in axis.variants
        for point in variant.points
        for m in _runs(results, variant, point)
    ]
    return min(REACH, max(found, default=REACH)) or REACH


def _floor(runs: Sequence[Measurement], point: PointResult) -> float:
    return min(m.loss for m in runs if m.loss is not None) if point.minimum is None else point.minimum


def colour(axis: AxisResult, variant: VariantResult) -> str:
    """The colour of a variant. The one without the rule of the axis is blue."""
    if variant.name == OFF:
        return BLUE
    on = [other.name for other in axis.variants if other.name != OFF]
    return OTHERS[on.index(variant.name) % len(OTHERS)]


def _lr_span(results: DriftResults, axis: AxisResult) -> tuple[float, float]:
    """The range of log2 LR of all runs of the axis, with a margin of half an octave."""
    points = [(variant, point) for variant in axis.variants for point in variant.points]
    places = [math.log2(m.lr) for variant, point in points for m in _runs(results, variant, point)]
    return (min(places) - 0.5, max(places) + 0.5) if places else (-9.0, -2.0)


def _bowls(
    panel: Axes,
    results: DriftResults,
    variant: VariantResult,
    span: tuple[float, float],
    top: float,
    looks: dict[int, Look],
) -> None:
    for point in variant.points:
        _bowl(panel, _runs(results, variant, point), point, looks[point.value], span, top)
    panel.set_xlim(span)
    panel.set_ylim(min(-0.06 * top, panel.get_ylim()[0]), 1.12 * top)  # triangles stand above `top`
    power_axis(panel, *span)
    panel.yaxis.set_major_locator(MaxNLocator(4))
    panel.set_xlabel("LR of the study, before the rules")
    n = sum(point.n for point in variant.points)
    panel_title(panel, f"{variant.name}, n = {n} runs")


def _runs(results: DriftResults, variant: VariantResult, point: PointResult) -> list[Measurement]:
    cell = (variant.parametrization, point.rung, point.horizon)
    return [m for m in results.measurements if (m.parametrization, m.rung, m.horizon) == cell and m.loss is not None]


def _bowl(
    panel: Axes,
    runs: list[Measurement],
    point: PointResult,
    look: Look,
    span: tuple[float, float],
    top: float,
) -> None:
    losses = [m.loss for m in runs if m.loss is not None]
    if not losses:
        return
    floor = _floor(runs, point)
    x, y = [math.log2(m.lr) for m in runs], [loss - floor for loss in losses]
    points_up_to(panel, x, y, top, look.marker, ms=3.5, color=look.color, alpha=0.9)
    if point.lr_best is not None and point.curvature:
        offsets = np.linspace(-1.4, 1.4, 41)
        place, rise = math.log2(point.lr_best) + offsets / math.log(2), point.curvature * offsets**2
        shown = (place >= span[0]) & (place <= span[1]) & (rise <= top)
        panel.plot(place[shown], rise[shown], color=look.color, lw=1.1)
        panel.plot([math.log2(point.lr_best)], [0], marker="D", ms=4, mfc=PAPER, mec=look.color, mew=1.2, zorder=5)


def _optima(panel: Axes, axis: AxisResult) -> None:
    """Best LR against the axis, in octaves relative to the base; dashed: the published expectation without the rule.

    The slope of a line is the drift.
    """
    for i, variant in enumerate(axis.variants):
        _line(panel, variant, colour(axis, variant), shift=0.06 * (i - (len(axis.variants) - 1) / 2))
    ratios = sorted({math.log2(point.ratio) for variant in axis.variants for point in variant.points})
    ends = np.array([ratios[0], ratios[-1]])
    panel.plot(ends, axis.expected * ends, ls="--", lw=1, color=MUTED)
    panel.axhline(0, color=MUTED, lw=0.6)
    panel.xaxis.set_major_locator(FixedLocator(ratios))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{2.0**x:g}x"))
    panel.set_xlabel(f"{axis.axis.replace('_', ' ')}, relative to the base")
    panel.set_ylabel("octaves from the best at the base")
    panel_title(panel, "best learning rate")


def _line(panel: Axes, variant: VariantResult, color: str, *, shift: float) -> None:
    found = [point for point in variant.points if point.lr_best is not None]
    if not found or variant.drift is None or variant.at_base is None:
        return
    x = np.array([math.log2(point.ratio) for point in found])
    y = np.array([math.log2(point.lr_best or 1) - variant.at_base for point in found])
    low = [math.log2((point.lr_best or 1) / (point.lr_low or point.lr_best or 1)) for point in found]
    high = [math.log2((point.lr_high or point.lr_best or 1) / (point.lr_best or 1)) for point in found]
    panel.errorbar(x + shift, y, yerr=[low, high], fmt="s", ms=4, color=color, elinewidth=1, capsize=2)
    ends = np.array([x.min(), x.max()])
    panel.plot(ends, variant.drift * ends, color=color, lw=1.4)
