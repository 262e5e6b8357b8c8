"""Finds the best LR of one arm at a target from the oracle's LR sweep there. Only the scoring sees it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lrladder.benchmark.ladder import Rung
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.regret.recipes import label_of
from lrladder.benchmark.studies.regret.results import OracleResult
from lrladder.benchmark.studies.regret.scoring.noise import Point, label
from lrladder.paradigms.lab import Measurement, ParametrizationName
from lrladder.paradigms.level import LEVEL
from lrladder.paradigms.sweep.curve import Curve, fit_curve
from lrladder.paradigms.sweep.noise import Noise
from lrladder.paradigms.sweep.slopes import minimum_slopes

STEP = 1e-7  # nats; step of the numerical derivatives of an oracle's minimum
LEAST_LRS = 3  # of a sweep: the best LR, and one on either side


class Oracle(NamedTuple):
    """The oracle of one arm at a target.

    `weights` has the derivative of the oracle's loss with respect to the mean loss at each LR. They sum to 1.
    """

    parametrization: ParametrizationName
    result: OracleResult
    curve: Curve
    weights: dict[Point, float]

    @property
    def squared_weights(self) -> float:
        """The variance of the oracle's loss / the variance of the mean loss at one LR."""
        return math.fsum(weight**2 for weight in self.weights.values())

    def misfit(self, run: Noise) -> float:
        """The additional variance (nats^2) of the oracle's loss if its parabola fits worse than the noise explains.

        `run` is the noise of one run.
        """
        seen = (self.curve.residual_sd or 0.0) ** 2 if self.curve.status == "interior" else 0.0
        explained = (run.sd or 0.0) ** 2 / max(1, self.result.n_seeds)
        return max(0.0, seen - explained) * self.squared_weights


def on_oracle_grid(lr: float, parametrization: ParametrizationName, config: RegretConfig) -> bool:
    """Whether an LR is one of those that the oracle may sweep. This tells its runs from those of most proposals."""
    validation = config.validation
    factor = math.sqrt(validation.oracle_factor) if validation.oracle_refine else validation.oracle_factor
    return on_grid(lr, config.oracle_guess(parametrization), factor)


def on_search_grid(lr: float, parametrization: ParametrizationName, config: RegretConfig) -> bool:
    """Whether an LR is one of those that a search under this arm may run. A class of the user's own may run any LR."""
    grids = [entry.grid for entry in config.entries.values() if label_of(entry.searched) == parametrization]
    return any(grid is None or on_grid(lr, *grid) for grid in grids)


def on_grid(lr: float, origin: float, factor: float) -> bool:
    """Whether an LR is origin * factor^k, to rounding."""
    steps = math.log(lr / origin) / math.log(factor)
    return abs(steps - round(steps)) < 1e-6


def seed_means(
    measurements: Iterable[Measurement], rung: str, horizon: int, parametrization: ParametrizationName, seeds: set[int]
) -> dict[float, float | None]:
    """The mean loss over `seeds` by LR. It is None if a seed diverged. An LR is left out while a seed is missing."""
    cells: dict[float, dict[int, Measurement]] = {}
    for m in measurements:
        here = (m.rung, m.horizon, label(m)) == (rung, horizon, parametrization) and m.seed in seeds
        if here and m.verdict in ("finished", "diverged"):
            cells.setdefault(m.lr, {})[m.seed] = m
    means: dict[float, float | None] = {}
    for lr, by_seed in sorted(cells.items()):
        losses = [m.loss for m in by_seed.values() if m.loss is not None]
        if len(losses) < len(by_seed):
            means[lr] = None
        elif len(losses) == len(seeds):
            means[lr] = float(np.mean(losses))
    return means


def swept_means(
    config: RegretConfig,
    measurements: Sequence[Measurement],
    rung: Rung,
    horizon: int,
    parametrization: ParametrizationName,
) -> dict[float, float | None]:
    """The mean loss of each LR on the oracle's grid over the seeds of its sweep, as `seed_means`."""
    seeds = set(config.validation.sweep_seeds)
    means = seed_means(measurements, rung.name, horizon, parametrization, seeds)
    return {lr: loss for lr, loss in means.items() if on_oracle_grid(lr, parametrization, config)}


def find_oracle(
    config: RegretConfig,
    measurements: Sequence[Measurement],
    rung: Rung,
    horizon: int,
    parametrization: ParametrizationName,
    noise: Noise,
) -> Oracle:
    """The oracle of an arm: a parabola through the losses of its sweep, averaged over seeds.

    If the parabola has no minimum inside the sweep, the oracle is the best LR that was measured. `noise` is that of
    one run.
    """
    seeds = set(config.validation.sweep_seeds)
    sweep = swept_means(config, measurements, rung, horizon, parametrization)
    if len(sweep) < LEAST_LRS:  # not swept yet: these are proposals that happen to lie on the grid
        sweep = {}
    spread = noise.sd / math.sqrt(len(seeds)) if noise.sd else None
    curve = _fit(sweep, spread)
    finished = {lr: loss for lr, loss in sweep.items() if loss is not None}
    best = min(finished, key=lambda lr: finished[lr]) if finished else None
    interior, bracketed = curve.status == "interior", curve.status in ("interior", "bracketed")
    result = OracleResult(
        lr=curve.lr_best if interior else best,
        lr_low=curve.lr_low if bracketed else None,
        lr_high=curve.lr_high if bracketed else None,
        loss=curve.minimum if interior else finished.get(best) if best is not None else None,
        status=curve.status,
        n_lrs=len(finished),
        n_seeds=len(seeds) if finished else 0,
        cost_flops=_sweep_flops(config, measurements, rung, parametrization),
    )
    slopes = _slopes(sweep, spread) if interior else {best: 1.0} if best is not None else {}
    weights: dict[Point, float] = {(parametrization, lr): slope for lr, slope in slopes.items()}
    return Oracle(parametrization, result, curve, weights)


def _sweep_flops(
    config: RegretConfig, measurements: Iterable[Measurement], rung: Rung, parametrization: ParametrizationName
) -> float:
    """FLOPs of the distinct runs of a sweep. One run may be read at all horizons of its rung, and counts once."""
    runs = {
        m.trial_id: m.flops
        for m in measurements
        if (m.rung, label(m)) == (rung.name, parametrization) and on_oracle_grid(m.lr, parametrization, config)
    }
    return math.fsum(runs.values())


def _fit(sweep: Mapping[float, float | None], noise: float | None) -> Curve:
    return fit_curve(list(sweep), list(sweep.values()), level=LEVEL, noise=noise)


def _slopes(sweep: Mapping[float, float | None], noise: float | None) -> dict[float, float]:
    """The derivative of the fitted minimum with respect to the loss at each finished LR."""
    finished = [lr for lr, loss in sweep.items() if loss is not None]
    slopes = minimum_slopes(list(sweep), list(sweep.values()), noise=noise, step=STEP)
    return dict(zip(finished, slopes, strict=True))
