"""The figure of loss against LR: a panel for each rung and horizon; every run is a point with a description."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lrladder.benchmark.studies.regret.results import CurveResult, ParadigmResult, RegretResults
from lrladder.reports.drawing import (
    INK,
    MUTED,
    PAPER,
    colors_of,
    label_colors,
    parametrization_name,
    power_axis,
    style,
    to_svg,
)
from lrladder.reports.formats import positive, short
from lrladder.reports.panels import panel_grid, panel_title
from lrladder.reports.regret import analysis
from lrladder.reports.regret.few import few
from lrladder.reports.regret.points import Points, number_points

BOWL = 0.6  # nats above the lowest loss, up to which a panel shows losses
LINE = 0.055  # height of the line of a proposal below the losses, as a share of their range


def loss_against_lr(results: RegretResults) -> str | None:
    """The figure as SVG; None if there is no measurement."""
    pairs = analysis.panels(results)
    if not pairs:
        return None
    frame = analysis.measurements(few(results))
    span = _lr_span(results, frame)
    points: Points = {}
    look: dict[str, Any] = {"xlabel": "peak learning rate", "ylabel": "loss (nats/token)"}
    with style():
        figure, panels = panel_grid(len(pairs), row=2.3, head=0.42, wspace=0.27, hspace=0.36, sharex=True, **look)
        for axes, pair in zip(panels, pairs, strict=True):
            _panel(axes, results, frame, pair, span, points)
        label = "Loss against learning rate, one panel per rung and horizon"
        svg = to_svg(figure, "bowls", label, _panel_legend(results))
    return number_points(svg, "bowls", points, [_words(row) for row in frame.to_dict("records")])


def _words(row: dict[Any, Any]) -> str:
    loss = f"loss {row['loss']:.4f}" if row["verdict"] == "finished" else row["verdict"]
    return f"{row['rung']}, {row['parametrization']}, learning rate {row['lr']:.3g}, seed {row['seed']}: {loss}"


def _lr_span(results: RegretResults, frame: pd.DataFrame) -> tuple[float, float]:
    places = [float(x) for x in frame["log2_lr"].dropna()]
    places += [math.log2(p.lr) for t in results.targets for p in t.paradigms if positive(p.lr)]
    return (min(places) - 0.4, max(places) + 0.4) if places else (-10.0, -4.0)


def _panel(
    axes: Axes,
    results: RegretResults,
    frame: pd.DataFrame,
    pair: tuple[str, int],
    span: tuple[float, float],
    points: Points,
) -> None:
    rung, horizon = pair
    here = frame[(frame["rung"] == rung) & (frame["horizon"] == horizon) & (frame["roles"] == "")]
    good = analysis.finished(here)
    target = bool((here["part"] == "target").any())
    curves = [curve for curve in results.curves if (curve.rung, curve.horizon) == pair]
    proposed = _proposed(results, pair)
    top = _limits(axes, good, [curve.minimum for curve in curves if curve.minimum is not None], len(proposed))
    colors = label_colors(results)
    swept = good["parametrization"].isin(list(colors))
    seen = good[(good["loss"] <= top) & swept]
    fitted = pd.Series([_is_fitted(row, curves) for row in seen.to_dict("records")], index=seen.index, dtype=bool)
    _runs(axes, seen[fitted], colors, points, filled=True)
    _runs(axes, seen[~fitted], colors, points, filled=False)
    _along_top(axes, good[(good["loss"] > top) & swept], "^", colors, points)
    _along_top(axes, here[here["verdict"] == "diverged"], "x", colors, points)
    for curve in curves:
        _quadratic(axes, curve, span, colors[curve.parametrization])
    axes.set_xlim(span)
    _proposals(axes, proposed, colors_of(results))
    power_axis(axes, *span)
    note = f"{short(horizon)} tokens, n = {_num_finished(results, pair)} runs"
    panel_title(axes, f"{rung} (target)" if target else rung, note)


def _num_finished(results: RegretResults, pair: tuple[str, int]) -> int:
    """The number of finished readings at a rung and horizon, with those that are not drawn."""
    cells = analysis.cells(results).items()
    here = [m for (rung, horizon, _), runs in cells if (rung, horizon) == pair for m in runs if not m.role_lrs]
    return sum(m.verdict == "finished" and m.loss is not None for m in here)


def _is_fitted(row: dict[Any, Any], curves: Sequence[CurveResult]) -> bool:
    """Whether a parabola was fitted to this run. It is True for all runs in results of an older version."""
    own = next((curve for curve in curves if curve.parametrization == row["parametrization"]), None)
    if own is None or (own.curvature and not own.lrs_fitted):
        return True
    return any(math.isclose(row["lr"], lr, rel_tol=1e-6) for lr in own.lrs_fitted)


def _runs(axes: Axes, rows: pd.DataFrame, colors: dict[str, str], points: Points, *, filled: bool) -> None:
    if len(rows):
        edge = [colors[name] for name in rows["parametrization"]]
        look: dict[str, Any] = {"s": 17, "alpha": 0.8, "zorder": 3, "linewidths": 0 if filled else 1.0}
        axes.scatter(rows["log2_lr"], rows["loss"], c=edge if filled else PAPER, edgecolors=edge, **look)
        _number(axes, rows, points)


def _limits(axes: Axes, good: pd.DataFrame, minima: Sequence[float], n_proposals: int) -> float:
    """Set the range of the loss axis, and return the highest loss that it shows.

    It shows all losses up to BOWL above the lowest, and has room for a line of each proposal below them.
    """
    axes.yaxis.set_major_locator(MaxNLocator(4))
    if not len(good):
        axes.set_yticks([])
        axes.set_ylim(0, 1)
        look: dict[str, Any] = {"bbox": {"facecolor": PAPER, "edgecolor": "none", "pad": 2}, "zorder": 6}
        axes.text(0.5, 0.5, "no finished run", transform=axes.transAxes, ha="center", va="center", color=MUTED, **look)
        return 1.0
    low, high = min([float(good["loss"].min()), *minima]), float(good["loss"].max())
    reach = max(0.02, min(BOWL, high - low))
    axes.set_ylim(low - (0.08 + LINE * n_proposals) * reach, low + 1.18 * reach)
    return low + reach * (1 + 1e-9)  # the highest itself is shown, whatever the sum rounds to


def _number(axes: Axes, rows: pd.DataFrame, points: Points) -> None:
    """Note which rows of the table the points that were drawn last show."""
    name = f"runs-{len(points)}"
    axes.collections[-1].set_gid(name)
    points[name] = [int(place) for place in rows.index]


def _along_top(axes: Axes, rows: pd.DataFrame, marker: str, colors: dict[str, str], points: Points) -> None:
    """Mark runs at the top of the panel that have no place on its loss axis."""
    step = 0.07 * min(1.0, 4 / max(1, len(colors)))
    for line, (parametrization, color) in enumerate(colors.items()):
        some = rows[rows["parametrization"] == parametrization]
        if len(some):
            where = [0.95 - step * line] * len(some)
            axes.scatter(
                some["log2_lr"],
                where,
                transform=axes.get_xaxis_transform(),
                marker=marker,
                s=20,
                color=color,
                linewidths=1.2 if marker == "x" else 0,
                zorder=4,
            )
            _number(axes, some, points)


def _quadratic(axes: Axes, curve: CurveResult, span: tuple[float, float], color: str) -> None:
    """Draw the fitted parabola near its minimum, the minimum, and the interval of the best LR."""
    if curve.lr_best is None or curve.minimum is None or not curve.curvature or curve.curvature <= 0:
        return
    reach = min(1.6, math.sqrt(0.25 / curve.curvature))
    offset = np.linspace(-reach, reach, 41)
    place = math.log2(curve.lr_best)
    x, y = place + offset / math.log(2), curve.minimum + curve.curvature * offset**2
    shown = (x >= span[0]) & (x <= span[1]) & (y <= axes.get_ylim()[1])
    axes.plot(x[shown], y[shown], color=color, lw=1.1, zorder=2)
    if curve.lr_low and curve.lr_high and positive(curve.lr_low) and positive(curve.lr_high):
        limits = np.clip([math.log2(curve.lr_low), math.log2(curve.lr_high)], *span)
        axes.plot(limits, [curve.minimum] * 2, color=color, lw=3, alpha=0.35, solid_capstyle="butt", zorder=2)
    axes.plot([place], [curve.minimum], marker="D", ms=4.5, mfc=PAPER, mec=color, mew=1.2, zorder=5)


def _proposed(results: RegretResults, pair: tuple[str, int]) -> list[ParadigmResult]:
    found = [p for t in results.targets if (t.rung, t.tokens) == pair for p in t.paradigms]
    return [p for p in found if positive(p.lr)]


def _proposals(axes: Axes, proposed: Sequence[ParadigmResult], colors: dict[str, str]) -> None:
    """Draw each proposal on a line of its own below the losses: a stroke at its LR and a bar for its interval."""
    bottom, top = axes.get_ylim()
    step = LINE * (top - bottom) / (1.26 + LINE * len(proposed))
    for place, p in enumerate(reversed(proposed)):
        y, x = bottom + step * (place + 0.7), math.log2(p.lr)
        axes.plot([x, x], [y, top], color=colors[p.name], lw=0.8, ls=(0, (4, 3)), alpha=0.6, zorder=1)
        axes.plot([x], [y], marker="|", ms=6, mew=1.6, color=colors[p.name], zorder=4)
        if p.lr_low is not None and p.lr_high is not None and positive(p.lr_low) and positive(p.lr_high):
            limits = np.clip([math.log2(p.lr_low), math.log2(p.lr_high)], *axes.get_xlim())
            axes.plot(limits, [y, y], color=colors[p.name], lw=2.2, alpha=0.6, solid_capstyle="butt", zorder=3)


def _panel_legend(results: RegretResults) -> list[Line2D]:
    handles = [
        Line2D([], [], marker="o", ls="-", lw=1.1, ms=4, color=color, label=f"{parametrization_name(key)}: run, fit")
        for key, color in label_colors(results).items()
    ]
    if any(curve.lrs_fitted for curve in results.curves):
        handles.append(Line2D([], [], marker="o", ls="", ms=4, mfc=PAPER, mec=INK, label="run outside of the fit"))
    handles.append(Line2D([], [], marker="D", ls="", ms=4.5, mfc=PAPER, mec=INK, label="fitted minimum"))
    handles.append(Line2D([], [], marker="x", ls="", ms=5, color=INK, label="diverged"))
    handles.append(Line2D([], [], marker="^", ls="", ms=5, color=INK, mew=0, label="above the panel"))
    colors = colors_of(results)
    for name in dict.fromkeys(p.name for t in results.targets for p in t.paradigms):
        label = f"{name} proposal"
        handles.append(Line2D([], [], marker="|", ms=6, mew=1.6, lw=2.2, color=colors[name], label=label))
    return handles
