"""What an LR gives at a cell, and what it costs against the cell's own best: read off the cell's sweep."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lrladder.paradigms.sweep.bracket import Readings
from lrladder.paradigms.sweep.curve import Curve

STEP = 1e-6  # nats, of a loss that is moved to see what follows; too small to change which points are fitted
Weights = tuple[float, ...]  # d value / d loss of each finished run; their squares sum to its variance in runs


class AtLr(NamedTuple):
    """Nats per token. `regret` is `loss` minus the sweep's fitted minimum."""

    loss: float
    regret: float
    loss_weights: Weights
    regret_weights: Weights


def at_lr(readings: Readings, lr: float, *, factor: float, noise: float | None = None) -> AtLr | None:
    """On the parabola within a grid step, `factor`, of its minimum, else between the runs.

    None where the minimum is not bracketed or `lr` is outside of the finished runs: nothing is extrapolated.
    """

    def values(losses: Sequence[float | None]) -> tuple[float, float] | None:
        curve = Readings(readings.lrs, list(losses)).fit(noise=noise)
        loss = _loss_at(curve, readings.lrs, losses, lr, factor)
        return None if loss is None or curve.minimum is None else (loss, loss - curve.minimum)

    found = values(readings.losses)
    if found is None:
        return None
    slopes = []
    for i, loss in enumerate(readings.losses):
        if loss is not None:
            moved = values([*readings.losses[:i], loss + STEP, *readings.losses[i + 1 :]]) or found
            slopes.append([(new - old) / STEP for new, old in zip(moved, found, strict=True)])
    loss_weights, regret_weights = (tuple(column) for column in zip(*slopes, strict=True))
    return AtLr(*found, loss_weights, regret_weights)


def _loss_at(
    curve: Curve, lrs: Sequence[float], losses: Sequence[float | None], lr: float, factor: float
) -> float | None:
    if curve.lr_best is None:
        return None
    if curve.curvature is not None and abs(math.log(lr / curve.lr_best)) <= math.log(factor):
        return curve.at(lr)
    finished = sorted((math.log(tried), loss) for tried, loss in zip(lrs, losses, strict=True) if loss is not None)
    x, y = zip(*finished, strict=True)
    return float(np.interp(math.log(lr), x, y)) if x[0] <= math.log(lr) <= x[-1] else None
