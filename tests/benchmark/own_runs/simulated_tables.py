"""Tables of sweeps of a known law whose minima are off it as published ones are: together by size, and each alone."""

import math
from typing import NamedTuple

import numpy as np

from lrladder.paradigms.laws.design import MOVING_BATCH_TOKENS, PRIORS
from lrladder.paradigms.laws.law import LawPoint, fit_law
from lrladder.paradigms.sweep.pooled import fit_curves
from lrladder.paradigms.sweep.soft import CURVATURE, CURVATURE_LOG_SD
from tests.benchmark.own_runs.calibration import Place

LARGEST = 4e8  # parameters
SKEW = 0.1  # per ln lr, by which a bowl rises faster above its minimum; assumption
NOISE = 0.001  # of the loss
BEYOND = 2.0  # the target has so many times the largest size and horizon, and 4 times the FLOPs


class Errors(NamedTuple):
    """Sds of ln lr*, of what the minima of one size share and of each minimum; a table draws its own about these."""

    size: float
    own: float


KINDS = {"an exact law": Errors(0, 0), "as public tables": Errors(0.15, 0.12), "twice that": Errors(0.3, 0.24)}


def places(errors: Errors, n: int, seed: int = 0) -> list[Place]:
    """The target of each of `n` tables, with the law of its table."""
    rng = np.random.default_rng(seed)
    found = [_place(errors, rng) for _ in range(n)]
    return [one for one in found if one is not None]


def _place(errors: Errors, rng: np.random.Generator) -> Place | None:
    """None for a table without a bracketed minimum. Exponents are drawn from the priors of the law."""
    sizes = LARGEST * rng.uniform(1.5, 3.0) ** -np.arange(rng.integers(2, 6))
    horizons = 2e9 * rng.uniform(1.5, 3.0) ** np.arange(rng.integers(2, 5))
    slopes = [rng.normal(*PRIORS["size"]), rng.normal(*MOVING_BATCH_TOKENS)]
    size_sd, own_sd = (sd * abs(rng.standard_normal()) for sd in errors)

    def best(n: float, tokens: float, shared: float) -> float:
        trend = math.log(0.002) + slopes[0] * math.log(n / LARGEST) + slopes[1] * math.log(tokens / 1e10)
        return trend + shared + own_sd * float(rng.standard_normal())

    cells = []
    for n in sizes:
        shared = size_sd * float(rng.standard_normal())
        cells += [(float(n), float(tokens), best(n, tokens, shared)) for tokens in horizons]
    curves = fit_curves([_sweep(ln_lr, rng) for _, _, ln_lr in cells])
    points = [
        LawPoint(n, tokens, math.log(curve.lr_best), curve.sd_ln_lr)
        for (n, tokens, _), curve in zip(cells, curves, strict=True)
        if curve.lr_best is not None and curve.sd_ln_lr is not None
    ]
    if not points:
        return None
    n, tokens = BEYOND * sizes.max(), BEYOND * horizons.max()
    truth = best(n, tokens, size_sd * float(rng.standard_normal()))
    return Place(fit_law(points, n_boot=0), n, n, tokens, None, truth)


def _sweep(ln_best: float, rng: np.random.Generator) -> tuple[list[float], list[float | None]]:
    """Five LRs in steps of 2 about the best."""
    x = math.log(2) * (np.arange(-2, 3) + rng.uniform(-0.5, 0.5))
    curvature = CURVATURE * math.exp(CURVATURE_LOG_SD * rng.standard_normal())
    losses = 3.0 * (1 + curvature * x**2 * (1 + SKEW * x) + NOISE * rng.standard_normal(len(x)))
    return [*np.exp(ln_best + x)], [*losses]
