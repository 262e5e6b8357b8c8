"""Curves of one study fitted together: what all their residuals say of the noise serves each."""

from collections.abc import Iterable, Sequence

import numpy as np
from scipy import stats

from lrladder.paradigms.sweep.curve import Curve, fit_curve

MIN_POOLED_DOF = 3  # assumption: fewer degrees of freedom than this say too little about the noise to be shared

LrSweep = tuple[Sequence[float], Sequence[float | None]]


def fit_curves(sweeps: Sequence[LrSweep], *, level: float = 0.9, step: float = 0.0) -> tuple[Curve, ...]:
    """Fit the sweeps (LRs, losses) of one study, whose losses are rounded to `step`.

    Raises ValueError on an LR or loss that cannot be used.
    """
    alone = [fit_curve(lrs, losses, level=level, step=step) for lrs, losses in sweeps]
    noise = typical_noise(alone)
    if noise is None:
        return tuple(alone)
    return tuple(fit_curve(lrs, losses, level=level, noise=noise, step=step) for lrs, losses in sweeps)


def typical_noise(curves: Iterable[Curve]) -> float | None:
    """Median sd of one loss, from residuals: a bad run moves it little. None where they leave too few to go by."""
    known = [(curve.residual_sd, curve.dof) for curve in curves if curve.residual_sd is not None]
    if sum(dof for _, dof in known) < MIN_POOLED_DOF:
        return None
    return float(np.sqrt(np.median([sd**2 * dof / stats.chi2.median(dof) for sd, dof in known])))
