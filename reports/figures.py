"""The report's figures, as inline SVG strings; None where there is nothing to draw."""

import math
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from benchmark.results import CurveResult, Results
from reports import analysis
from reports.drawing import (
    INK,
    MUTED,
    PARAMETRIZATION_COLORS,
    PARAMETRIZATION_NAMES,
    paradigm_colors,
    paradigm_name,
    plain,
    power_axis,
    style,
    to_svg,
)
from reports.formats import positive, short

WIDTH = 11.0  # inches
BOWL = 0.6  # nats above the best loss that a panel shows
_MARKERS = ("o", "s", "D", "^", "v", "P", "h", "<")


def loss_against_lr(results: Results) -> str | None:
    """Small multiples: one panel per rung and horizon."""
    pairs = analysis.panels(results)
    if not pairs:
        return None
    frame = analysis.measurements(results)
    span = _lr_span(results, frame)
    columns = min(4, len(pairs))
    rows = math.ceil(len(pairs) / columns)
    height = 1.0 + 2.25 * rows
    with style():
        figure = Figure(figsize=(WIDTH, height))
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True)
        figure.subplots_adjust(0.053, 0.5 / height, 0.995, 1 - 0.75 / height, wspace=0.27, hspace=0.36)
        for axes, pair in zip(grid.flat, pairs, strict=False):
            _panel(axes, results, frame, pair, span)
        for place, axes in enumerate(grid.flat):
            axes.set_visible(place < len(pairs))
            axes.xaxis.set_tick_params(labelbottom=place + columns >= len(pairs))
        for row in grid:
            row[0].set_ylabel("loss (nats/token)")
        figure.supxlabel("peak learning rate", fontsize=8.5, y=0.08 / height)
        _panel_legend(figure, results)
        return to_svg(figure, "bowls", "Loss against learning rate, one panel per rung and horizon")


def _lr_span(results: Results, frame: pd.DataFrame) -> tuple[float, float]:
    places = [float(x) for x in frame["log2_lr"].dropna()]
    places += [math.log2(p.lr) for t in results.targets for p in t.paradigms if positive(p.lr)]
    return (min(places) - 0.4, max(places) + 0.4) if places else (-10.0, -4.0)


def _panel(axes: Axes, results: Results, frame: pd.DataFrame, pair: tuple[str, int], span: tuple[float, float]) -> None:
    rung, horizon = pair
    here = frame[(frame["rung"] == rung) & (frame["horizon"] == horizon)]
    good = analysis.finished(here)
    target = bool((here["part"] == "target").any())
    _limits(axes, good)
    top = axes.get_ylim()[1]
    swept = good["parametrization"].isin(list(PARAMETRIZATION_COLORS))
    seen = good[(good["loss"] <= top) & swept]
    if len(seen):
        colors = PARAMETRIZATION_COLORS
        look: dict[str, Any] = {"s": 15, "alpha": 0.75, "linewidth": 0, "legend": False, "zorder": 3}
        sns.scatterplot(seen, x="log2_lr", y="loss", hue="parametrization", palette=colors, ax=axes, **look)
    _along_top(axes, good[good["loss"] > top], "^", 0.95)
    _along_top(axes, here[here["verdict"] == "diverged"], "x", 0.95)
    for curve in results.curves:
        if (curve.rung, curve.horizon) == pair:
            _quadratic(axes, curve)
    if target:
        _proposals(axes, results, pair)
    axes.set_xlim(span)
    power_axis(axes, *span)
    axes.set(xlabel="", ylabel="")
    name = rung if len(rung) <= 22 else rung[:21] + "…"
    axes.set_title(plain(name) + (" (target)" if target else ""), loc="left", pad=16, color=INK, weight="bold")
    note = f"{short(horizon)} tokens, n = {len(good)}"
    axes.annotate(note, (0, 1), (0, 5), xycoords="axes fraction", textcoords="offset points", color=MUTED, fontsize=8)


def _limits(axes: Axes, good: pd.DataFrame) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(4))
    if not len(good):
        axes.set_yticks([])
        axes.set_ylim(0, 1)
        look: dict[str, Any] = {"bbox": {"facecolor": "white", "edgecolor": "none", "pad": 2}, "zorder": 6}
        axes.text(0.5, 0.5, "no finished run", transform=axes.transAxes, ha="center", va="center", color=MUTED, **look)
        return
    low, high = float(good["loss"].min()), float(good["loss"].max())
    reach = max(0.02, min(BOWL, high - low))
    axes.set_ylim(low - 0.08 * reach, low + 1.18 * reach)


def _along_top(axes: Axes, rows: pd.DataFrame, marker: str, height: float) -> None:
    """Runs that have no place on the loss axis, marked at the top of the panel."""
    for parametrization, color in PARAMETRIZATION_COLORS.items():
        some = rows[rows["parametrization"] == parametrization]
        if len(some):
            where = [height - (0.0 if parametrization == "sp" else 0.07)] * len(some)
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


def _quadratic(axes: Axes, curve: CurveResult) -> None:
    """The fitted parabola near its minimum, with the minimum and its interval."""
    if curve.lr_best is None or curve.minimum is None or not curve.curvature or curve.curvature <= 0:
        return
    color = PARAMETRIZATION_COLORS[curve.parametrization]
    reach = min(1.6, math.sqrt(0.25 / curve.curvature))
    offset = np.linspace(-reach, reach, 41)
    place = math.log2(curve.lr_best)
    axes.plot(place + offset / math.log(2), curve.minimum + curve.curvature * offset**2, color=color, lw=1.1, zorder=2)
    if curve.lr_low and curve.lr_high and positive(curve.lr_low) and positive(curve.lr_high):
        limits = [math.log2(curve.lr_low), math.log2(curve.lr_high)]
        axes.plot(limits, [curve.minimum] * 2, color=color, lw=3, alpha=0.35, solid_capstyle="butt", zorder=2)
    axes.plot([place], [curve.minimum], marker="D", ms=4.5, mfc="white", mec=color, mew=1.2, zorder=5)


def _proposals(axes: Axes, results: Results, pair: tuple[str, int]) -> None:
    colors = _colors(results)
    for target in results.targets:
        if (target.rung, target.tokens) != pair:
            continue
        for p in target.paradigms:
            if not positive(p.lr):
                continue
            axes.axvline(math.log2(p.lr), color=colors[p.name], lw=1.1, ls=(0, (4, 2)), zorder=1)
            if positive(p.lr_low) and positive(p.lr_high):
                limits = math.log2(p.lr_low), math.log2(p.lr_high)
                axes.axvspan(*limits, color=colors[p.name], alpha=0.07, lw=0, zorder=0)


def _colors(results: Results) -> dict[str, str]:
    return paradigm_colors([p.name for t in results.targets for p in t.paradigms])


def _panel_legend(figure: Figure, results: Results) -> None:
    handles = [
        Line2D([], [], marker="o", ls="-", lw=1.1, ms=4, color=color, label=f"{PARAMETRIZATION_NAMES[key]}: run, fit")
        for key, color in PARAMETRIZATION_COLORS.items()
    ]
    handles.append(Line2D([], [], marker="D", ls="", ms=4.5, mfc="white", mec=INK, label="fitted minimum"))
    handles.append(Line2D([], [], marker="x", ls="", ms=5, color=INK, label="diverged"))
    handles.append(Line2D([], [], marker="^", ls="", ms=5, color=INK, mew=0, label="above the panel"))
    colors = _colors(results)
    for name in dict.fromkeys(p.name for t in results.targets for p in t.paradigms):
        label = plain(f"{paradigm_name(name)} proposal")
        handles.append(Line2D([], [], ls=(0, (4, 2)), lw=1.1, color=colors[name], label=label))
    figure.legend(
        handles=handles, loc="upper left", ncol=7, frameon=False, bbox_to_anchor=(0.05, 1.0), columnspacing=1.2
    )


def law_with_points(results: Results) -> str | None:
    """Best LR against active parameters, with the fitted law extended to the targets."""
    points = analysis.optima(results)
    if points.empty:
        return None
    horizons = sorted({int(h) for h in points["horizon"]})
    shades = dict(zip(horizons, sns.color_palette("viridis", len(horizons) + 1).as_hex(), strict=False))
    with style():
        figure = Figure(figsize=(WIDTH * 0.72, 3.5))
        axes = figure.subplots()
        figure.subplots_adjust(0.085, 0.14, 0.74, 0.97)
        for place, horizon in enumerate(horizons):
            dodge = 1 + 0.02 * (place - (len(horizons) - 1) / 2)
            _law_points(axes, points[points["horizon"] == horizon], shades[horizon], dodge)
            if results.law is not None:
                reach = np.geomspace(points["n_active"].min() / 1.25, points["n_active"].max() * 1.25, 30)
                lr = results.law.k * reach**-results.law.u * float(horizon) ** -results.law.v
                axes.plot(reach, np.log2(lr), color=shades[horizon], lw=1.1, zorder=1)
        axes.set_xscale("log")
        _count_axis(axes, points)
        low, high = axes.get_ylim()
        power_axis(axes, low, high, vertical=True, ticks=7)
        axes.set(xlabel="active non-embedding parameters", ylabel="best learning rate, SP")
        figure.legend(
            handles=_law_legend(shades, results), loc="upper left", bbox_to_anchor=(0.75, 0.98), frameon=False
        )
        return to_svg(figure, "law", "Best learning rate against active parameters, with the fitted law")


def _law_points(axes: Axes, rows: pd.DataFrame, color: str, dodge: float) -> None:
    for row in _records(rows):
        place = math.log2(row.lr)
        bars = None
        if positive(row.lr_low) and positive(row.lr_high):
            bars = [[max(0.0, place - math.log2(row.lr_low))], [max(0.0, math.log2(row.lr_high) - place)]]
        fill = color if row.part == "proxy" else "white"
        look: dict[str, Any] = {
            "ms": 6,
            "mfc": fill,
            "mec": color,
            "mew": 1.3,
            "ecolor": color,
            "elinewidth": 1.0,
            "capsize": 2.5,
        }
        axes.errorbar([row.n_active * dodge], [place], yerr=bars, fmt="o", zorder=3, **look)


def _records(frame: pd.DataFrame) -> list[Any]:
    """Rows with named fields."""
    return list(frame.itertuples(index=False))


def _count_axis(axes: Axes, points: pd.DataFrame) -> None:
    """Ticks at the ladder's own sizes where they are far enough apart to read."""
    kept: list[float] = []
    sizes = sorted({float(n) for n in points["n_active"]})
    gap = 0.09 * math.log(sizes[-1] * 1.6 / sizes[0])
    for size in sizes:
        if not kept or math.log(size / kept[-1]) > gap:
            kept.append(size)
    axes.set_xticks(kept)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(sizes[0] / 1.3, sizes[-1] * 1.3)


def _law_legend(shades: dict[int, str], results: Results) -> list[Line2D]:
    handles = [
        Line2D([], [], marker="o", ls="-" if results.law else "", ms=5, color=color, label=f"{short(h)} tokens")
        for h, color in shades.items()
    ]
    handles.append(Line2D([], [], marker="o", ls="", ms=5, color=INK, label="proxy: fitted minimum"))
    handles.append(Line2D([], [], marker="o", ls="", ms=5, mfc="white", mec=INK, label="target: oracle (held out)"))
    if results.law:
        handles.append(Line2D([], [], color=INK, lw=1.1, label="law fitted on proxies"))
    return handles


def regret_against_cost(results: Results) -> str | None:
    """Regret of each proposal against what its search cost."""
    frame = analysis.paradigms(results)
    frame = frame[np.isfinite(frame["regret"]) & (frame["cost_fraction"] > 0)]
    if frame.empty:
        return None
    scales = list(dict.fromkeys(zip(frame["rung"], frame["tokens"], strict=True)))
    markers = {scale: _MARKERS[i % len(_MARKERS)] for i, scale in enumerate(scales)}
    colors = _colors(results)
    with style():
        figure = Figure(figsize=(WIDTH * 0.72, 3.3))
        axes = figure.subplots()
        figure.subplots_adjust(0.085, 0.15, 0.74, 0.97)
        for row in _records(frame):
            bars = None
            if np.isfinite(row.regret_low) and np.isfinite(row.regret_high):
                bars = [[1000 * max(0.0, row.regret - row.regret_low)], [1000 * max(0.0, row.regret_high - row.regret)]]
            look: dict[str, Any] = {"color": colors[row.name], "ms": 6, "elinewidth": 1.0, "capsize": 2.5, "zorder": 3}
            marker = markers[row.rung, row.tokens]
            axes.errorbar([row.cost_fraction], [1000 * row.regret], yerr=bars, fmt=marker, **look)
        axes.axhline(0, color=MUTED, lw=0.9, zorder=1)
        _cost_axis(axes, frame["cost_fraction"].min(), frame["cost_fraction"].max())
        axes.set(xlabel="search cost, in training runs at the target", ylabel="regret (millinats/token)")
        handles = _cost_legend(list(dict.fromkeys(frame["name"])), colors, markers)
        figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.75, 0.98), frameon=False)
        return to_svg(figure, "cost", "Regret against search cost")


def _cost_axis(axes: Axes, low: float, high: float) -> None:
    axes.set_xscale("log")
    axes.set_xlim(low / 1.6, high * 1.6)
    axes.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5) if high / low < 100 else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}\u00d7"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _cost_legend(names: list[str], colors: dict[str, str], markers: dict[tuple[str, int], str]) -> list[Line2D]:
    handles = [
        Line2D([], [], marker="o", ls="", ms=5, color=colors[name], label=plain(paradigm_name(name))) for name in names
    ]
    for (rung, tokens), marker in markers.items():
        label = plain(f"{rung} · {short(tokens)} tokens")
        handles.append(Line2D([], [], marker=marker, ls="", ms=5, mfc="white", mec=INK, label=label))
    return handles
