"""The figure of a tuned recipe, as inline SVG: a panel per ingredient with loss against its value in octaves."""

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from lrladder.benchmark.studies.recipe.results import CurvePoint, IngredientResult, TuningResults
from lrladder.reports.drawing import BLUE, MUTED, ORANGE, PAPER, style, to_svg
from lrladder.reports.panels import panel_grid, panel_title

COLUMNS = 3
TICKS = 5  # most values that are named on an axis
NAMES = {
    "embedding_lr": "embedding LR / matrices'",
    "lr": "LR of the matrices",
    "embedding_std": "embedding std",
    "embedding_std+embedding_lr": "embedding std, its LR with it",
    "head_lr": "head LR / matrices'",
    "norm_lr": "norm LR / matrices'",
    "router_lr": "router LR / matrices'",
    "weight_decay": "weight decay",
    "beta2": "beta2, in octaves of 1 - beta2",
}


def panels(results: TuningResults) -> str | None:
    """The figure; None before any ingredient has a curve.

    Each panel has its own range, because the heights of the curves differ tenfold.
    """
    drawn = [one for one in results.ingredients if any(point.loss is not None for point in one.curve)]
    if not drawn:
        return None
    with style():
        look: dict[str, Any] = {"xlabel": "", "ylabel": "above the best (millinats)", "columns": COLUMNS}
        figure, grid = panel_grid(len(drawn), row=2.4, wspace=0.2, hspace=0.4, **look)
        for panel, one in zip(grid, drawn, strict=True):
            _panel(panel, one, results.noise)
        return to_svg(figure, "recipe", "Loss against the value of each ingredient", _legend())


def _panel(panel: Axes, one: IngredientResult, noise: float | None) -> None:
    known = [(point.octaves, point.loss, point.n) for point in one.curve if point.loss is not None]
    best = min(loss for _, loss, _ in known)
    x, y = [octaves for octaves, _, _ in known], [1e3 * (loss - best) for _, loss, _ in known]
    bars = None if noise is None else [1e3 * noise / math.sqrt(n) for _, _, n in known]
    panel.errorbar(x, y, yerr=bars, fmt="o-", ms=4, lw=1.1, color=BLUE, elinewidth=1, capsize=2, zorder=3)
    top = max(y) * 1.15 + (max(bars) if bars else 1.0)
    _mark(panel, one, dict(zip(x, y, strict=True)))
    for point in one.curve:
        if point.loss is None:
            panel.plot([point.octaves], [top * 0.93], marker="x", ms=5, color=ORANGE, mew=1.4)
    panel.set_ylim(-0.06 * top - (max(bars) if bars else 0.0), top)
    panel.yaxis.set_major_locator(MaxNLocator(4))
    _name_values(panel, one.curve)
    panel_title(panel, f"{NAMES.get(one.name, one.name)}: {one.status}")


def _mark(panel: Axes, one: IngredientResult, heights: dict[float, float]) -> None:
    """Draw the chosen value as a line, with a diamond if it was measured, and the old value as a dotted line."""
    chosen = _octaves(one, one.chosen)
    panel.axvline(chosen, color=ORANGE, lw=1)
    if chosen in heights:
        panel.plot([chosen], [heights[chosen]], marker="D", ms=6, mfc=PAPER, mec=ORANGE, mew=1.4, zorder=5)
    if one.old != one.chosen:
        panel.axvline(_octaves(one, one.old), color=MUTED, lw=0.9, ls=":")


def _octaves(one: IngredientResult, value: float) -> float:
    """The octaves of a value on the axis of its curve. The value need not have been measured."""
    at = {point.value: point.octaves for point in one.curve}
    if value in at:
        return at[value]
    first = one.curve[0]
    amounts = (1 - value, 1 - first.value) if one.name == "beta2" else (value, first.value)
    return first.octaves + math.log2(amounts[0] / amounts[1])


def _legend() -> list[Line2D]:
    return [
        Line2D([], [], marker="o", ms=4, lw=1.1, color=BLUE, label="mean loss, ± one standard deviation"),
        Line2D([], [], marker="D", ms=5, lw=1, mfc=PAPER, mec=ORANGE, color=ORANGE, label="chosen value"),
        Line2D([], [], lw=0.9, ls=":", color=MUTED, label="old value, where another was chosen"),
        Line2D([], [], marker="x", ls="", ms=5, mew=1.4, color=ORANGE, label="a seed diverged"),
    ]


def _name_values(panel: Axes, curve: tuple[CurvePoint, ...]) -> None:
    some = curve[:: max(1, math.ceil(len(curve) / TICKS))]
    names = {point.octaves: f"{point.value:.4g}" for point in some}
    panel.xaxis.set_major_locator(FixedLocator(list(names)))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: names.get(x, "")))
