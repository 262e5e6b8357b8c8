"""Figures of a drift study, as inline SVG: loss against LR at each point, and the optima along the axis."""

import math

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from lrladder.benchmark.studies.drift.config import OFF
from lrladder.benchmark.studies.drift.results import AxisResult, DriftResults, PointResult, VariantResult
from lrladder.paradigms.lab import Measurement
from lrladder.reports.drawing import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    PURPLE,
    WIDTH,
    points_up_to,
    power_axis,
    style,
    to_svg,
)
from lrladder.reports.formats import short

REACH = 0.35  # nats above the lowest loss of a curve that a panel shows
OTHERS = (ORANGE, GREEN, PURPLE)  # rules that are on, in the order of the config


def axis_panels(results: DriftResults, axis: AxisResult) -> str | None:
    """One panel of loss curves per variant, and one of the optima against the axis; None before any measurement."""
    if not any(point.n for variant in axis.variants for point in variant.points):
        return None
    with style():
        figure = Figure(figsize=(WIDTH, 3.1))
        panels = figure.subplots(1, len(axis.variants) + 1, squeeze=False)[0]
        figure.subplots_adjust(0.055, 0.16, 0.995, 0.92, wspace=0.3)
        span = _lr_span(results, axis)
        for panel, variant in zip(panels, axis.variants, strict=False):
            _bowls(panel, results, axis, variant, span)
        panels[0].set_ylabel("loss above the point's best (nats/token)")
        _optima(panels[-1], axis)
        return to_svg(figure, f"axis-{axis.axis}", f"Loss against learning rate along {axis.axis}, and the best ones")


def colour(axis: AxisResult, variant: VariantResult) -> str:
    """One colour per set of rules: blue without the axis's rule."""
    if variant.name == OFF:
        return BLUE
    on = [other.name for other in axis.variants if other.name != OFF]
    return OTHERS[on.index(variant.name) % len(OTHERS)]


def _lr_span(results: DriftResults, axis: AxisResult) -> tuple[float, float]:
    """Of all runs of the axis, with a margin, octaves."""
    points = [(variant, point) for variant in axis.variants for point in variant.points]
    places = [math.log2(m.lr) for variant, point in points for m in _runs(results, variant, point)]
    return (min(places) - 0.5, max(places) + 0.5) if places else (-9.0, -2.0)


def _bowls(
    panel: Axes, results: DriftResults, axis: AxisResult, variant: VariantResult, span: tuple[float, float]
) -> None:
    shades = sns.light_palette(colour(axis, variant), n_colors=len(variant.points) + 2)[2:]
    for point, shade in zip(variant.points, shades, strict=True):
        _bowl(panel, _runs(results, variant, point), point, shade, span)
    panel.set_xlim(span)
    panel.set_ylim(min(-0.03, panel.get_ylim()[0]), 1.4 * REACH)  # the legend stands above REACH
    power_axis(panel, *span)
    panel.yaxis.set_major_locator(MaxNLocator(4))
    panel.set_xlabel("learning rate of the study (before the rules)")
    n = sum(point.n for point in variant.points)
    panel.set_title(f"{variant.name}, n = {n} runs", loc="left", color=INK)
    if n:
        panel.legend(loc="upper center", frameon=False, fontsize=7, ncols=3, handlelength=1, columnspacing=1)


def _runs(results: DriftResults, variant: VariantResult, point: PointResult) -> list[Measurement]:
    cell = (variant.parametrization, point.rung, point.horizon)
    return [m for m in results.measurements if (m.parametrization, m.rung, m.horizon) == cell and m.loss is not None]


def _bowl(
    panel: Axes,
    runs: list[Measurement],
    point: PointResult,
    shade: tuple[float, float, float],
    span: tuple[float, float],
) -> None:
    losses = [m.loss for m in runs if m.loss is not None]
    if not losses:
        return
    floor = min(losses) if point.minimum is None else point.minimum
    places = [math.log2(m.lr) for m in runs]
    above = [loss - floor for loss in losses]
    label = f"{short(point.value)}" + ("" if point.status == "interior" else f" ({point.status})")
    points_up_to(panel, places, above, REACH, ms=3.5, color=shade, alpha=0.9, label=label)
    if point.lr_best is not None and point.curvature:
        offsets = np.linspace(-1.4, 1.4, 41)
        x, y = math.log2(point.lr_best) + offsets / math.log(2), point.curvature * offsets**2
        shown = (x >= span[0]) & (x <= span[1]) & (y <= REACH)
        panel.plot(x[shown], y[shown], color=shade, lw=1.1)
        panel.plot([math.log2(point.lr_best)], [0], marker="D", ms=4, mfc=PAPER, mec=shade, mew=1.2, zorder=5)


def _optima(panel: Axes, axis: AxisResult) -> None:
    """Best LR against the axis, in octaves relative to the base; dashed: the published expectation without the rule."""
    for i, variant in enumerate(axis.variants):
        _line(panel, variant, colour(axis, variant), shift=0.04 * (i - (len(axis.variants) - 1) / 2))
    ratios = sorted({math.log2(point.ratio) for variant in axis.variants for point in variant.points})
    ends = np.array([ratios[0], ratios[-1]])
    panel.plot(
        ends, axis.expected * ends, ls="--", lw=1, color=MUTED, label=f"expected without the rule {axis.expected:+.2f}"
    )
    panel.axhline(0, color=MUTED, lw=0.6)
    panel.xaxis.set_major_locator(FixedLocator(ratios))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{2.0**x:g}x"))
    panel.set_xlabel(f"{axis.axis.replace('_', ' ')}, relative to the base")
    panel.set_ylabel("octaves from the best at the base")
    panel.set_title("best learning rate, and drift per doubling", loc="left", color=INK)
    panel.legend(loc="best", frameon=False, fontsize=7, handlelength=1.4)


def _line(panel: Axes, variant: VariantResult, color: str, *, shift: float) -> None:
    found = [point for point in variant.points if point.lr_best is not None]
    if not found or variant.drift is None or variant.at_base is None:
        return
    x = np.array([math.log2(point.ratio) for point in found])
    y = np.array([math.log2(point.lr_best or 1) - variant.at_base for point in found])
    low = [math.log2((point.lr_best or 1) / (point.lr_low or point.lr_best or 1)) for point in found]
    high = [math.log2((point.lr_high or point.lr_best or 1) / (point.lr_best or 1)) for point in found]
    panel.errorbar(x + shift, y, yerr=[low, high], fmt="o", ms=4, color=color, elinewidth=1, capsize=2)
    ends = np.array([x.min(), x.max()])
    panel.plot(ends, variant.drift * ends, color=color, lw=1.4, label=f"{variant.name} {variant.drift:+.2f}")
