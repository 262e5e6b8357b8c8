"""Curves of one study fitted together. Each uses the noise that is estimated from the residuals of all."""

from collections.abc import Sequence

from lrladder.paradigms.level import LEVEL
from lrladder.paradigms.sweep.curve import Curve, fit_curve
from lrladder.paradigms.sweep.noise import typical_noise

LrSweep = tuple[Sequence[float], Sequence[float | None]]


def fit_curves(sweeps: Sequence[LrSweep], *, level: float = LEVEL, step: float = 0.0) -> tuple[Curve, ...]:
    """Fit the sweeps (LRs, losses) of one study, whose losses are rounded to `step`.

    Raises ValueError on an LR or loss that cannot be used.
    """
    alone = [fit_curve(lrs, losses, level=level, step=step) for lrs, losses in sweeps]
    noise = typical_noise(alone).shared
    if noise is None:
        return tuple(alone)
    return tuple(fit_curve(lrs, losses, level=level, noise=noise, step=step) for lrs, losses in sweeps)
