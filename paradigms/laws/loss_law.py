"""Loss at the best LR against size and tokens: L(N, D) = E + A N^-alpha + B D^-beta, Chinchilla, arXiv 2203.15556."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from lrladder.paradigms.laws.design import MIN_SPAN

Array = NDArray[np.float64]

HUBER = 1e-3  # of log losses, arXiv 2203.15556 appendix D.3
# Starts of (part of the loss that is E, both exponents); the published fits lie among them
STARTS = tuple(product((0.3, 0.6, 0.85), (0.2, 0.5, 1.0)))
LEFT_OUT_SHARE = 0.25  # cells above this part of the largest's FLOPs are left out to see how far the law misses beyond
BOUNDS = ((-12.0, 3.0), (-12.0, 3.0), (-12.0, 3.0), (0.02, 3.0), (0.02, 3.0))
# Weak, for what is not identified; Chinchilla's exponents (published.py) are near
PRIOR_EXPONENT, PRIOR_LOG_SD, PRIOR_WEIGHT = 0.35, 1.0, 1e-6
MIN_CELLS = 7  # two more than constants; assumption: fewer leave no scatter to go by


class LossPoint(NamedTuple):
    """One cell: size, tokens and the loss at its best LR."""

    n: float
    tokens: float
    loss: float


class LossPrediction(NamedTuple):
    """A loss and its 90% interval."""

    loss: float
    low: float
    high: float


@dataclass(frozen=True)
class LossLaw:
    """A fitted law; N and D count in units of `center`. `draws` are refits to resampled cells."""

    floor: float
    size_scale: float
    token_scale: float
    alpha: float
    beta: float
    center: tuple[float, float]
    scatter: float  # sd of log loss about the law
    miss: float  # rms miss of log loss at the largest cells by the law of the others; 0 where too few are left
    n_points: int
    draws: Array  # [draws, 5]: ln floor, ln scales, alpha, beta
    flags: tuple[str, ...]

    def predict(self, n: float, tokens: float) -> LossPrediction:
        """Loss at the best LR, with the interval of a measurement: resamples, scatter and `miss`."""
        x = np.array([math.log(n / self.center[0]), math.log(tokens / self.center[1])])
        own = float(np.exp(_log_loss(self._parameters, x[:1], x[1:])[0]))
        logs = np.array([_log_loss(draw, x[:1], x[1:])[0] for draw in self.draws]) - math.log(own)
        half = 1.645 * math.hypot(float(np.sqrt(np.mean(logs**2))) if len(logs) else 0.0, self.scatter, self.miss)
        return LossPrediction(own, own * math.exp(-half), own * math.exp(half))

    @property
    def _parameters(self) -> Array:
        return np.array([*np.log([self.floor, self.size_scale, self.token_scale]), self.alpha, self.beta])


def fit_loss_law(points: Sequence[LossPoint], *, n_boot: int = 50, seed: int = 0) -> LossLaw | None:
    """Huber loss on log loss, by L-BFGS from many starts; None for fewer than three cells.

    Raises ValueError for values that are not positive and finite.
    """
    if any(not 0 < value < math.inf for point in points for value in point):
        raise ValueError("sizes, tokens and losses must be positive and finite")
    if len(points) < 3:
        return None
    n, d, y = (np.log([float(point[i]) for point in points]) for i in range(3))
    center = (float(n.mean()), float(d.mean()))
    x, z = n - center[0], d - center[1]
    level = float(y.mean())
    best = _best(x, z, y - level)
    rng = np.random.default_rng(seed)
    draws = [_resampled(x, z, y - level, best, rng) for _ in range(n_boot)]
    residuals = y - level - _log_loss(best, x, z)
    dof = max(1, len(points) - 5)
    shift = np.array([level, level, level, 0.0, 0.0])
    floor, size_scale, token_scale = np.exp((best + shift)[:3])
    return LossLaw(
        floor=float(floor),
        size_scale=float(size_scale),
        token_scale=float(token_scale),
        alpha=float(best[3]),
        beta=float(best[4]),
        center=(math.exp(center[0]), math.exp(center[1])),
        scatter=math.sqrt(float((residuals**2).sum()) / dof),
        miss=_miss(x, z, y - level),
        n_points=len(points),
        draws=np.array(draws).reshape(-1, 5) + shift,
        flags=tuple(_flags(n, d, len(points))),
    )


def _log_loss(parameters: Array, x: Array, z: Array) -> Array:
    e, a, b, alpha, beta = parameters
    found: Array = np.logaddexp(np.logaddexp(e, a - alpha * x), b - beta * z)
    return found


def _best(x: Array, z: Array, y: Array) -> Array:
    """The best of all starts."""
    starts = [
        np.array([math.log(floor), math.log((1 - floor) / 2), math.log((1 - floor) / 2), exponent, exponent])
        for floor, exponent in STARTS
    ]
    return min((_fit(x, z, y, start) for start in starts), key=lambda fit: fit[1])[0]


def _miss(x: Array, z: Array, y: Array) -> float:
    """How far the law of the smaller cells misses the largest ones."""
    small = x + z <= (x + z).max() + math.log(LEFT_OUT_SHARE)
    if small.sum() < MIN_CELLS:
        return 0.0
    found = _best(x[small], z[small], y[small])
    return float(np.sqrt(np.mean((_log_loss(found, x[~small], z[~small]) - y[~small]) ** 2)))


def _objective(parameters: Array, x: Array, z: Array, y: Array, weights: Array) -> tuple[float, Array]:
    """Huber of the residuals of log loss, plus a weak prior of the exponents; with its gradient."""
    e, a, b, alpha, beta = parameters
    parts = np.array([np.full_like(x, e), a - alpha * x, b - beta * z])
    top = parts.max(axis=0)
    shares = np.exp(parts - top)
    total = shares.sum(axis=0)
    off = top + np.log(total) - y
    shares = shares / total
    clipped = np.clip(off, -HUBER, HUBER)
    value = float(weights @ (clipped * (off - clipped / 2)))
    pull = weights * clipped
    gradient = np.array(
        [pull @ shares[0], pull @ shares[1], pull @ shares[2], -(pull @ (shares[1] * x)), -(pull @ (shares[2] * z))]
    )
    for i, exponent in ((3, alpha), (4, beta)):
        miss = math.log(exponent / PRIOR_EXPONENT) / PRIOR_LOG_SD
        value += PRIOR_WEIGHT * miss**2 / 2
        gradient[i] += PRIOR_WEIGHT * miss / (PRIOR_LOG_SD * exponent)
    return value / PRIOR_WEIGHT, gradient / PRIOR_WEIGHT


def _fit(x: Array, z: Array, y: Array, start: Array, weights: Array | None = None) -> tuple[Array, float]:
    weights = np.ones_like(x) if weights is None else weights
    found = optimize.minimize(_objective, start, (x, z, y, weights), method="L-BFGS-B", jac=True, bounds=BOUNDS)
    return found.x, float(found.fun)


def _resampled(x: Array, z: Array, y: Array, start: Array, rng: np.random.Generator) -> Array:
    """A refit to resampled cells, from the best fit."""
    weights = np.bincount(rng.integers(len(x), size=len(x)), minlength=len(x)).astype(float)
    return _fit(x, z, y, start, weights)[0]


def _flags(n: Array, d: Array, count: int) -> list[str]:
    flags = []
    if np.ptp(n) < math.log(MIN_SPAN):
        flags.append(f"alpha not identified: sizes within {MIN_SPAN:g}x")
    if np.ptp(d) < math.log(MIN_SPAN):
        flags.append(f"beta not identified: horizons within {MIN_SPAN:g}x")
    if count < MIN_CELLS:
        flags.append(f"only {count} cells for 5 constants")
    return flags
