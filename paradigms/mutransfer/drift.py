"""Drift: how far the best LR may move between the proxy and a target, although the rules say that it does not move."""

import math

from lrladder.paradigms.lab import Rung

# Half width of the 90% interval of the drift per doubling. In the preset axes all 90% intervals of the drift under the
# default rules of width, depth, tokens and batch end within 0.28 octaves (docs/findings.md).
DRIFT_OCTAVES = 0.3


def drift_half_width(octaves: float, proxy: Rung, rung: Rung, *, tokens: float) -> float:
    """Half width in ln lr of the 90% interval for the drift: `octaves` per doubling of each of three axes.

    The axes are added in quadrature. Width counts half the doublings of active parameters, which grow as its square
    (assumption: growth by depth or experts drifts no more per parameter). The others are the batch and `tokens`, the
    ratio of horizons over which the LR may drift.
    """
    doublings = (
        math.log2(rung.n_active / proxy.n_active) / 2,
        math.log2(rung.batch_tokens / proxy.batch_tokens),
        math.log2(tokens),
    )
    return octaves * math.log(2) * math.hypot(*doublings)


def widen(lr: float, low: float, high: float, half_width: float) -> tuple[float, float]:
    """Widen the interval of an LR by an independent error with `half_width` in ln lr, added in quadrature."""
    below, above = math.hypot(math.log(lr / low), half_width), math.hypot(math.log(high / lr), half_width)
    return lr * math.exp(-below), lr * math.exp(above)
