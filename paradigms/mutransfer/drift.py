"""How far the best LR may move on the way from the proxy to a target, although the rules say that it stays."""

import math

from lrladder.paradigms.lab import Rung

# Preset axes, docs/findings.md: no 90% interval of a default rule on width, depth, tokens or batch ends beyond 0.28
DRIFT_OCTAVES = 0.3


def drift_half_width(octaves: float, proxy: Rung, rung: Rung, *, tokens: float) -> float:
    """Half width in ln lr of a 90% interval for the drift: `octaves` per doubling, axes added in quadrature.

    Axes: width, as half the doublings of active parameters, which grow with its square (assumption: other ways
    to grow drift no more per parameter); the batch; and `tokens`, the ratio of horizons.
    """
    doublings = (
        math.log2(rung.n_active / proxy.n_active) / 2,
        math.log2(rung.batch_tokens / proxy.batch_tokens),
        math.log2(tokens),
    )
    return octaves * math.log(2) * math.hypot(*doublings)


def widen(lr: float, low: float, high: float, half_width: float) -> tuple[float, float]:
    """An interval of an LR with an independent error of `half_width` in ln lr added in quadrature."""
    below, above = math.hypot(math.log(lr / low), half_width), math.hypot(math.log(high / lr), half_width)
    return lr * math.exp(-below), lr * math.exp(above)
