"""The figure of loss against size by entry, as inline SVG: the loss, and at each target the loss above the lowest."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lrladder.benchmark.studies.regret.results import RegretResults, TargetResult
from lrladder.reports.drawing import (
    MUTED,
    PAPER,
    WIDTH,
    colors_of,
    label_colors,
    markers_of,
    parametrization_name,
    plain,
    style,
    to_svg,
)
from lrladder.reports.formats import short
from lrladder.reports.panels import SIZE_LABEL, panel_title, size_axis
from lrladder.reports.regret import analysis

SPREAD = 0.5  # share of the distance between two targets over which the entries of one are spread


def loss_over_size(results: RegretResults) -> str | None:
    """The figure as SVG; None if no entry has a loss."""
    frame = analysis.paradigms(results)
    frame = frame[frame["loss"].notna()]
    if frame.empty:
        return None
    with style():
        figure = Figure(figsize=(WIDTH, 3.3))
        whole, apart = figure.subplots(1, 2, width_ratios=(1, 1.15))
        figure.subplots_adjust(0.055, 0.15, 0.99, 0.91, wspace=0.16)
        _whole(whole, results, frame)
        _apart(apart, [t for t in results.targets if any(p.loss is not None for p in t.paradigms)], results)
        return to_svg(figure, "size", "Loss against size by entry", _legend(results, frame))


def minima(results: RegretResults) -> pd.DataFrame:
    """A table of the fitted minima of the proxies at their longest horizon."""
    rungs = {rung.name: rung for rung in results.rungs if rung.part == "proxy"}
    rows = [
        (c.rung, rungs[c.rung].n_active, c.parametrization, c.horizon, c.minimum)
        for c in results.curves
        if c.rung in rungs and c.minimum is not None and c.horizon == max(rungs[c.rung].horizons)
    ]
    return pd.DataFrame(rows, columns=["rung", "n_active", "parametrization", "tokens", "loss"]).sort_values("n_active")


def _whole(axes: Axes, results: RegretResults, frame: pd.DataFrame) -> None:
    for name, color in label_colors(results).items():
        own = minima(results)
        own = own[own["parametrization"] == name]
        for _, alike in own.groupby("tokens"):  # longer training lowers the loss too, so a line joins one horizon
            axes.plot(alike["n_active"], alike["loss"], "D-", ms=5, mfc=PAPER, mec=color, color=color, lw=0.9)
    for name, color in colors_of(results).items():
        own = frame[frame["name"] == name].sort_values(["n_active", "tokens"])
        look: dict[str, Any] = {"marker": markers_of(results)[name], "ls": "", "ms": 5, "mew": 0, "alpha": 0.9}
        axes.plot(own["n_active"], own["loss"], color=color, zorder=3, **look)
    size_axis(axes, (rung.n_active for rung in results.rungs))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set(xlabel=SIZE_LABEL, ylabel="validation loss (nats/token)")
    panel_title(axes, "loss")


def _apart(axes: Axes, targets: list[TargetResult], results: RegretResults) -> None:
    colors, markers = colors_of(results), markers_of(results)
    for place, target in enumerate(targets):
        known = [p for p in target.paradigms if p.loss is not None]
        best = min(known, key=lambda p: p.loss or 0.0)
        ends = {d.second: d for d in target.differences if d.first == best.name}
        turned = {d.first: d for d in target.differences if d.second == best.name}
        for i, p in enumerate(known):
            value = (p.loss or 0.0) - (best.loss or 0.0)
            found = ends.get(p.name) or turned.get(p.name)
            half = None if found is None or found.low is None or found.high is None else (found.high - found.low) / 2
            x = place + SPREAD * ((i + 0.5) / len(known) - 0.5)
            look: dict[str, Any] = {"fmt": markers[p.name], "ms": 5, "color": colors[p.name], "elinewidth": 1}
            axes.errorbar([x], [1e3 * value], yerr=None if half is None else [1e3 * half], capsize=2.5, **look)
    names = [plain(f"{t.rung}\n{short(t.tokens)} tokens") for t in targets]
    axes.set_xticks(range(len(targets)), names)
    axes.set_xlim(-0.6, len(targets) - 0.4)
    axes.grid(visible=False, axis="x")
    axes.axhline(0, color=MUTED, lw=0.9, zorder=1)
    axes.set_ylabel("above the lowest entry (millinats/token)")
    panel_title(axes, "at the targets, above the lowest entry")


def _legend(results: RegretResults, frame: pd.DataFrame) -> list[Line2D]:
    colors, markers, names = colors_of(results), markers_of(results), list(dict.fromkeys(frame["name"]))
    handles = [Line2D([], [], marker=markers[n], ls="", ms=5, mew=0, color=colors[n], label=n) for n in names]
    found = set(minima(results)["parametrization"])
    return handles + [
        Line2D(
            [], [], marker="D", ms=5, lw=0.9, mfc=PAPER, mec=color, color=color,
            label=f"proxies, fitted minimum: {parametrization_name(name)}",
        )
        for name, color in label_colors(results).items()
        if name in found
    ]  # fmt: skip
