"""What a rule does to the loss at the best LR: its fitted minimum against that without the rule."""

import math
from typing import NamedTuple

from scipy import stats

from lrladder.paradigms.sweep.bracket import CellLosses
from lrladder.paradigms.sweep.curve import fit_curve

STEP = 1e-6  # nats, of a loss that is moved to see what follows; too small to change which points are fitted


class LossChange(NamedTuple):
    """Nats per token, with its 90% interval."""

    value: float
    low: float
    high: float


def loss_change(on: CellLosses, off: CellLosses, *, level: float = 0.9) -> LossChange | None:
    """Minimum of `on` minus that of `off`; None unless both are bracketed and their residuals tell the noise."""
    curves = [cell.fit() for cell in (on, off)]
    minima = [curve.minimum for curve in curves]
    dof = sum(curve.dof for curve in curves)
    if minima[0] is None or minima[1] is None or dof == 0:
        return None
    noise = math.sqrt(sum((curve.residual_sd or 0.0) ** 2 * curve.dof for curve in curves) / dof)
    spread = sum(_weight(cell, minimum) for cell, minimum in zip((on, off), minima, strict=True) if minimum)
    half = float(stats.t.ppf((1 + level) / 2, dof)) * noise * math.sqrt(spread)
    value = minima[0] - minima[1]
    return LossChange(value, value - half, value + half)


def _weight(cell: CellLosses, minimum: float) -> float:
    """Sum of squares of d minimum / d loss over the runs."""
    total = 0.0
    for i, loss in enumerate(cell.losses):
        if loss is None:
            continue
        moved = fit_curve(cell.lrs, [*cell.losses[:i], loss + STEP, *cell.losses[i + 1 :]]).minimum
        total += 0.0 if moved is None else ((moved - minimum) / STEP) ** 2
    return total
