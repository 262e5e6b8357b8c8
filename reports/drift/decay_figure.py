"""The drift against the fraction of a run that its decay takes, as inline SVG."""

import math

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from lrladder.benchmark.studies.drift.results import DecayResult
from lrladder.reports.drawing import BLUE, MUTED, WIDTH, style, to_svg

SHARE = 0.45  # of the page's width


def drift_over_fraction(name: str, decay: DecayResult) -> str:
    """Points with their 90% intervals, and the fitted line; `name` is the axis."""
    x = [math.log2(p.fraction) for p in decay.points]
    with style():
        figure = Figure(figsize=(SHARE * WIDTH, 2.9))
        axes = figure.subplots()
        figure.subplots_adjust(0.13, 0.17, 0.98, 0.96)
        bars = [[p.drift - p.low for p in decay.points], [p.high - p.drift for p in decay.points]]
        axes.errorbar(x, [p.drift for p in decay.points], yerr=bars, fmt="s", ms=5, color=BLUE, capsize=2.5)
        axes.plot(x, [decay.at_whole + decay.slope * place for place in x], color=BLUE, lw=1.2)
        axes.axhline(0, color=MUTED, lw=0.9, zorder=1)
        axes.margins(x=0.08)
        axes.xaxis.set_major_locator(FixedLocator(x))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda place, _: f"{2**place:.3g}"))
        axes.set_xlabel("decay, as a fraction of the run")
        axes.set_ylabel("drift (octaves per doubling)")
        return to_svg(figure, f"decay-{name}", f"Drift along {name} against the decay fraction")
