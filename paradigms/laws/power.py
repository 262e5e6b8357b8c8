"""Fits the law of the Power scheduler, best LR / batch = a T^b (arXiv 2408.13359 eq. 1), in two ways.

One is the paper's procedure, the other a regression over all cells. The batch is counted in sequences of 4,096 tokens,
as in the paper, so that `a` can be compared with the published one.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import statsmodels.api as sm

from lrladder.paradigms.laws.design import OPTIMUM_SD
from lrladder.paradigms.level import LEVEL
from lrladder.paradigms.published import POWER_SEQ_LEN

BEST_BATCHES = 3  # batches of lowest loss that are used at each size and horizon, section 3.3 of the paper


class PowerPoint(NamedTuple):
    """The best LR of one size, batch and horizon, before the rules of muP for the size, and the loss there."""

    n_active: float
    batch_tokens: float
    tokens: float
    ln_lr: float
    sd: float
    loss: float


class Estimate(NamedTuple):
    """A coefficient with its 90% interval, whose ends are None if no degree of freedom is left or it is assumed."""

    value: float
    low: float | None
    high: float | None


class PowerFit(NamedTuple):
    """The fit ln lr = ln a + b ln T + w ln batch + s ln N. The paper's procedure assumes w = 1 and s = 0.

    `residual_sd` is the sd of ln lr about the fit.
    """

    a: Estimate
    b: Estimate
    w: Estimate
    s: Estimate
    n: int
    dof: int
    residual_sd: float | None
    flags: tuple[str, ...]


def fit_by_paper(points: Sequence[PowerPoint]) -> PowerFit:
    """Fit ln(lr / batch) against ln T by least squares, with the three batches of lowest loss at each size and horizon.

    Raises ValueError for fewer than two horizons.
    """
    chosen = [point for group in _groups(points) for point in group[:BEST_BATCHES]]
    _check(chosen)
    x = sm.add_constant(np.log([p.tokens for p in chosen]))
    y = np.array([p.ln_lr - math.log(p.batch_tokens / POWER_SEQ_LEN) for p in chosen])
    fit = sm.OLS(y, x).fit()
    (a, b), dof = _estimates(fit), int(fit.df_resid)
    fixed = Estimate(1.0, None, None), Estimate(0.0, None, None)
    return PowerFit(_exp(a), b, *fixed, len(chosen), dof, _sd(fit), tuple(_flags(points)))


def fit_by_regression(points: Sequence[PowerPoint]) -> PowerFit:
    """Fit all cells, weighted by their sds. The exponents of batch and size are fitted if batch and size vary.

    Raises ValueError for fewer than two horizons.
    """
    _check(points)
    columns = {
        "b": np.log([p.tokens for p in points]),
        "w": np.log([p.batch_tokens / POWER_SEQ_LEN for p in points]),
        "s": np.log([p.n_active for p in points]),
    }
    varying = [name for name, column in columns.items() if np.ptp(column) > 0]
    shift = {name: columns[name].mean() if name == "s" else 0.0 for name in varying}  # `a` is at the mean size
    x = np.column_stack([np.ones(len(points)), *(columns[name] - shift[name] for name in varying)])
    weights = [1 / (p.sd**2 + OPTIMUM_SD**2) for p in points]
    fit = sm.WLS(np.array([p.ln_lr for p in points]), x, weights=weights).fit()
    found = dict(zip(["a", *varying], _estimates(fit), strict=True))
    none = {"w": Estimate(1.0, None, None), "s": Estimate(0.0, None, None)}
    w, s = found.get("w", none["w"]), found.get("s", none["s"])
    residual = math.sqrt(float(np.mean(fit.resid**2) * len(points) / fit.df_resid)) if fit.df_resid > 0 else None
    flags = () if "w" in found else ("there is one batch only, so its exponent is assumed to be 1",)
    return PowerFit(_exp(found["a"]), found["b"], w, s, len(points), int(fit.df_resid), residual, flags)


def _groups(points: Sequence[PowerPoint]) -> list[list[PowerPoint]]:
    """The points of each size and horizon, those with the lowest loss first."""
    groups: dict[tuple[float, float], list[PowerPoint]] = {}
    for point in points:
        groups.setdefault((point.n_active, point.tokens), []).append(point)
    return [sorted(group, key=lambda point: point.loss) for group in groups.values()]


def _check(points: Sequence[PowerPoint]) -> None:
    if len({point.tokens for point in points}) < 2:
        raise ValueError("the exponent of tokens needs best LRs at two or more horizons")


def _flags(points: Sequence[PowerPoint]) -> list[str]:
    groups = _groups(points)
    few = sum(len(group) < BEST_BATCHES for group in groups)
    flags = [f"{few} of {len(groups)} horizons have under {BEST_BATCHES} bracketed batches"] if few else []
    batches = sorted({point.batch_tokens for point in points})
    ends = sum(group[0].batch_tokens in (batches[0], batches[-1]) for group in groups)
    if ends:
        flags.append(f"the best batch is the smallest or largest tried at {ends} of {len(groups)} horizons")
    return flags


def _estimates(fit: object) -> list[Estimate]:
    values, dof = fit.params, fit.df_resid  # type: ignore[attr-defined]
    if dof < 1:
        return [Estimate(float(value), None, None) for value in values]
    intervals = fit.conf_int(alpha=1 - LEVEL)  # type: ignore[attr-defined]
    return [Estimate(float(v), float(low), float(high)) for v, (low, high) in zip(values, intervals, strict=True)]


def _exp(estimate: Estimate) -> Estimate:
    return Estimate(*(None if value is None else math.exp(value) for value in estimate))  # type: ignore[arg-type]


def _sd(fit: object) -> float | None:
    return math.sqrt(fit.scale) if fit.df_resid >= 1 else None  # type: ignore[attr-defined]
