"""The law, the transfer of the best LR, and regret against cost, as inline SVG; None where there is nothing to draw."""

import math
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.reports.drawing import (
    INK,
    MUTED,
    PAPER,
    WIDTH,
    colors_of,
    label_colors,
    paradigm_name,
    parametrization_name,
    plain,
    power_axis,
    style,
    to_svg,
)
from lrladder.reports.formats import positive, short
from lrladder.reports.regret import analysis

_MARKERS = ("o", "s", "D", "^", "v", "P", "h", "<")


def law_with_points(results: RegretResults) -> str | None:
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
        fill = color if row.part == "proxy" else PAPER
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


def _law_legend(shades: dict[int, str], results: RegretResults) -> list[Line2D]:
    handles = [
        Line2D([], [], marker="o", ls="-" if results.law else "", ms=5, color=color, label=f"{short(h)} tokens")
        for h, color in shades.items()
    ]
    handles.append(Line2D([], [], marker="o", ls="", ms=5, color=INK, label="proxy: fitted minimum"))
    handles.append(Line2D([], [], marker="o", ls="", ms=5, mfc=PAPER, mec=INK, label="target: oracle (held out)"))
    if results.law:
        handles.append(Line2D([], [], color=INK, lw=1.1, label="law fitted on proxies"))
    return handles


def best_lr_over_size(results: RegretResults) -> str | None:
    """Best LR of both parametrizations at their longest horizon, in octaves from the smallest rung's."""
    frame = analysis.drift(results)
    if frame.empty:
        return None
    with style():
        figure = Figure(figsize=(WIDTH * 0.72, 3.2))
        axes = figure.subplots()
        figure.subplots_adjust(0.085, 0.15, 0.74, 0.97)
        for name, color in label_colors(results).items():
            rows = frame[frame["parametrization"] == name]
            if rows.empty:
                continue
            bars = [rows["octaves"] - rows["low"], rows["high"] - rows["octaves"]]
            look: dict[str, Any] = {"color": color, "ms": 5.5, "elinewidth": 1.0, "capsize": 2.5, "lw": 1.1}
            look |= {"label": plain(parametrization_name(name))}
            axes.errorbar(rows["width"], rows["octaves"], yerr=bars, fmt="o-", **look)
        axes.axhline(0, color=MUTED, lw=0.9, zorder=1)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(sorted(set(frame["width"]))))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set(xlabel="width of the rung", ylabel="octaves from the smallest rung")
        figure.legend(loc="upper left", bbox_to_anchor=(0.75, 0.98), frameon=False)
        return to_svg(figure, "transfer", "Best learning rate of each rung, in octaves from the smallest one")


def regret_against_cost(results: RegretResults) -> str | None:
    """Regret of each proposal against what its search cost."""
    frame = analysis.paradigms(results)
    frame = frame[np.isfinite(frame["regret"]) & (frame["cost_fraction"] > 0)]
    if frame.empty:
        return None
    scales = list(dict.fromkeys(zip(frame["rung"], frame["tokens"], strict=True)))
    markers = {scale: _MARKERS[i % len(_MARKERS)] for i, scale in enumerate(scales)}
    colors = colors_of(results)
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
            dodge = 1 + 0.035 * list(colors).index(row.name)  # entries that share a search stand side by side
            axes.errorbar([dodge * row.cost_fraction], [1000 * row.regret], yerr=bars, fmt=marker, **look)
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
        handles.append(Line2D([], [], marker=marker, ls="", ms=5, mfc=PAPER, mec=INK, label=label))
    return handles
