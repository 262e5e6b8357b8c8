"""Figures of stability and features, as inline SVG. A figure is None if nothing was recorded for it."""

from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.reports.drawing import (
    BESIDE,
    INK,
    MUTED,
    WIDTH,
    colors_of,
    label_colors,
    markers_of,
    parametrization_name,
    power_axis,
    style,
    to_svg,
)
from lrladder.reports.formats import short
from lrladder.reports.kept import kept
from lrladder.reports.lines import mean_lines
from lrladder.reports.panels import panel_title
from lrladder.reports.regret import health
from lrladder.reports.regret.signs import Metric

SHOWN = (
    Metric("attention_logit_max", "largest\nattention logit"),
    Metric("grad_spikes", "gradient spikes\nper run"),
    Metric("max_violation_train", "expert overload\n(MaxVio)"),
    Metric("update_ratio/expert_up~update_ratio_steady/expert_up", "update / steady\nstate, expert up"),
)
GRID: dict[str, Any] = {"bottom": 0.16, "top": 0.91, "wspace": 0.22}
MAX_COLUMNS = 6  # rungs that are shown; of a longer ladder the largest
SEEDS = 40  # the first of a proposal, which are drawn as points; with 1,000 a page would have 6 MB more


def stability(results: RegretResults) -> str | None:
    """Metrics against LR, a row per metric and a column per rung. A metric that is equal in all runs has no row."""
    frame = health.swept(results, SHOWN)
    swept = set(frame["rung"].unique())
    rungs = [r.name for r in results.rungs if r.name in swept][-MAX_COLUMNS:]
    shown = [metric for metric in SHOWN if frame.loc[frame["metric"] == metric.key, "value"].nunique() > 1]
    if not rungs or not shown:
        return None
    span = frame["log2_lr"].min() - 0.3, frame["log2_lr"].max() + 0.3
    height = 0.9 + 1.35 * len(shown)
    with style():
        figure = Figure(figsize=(WIDTH, height))
        grid = figure.subplots(len(shown), len(rungs), squeeze=False, sharex=True, sharey="row")
        figure.subplots_adjust(0.085, 0.5 / height, 0.995, 1 - 0.26 / height, wspace=0.08, hspace=0.16)
        for row, metric in zip(grid, shown, strict=True):
            for axes, rung in zip(row, rungs, strict=True):
                _metric(
                    axes, frame[(frame["rung"] == rung) & (frame["metric"] == metric.key)], span, label_colors(results)
                )
            row[0].set_ylabel(metric.title)
            # none of SHOWN is negative; set once all panels of the row are drawn, as it fixes the top too
            row[0].set_ylim(bottom=0)
        for axes, rung in zip(grid[0], rungs, strict=True):
            panel_title(axes, rung)
        figure.supxlabel("peak learning rate", fontsize=8.5, y=0.06 / height)
        label = "Signs of instability against learning rate, one column per rung"
        return to_svg(figure, "stability", label, _parametrization_legend(results))


def _metric(axes: Axes, here: pd.DataFrame, span: tuple[float, float], colors: dict[str, str]) -> None:
    if here.empty:
        axes.text(0.5, 0.5, "not recorded", transform=axes.transAxes, ha="center", va="center", color=MUTED)
    else:
        mean_lines(axes, here, x="log2_lr", y="value", of="parametrization", colors=colors, markersize=4)
    axes.set(xlabel="", ylabel="", xlim=span)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    power_axis(axes, *span)


def _parametrization_legend(results: RegretResults) -> list[Line2D]:
    return [
        Line2D([], [], marker="o", lw=1.1, ms=4, color=color, label=parametrization_name(key))
        for key, color in label_colors(results).items()
    ]


def features(results: RegretResults) -> str | None:
    """Change of features against width at the best LR; at the largest target, against depth, and of outputs by role."""
    change = health.feature_rows(results)
    target = largest_target(results)
    if change.empty and target is None:
        return None
    with style():
        figure = Figure(figsize=(WIDTH, 3.3))
        over_width, by_depth = _row(figure, 2, left=0.05, right=0.45)
        aligned, outputs = _row(figure, 2, left=0.56, right=0.98)  # room for the roles
        _over_width(over_width, change, label_colors(results))
        if target is not None:
            colors = colors_of(results)
            _by_depth(by_depth, health.metric_rows(results, "feature_change/", target), results)
            _by_role(aligned, health.metric_rows(results, "alignment_ratio/", target), colors)
            _by_role(outputs, health.metric_rows(results, "output_change/", target), colors)
            aligned.axvline(1, color=INK, lw=0.7, zorder=0)
            outputs.set_yticklabels([])
            panel_title(by_depth, "features by depth")
            panel_title(aligned, "alignment ratio")
            panel_title(outputs, "output change")
        handles = _entry_legend(results) + _parametrization_legend(results)
        label = "Feature change over width and depth, alignment and output change by role"
        return to_svg(figure, "features", label, handles)


def _row(figure: Figure, panels: int, *, left: float, right: float) -> list[Axes]:
    """Panels side by side on a part of the width of a figure."""
    return list(figure.add_gridspec(1, panels, left=left, right=right, **GRID).subplots(squeeze=False)[0])


def by_depth_and_role(results: RegretResults) -> str | None:
    """RMS of activations by depth, and updates / their steady state by role, at the largest target."""
    target = largest_target(results)
    if target is None:
        return None
    with style():
        figure = Figure(figsize=(WIDTH * BESIDE, 3.0))
        (depth,) = _row(figure, 1, left=0.07, right=0.45)
        (role,) = _row(figure, 1, left=0.6, right=0.97)  # room for the names of roles
        _by_depth(depth, health.metric_rows(results, "activation_rms/", target), results)
        _by_role(role, health.steady_rows(results, target), colors_of(results))
        panel_title(depth, "RMS of the residual stream")
        panel_title(role, "update / steady state")
        label = "Activation RMS by depth, and update-to-weight ratios by role"
        return to_svg(figure, "depth", label, _entry_legend(results))


def _entry_legend(results: RegretResults) -> list[Line2D]:
    """Legend entries for the entries whose proposals were trained."""
    colors = colors_of(results)
    proposed = {own for _, own, _ in health.own_runs(results)}
    names = [name for name in colors if name in proposed]
    markers = markers_of(results)
    return [Line2D([], [], marker=markers[n], ms=4, mew=0, lw=1.1, color=colors[n], label=n) for n in names]


@kept
def largest_target(results: RegretResults) -> tuple[str, int] | None:
    """(rung, horizon) of the largest target at which features of proposals were recorded; None if there is none."""
    recorded = {(m.rung, m.horizon) for _, _, m in health.own_runs(results) if "feature_change/0" in m.metrics}
    here = [t for t in results.targets if (t.rung, t.tokens) in recorded]
    best = max(here, key=lambda t: (t.n_active, t.tokens), default=None)
    return None if best is None else (best.rung, best.tokens)


def _over_width(axes: Axes, change: pd.DataFrame, colors: dict[str, str]) -> None:
    if len(change):
        mean_lines(axes, change, x="width", y="value", of="parametrization", colors=colors)
        widths = sorted(set(change["width"]))
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(widths))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        axes.set_ylim(bottom=0)
    axes.set(xlabel="width", ylabel="RMS change / RMS at init")
    panel_title(axes, "last features")


def _by_depth(axes: Axes, rows: pd.DataFrame, results: RegretResults) -> None:
    if len(rows):
        rows = rows.assign(depth=rows["metric"].astype(int))
        look: dict[str, Any] = {"colors": colors_of(results), "markers": markers_of(results)}
        mean_lines(axes, rows, x="depth", y="value", of="paradigm", **look)
        axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="blocks passed", ylabel="")


def _by_role(axes: Axes, rows: pd.DataFrame, colors: dict[str, str]) -> None:
    if len(rows):
        first = sorted(set(rows["seed"]))[:SEEDS]
        rows = rows[rows["seed"].isin(first)].assign(metric=rows["metric"].str.replace("_", " "))
        look: dict[str, Any] = {"palette": colors, "legend": False, "ax": axes, "size": 4}
        sns.stripplot(rows, x="value", y="metric", hue="paradigm", dodge=True, jitter=False, **look)
        axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set(xlabel="", ylabel="")
