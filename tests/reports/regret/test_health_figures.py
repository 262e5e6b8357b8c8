"""What the figure of stability shows, read from matplotlib's own axes."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from lrladder.reports.regret import health_figures
from tests.reports.synthetic import watched_results


def test_every_point_lies_in_its_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Panels of a row share the range of all of them, not that of the first: only targets have spikes here."""
    kept: list[Figure] = []
    monkeypatch.setattr(health_figures, "to_svg", lambda figure, *words: kept.append(figure))
    health_figures.stability(watched_results())
    (figure,) = kept
    for axes in figure.axes:
        low, high = axes.get_ylim()
        values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.lines])
        assert len(values)
        assert low <= np.nanmin(values)
        assert np.nanmax(values) <= high
