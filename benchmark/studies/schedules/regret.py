"""What an LR gives at a cell, and what it costs against the cell's own best: read off the cell's sweep."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lrladder.paradigms.sweep.bracket import CellLosses
from lrladder.paradigms.sweep.curve import Curve
from lrladder.paradigms.sweep.slopes import loss_slopes

Weights = tuple[float, ...]  # d value / d loss of each finished run; their squares sum to its variance in runs


class AtLr(NamedTuple):
    """Nats per token. `regret` is `loss` minus the sweep's fitted minimum."""

    loss: float
    regret: float
    loss_weights: Weights
    regret_weights: Weights


def at_lr(cell: CellLosses, lr: float, *, factor: float, noise: float | None = None) -> AtLr | None:
    """On the parabola within a grid step, `factor`, of its minimum, else between the runs.

    None where no minimum is fitted or `lr` is outside of the finished runs: nothing is extrapolated.
    """

    def values(losses: Sequence[float | None]) -> tuple[float, float] | None:
        curve = CellLosses(cell.lrs, list(losses)).fit(noise=noise)
        loss = _loss_at(curve, cell.lrs, losses, lr, factor)
        return None if loss is None or curve.minimum is None else (loss, loss - curve.minimum)

    found = values(cell.losses)
    if found is None:
        return None
    loss_weights, regret_weights = zip(*loss_slopes(cell.losses, values), strict=True)
    return AtLr(*found, loss_weights, regret_weights)


def _loss_at(
    curve: Curve, lrs: Sequence[float], losses: Sequence[float | None], lr: float, factor: float
) -> float | None:
    if curve.lr_best is None or curve.minimum is None:
        return None
    if abs(math.log(lr / curve.lr_best)) <= math.log(factor):
        return curve.at(lr)
    finished = sorted((math.log(tried), loss) for tried, loss in zip(lrs, losses, strict=True) if loss is not None)
    x, y = zip(*finished, strict=True)
    return float(np.interp(math.log(lr), x, y)) if x[0] <= math.log(lr) <= x[-1] else None
