"""Writes the legend of a figure as HTML: it wraps on narrow screens and stays in view while the figure scrolls."""

import html
from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path
from matplotlib.transforms import Affine2D

_WIDTH, _HEIGHT = 24.0, 12.0  # pixels of one sample
_PIXELS = 96 / 72  # of a point, matplotlib's unit of sizes
_DASHES = {"--": "5 3", ":": "1.5 2.5", "-.": "5 2 1.5 2"}
_LETTERS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C", Path.CLOSEPOLY: "Z"}


def legend(handles: Iterable[Any]) -> str:
    """An HTML list of line samples with their labels; empty without handles.

    A handle is a line, or what matplotlib's `errorbar` returned.
    """
    items = "".join(_item(handle) for handle in handles)
    return f'<ul class="legend">{items}</ul>' if items else ""


def _item(handle: Any) -> str:
    line: Line2D = handle if isinstance(handle, Line2D) else handle[0]
    label = str(handle.get_label()).replace(r"\$", "$")  # labels may be escaped for matplotlib
    return f"<li>{_sample(line)}{html.escape(label)}</li>"


def _sample(line: Line2D) -> str:
    size = f'width="{_WIDTH:g}" height="{_HEIGHT:g}" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}"'
    return f'<svg aria-hidden="true" {size}>{_stroke(line)}{_marker(line)}</svg>'


def _stroke(line: Line2D) -> str:
    if line.get_linestyle() in ("None", "", " "):
        return ""
    dashes = _DASHES.get(str(line.get_linestyle()), "")
    color, width = to_hex(line.get_color()), line.get_linewidth() * _PIXELS
    middle = _HEIGHT / 2
    look = f"stroke:{color};stroke-width:{width:.2g};fill:none" + (f";stroke-dasharray:{dashes}" if dashes else "")
    return f'<path d="M0,{middle:g}L{_WIDTH:g},{middle:g}" style="{look}"/>'


def _marker(line: Line2D) -> str:
    style = MarkerStyle(line.get_marker())
    path = style.get_path().transformed(style.get_transform())
    if not np.size(path.vertices):
        return ""
    scale = line.get_markersize() * _PIXELS
    path = path.transformed(Affine2D().scale(scale, -scale).translate(_WIDTH / 2, _HEIGHT / 2))
    steps = "".join(
        _LETTERS[code] + ",".join(f"{x:.2f}" for x in points if code != Path.CLOSEPOLY)
        for points, code in path.iter_segments(simplify=False)
    )
    fill = to_hex(line.get_markerfacecolor()) if style.is_filled() else "none"
    edge, width = to_hex(line.get_markeredgecolor()), line.get_markeredgewidth() * _PIXELS
    return f'<path d="{steps}" style="fill:{fill};stroke:{edge};stroke-width:{width:.2g}"/>'
