"""Linear law y = x b with errors that sizes and trunks share: its posterior, averaged over the sizes of the errors.

y = x b + g[size] + h[trunk] + e: b has a normal prior; e has the stated sd of each point, times kappa, and a scatter
tau of its own; g and h have sd rho times the mean error. Runs of one size share g, so that many horizons of one size do
not count as many sizes (a mixed model: Gelman & Hill, Data Analysis Using Regression and Multilevel Models, 2007).
kappa, tau and the rhos are summed over a grid with their posterior weights. Weights of points are those of Student's t
(Lange, Little & Taylor, JASA 1989), so that a few bad minima do not move the law.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

# Grids are assumptions. kappa: how far stated sds are off; tau: what a minimum misses the law by, ln lr, to an octave.
KAPPAS = np.array([0.5, 0.7, 1.0, 1.4])
KAPPA_SPREAD = 0.5  # sd of ln kappa, assumption
TAUS = np.array([0.0, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64])
EXACT = 4.0  # odds before data of tau 0 to any other one; assumption
TAU_SCALE = 0.3  # mean of tau before data, assumption: published laws miss single optima by 0.1-0.3 in ln lr
# What no agreement of a few minima takes away, sds of ln lr: of a new minimum about the law, and of what runs of a new
# size and architecture share. Without these 67 to 84% of the left-out optima of published sweeps lay in their 90%
# intervals, with them 84 to 100%; docs/fitting.md says how they were chosen.
OWN_SD, SIZE_SD = 0.12, 0.15
LEAST_SD = math.hypot(OWN_SD, SIZE_SD)  # of any prediction at a new size
RHOS = np.array([0.0, 0.5, 1.0, 2.0])  # of the shared errors to the mean error
RHO_SCALE = 0.5  # of a half-Cauchy prior of rho (Gelman, Bayesian Analysis 2006), assumption
MISFIT = 0.7  # assumption: the part of a minimum's sd that is the parabola's misfit, so the target's minimum has it too
SD_FLOOR = 1e-3  # of ln lr; keeps exact points solvable
T_DOF = 4.0  # of Student's t, Lange, Little & Taylor (1989)
MANY = 1000  # points beyond which stated sds are taken as they are, for speed: their scatter is well measured
ROUNDS = 6  # of reweighting
SETTLED = 0.02  # change of every weight below which reweighting stops


@dataclass(frozen=True)
class Posterior:
    """A mixture over g combinations of error sizes; coefficients are [columns, then levels of each grouping]."""

    weights: Array  # [g]
    coef: Array  # [g, q]
    cov: Array  # [g, q, q]
    own: Array  # [g] variance of a new point about its model and trunk
    shared: tuple[Array, ...]  # variance [g] of a new level, for each grouping
    levels: tuple[int, ...]  # of each grouping
    robustness: Array  # [points] weight of each point, above 1 where it agrees, near 0 where it is far off
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
        """Mean and interval at `level` of a point at `x` [columns]; `members`: its level of each grouping, or None."""
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
    """Posterior of y [n] on x [n, p], stated sds [n], labels 0..m-1 [n] per grouping, and priors [p] of the slopes."""
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
    """Combinations of (kappa, tau, rho of each grouping); `pick` is the (kappa, tau) pair of each."""

    noise: Array  # [pairs, n] variance of each point
    pick: Labels  # [g]
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
    """Of a mixture of normals, by bisection."""
    center = float(weights @ means)
    reach = 10 * math.sqrt(float(weights @ (sds**2 + (means - center) ** 2)))  # Cantelli: outside it lies under 1%
    low, high = center - reach, center + reach
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if weights @ ndtr((middle - means) / sds) < q else (low, middle)
    return (low + high) / 2
