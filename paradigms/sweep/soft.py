"""Estimates the best LR of a sweep that does not bracket it, from two or more runs and the usual curvature."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from lrladder.paradigms.sweep.curve import NOISE_SHARE
from lrladder.paradigms.sweep.swept import BLOWN_UP, sweep

Array = NDArray[np.float64]

# The usual curvature, as a share of the loss per (ln lr)^2. The medians of three public tables of sweeps are 0.0043,
# 0.0123 and 0.0123, and within a table ln curvature has a sd of 0.35 to 0.56 (docs/fitting.md). Assumption: other
# recipes are similar.
CURVATURE, CURVATURE_LOG_SD = 0.008, 0.7
MISFIT = 0.2  # sd of the misfit of a parabola, as a share of the rise above the minimum; assumption
REACH, STEPS = 4.0, 321  # the grid of ln lr*: its reach on either side in sds of the prior, and its points
CURVATURES = np.linspace(-2.5, 2.5, 11)  # the grid of ln curvature, in sds


class Soft(NamedTuple):
    """Mean and sd of the posterior of ln lr*."""

    ln_lr: float
    sd: float


def soft_minimum(lrs: Sequence[float], losses: Sequence[float | None], *, center: float, spread: float) -> Soft | None:
    """The posterior of ln lr* given the runs of a sweep; None if fewer than two LRs finished.

    The prior of ln lr* is normal about `center` with sd `spread`. That of the curvature is the usual one, within a
    factor of about two. The best LR is below every LR that diverged or blew up.
    """
    data = sweep(lrs, losses)
    if len(data.finished) < 2:
        return None
    level = float(np.abs(data.means).min()) or 1.0
    kept = data.means - data.means.min() <= BLOWN_UP * level
    x, y = np.log(data.finished[kept]), data.means[kept] / level
    best = math.log(data.finished[int(data.means.argmin())])
    gone = [lr for lr in data.tried if lr not in data.finished[kept] and math.log(lr) > best]
    place = center + spread * np.linspace(-REACH, REACH, STEPS)
    log_weights = logsumexp(_log_likelihood(x, y, place), axis=1) - 0.5 * ((place - center) / spread) ** 2
    log_weights[place >= math.log(min(gone, default=math.inf))] = -math.inf
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    mean = float(weights @ place)
    return Soft(mean, math.sqrt(float(weights @ (place - mean) ** 2)))


def _log_likelihood(x: Array, y: Array, place: Array) -> Array:
    """Log likelihood [places, curvatures] of the losses `y` [runs] at ln lr `x` [runs], plus the curvature's log prior.

    The minimum of the loss has a flat prior and is integrated out, so that only differences of losses count.
    """
    curvature = CURVATURE * np.exp(CURVATURE_LOG_SD * CURVATURES)
    rise = curvature[:, None] * (x - place[:, None, None]) ** 2  # [places, curvatures, runs]
    weights = 1 / (NOISE_SHARE**2 + (MISFIT * rise) ** 2)
    off = y - rise
    total = weights.sum(axis=-1)
    mean = (weights * off).sum(axis=-1) / total
    chi2 = (weights * (off - mean[..., None]) ** 2).sum(axis=-1)
    prior = -0.5 * CURVATURES**2
    found: Array = 0.5 * (np.log(weights).sum(axis=-1) - np.log(total) - chi2) + prior
    return found
