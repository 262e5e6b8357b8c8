"""Fits the slope of a quantity against size on logarithmic axes. It needs no torch, so that pages can use it."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from lrladder.paradigms.level import LEVEL


class Slope(NamedTuple):
    """Slope of log2 coordinate against log2 size, with a 90% t interval; NaN if a coordinate is 0 or not finite."""

    slope: float
    low: float
    high: float


def fit_slope(sizes: Sequence[float], coordinates: Sequence[float]) -> Slope:
    """Least squares of log2 coordinate on log2 size over all pairs of size and seed. Needs three points."""
    if not all(value > 0 and math.isfinite(value) for value in coordinates):
        return Slope(math.nan, math.nan, math.nan)
    x, y = np.log2(sizes), np.log2(coordinates)
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    misses = y - y.mean() - slope * centred
    error = math.sqrt(misses @ misses / (len(x) - 2) / (centred @ centred))
    reach = float(stdtrit(len(x) - 2, (1 + LEVEL) / 2)) * error
    return Slope(slope, slope - reach, slope + reach)
