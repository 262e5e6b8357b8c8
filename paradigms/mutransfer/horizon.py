"""The exponent of tokens in the best LR, fitted to the best LRs of muTransfer's proxy at its own horizons."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lrladder.paradigms.laws.design import MIN_SPAN, OPTIMUM_SD
from lrladder.paradigms.level import LEVEL, Z
from lrladder.paradigms.quantiles import t_quantile
from lrladder.paradigms.sweep.curve import Curve

# Assumption: without a rule the exponent of tokens is between -0.5 and 0.5, as nearly all published ones (published.py)
# are. A fitted exponent with a wider interval is not used.
UNKNOWN_EXPONENT = 0.5


@dataclass(frozen=True)
class Exponent:
    """The fitted law lr* = lr (tokens / base)^b over the proxy's horizons."""

    ln_lr: float  # ln lr* at the tokens of the base
    b: float
    b_low: float  # 90%
    b_high: float
    covariance: tuple[tuple[float, float], tuple[float, float]]  # of (ln_lr, b)
    flags: tuple[str, ...] = ()

    def half_width(self, ratio: float) -> float:
        """Half width of the 90% interval of ln lr* at tokens / base = `ratio`."""
        x = np.array([1.0, math.log(ratio)])
        return Z * math.sqrt(x @ np.array(self.covariance) @ x)


def sd_ln_lr(curve: Curve) -> float:
    """The sd of ln lr* whose normal 90% interval is as wide as that of the curve.

    It is at least OPTIMUM_SD, because no parabola is more exact.
    """
    assert curve.lr_low is not None
    assert curve.lr_high is not None
    return max(math.log(curve.lr_high / curve.lr_low) / (2 * Z), OPTIMUM_SD)


def fit_exponent(curves: Mapping[int, Curve], base: int) -> Exponent | None:
    """Fit the exponent by weighted least squares to the curves with a best LR, given by horizon.

    `base` is the horizon of the base in tokens. None if the curves do not determine the exponent.
    """
    known = {tokens: curve for tokens, curve in curves.items() if curve.lr_best is not None}
    if not known or max(known) < MIN_SPAN * min(known):
        return None
    x = np.array([[1.0, math.log(tokens / base)] for tokens in known])
    y = np.array([math.log(curve.lr_best) for curve in known.values() if curve.lr_best is not None])
    sd = np.array([sd_ln_lr(curve) for curve in known.values()])
    unit = np.linalg.inv(x.T @ (x / sd[:, None] ** 2))
    ln_lr, b = unit @ (x.T @ (y / sd**2))
    dof = len(known) - 2
    scatter = math.sqrt(float((((y - x @ [ln_lr, b]) / sd) ** 2).sum()) / dof) if dof else 1.0
    # a scatter from few points is uncertain, so Student's quantile replaces the normal one
    covariance = max(1.0, scatter * t_quantile((1 + LEVEL) / 2, max(dof, 1)) / Z if dof else 1.0) ** 2 * unit
    half = Z * math.sqrt(covariance[1, 1])
    if half > UNKNOWN_EXPONENT:
        return None
    flags = [f"the horizon exponent {b:.2f} [{b - half:.2f}, {b + half:.2f}] is fitted to {len(known)} horizons"]
    if not dof:
        flags.append("with 2 horizons it is not tested whether a power law holds")
    if b - half <= 0 <= b + half:
        flags.append("the horizon exponent cannot be told from 0")
    (a, c), (_, d) = covariance.tolist()
    return Exponent(float(ln_lr), float(b), float(b - half), float(b + half), ((a, c), (c, d)), tuple(flags))
