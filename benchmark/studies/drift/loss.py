"""The effect of a rule on the loss at the best LR: fitted minimum with the rule minus that without it."""

from typing import NamedTuple

from lrladder.paradigms.level import LEVEL
from lrladder.paradigms.sweep.bracket import CellLosses
from lrladder.paradigms.sweep.noise import pooled_noise
from lrladder.paradigms.sweep.slopes import minimum_slopes


class LossChange(NamedTuple):
    """A change of the loss in nats per token, with 90% interval."""

    value: float
    low: float
    high: float


def loss_change(on: CellLosses, off: CellLosses, *, level: float = LEVEL) -> LossChange | None:
    """Minimum of `on` minus minimum of `off`. None unless both are bracketed and their residuals give the noise."""
    curves = [cell.fit() for cell in (on, off)]
    minima = [curve.minimum for curve in curves]
    if minima[0] is None or minima[1] is None:
        return None
    spread = sum(slope**2 for found in (on, off) for slope in minimum_slopes(found.lrs, found.losses))
    half = pooled_noise(curves).half_width(spread, level=level)
    if half is None:
        return None
    value = minima[0] - minima[1]
    return LossChange(value, value - half, value + half)
