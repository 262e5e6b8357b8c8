"""What all figures share: the style, axes in powers of two, and the conversion to SVG that can be put into a page.

The same results give the same SVG, to the last byte.
"""

import html
import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib

matplotlib.use("Agg")

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.reports.formats import power_of_two
from lrladder.reports.legend import legend

# Light values; the page gives each name a light and a dark one (style.css). The first four colours differ in hue and
# lightness under the common colour deficiencies; text in any has a contrast of at least 4.5 on white.
PALETTE = {
    "blue": "#0067a5",
    "orange": "#b34700",
    "green": "#00795c",
    "purple": "#8e4585",
    "olive": "#7d6200",
    "rose": "#a3325f",
    "teal": "#2f7380",
    "brown": "#7a4a2b",
    "ink": "#23272e",
    "muted": "#5f6772",
    "grid": "#e6e8eb",
    "axis": "#9aa1ab",
    "paper": "#ffffff",
}
WIDTH = 12.25  # inches; width of a figure that is as wide as the page
LEAST = 0.7  # share of its width below which a figure scrolls instead: its 8-point labels then have 7.5 pixels
BESIDE = 0.68  # share of WIDTH for a figure that has its caption at its right
# Parts of palettes whose contrast with white and with dark paper is at least 3, as WCAG 2.2, 1.4.11 asks of graphics
SHADES = {"viridis": (0.36, 0.59), "flare": (0.26, 0.59), "crest": (0.31, 0.65)}
BLUE, ORANGE, GREEN, PURPLE = (PALETTE[name] for name in ("blue", "orange", "green", "purple"))
INK, MUTED, PAPER = (PALETTE[name] for name in ("ink", "muted", "paper"))
SERIES = ("blue", "orange", "green", "purple", "olive", "rose", "teal", "brown")  # in this order
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "h", "<", ">")
PARAMETRIZATION_NAMES = {"sp": "sp (standard)", "mup": "mup (μP)"}
_OWN_COLORS = {
    "fitting": BLUE,
    "mutransfer": ORANGE,
    "mutransfer+power": GREEN,
    "mutransfer+modules": PURPLE,
    "sp": BLUE,
    "mup": ORANGE,
    "mup+power": GREEN,
}  # these names have these colours in every figure; other names get the colours that are left
_RC: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "lr-ladder",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "Helvetica"],
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "axes.edgecolor": PALETTE["axis"],
    "axes.linewidth": 0.7,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": PALETTE["grid"],
    "grid.linewidth": 0.6,
    "axes.unicode_minus": True,
}


_NAMED = {color: name for name, color in PALETTE.items()}


def plain(text: str) -> str:
    """The text escaped so that matplotlib does not read it as mathematics."""
    return text.replace("$", r"\$")


def parametrization_name(label: str) -> str:
    """Of a parametrization with its schedule, in figures and tables."""
    return PARAMETRIZATION_NAMES.get(label, label)


def colors_of(results: RegretResults) -> dict[str, str]:
    """The colour of each entry, which is the same in all figures of a study."""
    return paradigm_colors([p.name for target in results.targets for p in target.paradigms])


def markers_of(results: RegretResults) -> dict[str, str]:
    """One marker per entry, everywhere, for those who cannot tell the colours apart."""
    return {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(colors_of(results))}


def labels_of(results: RegretResults) -> list[str]:
    """The labels of all arms of a study, `sp` and `mup` first."""
    found = [name for target in results.targets for name in target.oracle]
    found += [curve.parametrization for curve in results.curves]
    found += [entry.parametrization for entry in results.entries]
    found = found or [m.parametrization for m in results.measurements]
    return sorted(dict.fromkeys(found), key=lambda label: ("sp", "mup").index(label) if label in ("sp", "mup") else 2)


def label_colors(results: RegretResults) -> dict[str, str]:
    """The colour of each arm, by its label."""
    return paradigm_colors(labels_of(results))


def paradigm_colors(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name. There are eight colours; with more names some have the same."""
    given = {name: _OWN_COLORS[name] for name in names if name in _OWN_COLORS}
    free = [PALETTE[color] for color in SERIES if PALETTE[color] not in given.values()] or [INK]
    others = [name for name in dict.fromkeys(names) if name not in given]
    found = given | {name: free[i % len(free)] for i, name in enumerate(others)}
    return {name: found[name] for name in names}


def css_class(color: str) -> str:
    """The CSS class that gives text this colour."""
    return f"c-{_NAMED[color]}"


@contextmanager
def style() -> Iterator[None]:
    """A context in which figures have our style. matplotlib's settings are restored afterwards."""
    with sns.axes_style("whitegrid"), matplotlib.rc_context(_RC):
        yield


def power_axis(axes: Axes, low: float, high: float, *, vertical: bool = False, ticks: int = 5) -> None:
    """Label an axis that holds log2 of a learning rate with powers of two.

    At most `ticks` whole powers are labelled. Where fewer than two whole powers fit, parts of an octave are labelled.
    """
    whole = float(max(1, math.ceil((math.floor(high) - math.ceil(low) + 1) / ticks)))
    places = [round((low + high) / 2, 2)]
    for step in (whole, 0.5, 0.25, 0.1):  # octaves
        fitting = [step * n for n in range(math.ceil(low / step), math.floor(high / step) + 1)]
        if len(fitting) > 1:
            places = fitting
            break
    axis = axes.yaxis if vertical else axes.xaxis
    axis.set_major_locator(FixedLocator(places))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: power_of_two(value)))


def shades(n: int, palette: str = "viridis") -> list[str]:
    """`n` colours of a palette in order of lightness, all visible on white and on dark paper."""
    cmap = sns.color_palette(palette, as_cmap=True)
    low, high = SHADES[palette]
    return [to_hex(cmap(low + (high - low) * i / max(1, n - 1))) for i in range(n)]


def points_up_to(
    axes: Axes, x: Sequence[float], y: Sequence[float], top: float, marker: str = "o", **look: Any
) -> None:
    """Draw each point with `marker`, and each that is higher than `top` as a triangle at the upper edge."""
    low = [(a, b) for a, b in zip(x, y, strict=True) if b <= top]
    high = [a for a, b in zip(x, y, strict=True) if b > top]
    axes.plot([a for a, _ in low], [b for _, b in low], marker, mew=0, **look)
    look.pop("label", None)
    axes.plot(high, [0.96] * len(high), "^", mew=0, transform=axes.get_xaxis_transform(), **look)


def to_svg(figure: Figure, name: str, label: str, handles: Sequence[Any] = ()) -> str:
    """The legend of `handles` as HTML, followed by the figure as SVG, to be put into a page.

    The SVG has no prolog and no metadata. Its ids begin with `name`, and its colours are the CSS variables of the page.
    The page scales it, but not below `--least` (style.css). `label` describes it to screen readers.
    """
    text = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(text, format="svg", metadata=nothing, transparent=True)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].rstrip()
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    width = figure.get_figwidth() * 96
    size = f"max-width:{width:.0f}px;--least:{LEAST * width:.0f}px"
    head = f'<svg role="img" aria-label="{html.escape(label, quote=True)}" style="{size}"'
    opening, rest = svg.split(">", 1)
    opening = re.sub(r'\s(?:width|height|id)="[^"]*"', "", opening).replace("<svg", head, 1)
    return re.sub("|".join(_NAMED), lambda found: f"var(--{_NAMED[found[0]]})", f"{legend(handles)}{opening}>{rest}")
