"""Legends as HTML: one item for each handle, in the page's colours, with labels that cannot inject markup."""

import re

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lrladder.reports.drawing import BLUE, to_svg
from lrladder.reports.legend import legend


def test_each_handle_has_an_item_with_its_line_and_marker() -> None:
    handles = [
        Line2D([], [], marker="o", ls="--", color=BLUE, label="both"),
        Line2D([], [], marker="x", ls="", color=BLUE, label="marker"),
        Line2D([], [], color=BLUE, label="line"),
    ]
    items = re.findall(r"<li>(.*?)</li>", legend(handles))
    assert [re.sub(r"<svg.*?</svg>", "", item) for item in items] == ["both", "marker", "line"]
    assert [item.count("<path") for item in items] == [2, 1, 1]
    assert "stroke-dasharray" in items[0] and "fill:none" in items[1]
    assert legend([]) == ""


def test_an_errorbar_is_a_handle_and_a_label_is_text() -> None:
    axes = Figure().subplots()
    drawn = axes.errorbar([0], [1], yerr=[1], fmt="o", label=r"<b>\$x")
    assert "&lt;b&gt;$x" in legend([drawn])


def test_a_figure_with_a_legend_has_the_colours_of_the_page() -> None:
    svg = to_svg(Figure(), "name", "label", [Line2D([], [], marker="s", color=BLUE, label="one")])
    assert svg.startswith('<ul class="legend">') and "stroke:var(--blue)" in svg and BLUE not in svg
