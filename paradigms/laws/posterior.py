"""The posterior of a linear law y = x b whose points share errors within a model size and within a trunk.

The model is y = x b + g[size] + h[trunk] + e. The slopes b have a normal prior. The error e of a point has its stated
sd, times kappa, and a scatter tau in addition. The errors g and h that points share have sd rho times the mean error.
Because points of one size share g, many horizons of one size do not count as many sizes (a mixed model: Gelman & Hill,
Data Analysis Using Regression and Multilevel Models, 2007). kappa, tau and the rhos are averaged over a grid with their
posterior weights. Points are weighted as under Student's t (Lange, Little & Taylor, JASA 1989), so that a few bad
minima do not move the law.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

# The grids are assumptions. kappa is the factor by which stated sds are off; tau is the sd of a minimum about the law
# in ln lr, up to about an octave.
KAPPAS = np.array([0.5, 0.7, 1.0, 1.4])
KAPPA_SPREAD = 0.5  # sd of ln kappa, assumption
TAUS = np.array([0.0, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64])
EXACT = 4.0  # prior odds of tau = 0 against any other value; assumption
TAU_SCALE = 0.3  # prior mean of tau; assumption: published laws miss single optima by 0.1 to 0.3 in ln lr
# Sds of ln lr that are always added to a prediction, however well a few minima agree: of a new minimum about the law,
# and of the error that all runs of a new size share. Without them 67 to 84% of the left-out optima of published sweeps
# lay in their 90% intervals, with them 84 to 100%; docs/fitting.md says how they were chosen.
OWN_SD, SIZE_SD = 0.12, 0.15
LEAST_SD = math.hypot(OWN_SD, SIZE_SD)  # smallest sd of a prediction at a new size
RHOS = np.array([0.0, 0.5, 1.0, 2.0])  # sd of a shared error / mean error
RHO_SCALE = 0.5  # scale of the half-Cauchy prior of rho (Gelman, Bayesian Analysis 2006); assumption
MISFIT = 0.7  # share of a minimum's sd that comes from the misfit of its parabola, so that a new one has it; assumption
SD_FLOOR = 1e-3  # of ln lr; keeps the equations solvable for exact points
T_DOF = 4.0  # of Student's t, Lange, Little & Taylor (1989)
MANY = 1000  # with more points kappa is taken to be 1, for speed; assumption: tau is then well measured
ROUNDS = 6  # most rounds of reweighting; assumption
SETTLED = 0.02  # reweighting stops when every weight changes by less; assumption


@dataclass(frozen=True)
class Posterior:
    """A mixture over g combinations of error sizes (kappa, tau, rhos).

    The q coefficients are the slopes of the columns, and then the shared error of each level of each grouping. The
    groupings are models and trunks, their levels the single models and trunks.
    """

    weights: Array  # [g]
    coef: Array  # [g, q]
    cov: Array  # [g, q, q]
    own: Array  # [g] variance of a new point, given the shared errors of its model and trunk
    shared: tuple[Array, ...]  # variance [g] of the shared error of a new level, for each grouping
    levels: tuple[int, ...]  # number of levels of each grouping
    robustness: Array  # [points] weight of each point: above 1 if it agrees with the law, near 0 if it is far off
    scatter: Array  # [points] sd of each point about the law
    n_columns: int

    @property
    def mean(self) -> Array:
        """Slopes [columns]."""
        return (self.weights @ self.coef)[: self.n_columns]

    @property
    def sd(self) -> Array:
        """Sd of each slope [columns]."""
        coef = self.coef[:, : self.n_columns]
        variance = np.diagonal(self.cov, axis1=1, axis2=2)[:, : self.n_columns]
        return np.sqrt(self.weights @ (variance + (coef - self.mean) ** 2))

    def predict(self, x: Array, members: Sequence[int | None], *, level: float) -> tuple[float, float, float]:
        """Mean, and low and high end of the interval at `level`, of a point at `x` [columns].

        `members` has the index of its level in each grouping; None for a new one.
        """
        parts, variance = [x], self.own + OWN_SD**2
        least = (SIZE_SD, *[0.0] * len(self.levels))  # models are the first grouping
        for member, levels, shared, floor in zip(members, self.levels, self.shared, least, strict=False):
            parts.append(np.eye(1, levels, member)[0] if member is not None else np.zeros(levels))
            variance = variance + (shared + floor**2 if member is None else 0.0)
        row = np.concatenate(parts)
        means = self.coef @ row
        sds = np.sqrt(np.einsum("j,gjk,k->g", row, self.cov, row) + variance)
        low, high = (_quantile(self.weights, means, sds, q) for q in ((1 - level) / 2, (1 + level) / 2))
        return float(self.weights @ means), low, high


def fit_posterior(
    x: Array, y: Array, sd: Array, groups: Sequence[Labels], prior_mean: Array, prior_sd: Array
) -> Posterior:
    """The posterior of the law of y [n] on x [n, p].

    `sd` [n] are the stated sds. `groups` has labels [n] from 0 to m - 1 for each grouping. `prior_mean` and `prior_sd`
    [p] are those of the slopes.
    """
    dummies = [np.eye(int(labels.max()) + 1)[labels] for labels in groups]
    rows = np.column_stack([x, *dummies])
    offset = np.concatenate([prior_mean, np.zeros(rows.shape[1] - x.shape[1])])
    grid = _Grid.of(sd, dummies, prior_sd)
    rest = y - rows @ offset
    robustness = np.ones(len(y))
    for _ in range(ROUNDS):
        weights, coef, cov = grid.solve(rows, rest, robustness)
        scatter = np.sqrt(weights @ grid.noise[grid.pick])
        z = (rest - rows @ (weights @ coef)) / scatter
        before, robustness = robustness, (T_DOF + 1) / (T_DOF + z**2)
        if np.abs(robustness - before).max() < SETTLED:
            break
    return Posterior(
        weights,
        offset + coef,
        cov,
        grid.own,
        grid.shared,
        tuple(dummy.shape[1] for dummy in dummies),
        before,
        scatter,
        x.shape[1],
    )


@dataclass(frozen=True)
class _Grid:
    """The g combinations of (kappa, tau, rho of each grouping), each with its variances and prior weight."""

    noise: Array  # [pairs, n] variance of each point for each pair (kappa, tau)
    pick: Labels  # [g] the pair of each combination
    own: Array  # [g] variance of a new point
    shared: tuple[Array, ...]  # [g] variance of each grouping's levels
    prior: Array  # [g, q] variance of each coefficient
    log_prior: Array  # [g]

    @classmethod
    def of(cls, sd: Array, dummies: Sequence[Array], prior_sd: Array) -> "_Grid":
        kappas = KAPPAS if len(sd) <= MANY else np.ones(1)
        kappa, tau = (axis.ravel() for axis in np.meshgrid(kappas, TAUS, indexing="ij"))
        noise = kappa[:, None] ** 2 * (sd**2 + SD_FLOOR**2) + tau[:, None] ** 2
        mesh = [axis.ravel() for axis in np.meshgrid(np.arange(len(kappa)), *[RHOS] * len(dummies), indexing="ij")]
        pick, rhos = mesh[0].astype(np.int64), mesh[1:]
        typical = 1 / np.mean(1 / noise, axis=1)[pick]
        shared = tuple(np.maximum(rho, SD_FLOOR) ** 2 * typical for rho in rhos)
        columns = [np.broadcast_to(prior_sd**2, (len(pick), len(prior_sd)))]
        columns += [np.repeat(s[:, None], dummy.shape[1], axis=1) for s, dummy in zip(shared, dummies, strict=True)]
        odds = np.log(EXACT) * (tau == 0) - tau / TAU_SCALE - 0.5 * (np.log(kappa) / KAPPA_SPREAD) ** 2
        log_prior = odds[pick] - sum((np.log1p((rho / RHO_SCALE) ** 2) for rho in rhos), np.zeros(len(pick)))
        own = (tau**2 + (MISFIT * kappa) ** 2 / np.mean(1 / (sd**2 + SD_FLOOR**2)))[pick]
        return cls(noise, pick, own, shared, np.concatenate(columns, axis=1), log_prior)

    def solve(self, rows: Array, rest: Array, robustness: Array) -> tuple[Array, Array, Array]:
        """Posterior weights [g], coefficients [g, q] and covariances [g, q, q]."""
        noise = self.noise / robustness
        normal = np.stack([(rows.T / variance) @ rows for variance in noise])[self.pick]
        right = ((rest / noise) @ rows)[self.pick]
        precision = normal + np.eye(rows.shape[1]) / self.prior[:, :, None]
        cov = np.linalg.inv(precision).astype(np.float64, copy=False)
        coef = np.einsum("gjk,gk->gj", cov, right)
        fit = (rest**2 / noise).sum(axis=1)[self.pick] - (coef * right).sum(axis=1)
        volume = np.log(noise).sum(axis=1)[self.pick] + np.log(self.prior).sum(axis=1) - np.linalg.slogdet(cov)[1]
        log_weights = self.log_prior - 0.5 * (fit + volume)
        weights = np.exp(log_weights - log_weights.max())
        return weights / weights.sum(), coef, cov


def _quantile(weights: Array, means: Array, sds: Array, q: float) -> float:
    """The quantile q of a mixture of normal distributions, by bisection between the quantiles of its parts."""
    parts = means + ndtri(q) * sds
    low, high = float(parts.min()), float(parts.max())
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if weights @ ndtr((middle - means) / sds) < q else (low, middle)
    return (low + high) / 2
