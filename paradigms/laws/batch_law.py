"""The best batch size against tokens: B* = k D^w, as in Step Law, arXiv 2503.04715."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lrladder.paradigms.laws.design import MIN_SPAN
from lrladder.paradigms.level import LEVEL
from lrladder.paradigms.quantiles import t_quantile
from lrladder.paradigms.sweep.curve import Curve, fit_curve

PRIOR_W, PRIOR_SD = 0.5, 0.25  # weak prior of w; published exponents (published.py) are within half an sd of it
SD_FLOOR = 0.1  # of ln B*; assumption: batches are tried in factors of 2, and a parabola finds the best to a tenth


class BatchPoint(NamedTuple):
    """One horizon of one size: ln of the best batch in tokens, and its sd."""

    tokens: float
    ln_batch: float
    sd: float


@dataclass(frozen=True)
class BatchLaw:
    """B* = k D^w in tokens. The interval of w is 90%; it is None if the runs do not determine w."""

    k: float
    w: float
    w_low: float | None
    w_high: float | None
    n_points: int
    flags: tuple[str, ...]

    def predict(self, tokens: float) -> float:
        """Best batch in tokens."""
        return float(self.k * tokens**self.w)


def best_batch(minima: Mapping[float, float], *, noise: float | None = None) -> Curve:
    """A parabola in ln batch through `minima`, the loss of each batch at its best LR. `lr_best` is the best batch."""
    return fit_curve(list(minima), list(minima.values()), noise=noise)


def fit_batch_law(points: Sequence[BatchPoint], *, level: float = LEVEL) -> BatchLaw | None:
    """Weighted least squares in logs with a weak prior of w; None without points."""
    if not points:
        return None
    x = np.log([point.tokens for point in points])
    y = np.array([point.ln_batch for point in points])
    weights = np.array([max(point.sd, SD_FLOOR) for point in points]) ** -2.0
    center = float(np.average(x, weights=weights))
    away = x - center
    level_ = float(np.average(y, weights=weights))
    precision = float(weights @ away**2) + PRIOR_SD**-2
    w = (float(weights @ (away * (y - level_))) + PRIOR_W * PRIOR_SD**-2) / precision
    dof = len(points) - 2
    chi2 = float(weights @ (y - level_ - w * away) ** 2)
    inflation = max(1.0, chi2 / dof) if dof > 0 else 1.0
    half = t_quantile((1 + level) / 2, max(dof, 1)) * math.sqrt(inflation / precision)
    identified = bool(np.ptp(x) >= math.log(MIN_SPAN))
    flags = (
        ()
        if identified
        else (f"the runs do not determine w (of D^w): all horizons lie within {MIN_SPAN:g}x; {PRIOR_W} is assumed",)
    )
    low, high = (w - half, w + half) if identified else (None, None)
    return BatchLaw(math.exp(level_ - w * center), w, low, high, len(points), flags)
