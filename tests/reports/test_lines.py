"""Lines of means, against seaborn's, which draw the same."""

import numpy as np
import pandas as pd
import seaborn as sns
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from lrladder.reports.lines import mean_lines

COLORS = {"a": "#0067a5", "b": "#b34700", "c": "#00795c"}
MARKERS = {"a": "o", "b": "s", "c": "D"}
ROWS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([-3, 0, 5]), st.sampled_from([1.5, 2.25, float("nan"), 0.1])),
    min_size=1,
    max_size=30,
)


def _seen(axes: Axes) -> list[object]:
    """What is drawn: the data and look of each line, and the corners and colour of each band."""
    lines = [
        (str(line.get_xydata()), to_hex(line.get_color()), line.get_marker(), line.get_lw(), line.get_mew())
        for line in axes.lines
    ]
    bands = [
        (str([path.vertices for path in band.get_paths()]), str(band.get_facecolor()), str(band.get_linewidth()))
        for band in axes.collections
    ]
    return [*lines, *bands]


@settings(deadline=None, max_examples=30)
@given(ROWS, st.booleans())
def test_lines_and_bands_are_those_of_seaborn(rows: list[tuple[str, int, float]], bands: bool) -> None:
    frame = pd.DataFrame(rows, columns=["name", "place", "value"])
    ours, theirs = (Figure().subplots() for _ in range(2))
    mean_lines(ours, frame, x="place", y="value", of="name", colors=COLORS, markers=MARKERS, bands=bands)
    sns.lineplot(
        frame, x="place", y="value", hue="name", style="name", palette=COLORS, markers=MARKERS, dashes=False,
        errorbar=("pi", 100) if bands else None, err_kws={"alpha": 0.18, "linewidth": 0}, linewidth=1.1,
        markeredgewidth=0, legend=False, ax=theirs,
    )  # fmt: skip
    assert _seen(ours) == _seen(theirs)
    assert np.allclose(ours.axis(), theirs.axis())
