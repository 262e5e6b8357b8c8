"""The law lr* = k N^-u D^-v (arXiv 2601.05049 eq. 6), refitted to every ladder; N is active parameters, D tokens."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

SD_FLOOR = 0.05  # of ln lr*; assumption: even a noiseless parabola is off by about this much (0.04-0.12 octaves)
PRIOR_U, PRIOR_V = 0.2219, 0.3509  # arXiv 2601.05049; secondary source, one recipe: weak
PRIOR_SD = 0.25  # assumption: published exponents of either kind differ by about this much between recipes
MIN_SPAN = 1.5  # assumption: a ratio of sizes or horizons below this does not identify an exponent
MAX_CORRELATION = 0.99  # of ln N and ln D; assumption: beyond it their exponents are not told apart
MIN_CLUSTERS = 4  # sizes for a bootstrap over sizes; resampled designs of fewer are singular too often


class LawPoint(NamedTuple):
    """One interior minimum: active parameters, tokens, ln lr* and its standard deviation."""

    n_active: int
    tokens: int
    ln_lr: float
    sd: float


@dataclass(frozen=True)
class Law:
    """A fitted law; intervals of exponents are 90%, None where the exponent is the prior's."""

    k: float
    u: float
    u_low: float | None
    u_high: float | None
    v: float
    v_low: float | None
    v_high: float | None
    n_points: int
    flags: tuple[str, ...]
    bootstrap: str  # "sizes" or "parametric"
    center: tuple[float, float]  # mean ln N and ln D of the design
    covariances: tuple[Array, Array]  # of (level at the centre, -u, -v): least squares, bootstrap
    scatter: float  # sd of ln lr* about the law
    dof: int

    def predict(self, n_active: int, tokens: int) -> tuple[float, float, float]:
        """LR and its 90% prediction interval. It widens with distance from the design and for few points."""
        x = np.array([1.0, math.log(n_active) - self.center[0], math.log(tokens) - self.center[1]])
        ln_lr = math.log(self.k) - self.u * math.log(n_active) - self.v * math.log(tokens)
        variance = max(float(x @ cov @ x) for cov in self.covariances) + self.scatter**2
        half = min(stats.t.ppf(0.95, self.dof) * math.sqrt(variance), 50.0)  # e^50: no interval at all, yet finite
        return math.exp(ln_lr), math.exp(ln_lr - half), math.exp(ln_lr + half)


class _Design(NamedTuple):
    x: Array  # columns: 1, ln N - mean, ln D - mean
    y: Array  # ln lr*
    sd: Array  # floored
    sizes: Array  # N of each point
    free: list[int]  # columns that are fitted; the others keep the prior


PRIOR = np.array([0.0, -PRIOR_U, -PRIOR_V])


def fit_law(points: Sequence[LawPoint], *, n_boot: int = 1000, seed: int = 0) -> Law:
    """Weighted least squares in logs. Raises ValueError without points, or on values that are not positive and finite.

    Intervals come from a bootstrap over sizes, or with fewer than four sizes from a parametric one: each point's sd,
    raised to the scatter of the residuals.
    """
    _check(points)
    n, d = (np.log([float(p[i]) for p in points]) for i in (0, 1))
    center = (float(n.mean()), float(d.mean()))
    free, flags = _identify(n, d)
    x = np.column_stack([np.ones(len(n)), n - center[0], d - center[1]])
    sd = np.array([max(p.sd, SD_FLOOR) for p in points])
    design = _Design(x, np.array([p.ln_lr for p in points]), sd, np.array([p.n_active for p in points]), free)
    coef = _solve(design, design.y[None], sd[None] ** -2)[0]
    dof = len(points) - len(free)
    inflation = math.sqrt(max(1.0, float((((design.y - x @ coef) / sd) ** 2).sum()) / dof)) if dof else 1.0
    clusters = len(set(design.sizes))
    draws, tdof = _bootstrap(design, coef, inflation, n_boot, seed), max(dof, 1)
    boot_dof = clusters - 1 if clusters >= MIN_CLUSTERS else tdof
    half = stats.t.ppf(0.95, boot_dof) * draws.std(axis=0)
    u, v = float(-coef[1]), float(-coef[2])
    return Law(
        k=math.exp(coef[0] + u * center[0] + v * center[1]),
        u=u,
        u_low=u - half[1] if 1 in free else None,
        u_high=u + half[1] if 1 in free else None,
        v=v,
        v_low=v - half[2] if 2 in free else None,
        v_high=v + half[2] if 2 in free else None,
        n_points=len(points),
        flags=flags,
        bootstrap="sizes" if clusters >= MIN_CLUSTERS else "parametric",
        center=center,
        covariances=(_wls_covariance(design, inflation), np.atleast_2d(np.cov(draws.T)) + _prior_covariance(free)),
        scatter=inflation * float(np.sqrt(np.mean(sd**2))),
        dof=tdof,
    )


def _check(points: Sequence[LawPoint]) -> None:
    if not points:
        raise ValueError("a law needs at least one interior minimum")
    for p in points:
        if not (p.n_active > 0 and p.tokens > 0 and math.isfinite(p.ln_lr) and math.isfinite(p.sd) and p.sd >= 0):
            raise ValueError(f"{p}: size and tokens must be positive, ln_lr and sd finite")


def _identify(n: Array, d: Array) -> tuple[list[int], tuple[str, ...]]:
    """Columns that the design identifies, and what weakens them, in words."""
    free, flags = [0], []
    sizes, horizons = len(set(n)), len(set(d))
    if np.ptp(n) >= math.log(MIN_SPAN):
        free.append(1)
        flags += [f"N identified by {sizes} sizes" if sizes == 2 else f"only {sizes} sizes"] * (sizes < MIN_CLUSTERS)
    else:
        flags.append(f"u not identified ({sizes} size{'s' * (sizes > 1)} within {MIN_SPAN:g}x): fixed at {PRIOR_U}")
    if np.ptp(d) < math.log(MIN_SPAN):
        flags.append(
            f"v not identified ({horizons} horizon{'s' * (horizons > 1)} within {MIN_SPAN:g}x): fixed at {PRIOR_V}"
        )
    elif 1 in free and abs(np.corrcoef(n, d)[0, 1]) > MAX_CORRELATION:
        flags.append(f"v not identified (tokens move with size): fixed at {PRIOR_V}")
    else:
        free.append(2)
    if len(n) <= len(free):
        flags.append(f"only {len(n)} points for {len(free)} constants: the scatter is not measured")
    return free, tuple(flags)


def _solve(design: _Design, y: Array, weights: Array) -> Array:
    """Coefficients for each row of `y` and `weights` [draws, points]; columns that are not free keep the prior."""
    free, fixed = design.free, [i for i in range(3) if i not in design.free]
    x = design.x[:, free]
    rest = y - design.x[:, fixed] @ PRIOR[fixed]
    normal = np.einsum("bi,ij,ik->bjk", weights, x, x)
    coef = np.tile(PRIOR, (len(y), 1))
    coef[:, free] = np.linalg.solve(normal, np.einsum("bi,ij,bi->bj", weights, x, rest)[..., None])[..., 0]
    return coef


def _wls_covariance(design: _Design, inflation: float) -> Array:
    cov = _prior_covariance(design.free)
    x = design.x[:, design.free] / design.sd[:, None]
    cov[np.ix_(design.free, design.free)] = np.linalg.inv(x.T @ x) * inflation**2
    return cov


def _prior_covariance(free: list[int]) -> Array:
    return np.diag([0.0 if column in free else PRIOR_SD**2 for column in range(3)])


def _bootstrap(design: _Design, coef: Array, inflation: float, n_boot: int, seed: int) -> Array:
    """Coefficients of `n_boot` resamples: of whole sizes, or parametric where there are too few sizes."""
    rng = np.random.default_rng(seed)
    sizes, member = np.unique(design.sizes, return_inverse=True)
    weights = np.tile(design.sd**-2, (n_boot, 1))
    if len(sizes) < MIN_CLUSTERS:
        noise = rng.standard_normal((n_boot, len(design.y))) * design.sd * inflation
        return _solve(design, design.x @ coef + noise, weights)
    counts = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=n_boot)[:, member]
    x = design.x[:, design.free]
    usable = np.linalg.cond(np.einsum("bi,ij,ik->bjk", counts * weights, x, x)) < 1e8  # not one size drawn throughout
    weights = (counts * weights)[usable]
    return _solve(design, np.broadcast_to(design.y, weights.shape), weights)
