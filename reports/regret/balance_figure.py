"""The figure of the load balance of the experts by rung, as inline SVG."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.reports.drawing import BESIDE, MUTED, WIDTH, label_colors, parametrization_name, plain, style, to_svg
from lrladder.reports.regret import health

SPREAD = 0.5  # share of the distance between two rungs over which the points of their parametrizations are spread


def rows(results: RegretResults) -> pd.DataFrame:
    """A table with a row per rung and parametrization."""
    found = [(b.rung, b.depth, b.parametrization, b.lr, *b.spread) for b in health.balances(results)]
    return pd.DataFrame(found, columns=["rung", "depth", "parametrization", "lr", "mean", "least", "most", "n"])


def loads_by_rung(results: RegretResults) -> str | None:
    """Load of the busiest expert / mean load at the best LR of each rung, by parametrization; None if not recorded."""
    found = health.balances(results)
    if not found:
        return None
    rungs = [r.name for r in results.rungs if any(b.rung == r.name for b in found)]
    colors = {
        name: color for name, color in label_colors(results).items() if any(b.parametrization == name for b in found)
    }
    with style():
        figure = Figure(figsize=(WIDTH * BESIDE, 2.7))
        axes = figure.subplots()
        figure.subplots_adjust(0.085, 0.12, 0.985, 0.97)
        handles = []
        for i, (name, color) in enumerate(colors.items()):
            own = [b for b in found if b.parametrization == name]
            x = [rungs.index(b.rung) + SPREAD * ((i + 0.5) / len(colors) - 0.5) for b in own]
            means = [b.spread.mean for b in own]
            bars = [[b.spread.mean - b.spread.least for b in own], [b.spread.most - b.spread.mean for b in own]]
            look: dict[str, Any] = {"fmt": "o-", "ms": 5, "lw": 0.9, "color": color, "elinewidth": 1, "capsize": 2.5}
            handles.append(axes.errorbar(x, means, yerr=bars, label=parametrization_name(name), **look))
        axes.axhline(1, color=MUTED, lw=0.9, zorder=1)
        axes.set_xticks(range(len(rungs)), [plain(name) for name in rungs])
        axes.set_xlim(-0.6, len(rungs) - 0.4)
        axes.grid(visible=False, axis="x")
        axes.set_ylabel("busiest expert / mean load")
        return to_svg(figure, "balance", "Load of the busiest expert over the mean, by rung", handles)
