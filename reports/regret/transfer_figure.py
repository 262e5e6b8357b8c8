"""The figure of how far the best LR moves from the base, as inline SVG."""

from typing import Any

from matplotlib.figure import Figure

from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.reports.drawing import BESIDE, MUTED, WIDTH, label_colors, parametrization_name, plain, style, to_svg
from lrladder.reports.panels import size_axis
from lrladder.reports.regret import analysis

STEP = 0.014  # share of the size by which the points of two arms at one rung are drawn apart


def best_lr_over_size(results: RegretResults) -> str | None:
    """Best LR of each arm at the longest horizon of each rung, in octaves from the base; None without a best LR."""
    frame = analysis.drift(results)
    if frame.empty:
        return None
    with style():
        figure = Figure(figsize=(WIDTH * BESIDE, 3.2))
        axes = figure.subplots()
        figure.subplots_adjust(0.085, 0.15, 0.985, 0.97)
        colors = label_colors(results)
        handles = []
        for place, (name, color) in enumerate(colors.items()):
            rows = frame[frame["parametrization"] == name].sort_values("n_active")
            if len(rows):
                bars = [rows["octaves"] - rows["low"], rows["high"] - rows["octaves"]]
                look: dict[str, Any] = {"color": color, "ms": 5.5, "elinewidth": 1.0, "capsize": 2.5, "lw": 1.1}
                look |= {"label": parametrization_name(name)}
                x = rows["n_active"] * (1 + STEP * (place - (len(colors) - 1) / 2))
                handles.append(axes.errorbar(x, rows["octaves"], yerr=bars, fmt="o-", **look))
        axes.axhline(0, color=MUTED, lw=0.9, zorder=1)
        names = dict(zip(frame["n_active"], frame["rung"], strict=True))
        size_axis(axes, names, named=lambda size: plain(names.get(round(size), "")))
        axes.set_xlabel("rung, by active parameters")
        axes.set_ylabel(f"octaves from the base, {plain(analysis.base_rung(results) or '')}")
        return to_svg(figure, "transfer", "Best learning rate of each rung, in octaves from the base", handles)
