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
from scipy import stats

from lrladder.benchmark.recommend.run_log import RunLog

Array = NDArray[np.float64]
Quantity = Literal["loss", "grad_norm"]

SHARES = (0.01, 0.05, 0.2)  # of the run, in tokens
AROUND = 1.25  # rows within this ratio of a share are its neighbourhood; their median counts
BESIDE = 2.0  # a log without rows there is read between rows within this ratio on both sides; assumption
LEVEL = 0.99  # a healthy run should hardly trip one of six wires; assumption
MIN_LOGS = 3  # fewer tell no scatter


class Prior(NamedTuple):
    """Assumptions about a quantity's logarithm: sd of its slopes in ln N and ln D, and its scatter, worth `WORTH`."""

    slope: float
    scatter: float


# Losses early in a run fall by under 20% per e-fold of size (Chinchilla's exponents, arXiv 2203.15556); gradient norms
# fall as a power of width below 1. Scatter: 2% of a loss, a quarter of a gradient norm.
PRIORS: dict[Quantity, Prior] = {"loss": Prior(0.2, 0.02), "grad_norm": Prior(0.5, 0.25)}
WORTH = 3  # runs that the assumed scatter is worth
WINDOW = 5  # rows of the watched run, whose median is compared: one spike is no drift


class LadderLog(NamedTuple):
    """The log of one run of the ladder near its best LR, with its active parameters and tokens in all."""

    n_active: float
    tokens: float
    log: RunLog


class Band(BaseModel):
    """What a healthy run has at `share` of its tokens, from `n` runs of the ladder."""

    model_config = ConfigDict(frozen=True)

    quantity: Quantity
    share: float
    low: float
    high: float
    n: int


def bands_of(ladder: Sequence[LadderLog], *, n_active: float, tokens: float) -> tuple[Band, ...]:
    """The bands of a run; none for a quantity and share that fewer than MIN_LOGS logs tell."""
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
    """Median about a share of the run, or between the rows on either side; None where the log has none near."""
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
    """Ends of the interval at ln N and ln D `place` of a value, from `logs` [runs, (N, D, value)]."""
    center = logs.mean(axis=0)
    x = np.column_stack([np.ones(len(logs)), logs[:, :2] - center[:2]])
    y = logs[:, 2] - center[2]
    precision = np.diag([0.0, prior.slope**-2, prior.slope**-2]) * prior.scatter**2
    cov = np.linalg.inv(x.T @ x + precision)
    slopes = cov @ (x.T @ y)
    rest = float(((y - x @ slopes) ** 2).sum())
    variance = (rest + WORTH * prior.scatter**2) / (max(0, len(logs) - 3) + WORTH)
    at = np.concatenate([[1.0], place - center[:2]])
    half = stats.t.ppf((1 + LEVEL) / 2, max(0, len(logs) - 3) + WORTH) * math.sqrt(variance * (1 + at @ cov @ at))
    middle = center[2] + at @ slopes
    return math.exp(middle - half), math.exp(middle + half)


def described(bands: Sequence[Band]) -> Iterator[str]:
    """One line a quantity and share."""
    for band in bands:
        place = f"{band.quantity} at {100 * band.share:g}% of the run"
        yield f"{place}: {band.low:.4g} to {band.high:.4g}, from {band.n} runs of the ladder"


def departures(log: RunLog, bands: Sequence[Band], *, tokens: float) -> Iterator[str]:
    """A line each time that the run leaves a band. Before the first share nothing is expected of it."""
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
            continue  # the log does not say it
        now = low <= value <= high
        if inside and not now:
            side = "is no number" if math.isnan(value) else f"is {'above' if value > high else 'below'} its band"
            yield (
                f"{quantity} {value:.4g} {side} [{low:.4g}, {high:.4g}] at {100 * passed[i]:.3g}% of the run "
                f"({bands[0].n} runs of the ladder)"
            )
        inside = now


def _ends(bands: Sequence[Band], share: float) -> tuple[float, float]:
    """Between shares by a line in logarithms. Beyond the last only its upper end holds: losses fall on."""
    x = np.log([band.share for band in bands])
    high = math.exp(float(np.interp(math.log(share), x, np.log([band.high for band in bands]))))
    if share > bands[-1].share * (1 + 1e-9):
        return 0.0, high
    return math.exp(float(np.interp(math.log(share), x, np.log([band.low for band in bands])))), high
