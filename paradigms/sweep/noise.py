"""How much the loss of one run scatters, as curves tell it, and how wide an interval that makes."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy import stats

from lrladder.paradigms.level import LEVEL
from lrladder.paradigms.sweep.curve import ASSUMED_NOISE, Curve

MIN_SHARED_DOF = 3  # assumption: fewer degrees of freedom than this say too little about the noise to be shared


class Noise(NamedTuple):
    """Standard deviation of the loss of one run, nats, and its degrees of freedom; None without one."""

    sd: float | None
    dof: float

    @property
    def shared(self) -> float | None:
        """The sd where it is known well enough to serve curves that do not tell their own."""
        return self.sd if self.dof >= MIN_SHARED_DOF else None

    @property
    def or_assumed(self) -> "Noise":
        """The same where anything is known, else what is assumed, as if it were known exactly."""
        return Noise(ASSUMED_NOISE, math.inf) if self.sd is None else self

    def half_width(self, variance: float, extra: float = 0.0, *, level: float = LEVEL) -> float | None:
        """Half width, nats, of the interval of a weighted sum of runs, by Student's t; None without a noise.

        `variance` is the sum of the squared weights, `extra` a variance in nats^2 that is added to it.
        """
        if self.sd is None:
            return None
        return float(stats.t.ppf((1 + level) / 2, self.dof)) * math.sqrt(self.sd**2 * variance + extra)


def pooled_noise(curves: Iterable[Curve]) -> Noise:
    """The residuals of all curves together."""
    known, dof = _residuals(curves)
    return Noise(math.sqrt(sum(sd**2 * dof for sd, dof in known) / dof) if dof else None, dof)


def typical_noise(curves: Iterable[Curve]) -> Noise:
    """The median over curves of what their residuals say: a bad run moves it little."""
    known, dof = _residuals(curves)
    variances = [sd**2 * own / stats.chi2.median(own) for sd, own in known]
    return Noise(float(np.sqrt(np.median(variances))) if known else None, dof)


def _residuals(curves: Iterable[Curve]) -> tuple[list[tuple[float, int]], int]:
    """The residual sd and degrees of freedom of each curve that has any, and their sum."""
    known = [(curve.residual_sd, curve.dof) for curve in curves if curve.residual_sd is not None]
    return known, sum(dof for _, dof in known)
