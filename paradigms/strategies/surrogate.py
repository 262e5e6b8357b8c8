"""A Gaussian process of the loss over (ln N, ln D, ln lr), from which the active search chooses its next runs.

It says where best LRs may lie, and how much one more run would say about them. Losses are counted in units of the
pooled curvature, so that every cell is about a unit parabola in ln lr, whatever the scale of the losses. The prior is
that parabola, with a vertex that is linear in ln N and ln D (the law), a free level for every cell, and a smooth
departure from both. scikit-learn computes the process.
"""

import math
import warnings
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, Exponentiation, Kernel, WhiteKernel

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

# Assumptions, in units of the curvature and of ln: the polynomial kernel A (s^2 + z.z')^2 gives prior sds of 0.7 to the
# curvature, 6 to the vertex (x 2) and 1 to its slopes (x 2, exponents of 0.5); levels are free.
POLYNOMIAL, POLYNOMIAL_SHIFT, LEVEL = 0.5, 6.0, 100.0
SAME_CELL = 1e-3  # cells nearer than this in ln N and ln D share a level; no two cells of a study are so near
DEPARTURE = (1e-3, 3.0)  # bounds of the variance of the smooth departure; assumption
DEPARTURE_LENGTHS = (3.0, 3.0, 2.0)  # in ln; fixed, because a few dozen runs do not determine lengths; assumption
NOISE = (1e-4, 10.0)  # bounds of the variance of one loss; (3 millinats / 20 millinats per (ln lr)^2)^2 is 0.02
ROUNDING = 1e-8  # added to variances, so that matrices stay positive definite
STEP = 0.2  # in ln lr, of the finite difference for a slope; assumption
SLOPE = np.array([-1.0, 1.0]) / (2 * STEP)
REACH = 1.5  # in ln lr; assumption: runs over 4.5x from the best tried LR of their cell say nothing about its minimum


@dataclass(frozen=True)
class Surrogate:
    """A fitted process. `center` is subtracted from (ln N, ln D, ln lr). `unit` is one curvature unit in nats."""

    process: GaussianProcessRegressor
    center: Array
    unit: float

    @classmethod
    def fit(cls, points: Array, losses: Array, cells: Labels, *, kernel: Kernel | None = None) -> Self:
        """Fit the process to points [n, 3] of (ln N, ln D, ln lr), finite losses [n] and indices of their cells [n].

        The parameters of the kernel are fitted, unless a `kernel` of an earlier fit is given.
        """
        points, losses, cells = _near_best(points, losses, cells)
        center = points.mean(axis=0)
        z = points - center
        unit = _curvature(z, losses, cells)
        process = GaussianProcessRegressor(
            kernel=_prior() if kernel is None else kernel,
            optimizer="fmin_l_bfgs_b" if kernel is None else None,
            alpha=ROUNDING,
        )
        with warnings.catch_warnings():  # a variance may be at its bound
            warnings.simplefilter("ignore", ConvergenceWarning)
            process.fit(z, _demean(losses, cells) / unit - z[:, 2] ** 2)
        return cls(process, center, unit)

    def posterior(self, points: Array) -> tuple[Array, Array]:
        """Mean [m] and covariance [m, m] of the loss without noise at `points` [m, 3], in curvature units."""
        z = points - self.center
        mean, cov = self.process.predict(z, return_cov=True)
        return mean + z[:, 2] ** 2, cov - self.noise * np.eye(len(z))

    @property
    def noise(self) -> float:
        """Variance of one loss, in squared curvature units."""
        return float(self.process.kernel_.k2.noise_level)

    def thompson(self, cells: Array, lrs: Array, rng: np.random.Generator, *, samples: int) -> Array:
        """The best ln lr [samples, m] of each cell on sampled surfaces.

        `cells` [m, 2] are (ln N, ln D). `lrs` [g] are the values of ln lr at which a surface is evaluated.
        """
        grid = np.column_stack([np.repeat(cells, len(lrs), axis=0), np.tile(lrs, len(cells))])
        mean, cov = self.posterior(grid)
        draws = mean + rng.standard_normal((samples, len(mean))) @ _root(cov).T
        return lrs[draws.reshape(samples, len(cells), len(lrs)).argmin(axis=2)]

    def learn(self, vertex: Array, runs: Array) -> tuple[Array, Array]:
        """Covariances of the best ln lr of a cell with `runs` [r, 3], and of the runs with their noise [r, r].

        `vertex` [3] is (ln N, ln D, the cell's likely best ln lr). A vertex moves by -slope / curvature, and the
        curvature is 2 in our units.
        """
        _, cov = self.posterior(np.concatenate([_ends(vertex), runs]))
        return -SLOPE @ cov[:2, 2:] / 2, cov[2:, 2:] + self.noise * np.eye(len(runs))


def _ends(vertex: Array) -> Array:
    """Two points whose losses, weighted by SLOPE, give the slope at a vertex."""
    step = np.array([0.0, 0.0, STEP])
    return np.array([vertex - step, vertex + step])


def _prior() -> Kernel:
    level = ConstantKernel(LEVEL, "fixed") * RBF([SAME_CELL, SAME_CELL, 1e6], "fixed")
    law = ConstantKernel(POLYNOMIAL, "fixed") * Exponentiation(DotProduct(POLYNOMIAL_SHIFT, "fixed"), 2)
    departure = ConstantKernel(0.05, DEPARTURE) * RBF(DEPARTURE_LENGTHS, "fixed")
    return level + law + departure + WhiteKernel(0.02, NOISE)


def _near_best(points: Array, losses: Array, cells: Labels) -> tuple[Array, Array, Labels]:
    best = np.array([points[cells == cell][losses[cells == cell].argmin(), 2] for cell in range(cells.max() + 1)])
    near = np.abs(points[:, 2] - best[cells]) <= REACH
    return points[near], losses[near], cells[near]


def _demean(values: Array, cells: Labels) -> Array:
    counts = np.bincount(cells)
    return values - (np.bincount(cells, values) / counts)[cells]


def _curvature(z: Array, losses: Array, cells: Labels) -> float:
    """Curvature of all cells together, nats per (ln lr)^2. If it is not positive, the spread of the losses."""
    x = z[:, 2]
    columns = np.column_stack([_demean(column, cells) for column in (x**2, x, x * z[:, 0], x * z[:, 1])])
    y = _demean(losses, cells)
    curvature = float(np.linalg.lstsq(columns, y, rcond=None)[0][0])
    return curvature if curvature > 0 else max(float(y.std()), math.ulp(float(np.abs(losses).max())))


def _root(cov: Array) -> Array:
    """A lower factor of a covariance that may not be positive definite because of rounding."""
    scale = float(np.diag(cov).max())
    for jitter in (1e-9, 1e-7, 1e-5):
        try:
            return np.asarray(np.linalg.cholesky(cov + jitter * scale * np.eye(len(cov))), dtype=float)
        except np.linalg.LinAlgError:
            continue
    values, vectors = np.linalg.eigh(cov)
    return np.asarray(vectors * np.sqrt(values.clip(0)), dtype=float)
