"""How the best LR moves along an axis: a weighted line through the optima, in octaves."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

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


def fit_drift(optima: Sequence[Optimum], *, level: float = 0.9) -> Drift | None:
    """None for fewer than two axis values. The interval holds the optima's own sds, raised to their scatter."""
    x = np.array([optimum.ratio for optimum in optima])
    if len(set(x)) < 2:
        return None
    y = np.array([optimum.lr for optimum in optima])
    sd = np.array([max(optimum.sd, SD_FLOOR) for optimum in optima])
    design = np.column_stack([np.ones_like(x), x]) / sd[:, None]
    cov = np.linalg.inv(design.T @ design)
    level_, slope = cov @ design.T @ (y / sd)
    dof = len(x) - 2
    chi2 = float((((y - level_ - slope * x) / sd) ** 2).sum())
    inflation = max(1.0, chi2 / dof) if dof else 1.0
    half = stats.t.ppf((1 + level) / 2, max(dof, MIN_DOF)) * math.sqrt(inflation * cov[1, 1])
    return Drift(float(slope), float(slope - half), float(slope + half), float(level_), len(x))
