"""Figures of a fit, as inline SVG: loss curves of the cells, and the best LRs with the law."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from lrladder.benchmark.own_runs.fit import law_points
from lrladder.benchmark.own_runs.fit_results import FitCell, FitResults
from lrladder.paradigms.laws.law import fit_law
from lrladder.reports.drawing import (
    BESIDE,
    PAPER,
    WIDTH,
    points_up_to,
    power_axis,
    shades,
    style,
    to_svg,
)
from lrladder.reports.formats import short
from lrladder.reports.panels import panel_grid, panel_title

MAX_SIZES = 12  # panels of curves; if there are more sizes, some are left out, and the caption says so


def models_of(results: FitResults) -> list[tuple[str, float, float]]:
    """(family, n_params, n_active) of the chosen cells: all of them, or MAX_SIZES spread evenly over the sizes."""
    found = sorted({(cell.family, cell.n_params, cell.n_active) for cell in results.cells if cell.chosen})
    if len(found) <= MAX_SIZES:
        return found
    return [found[round(i * (len(found) - 1) / (MAX_SIZES - 1))] for i in range(MAX_SIZES)]


def curves(results: FitResults) -> str | None:
    """A panel per model with loss against LR at the chosen batch, a shade per horizon; None without a chosen cell."""
    models = models_of(results)
    if not models:
        return None
    look: dict[str, Any] = {"xlabel": "peak learning rate", "ylabel": "loss above its minimum (nats)"}
    with style():
        figure, panels = panel_grid(len(models), row=2.4, head=0.42, wspace=0.27, hspace=0.45, **look)
        for axes, model in zip(panels, models, strict=True):
            cells = [c for c in results.cells if c.chosen and (c.family, c.n_params, c.n_active) == model]
            _panel(axes, model, sorted(cells, key=lambda cell: cell.tokens))
        return to_svg(figure, "fit-curves", "Loss against learning rate, one panel per model, one shade per horizon")


def _panel(axes: Axes, model: tuple[str, float, float], cells: Sequence[FitCell]) -> None:
    highest, drawn = 0.0, []
    for cell, shade in zip(cells, shades(len(cells)), strict=True):
        finished = [(lr, loss) for lr, loss in zip(cell.lrs, cell.losses, strict=True) if loss is not None]
        if not finished:
            continue
        floor = min(loss for _, loss in finished) if cell.loss is None else cell.loss
        above = [loss - floor for _, loss in finished]
        highest = max(highest, sorted(above)[len(above) // 2])
        drawn.append((cell, shade, [math.log2(lr) for lr, _ in finished], above))
    top = 2.5 * highest or 0.1
    for cell, shade, x, above in drawn:
        points_up_to(axes, x, above, top, ms=2.6, color=shade, alpha=0.9)
        _parabola(axes, cell, shade, top)
    axes.set_ylim(min(-0.08 * top, 1.2 * min((min(above) for *_, above in drawn), default=0.0)), 1.15 * top)
    lrs = [math.log2(lr) for cell in cells for lr in cell.lrs]
    axes.set_xlim(min(lrs) - 0.4, max(lrs) + 0.4)
    power_axis(axes, *axes.get_xlim())
    axes.yaxis.set_major_locator(MaxNLocator(4))
    family, n_params, n_active = model
    active = "" if n_active == n_params else f" ({short(n_active)} active)"
    name = f"{family[:14]} " if family else ""
    horizons = f"{short(cells[0].tokens)} to {short(cells[-1].tokens)} tokens, n = {sum(cell.n for cell in cells)} runs"
    panel_title(axes, f"{name}N {short(n_params)}{active}", horizons)


def _parabola(axes: Axes, cell: FitCell, shade: str, top: float) -> None:
    if cell.lr_best is None or not cell.curvature:
        return
    x = np.linspace(math.log(min(cell.lrs)), math.log(max(cell.lrs)), 60)
    y = cell.curvature * (x - math.log(cell.lr_best)) ** 2
    axes.plot(x[y <= top] / math.log(2), y[y <= top], color=shade, lw=0.9, alpha=0.7)
    axes.plot([math.log2(cell.lr_best)], [0], marker="D", ms=3.4, mfc=PAPER, mec=shade, mew=1, zorder=5)


def optima(results: FitResults) -> str | None:
    """Best LR against tokens with intervals, and the fitted law with its interval; a shade per size.

    None without a chosen cell that has a best LR.
    """
    cells = [cell for cell in results.cells if cell.chosen and cell.lr_best is not None]
    if not cells:
        return None
    law = fit_law([point._replace(batch_tokens=None) for point in law_points(results.cells)], n_boot=0)
    models = sorted({(cell.n_active, cell.n_params) for cell in cells})
    tokens = np.geomspace(min(c.tokens for c in cells), 2 * max(c.tokens for c in cells), 30)
    with style():
        figure = Figure(figsize=(WIDTH * BESIDE, 3.4))
        axes = figure.subplots()
        figure.subplots_adjust(0.1, 0.15, 0.985, 0.97)
        for (n_active, n_total), shade in zip(models, shades(len(models)), strict=True):
            line = [law.predict(n_active, d, n_total=n_total) for d in tokens]
            axes.plot(tokens, [math.log2(p.lr) for p in line], color=shade, lw=1.2)
            axes.fill_between(
                tokens,
                [math.log2(p.lr_low) for p in line],
                [math.log2(p.lr_high) for p in line],
                color=shade,
                alpha=0.08,
                lw=0,
            )
            own = [cell for cell in cells if (cell.n_active, cell.n_params) == (n_active, n_total)]
            _points(axes, own, shade, f"N active {short(n_active)}, n = {len(own)}")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5) if tokens[-1] < 100 * tokens[0] else (1,)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        power_axis(axes, *axes.get_ylim(), vertical=True)
        axes.set(xlabel="training tokens", ylabel="best learning rate")
        label = "Best learning rate against tokens with the law, one colour per size"
        return to_svg(figure, "fit-optima", label, axes.get_legend_handles_labels()[0])


def _points(axes: Axes, cells: Sequence[FitCell], shade: str, label: str) -> None:
    best = np.array([math.log2(cell.lr_best or 1) for cell in cells])
    low = np.array([math.log2(cell.lr_low or cell.lr_best or 1) for cell in cells])
    high = np.array([math.log2(cell.lr_high or cell.lr_best or 1) for cell in cells])
    errors = [best - low, high - best]
    look: dict[str, Any] = {"fmt": "o", "ms": 4, "color": shade, "elinewidth": 1, "capsize": 2}
    axes.errorbar([cell.tokens for cell in cells], best, yerr=errors, label=label, **look)
