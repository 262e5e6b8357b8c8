"""Tripwires of a large run: bands of loss and gradient norm at some points of it, from the logs of the ladder's runs.

At each share of a run, ln loss and ln gradient norm of the ladder's runs are fitted by a line in ln N and ln D, with
weak priors of its slopes. The band is a prediction interval, so it widens with the distance to the ladder.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from lrladder.benchmark.recommend.run_log import RunLog
from lrladder.paradigms.quantiles import t_quantile

Array = NDArray[np.float64]
Quantity = Literal["loss", "grad_norm"]

SHARES = (0.01, 0.05, 0.2)  # shares of the tokens of a run at which there are bands; assumption
AROUND = 1.25  # the value at a share is the median of the rows within this ratio of it; assumption
BESIDE = 2.0  # without such rows it is interpolated between rows within this ratio on both sides; assumption
BAND_LEVEL = 0.99  # of the bands, so that a healthy run rarely leaves one of six bands; assumption
MIN_LOGS = 3  # with fewer logs there is no band; assumption


class Prior(NamedTuple):
    """The prior of the logarithm of a quantity."""

    slope: float  # sd of its slopes in ln N and ln D
    scatter: float  # sd about the line, which counts as WORTH runs


# Assumptions. Losses early in a run fall by under 20% per e-fold of size (Chinchilla's exponents, arXiv 2203.15556),
# and gradient norms fall with a power of the width below 1. The scatter is 2% of a loss and 25% of a gradient norm.
PRIORS: dict[Quantity, Prior] = {"loss": Prior(0.2, 0.02), "grad_norm": Prior(0.5, 0.25)}
WORTH = 3  # runs that the assumed scatter counts as; assumption
WINDOW = 5  # rows of the watched run whose median is compared, so that a single spike is not reported; assumption


class LadderLog(NamedTuple):
    """The log of one run of the ladder near its best LR, with its active parameters and tokens in all."""

    n_active: float
    tokens: float
    log: RunLog


class Band(BaseModel):
    """The range in which a quantity of a healthy run is at `share` of its tokens, from `n` runs of the ladder."""

    model_config = ConfigDict(frozen=True)

    quantity: Quantity
    share: float
    low: float
    high: float
    n: int


def bands_of(ladder: Sequence[LadderLog], *, n_active: float, tokens: float) -> tuple[Band, ...]:
    """The bands of a run. There is none for a quantity and share that fewer than MIN_LOGS logs have."""
    bands = []
    for quantity in PRIORS:
        for share in SHARES:
            found = [(run.n_active, run.tokens, _at(run, share, quantity)) for run in ladder]
            rows = np.array([(n, d, value) for n, d, value in found if value is not None])
            if len(rows) >= MIN_LOGS:
                low, high = _predicted(np.log(rows), np.log([n_active, tokens]), PRIORS[quantity])
                bands.append(Band(quantity=quantity, share=share, low=low, high=high, n=len(rows)))
    return tuple(bands)


def _at(run: LadderLog, share: float, quantity: Quantity) -> float | None:
    """A quantity at a share of a run: the median of rows near it, else interpolated. None if no row is near enough."""
    values = getattr(run.log, quantity)
    known = np.isfinite(values) & (values > 0) & (run.log.tokens > 0)
    passed, values = run.log.tokens[known] / run.tokens, values[known]
    near = (passed > share / AROUND) & (passed < share * AROUND)
    if near.any():
        return float(np.median(values[near]))
    beside = (passed >= share / BESIDE) & (passed <= share * BESIDE)
    if not beside.any() or not passed[beside].min() <= share <= passed[beside].max():
        return None
    return math.exp(float(np.interp(math.log(share), np.log(passed[beside]), np.log(values[beside]))))


def _predicted(logs: Array, place: Array, prior: Prior) -> tuple[float, float]:
    """The ends of the band at `place` = (ln N, ln D), from `logs` [runs, 3] of (ln N, ln D, ln value)."""
    center = logs.mean(axis=0)
    x = np.column_stack([np.ones(len(logs)), logs[:, :2] - center[:2]])
    y = logs[:, 2] - center[2]
    precision = np.diag([0.0, prior.slope**-2, prior.slope**-2]) * prior.scatter**2
    cov = np.linalg.inv(x.T @ x + precision)
    slopes = cov @ (x.T @ y)
    rest = float(((y - x @ slopes) ** 2).sum())
    variance = (rest + WORTH * prior.scatter**2) / (max(0, len(logs) - 3) + WORTH)
    at = np.concatenate([[1.0], place - center[:2]])
    half = t_quantile((1 + BAND_LEVEL) / 2, max(0, len(logs) - 3) + WORTH) * math.sqrt(variance * (1 + at @ cov @ at))
    middle = center[2] + at @ slopes
    return math.exp(middle - half), math.exp(middle + half)


def described(bands: Sequence[Band]) -> Iterator[str]:
    """The bands in words, one line per quantity and share."""
    for band in bands:
        place = f"{band.quantity} at {100 * band.share:g}% of the run"
        yield f"{place}: {band.low:.4g} to {band.high:.4g}, from {band.n} runs of the ladder"


def departures(log: RunLog, bands: Sequence[Band], *, tokens: float) -> Iterator[str]:
    """A line for each time the run leaves a band. `tokens` is its horizon. Before the first share there is no band."""
    passed = log.tokens / tokens
    for quantity in PRIORS:
        own = sorted((band for band in bands if band.quantity == quantity), key=lambda band: band.share)
        values = getattr(log, quantity)
        if own:
            yield from _leaving(quantity, own, passed, values)


def _leaving(quantity: Quantity, bands: Sequence[Band], passed: Array, values: Array) -> Iterator[str]:
    inside = True
    for i in np.flatnonzero(passed >= bands[0].share * (1 - 1e-9)):
        recent = values[max(0, i - WINDOW + 1) : i + 1]
        recent = recent[passed[max(0, i - WINDOW + 1) : i + 1] > passed[i] / AROUND]
        value = float(values[i]) if not math.isfinite(values[i]) else float(np.median(recent[np.isfinite(recent)]))
        low, high = _ends(bands, float(passed[i]))
        if math.isnan(value) and quantity == "grad_norm":
            continue  # the log has no gradient norm
        now = low <= value <= high
        if inside and not now:
            side = "is no number" if math.isnan(value) else f"is {'above' if value > high else 'below'} its band"
            yield (
                f"{quantity} {value:.4g} {side} [{low:.4g}, {high:.4g}] at {100 * passed[i]:.3g}% of the run "
                f"({bands[0].n} runs of the ladder)"
            )
        inside = now


def _ends(bands: Sequence[Band], share: float) -> tuple[float, float]:
    """The ends of the band at any share, interpolated in logarithms; only an upper end beyond the last share."""
    x = np.log([band.share for band in bands])
    high = math.exp(float(np.interp(math.log(share), x, np.log([band.high for band in bands]))))
    if share > bands[-1].share * (1 + 1e-9):
        return 0.0, high
    return math.exp(float(np.interp(math.log(share), x, np.log([band.low for band in bands])))), high
