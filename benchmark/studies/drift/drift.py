"""How the best LR moves along an axis: a weighted line through the optima, in octaves."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from lrladder.paradigms.level import LEVEL

SD_FLOOR = 0.07  # octaves; assumption: as good as a parabola through a few LRs gets (0.04-0.12 on published sweeps)
MIN_DOF = 4  # assumption: what the optima's own sds, pooled over a study, are worth at least


class Optimum(NamedTuple):
    """log2 of the axis value over the base's, log2 of the best LR, and the latter's standard deviation."""

    ratio: float
    lr: float
    sd: float


class Drift(NamedTuple):
    """Octaves of LR per doubling of the axis, with its 90% interval; n optima; octaves at the base."""

    slope: float
    low: float
    high: float
    at_base: float
    n: int


class Scatter(NamedTuple):
    """Of optima about their lines: sum of squares in units of their sds, and its degrees of freedom."""

    chi2: float = 0.0
    dof: int = 0

    def quantile(self, level: float) -> float:
        """Half width of an interval in sds of a slope: of the optima's own sds, and of the scatter where it is more."""
        own = float(stats.t.ppf((1 + level) / 2, max(self.dof, MIN_DOF)))
        if not self.dof:
            return own
        return max(own, float(stats.t.ppf((1 + level) / 2, self.dof)) * math.sqrt(self.chi2 / self.dof))


def fit_drift(optima: Sequence[Optimum], *, scatter: Scatter | None = None, level: float = LEVEL) -> Drift | None:
    """None for fewer than two axis values. The interval holds the optima's own sds, raised to `scatter`.

    Three points say little of their scatter, so a study gives that of all its lines; without, it is the line's own.
    """
    line = _line(optima)
    if line is None:
        return None
    (at_base, slope), sd, own = line
    half = (scatter or own).quantile(level) * sd
    return Drift(slope, slope - half, slope + half, at_base, len(optima))


def pooled_scatter(lines: Iterable[Sequence[Optimum]]) -> Scatter:
    """The scatter of all lines of a study, in units of the optima's sds."""
    found = [line[2] for optima in lines if (line := _line(optima)) is not None]
    return Scatter(sum(scatter.chi2 for scatter in found), sum(scatter.dof for scatter in found))


def _line(optima: Sequence[Optimum]) -> tuple[tuple[float, float], float, Scatter] | None:
    """Level and slope by weighted least squares, the slope's sd, and the scatter about the line."""
    x = np.array([optimum.ratio for optimum in optima])
    if len(set(x)) < 2:
        return None
    y = np.array([optimum.lr for optimum in optima])
    sd = np.array([max(optimum.sd, SD_FLOOR) for optimum in optima])
    design = np.column_stack([np.ones_like(x), x]) / sd[:, None]
    cov = np.linalg.inv(design.T @ design)
    level, slope = (float(value) for value in cov @ design.T @ (y / sd))
    chi2 = float((((y - level - slope * x) / sd) ** 2).sum())
    return (level, slope), math.sqrt(cov[1, 1]), Scatter(chi2, len(x) - 2)
