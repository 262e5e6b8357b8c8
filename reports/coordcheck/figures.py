"""The figures of a coordinate check: the size of activations against the size of the model, with a line per step.

Where a rule holds, the lines are level.
"""

import math

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from lrladder.reports.drawing import INK, WIDTH, power_axis, shades, style, to_svg

MAX_NAMED = 6  # steps that the legend names
_PALETTES = {"ours": "flare", "standard": "crest"}
_ROWS = {"ours": "muTransfer", "standard": "standard"}


def coordinates(frame: pd.DataFrame, axis: str, quantity: str) -> str:
    """A figure (SVG) of one quantity along one axis: a column of panels per role, a row per parametrization.

    The panels of a column have the same vertical axis.
    """
    here = frame[(frame["axis"] == axis) & (frame["quantity"] == quantity)]
    roles, arms = list(dict.fromkeys(here["role"])), list(dict.fromkeys(here["parametrization"]))
    steps = sorted(set(here["step"]))
    height = 0.7 + 1.45 * len(arms)
    with style():
        figure = Figure(figsize=(WIDTH, height))
        grid = figure.subplots(len(arms), len(roles), squeeze=False, sharex=True, sharey="col")
        figure.subplots_adjust(0.06, 0.44 / height, 0.995, 1 - 0.25 / height, wspace=0.42, hspace=0.16)
        for row, arm in zip(grid, arms, strict=True):
            for axes, role in zip(row, roles, strict=True):
                _panel(axes, here[(here["parametrization"] == arm) & (here["role"] == role)], _PALETTES[arm], steps)
            row[0].set_ylabel(_ROWS[arm])
        for axes, role in zip(grid[0], roles, strict=True):
            size = min(8.0, 76 / len(roles))  # points: the longest of nine just fits
            axes.set_title(role.replace("_", " "), loc="left", color=INK, weight="bold", size=size)
            low, high = axes.get_ylim()
            middle, reach = (low + high) / 2, max((high - low) / 2, 1.0)  # else noise fills a level panel
            axes.set_ylim(middle - reach, middle + reach)
            power_axis(axes, middle - reach, middle + reach, vertical=True, ticks=4)
        _size_axis(grid[0, 0], here)
        figure.supxlabel(f"{axis.replace('_', ' ')}, times the base", fontsize=8.5, y=0.05 / height)
        label = f"{quantity} of each role against {axis}, by step"
        return to_svg(figure, f"{axis}-{quantity}", label, _legend(here, arms))


def _panel(axes: Axes, rows: pd.DataFrame, palette: str, steps: list[int]) -> None:
    some = rows[rows["log2_rms"].notna()]
    if len(some):  # drawn from means: seaborn's own estimator takes most of the page's time
        seeds = some.groupby(["step", "log2_factor"])["log2_rms"]
        look = {"linewidth": 1.1, "marker": "o", "markersize": 3, "markeredgewidth": 0, "legend": False}
        mean = seeds.mean().reset_index()
        color_of = dict(zip(steps, shades(len(steps), palette), strict=True))
        sns.lineplot(mean, x="log2_factor", y="log2_rms", hue="step", palette=color_of, estimator=None, ax=axes, **look)
        for line, (_, band) in zip(axes.lines, seeds.agg(["min", "max"]).groupby("step"), strict=False):
            axes.fill_between(
                band.index.get_level_values("log2_factor"), band["min"], band["max"],
                color=line.get_color(), alpha=0.15, linewidth=0,
            )  # fmt: skip
    axes.set(xlabel="", ylabel="")


def _size_axis(axes: Axes, rows: pd.DataFrame) -> None:
    axes.xaxis.set_major_locator(FixedLocator(sorted(set(rows["log2_factor"]))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{2**value:g}"))


def _legend(rows: pd.DataFrame, arms: list[str]) -> list[Line2D]:
    """Legend entries for each parametrization: its first step, its last, and some in between."""
    steps = sorted(set(rows["step"]))
    named = (
        steps if len(steps) <= MAX_NAMED else [steps[i * (len(steps) - 1) // (MAX_NAMED - 1)] for i in range(MAX_NAMED)]
    )
    handles = []
    for arm in arms:
        for step in named:
            color = shades(len(steps), _PALETTES[arm])[steps.index(step)]
            handles.append(Line2D([], [], color=color, linewidth=1.6, label=f"{_ROWS[arm]}, step {step}"))
    return handles


def log2(value: float) -> float:
    """log2 of a positive, finite value, else nan."""
    return math.log2(value) if value > 0 and math.isfinite(value) else math.nan
