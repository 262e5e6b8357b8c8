"""The loss of an LR at a cell, and its regret relative to the best LR there, taken from the sweep of the cell."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lrladder.paradigms.sweep.bracket import CellLosses
from lrladder.paradigms.sweep.curve import Curve
from lrladder.paradigms.sweep.slopes import loss_slopes

Weights = tuple[float, ...]  # d value / d loss of each run; the sum of squares is the variance, if a run's is 1


class AtLr(NamedTuple):
    """Loss and regret in nats per token. `regret` is `loss` minus the fitted minimum of the sweep."""

    loss: float
    regret: float
    loss_weights: Weights
    regret_weights: Weights


def at_lr(cell: CellLosses, lr: float, *, factor: float, noise: float | None = None) -> AtLr | None:
    """The loss at `lr`: on the parabola within a grid step (`factor`) of its minimum, else interpolated between runs.

    None if no minimum is fitted, or if `lr` is outside the range of finished runs, as nothing is extrapolated.
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
