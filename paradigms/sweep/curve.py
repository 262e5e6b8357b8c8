"""Fits loss against learning rate at one rung and horizon: a parabola in ln lr near the best LR tried.

loss = minimum + curvature * (ln lr - ln lr_best)^2, arXiv 2601.05049 eq. 2 (natural logs; losses in nats per token).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lrladder.paradigms.level import LEVEL
from lrladder.paradigms.published import STEP_LAW_NOISE
from lrladder.paradigms.sweep.parabola import Parabola, fit_parabola
from lrladder.paradigms.sweep.status import Status
from lrladder.paradigms.sweep.swept import Side, Sweep, open_side, settle, sweep

Array = NDArray[np.float64]

# Assumption: a parabola holds to two LRs from the best. Beyond, losses rise faster at high LRs than at low ones, which
# biases the vertex. The best and its neighbours always enter, as three points fix the vertex; an LR beyond them enters
# unless its rise per (ln lr)^2 is over twice that of the steeper neighbour, which an exact parabola never exceeds.
WINDOW_LRS = 2
STEEPER = 2.0
ASSUMED_NOISE = STEP_LAW_NOISE  # nats; assumption, used if the noise is neither given nor measured
NOISE_SHARE = 0.0012  # the same as a share of the loss, for losses in any unit; Step Law's losses are about 2.5 nats
OUTLIER = (
    6.0  # an LR is an outlier if it is off the parabola of the others by this many sds of a known noise; assumption
)
AGREES = 2.0  # ... and if the others agree with their parabola within this many sds; assumption
NOISE_DOF = 4  # degrees of freedom with which a given noise counts beside the residuals of the curve; assumption
# How far a usable fitted minimum may be below and above the lowest run, as shares of the loss. Assumptions: at a
# curvature of 0.02 a grid in steps of 4 gives at most 0.4% below, and noise gives less above.
MAX_BELOW, MAX_ABOVE = 0.005, 0.01
ROUNDING = 1e-9  # share of the loss below which a difference of losses is rounding


@dataclass(frozen=True)
class Curve:
    """The curve of one sweep; `Status` explains its outcomes.

    If the status is interior, lr_best is that of the fitted minimum, and its interval is at the level asked for. If it
    is bracketed, lr_best is that of the lowest run, the interval is the bracket, and minimum and curvature are None.
    Else all values of the fit are None.
    """

    status: Status
    n: int  # finished runs that entered the fit
    lr_best: float | None = None
    lr_low: float | None = None
    lr_high: float | None = None
    minimum: float | None = None  # nats
    curvature: float | None = None  # nats per (ln lr)^2
    r2: float | None = None  # None if no degree of freedom is left
    sd_ln_lr: float | None = None
    edge: Side | None = None  # the side of the sweep on which the minimum lies, if it is not bracketed
    residual_sd: float | None = None  # nats; None if no degree of freedom is left
    dof: int = 0
    lrs_fitted: tuple[float, ...] = ()  # LRs that the parabola was fitted to; empty unless interior
    flags: tuple[str, ...] = ()  # what weakens the curve, in words

    def at(self, lr: float) -> float:
        """Fitted loss in nats. Raises ValueError unless the curve is interior."""
        if self.lr_best is None or self.minimum is None or self.curvature is None:
            raise ValueError(f"a curve of status {self.status} has no fitted loss")
        return self.minimum + self.curvature * math.log(lr / self.lr_best) ** 2


def fit_curve(
    lrs: Sequence[float],
    losses: Sequence[float | None],
    *,
    level: float = LEVEL,
    noise: float | None = None,
    step: float = 0.0,
) -> Curve:
    """Fit one sweep. Several runs at one LR are allowed. A loss of None is a diverged run.

    `level` is that of the interval. `noise` is the sd of one loss; with it, an outlier is left out. If losses are
    rounded to multiples of `step`, the noise is at least that of this rounding. Losses and LRs may be in any unit:
    multiplied by a constant, they give the same fit, multiplied. Raises ValueError for an unusable LR or loss.
    """
    settled = settle(sweep(lrs, losses))
    data = settled.sweep
    total = sum(map(len, data.runs))
    side = open_side(data)
    if side is not None:
        return Curve("few" if len(data.finished) < 3 else "edge", total, edge=side, flags=settled.flags)
    if len(data.finished) < 3:
        return _bracketed(data, settled.flags)
    least = step / math.sqrt(12)
    noise = None if noise is None else max(noise, least)
    bad = None if noise is None else _outlier(data, max(noise, ROUNDING * _level(data)))
    if bad is not None:
        rest = [(lr, loss) for lr, loss in zip(lrs, losses, strict=True) if lr != bad]
        curve = fit_curve([lr for lr, _ in rest], [loss for _, loss in rest], level=level, noise=noise, step=step)
        return replace(
            curve, flags=(f"runs at LR {bad:.3g} are off the curve of the others and are left out", *curve.flags)
        )
    curve = _fit_bowl(data, level=level, noise=noise, least=least)
    return replace(curve, flags=(*settled.flags, *curve.flags))


def _fit_bowl(data: Sweep, *, level: float, noise: float | None, least: float) -> Curve:
    """The curve of a sweep whose best LR has others on both sides. The noise of a loss is at least `least`."""
    best = int(np.argmin(data.means))
    origin = float(data.finished[best])
    fit = _fit_best(data)
    dof = fit.n - 3
    residual = math.sqrt(fit.rss / dof) if dof else None
    sd, noise_dof = _noise(residual, dof, noise, NOISE_SHARE * _level(data))
    sd = max(sd, least)
    known = least if residual is None and noise is None else sd  # no sweep is called flat because of an assumed noise
    flat = _is_flat(fit, max(known, ROUNDING * _level(data)))
    inside = not flat and _left_right(data)[0] < fit.vertex < _left_right(data)[1]
    if not _has_both_neighbours(data) and not inside:
        return _bracketed(data, ())
    if flat:
        return Curve("flat", fit.n, residual_sd=residual, dof=dof)
    if not _near_lowest(fit, data):
        return _bracketed(data, ("no parabola holds near the lowest run",))
    swept = (math.log(data.tried[0] / origin), math.log(data.tried[-1] / origin))
    low, high, flags = fit.interval(sd, noise_dof, level, swept)
    if residual is None and noise is None:
        flags = (f"the noise is not measured but assumed to be {1e3 * sd:.2g} millinats: search with 2 seeds", *flags)
    return Curve(
        "interior",
        fit.n,
        lr_best=origin * math.exp(fit.vertex),
        lr_low=origin * math.exp(low),
        lr_high=origin * math.exp(high),
        minimum=fit.minimum,
        curvature=float(fit.coef[2]),
        r2=fit.r2 if dof else None,
        sd_ln_lr=fit.sd_vertex(sd),
        residual_sd=residual,
        dof=dof,
        lrs_fitted=fit.lrs,
        flags=flags,
    )


def _bracketed(data: Sweep, flags: tuple[str, ...]) -> Curve:
    """The lowest run and its bracket. The sd is that of a uniform distribution within the bracket."""
    best = float(data.finished[int(np.argmin(data.means))])
    left, right = _left_right(data)
    low, high = best * math.exp(left), best * math.exp(right)
    why = "by divergence" if not _has_both_neighbours(data) else "by its neighbours"
    said = f"bracketed {why} between LR {low:.3g} and {high:.3g}, so the lowest run stands for the minimum"
    return Curve(
        "bracketed",
        sum(map(len, data.runs)),
        lr_best=best,
        lr_low=low,
        lr_high=high,
        sd_ln_lr=(right - left) / math.sqrt(12),
        flags=(*flags, said),
    )


def _near_lowest(fit: Parabola, data: Sweep) -> bool:
    """Whether the fitted minimum agrees with the lowest run."""
    above = (fit.minimum - float(data.means.min())) / (_level(data) or 1.0)
    return -MAX_BELOW <= above <= MAX_ABOVE


def _level(data: Sweep) -> float:
    """The size of the losses, to which relative limits refer."""
    return float(np.abs(data.means).min())


def _left_right(data: Sweep) -> tuple[float, float]:
    """ln of the two LRs next to the best one, divided by the best one."""
    best = data.finished[int(np.argmin(data.means))]
    place = int(np.searchsorted(data.tried, best))
    left, right = (math.log(data.tried[place + step] / best) for step in (-1, 1))
    return left, right


def _has_both_neighbours(data: Sweep) -> bool:
    """Whether the LRs tried next to the best finished."""
    place = int(np.searchsorted(data.tried, data.finished[int(np.argmin(data.means))]))
    return bool(np.isin(data.tried[[place - 1, place + 1]], data.finished).all())


def _fit_best(data: Sweep) -> Parabola:
    """The fit to the LRs in the window. If its minimum is not near the lowest run, the fit to three LRs alone."""
    best = int(np.argmin(data.means))
    x = np.log(data.finished / data.finished[best])
    wide = fit_parabola(data, _window(x, data.means, best))
    left, right = _left_right(data)
    return wide if left < wide.vertex < right and _near_lowest(wide, data) else fit_parabola(data, _around(x, best, 1))


def _around(x: Array, best: int, reach: int) -> list[int]:
    """Indices of the LRs within `reach` steps of the best, but at least of the nearest three."""
    chosen = list(range(max(0, best - reach), min(len(x), best + reach + 1)))
    return chosen if len(chosen) >= 3 else sorted(range(len(x)), key=lambda i: abs(i - best))[:3]


def _window(x: Array, means: Array, best: int) -> list[int]:
    """Indices of the LRs that are fitted: the neighbours of the best, and further ones that rise as on a parabola."""
    rise = np.divide(means - means[best], x**2, out=np.zeros_like(x), where=x != 0)
    near = _around(x, best, 1)
    limit = STEEPER * rise[near].max()
    return [i for i in _around(x, best, WINDOW_LRS) if i in near or rise[i] <= limit]


def _outlier(data: Sweep, noise: float) -> float | None:
    """The LR whose runs are off the parabola of the others near the best by OUTLIER sds; None if there is none."""
    chosen = _around(data.finished, int(np.argmin(data.means)), WINDOW_LRS)
    if len(chosen) < 5:  # a parabola fits any three, so of four LRs each could be the outlier
        return None
    everything = fit_parabola(data, chosen).rss
    if everything < (OUTLIER * noise) ** 2:
        return None
    fits = {i: fit_parabola(data, [j for j in chosen if j != i]) for i in chosen}
    bad = min(fits, key=lambda i: fits[i].rss)
    holds = fits[bad].rss <= (fits[bad].n - 3) * (AGREES * noise) ** 2 and fits[bad].coef[2] > 0
    return float(data.finished[bad]) if holds and everything - fits[bad].rss > (OUTLIER * noise) ** 2 else None


def _noise(residual: float | None, dof: int, noise: float | None, assumed: float) -> tuple[float, float]:
    """Sd of one loss with its degrees of freedom, from residuals and a given noise; without both, an assumption."""
    if residual is None:
        return (assumed if noise is None else noise), math.inf
    if noise is None:
        return residual, dof
    return math.sqrt((dof * residual**2 + NOISE_DOF * noise**2) / (dof + NOISE_DOF)), dof + NOISE_DOF


def _is_flat(fit: Parabola, sd: float) -> bool:
    """Whether the parabola is not convex, or rises over half its window by no more than the noise of one loss."""
    half = (fit.span[1] - fit.span[0]) / 2
    return bool(fit.coef[2] * half**2 <= sd)
