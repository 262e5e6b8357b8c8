"""Noise of the loss of one run, estimated from residuals of curves, and the width of intervals that follows."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from lrladder.paradigms.level import LEVEL
from lrladder.paradigms.quantiles import chi2_quantiles, t_quantile
from lrladder.paradigms.sweep.curve import ASSUMED_NOISE, Curve

MIN_SHARED_DOF = 3  # assumption: with fewer degrees of freedom the estimate is too poor to be used for other curves


class Noise(NamedTuple):
    """Standard deviation of the loss of one run, nats, with its degrees of freedom; None if it is not known."""

    sd: float | None
    dof: float

    @property
    def shared(self) -> float | None:
        """The sd, if it has enough degrees of freedom to be used for curves that cannot estimate their own."""
        return self.sd if self.dof >= MIN_SHARED_DOF else None

    @property
    def or_assumed(self) -> "Noise":
        """This noise if it was estimated; otherwise the assumed noise, treated as exactly known."""
        return Noise(ASSUMED_NOISE, math.inf) if self.sd is None else self

    def half_width(self, variance: float, extra: float = 0.0, *, level: float = LEVEL) -> float | None:
        """Half width, nats, of the interval of a weighted sum of losses, by Student's t; None if the noise is unknown.

        `variance` is the sum of the squared weights. `extra` is a further variance, in nats^2.
        """
        if self.sd is None:
            return None
        return t_quantile((1 + level) / 2, self.dof) * math.sqrt(self.sd**2 * variance + extra)


def pooled_noise(curves: Iterable[Curve]) -> Noise:
    """Noise from the residuals of all curves, pooled."""
    known, dof = _residuals(curves)
    return Noise(math.sqrt(sum(sd**2 * dof for sd, dof in known) / dof) if dof else None, dof)


def typical_noise(curves: Iterable[Curve]) -> Noise:
    """Noise as the median over curves. One bad run changes it little."""
    known, dof = _residuals(curves)
    variances = [sd**2 * own / float(chi2_quantiles(0.5, own)) for sd, own in known]
    return Noise(float(np.sqrt(np.median(variances))) if known else None, dof)


def _residuals(curves: Iterable[Curve]) -> tuple[list[tuple[float, int]], int]:
    """(sd, degrees of freedom) of each curve that has residuals, and the sum of all degrees of freedom."""
    known = [(curve.residual_sd, curve.dof) for curve in curves if curve.residual_sd is not None]
    return known, sum(dof for _, dof in known)
