"""Loss against tokens at one size: L(D) = floor + scale * D^-gamma, arXiv 2601.05049 eq. 4, one gamma for all LRs.

Curves of one size differ in floor and scale and share gamma, because three horizons of one LR determine three constants
exactly and then miss the next horizon by tens of millinats.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from lrladder.paradigms.level import LEVEL
from lrladder.paradigms.quantiles import t_quantile

Array = NDArray[np.float64]

GAMMAS = (0.02, 3.0)  # assumption: published exponents of tokens lie between 0.1 and 0.6
STARTS = np.linspace(math.log(GAMMAS[0]), math.log(GAMMAS[1]), 41)  # values of ln gamma from which the search starts
PRIOR_GAMMA, PRIOR_LOG_SD = 0.3, 0.7  # weak prior of ln gamma: near Chinchilla's (published.py), others are 0.1 to 0.6
MAX_REACH = 4.0  # assumption: beyond this many times the longest horizon nothing is predicted
# Highest sd of a usable prediction, as a share of the drop in loss over the measured horizons; assumption.
MAX_SD = 0.25
# Sd of a prediction that is due to the form of the law, as a share of the predicted drop beyond the measured horizons;
# from OpenEuroLLM's sweeps, docs/fitting.md.
MISFIT = 0.08
ROUNDS = 3  # rounds in which the size of the residuals and the fit, which need each other, are found; assumption
SOFT = 2.0  # size of a residual, in sds, beyond which it counts less (soft l1); assumption


class Predicted(NamedTuple):
    """A loss and the sd of a new measurement of it, in the unit of the losses."""

    loss: float
    sd: float


@dataclass(frozen=True)
class HorizonLaw:
    """A fitted curve of loss against tokens, in the unit of the losses.

    `usable` says whether its predictions may replace measurements, and `reaches` whether one at some tokens may.
    """

    floor: float
    scale: float  # of the falling part, at `center` tokens
    gamma: float
    center: float
    noise: float  # sd of one loss
    dof: int  # of all curves that were fitted together
    span: tuple[float, float]  # tokens of the shortest and the longest horizon
    drop: float  # fitted fall of the loss over the span
    covariance: Array  # of floor, scale, gamma
    flags: tuple[str, ...]

    @property
    def usable(self) -> bool:
        """Whether nothing weakens the fit."""
        return not self.flags

    def predict(self, tokens: float) -> Predicted:
        """Loss at `tokens` and the sd of a measurement there."""
        x = math.log(tokens / self.center)
        falling = math.exp(-self.gamma * x)
        slope = np.array([1.0, falling, -self.scale * x * falling])
        nearest = math.log(min(max(tokens, self.span[0]), self.span[1]) / self.center)
        beyond = self.scale * (math.exp(-self.gamma * nearest) - falling)
        variance = float(slope @ self.covariance @ slope) + self.noise**2 + (MISFIT * beyond) ** 2
        return Predicted(self.floor + self.scale * falling, math.sqrt(max(variance, 0.0)))

    def reaches(self, tokens: float) -> bool:
        """Whether a prediction at `tokens` is near enough to the measured horizons, and certain enough, to be used."""
        near = self.span[0] / MAX_REACH <= tokens <= self.span[1] * MAX_REACH
        return self.usable and near and self.predict(tokens).sd <= MAX_SD * self.drop


def fit_horizons(
    curves: Sequence[tuple[Sequence[float], Sequence[float]]], *, noise: float | None = None
) -> tuple[HorizonLaw, ...]:
    """Fit the curves of one size with one gamma. Each curve is (tokens, losses) of one LR.

    `noise` is the sd of one loss, if it is known. Raises ValueError for a curve with fewer than two horizons, or for
    values that are not positive and finite.
    """
    data = [_curve(tokens, losses) for tokens, losses in curves]
    center = math.exp(float(np.mean([np.log(x).mean() for x, _ in data])))
    logs = [np.log(x / center) for x, _ in data]
    values = [y for _, y in data]
    together = _Curves.of(logs, values)
    gamma = _best_gamma(together)
    residuals = together.residuals(gamma)
    dof = len(residuals) - 2 * len(data) - 1
    sd = _noise(residuals, dof, noise)
    gamma_sd = _gamma_sd(together, gamma, sd)
    return tuple(
        _law(x, y, gamma, gamma_sd, sd, center, dof, noise is not None) for x, y in zip(logs, values, strict=True)
    )


class _Curves(NamedTuple):
    """The points of all curves in one row."""

    x: Array  # ln tokens, relative to their center
    y: Array  # losses minus the mean loss of their curve
    ids: NDArray[np.intp]  # index of the curve of each point

    @classmethod
    def of(cls, logs: Sequence[Array], values: Sequence[Array]) -> "_Curves":
        ids = np.repeat(np.arange(len(logs)), [len(x) for x in logs])
        return cls(np.concatenate(logs), np.concatenate([y - y.mean() for y in values]), ids)

    def residuals(self, gamma: float) -> Array:
        """Residuals [points] at a gamma, with the best floor and scale of each curve by least squares.

        They are computed in closed form, because this is evaluated very often.
        """
        falling = np.exp(-gamma * self.x)
        falling -= (self._sums(falling) / np.bincount(self.ids))[self.ids]
        scales = self._sums(falling * self.y) / self._sums(falling**2)
        return self.y - scales[self.ids] * falling

    def _sums(self, rows: Array) -> Array:
        return np.bincount(self.ids, weights=rows).astype(float)


def _curve(tokens: Sequence[float], losses: Sequence[float]) -> tuple[Array, Array]:
    x, y = np.array(tokens, dtype=float), np.array(losses, dtype=float)
    if x.shape != y.shape or len(set(x)) < 2:
        raise ValueError(f"{len(x)} horizons and {len(y)} losses: a curve needs a loss at each of two or more horizons")
    if not (np.isfinite(x).all() and np.isfinite(y).all() and (x > 0).all() and (y > 0).all()):
        raise ValueError("tokens and losses must be positive and finite")
    order = np.argsort(x)
    return x[order], y[order]


def _linear(x: Array, y: Array, gamma: float) -> Array:
    """Floor and scale of one curve at a given gamma by least squares."""
    design = np.column_stack([np.ones_like(x), np.exp(-gamma * x)])
    coef: Array = np.linalg.lstsq(design, y, rcond=None)[0]
    return coef


def _best_gamma(curves: _Curves) -> float:
    """The gamma of all curves, by a robust loss from many starts. The prior of ln gamma counts as one residual."""
    gamma = PRIOR_GAMMA
    for _ in range(ROUNDS):
        gamma = _robust_gamma(curves, _typical(curves.residuals(gamma)))
    return gamma


def _robust_gamma(curves: _Curves, unit: float) -> float:
    def cost(log_gamma: float) -> float:
        off = curves.residuals(math.exp(log_gamma)) / unit / SOFT
        prior = (log_gamma - math.log(PRIOR_GAMMA)) / PRIOR_LOG_SD / SOFT
        return float(2 * (np.sqrt(1 + off**2) - 1).sum() + 2 * (math.sqrt(1 + prior**2) - 1))

    best = int(np.argmin([cost(start) for start in STARTS]))
    around = STARTS[max(best - 1, 0)], STARTS[min(best + 1, len(STARTS) - 1)]
    return math.exp(float(optimize.minimize_scalar(cost, bounds=around, method="bounded").x))


def _typical(residuals: Array) -> float:
    """A robust size of residuals, never zero."""
    return max(1.4826 * float(np.median(np.abs(residuals))), 1e-12)


def _noise(residuals: Array, dof: int, noise: float | None) -> float:
    """Sd of one loss. It is 0 if it is neither given nor measured; then the curve gets a flag."""
    measured = math.sqrt(float((residuals**2).sum()) / dof) if dof > 0 else 0.0
    return max(measured, noise or 0.0)


def _gamma_sd(curves: _Curves, gamma: float, sd: float) -> float:
    """Sd of gamma, from the change of the residuals with ln gamma, and its prior."""
    information = PRIOR_LOG_SD**-2
    if sd > 0:
        step = 0.01
        down, up = (curves.residuals(gamma * math.exp(sign * step)) for sign in (-1, 1))
        slope = (up - down) / (2 * step)
        information += float(slope @ slope) / sd**2
    return gamma / math.sqrt(information)


def _law(
    x: Array, y: Array, gamma: float, gamma_sd: float, sd: float, center: float, dof: int, known_noise: bool
) -> HorizonLaw:
    floor, scale = _linear(x, y, gamma)
    design = np.column_stack([np.ones_like(x), np.exp(-gamma * x)])
    linear = np.linalg.inv(design.T @ design) * sd**2
    step = 0.01 * gamma
    moved = (_linear(x, y, gamma + step) - _linear(x, y, gamma - step)) / (2 * step)
    jacobian = np.append(moved, 1.0)[:, None]
    covariance = np.zeros((3, 3))
    covariance[:2, :2] = linear
    covariance += jacobian @ jacobian.T * gamma_sd**2
    drop = float(scale * (math.exp(-gamma * x[0]) - math.exp(-gamma * x[-1])))
    flags = tuple(_flags(float(floor), float(scale), gamma, dof, known_noise, stats_ok=drop > 2 * sd))
    span = (float(center * math.exp(x[0])), float(center * math.exp(x[-1])))
    return HorizonLaw(float(floor), float(scale), gamma, center, sd, dof, span, drop, covariance, flags)


def _flags(floor: float, scale: float, gamma: float, dof: int, known_noise: bool, *, stats_ok: bool) -> list[str]:
    flags = []
    if dof < 1 and not known_noise:
        flags.append(
            "the fit has as many constants as losses, so its noise is not measured; such fits miss by tens of millinats"
        )
    if scale <= 0 or not stats_ok:
        flags.append("the loss does not fall with tokens by more than its noise")
    if floor <= 0:
        flags.append("the fitted floor is not positive")
    if not GAMMAS[0] * 1.01 < gamma < GAMMAS[1] / 1.01:
        flags.append("gamma is at the end of its range")
    return flags


def interval(predicted: Predicted, dof: int, *, level: float = LEVEL) -> tuple[float, float]:
    """The prediction interval of a measurement, in the unit of the losses."""
    half = t_quantile((1 + level) / 2, max(dof, 1)) * predicted.sd
    return predicted.loss - half, predicted.loss + half
