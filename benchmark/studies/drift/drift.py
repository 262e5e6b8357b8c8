"""Drift of the best LR along an axis: a weighted line through the optima, in octaves (factors of 2)."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from lrladder.paradigms.level import LEVEL
from lrladder.paradigms.quantiles import t_quantile

SD_FLOOR = 0.07  # octaves; assumption: the best that a fitted parabola can give (0.04-0.12 on published sweeps)
MIN_DOF = 4  # assumption: least degrees of freedom of the optima's own sds, pooled over a study


class Optimum(NamedTuple):
    """log2 of the axis value / value of the base, log2 of the best LR, and the standard deviation of the latter."""

    ratio: float
    lr: float
    sd: float


class Drift(NamedTuple):
    """Octaves of LR per doubling of the axis, with 90% interval; number of optima; log2 of the LR at the base."""

    slope: float
    low: float
    high: float
    at_base: float
    n: int


class Scatter(NamedTuple):
    """Scatter of optima about their lines: sum of squares in units of their sds, and its degrees of freedom."""

    chi2: float = 0.0
    dof: int = 0

    def quantile(self, level: float) -> float:
        """Half width of an interval, in sds of a slope. From the sds of the optima, or their scatter if larger."""
        own = t_quantile((1 + level) / 2, max(self.dof, MIN_DOF))
        if not self.dof:
            return own
        return max(own, t_quantile((1 + level) / 2, self.dof) * math.sqrt(self.chi2 / self.dof))


def fit_drift(
    optima: Sequence[Optimum], *, scatter: Scatter | None = None, level: float = LEVEL, sd_floor: float = SD_FLOOR
) -> Drift | None:
    """The drift; None for fewer than two axis values. The interval contains the sds of the optima, raised to `scatter`.

    Its interval comes from the sds of the optima, or from `scatter` if the optima scatter more than that. Three points
    say little about their scatter, so a study passes the scatter of all its lines. The default is that of this line.
    """
    line = _line(optima, sd_floor)
    if line is None:
        return None
    (at_base, slope), sd, own = line
    half = (scatter or own).quantile(level) * sd
    return Drift(slope, slope - half, slope + half, at_base, len(optima))


def pooled_scatter(lines: Iterable[Sequence[Optimum]]) -> Scatter:
    """The scatter of all lines of a study, in units of the sds of the optima."""
    found = [line[2] for optima in lines if (line := _line(optima)) is not None]
    return Scatter(sum(scatter.chi2 for scatter in found), sum(scatter.dof for scatter in found))


def _line(optima: Sequence[Optimum], sd_floor: float = SD_FLOOR) -> tuple[tuple[float, float], float, Scatter] | None:
    """Level and slope by weighted least squares, the sd of the slope, and the scatter about the line."""
    x = np.array([optimum.ratio for optimum in optima])
    if len(set(x)) < 2:
        return None
    y = np.array([optimum.lr for optimum in optima])
    sd = np.array([max(optimum.sd, sd_floor) for optimum in optima])
    design = np.column_stack([np.ones_like(x), x]) / sd[:, None]
    cov = np.linalg.inv(design.T @ design)
    level, slope = (float(value) for value in cov @ design.T @ (y / sd))
    chi2 = float((((y - level - slope * x) / sd) ** 2).sum())
    return (level, slope), math.sqrt(cov[1, 1]), Scatter(chi2, len(x) - 2)
