"""A parabola in ln lr, fitted to losses of a sweep near its best LR, and the interval of its vertex."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from lrladder.paradigms.quantiles import t_quantile
from lrladder.paradigms.sweep.swept import Sweep

Array = NDArray[np.float64]

# Three LRs at uneven distances fit a parabola exactly, which hides that the true curve is lopsided. On public sweeps
# whose LR next to the best was left out, the minimum of 73 such fits moved by an sd of 0.095 of the wider gap in ln lr.
UNEVEN, LOPSIDED = 1.5, 0.1


class Interval(NamedTuple):
    """The ends of an interval of x, and what weakens it, in words."""

    low: float
    high: float
    flags: tuple[str, ...] = ()


class Parabola(NamedTuple):
    """Losses c0 + c1 x + c2 x^2 in nats, with x = ln(lr / best LR tried)."""

    coef: Array  # c0, c1, c2
    cov: Array  # [3, 3], the covariance of `coef` at a noise of 1 nat
    rss: float
    r2: float
    n: int  # runs
    span: tuple[float, float]  # lowest and highest x
    lrs: tuple[float, ...]

    @property
    def vertex(self) -> float:
        """x of the vertex. Infinite unless the parabola is convex."""
        return float(-self.coef[1] / (2 * self.coef[2])) if self.coef[2] > 0 else math.inf

    @property
    def minimum(self) -> float:
        """The loss at the vertex."""
        return float(self.coef[0] + self.coef[1] * self.vertex / 2)

    def sd_vertex(self, noise: float) -> float:
        """The sd of the vertex, if one loss has the sd `noise` in nats."""
        slope = np.array([0.0, 1.0, 2 * self.vertex]) / (2 * self.coef[2])  # d vertex / d coef, up to sign
        return math.hypot(noise * math.sqrt(slope @ self.cov @ slope), self._lopsided())

    def interval(self, noise: float, dof: float, level: float, swept: tuple[float, float]) -> Interval:
        """The interval of the vertex within the x that were `swept`. `noise` has `dof` degrees of freedom."""
        found = self._fieller(noise * t_quantile((1 + level) / 2, dof), swept)
        hidden = float(ndtri((1 + level) / 2)) * self._lopsided()
        if not hidden:
            return found
        low = max(swept[0], self.vertex - math.hypot(self.vertex - found.low, hidden))
        high = min(swept[1], self.vertex + math.hypot(found.high - self.vertex, hidden))
        why = "three LRs at uneven distances do not show whether the curve is lopsided, so the interval is wider"
        return Interval(low, high, (*found.flags, why))

    def _fieller(self, error: float, swept: tuple[float, float]) -> Interval:
        """Fieller's interval of -c1 / (2 c2): all x at which the slope c1 + 2 c2 x is within the error of zero."""
        a = 4 * (self.coef[2] ** 2 - error**2 * self.cov[2, 2])
        b = 4 * (self.coef[1] * self.coef[2] - error**2 * self.cov[1, 2])
        c = self.coef[1] ** 2 - error**2 * self.cov[1, 1]
        if a <= 0:  # the curvature does not differ from zero within the noise, so any LR could be best
            why = "the fit does not bound the best LR, so the interval ends at the lowest and highest LR tried"
            return Interval(*swept, (why,))
        root = math.sqrt(max(b * b - 4 * a * c, 0.0))
        low, high = min((-b - root) / (2 * a), self.vertex), max((-b + root) / (2 * a), self.vertex)
        if low >= swept[0] and high <= swept[1]:
            return Interval(low, high)
        why = "the interval ends at the lowest or the highest LR tried"
        return Interval(max(low, swept[0]), min(high, swept[1]), (why,))

    def _lopsided(self) -> float:
        """The sd of the vertex because the curve may be lopsided and the LRs cannot show it; else 0."""
        gaps = np.diff(np.log(self.lrs))
        uneven = len(self.lrs) == 3 and gaps.max() > UNEVEN * gaps.min()
        return LOPSIDED * float(gaps.max()) if uneven else 0.0


def fit_parabola(data: Sweep, chosen: Sequence[int]) -> Parabola:
    """The least-squares parabola of the runs at the `chosen` indices of the finished LRs."""
    origin = data.finished[int(np.argmin(data.means))]
    base = float(data.means.min())  # a parabola of differences, so that rounding does not depend on the level of losses
    x = np.array([math.log(data.finished[i] / origin) for i in chosen for _ in data.runs[i]])
    y = np.array([loss - base for i in chosen for loss in data.runs[i]])
    scale = float(np.abs(x).max())
    design = np.column_stack([np.ones_like(x), x / scale, (x / scale) ** 2])
    unit = np.diag([1.0, 1 / scale, 1 / scale**2])
    inverse = np.linalg.inv(design.T @ design)
    coef = inverse @ (design.T @ y)
    rss = float(((y - design @ coef) ** 2).sum())
    total = float(((y - y.mean()) ** 2).sum())
    coef = unit @ coef + np.array([base, 0.0, 0.0])
    r2 = 1 - rss / total if total > 0 else 0.0
    lrs = tuple(float(data.finished[i]) for i in chosen)
    return Parabola(coef, unit @ inverse @ unit, rss, r2, len(y), (float(x.min()), float(x.max())), lrs)
