"""The figure of compared studies: regret at every target, one colour per paradigm, one marker per study."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lrladder.reports.compare.side_by_side import Study, frame
from lrladder.reports.drawing import (
    INK,
    MUTED,
    PAPER,
    WIDTH,
    paradigm_colors,
    style,
    to_svg,
)
from lrladder.reports.panels import SIZE_LABEL, size_axis

MARKERS = ("o", "s", "D", "^", "v", "P", "h", "<")
MARGIN = 1.5  # factor by which the axis extends beyond the smallest and the largest size
STEP = 0.018  # distance between points of one size, as a share of the axis


def regret_by_size(studies: Sequence[Study]) -> str | None:
    """Regret against active parameters with 90% intervals, as SVG; None if no study has a regret."""
    points = frame(studies)
    points = points[np.isfinite(points["regret"].astype(float))].reset_index(drop=True)
    if points.empty:
        return None
    labels = [study.label for study in studies]
    markers = {label: MARKERS[place % len(MARKERS)] for place, label in enumerate(labels)}
    names = list(dict.fromkeys(points["name"]))
    colors = paradigm_colors(names)
    points["x"] = points["n_active"] * _dodge(points)
    points["y"] = 1000 * points["regret"]
    with style():
        figure = Figure(figsize=(WIDTH, 3.4))
        axes = figure.subplots()
        figure.subplots_adjust(0.055, 0.15, 0.99, 0.97)
        _intervals(axes, points, colors)
        look: dict[str, Any] = {"s": 42, "edgecolor": PAPER, "linewidth": 0.5, "legend": False, "zorder": 3}
        sns.scatterplot(
            points, x="x", y="y", hue="name", style="study", palette=colors, markers=markers, ax=axes, **look
        )
        axes.axhline(0, color=MUTED, lw=0.9, zorder=1)
        size_axis(axes, points["n_active"], margin=MARGIN)
        axes.set(xlabel=SIZE_LABEL, ylabel="regret (millinats/token)")
        label = "Regret against active parameters, by study and paradigm"
        return to_svg(figure, "regrets", label, _legend(names, colors, markers))


def _dodge(points: pd.DataFrame) -> pd.Series:
    """Factors on the size, by which points of one size are drawn beside each other."""
    span = math.log(points["n_active"].max() / points["n_active"].min() * MARGIN**2)
    size = points.groupby("n_active")["name"]
    places = size.cumcount() - (size.transform("size") - 1) / 2
    return np.exp(STEP * span * places)


def _intervals(axes: Axes, points: pd.DataFrame, colors: dict[str, str]) -> None:
    known = points[np.isfinite(points["regret_low"]) & np.isfinite(points["regret_high"])]
    for row in known.to_dict("records"):
        ends = (1000 * row["regret_low"], 1000 * row["regret_high"])
        axes.vlines(row["x"], *ends, color=colors[row["name"]], lw=1.0, zorder=2)


def _legend(names: list[str], colors: dict[str, str], markers: dict[str, str]) -> list[Line2D]:
    found = [Line2D([], [], marker="o", ls="", ms=5, color=colors[name], label=name) for name in names]
    for label, marker in markers.items():
        text = label if len(label) <= 30 else "…" + label[-29:]
        found.append(Line2D([], [], marker=marker, ls="", ms=5, mfc=PAPER, mec=INK, label=text))
    return found
