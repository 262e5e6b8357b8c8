"""Finds the best LR of one arm at a target from the oracle's LR sweep there. Only the scoring sees it."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from lrladder.benchmark.ladder import Rung
from lrladder.benchmark.studies.regret.config import RegretConfig
from lrladder.benchmark.studies.regret.middle import sweep_middle
from lrladder.benchmark.studies.regret.recipes import label_of
from lrladder.benchmark.studies.regret.results import OracleResult
from lrladder.benchmark.studies.regret.scoring.means import Mean, losses_by_lr, seed_means
from lrladder.benchmark.studies.regret.scoring.noise import Point, label
from lrladder.paradigms.lab import Measurement, ParametrizationName
from lrladder.paradigms.level import LEVEL
from lrladder.paradigms.paradigm import Proposal
from lrladder.paradigms.sweep.curve import Curve, fit_curve
from lrladder.paradigms.sweep.noise import Noise
from lrladder.paradigms.sweep.slopes import minimum_slopes

STEP = 1e-7  # nats; step of the numerical derivatives of an oracle's minimum
LEAST_LRS = 3  # of a sweep: the best LR, and one on either side


class Oracle(NamedTuple):
    """The oracle of one arm at a target.

    `weights` has the derivative of the oracle's loss with respect to the mean loss at each LR, and `runs` that with
    respect to the loss of each run, given by its point and seed. Each of them sum to 1.
    """

    parametrization: ParametrizationName
    result: OracleResult
    curve: Curve
    weights: dict[Point, float]
    means: Mapping[float, Mean]  # by LR

    @property
    def runs(self) -> dict[tuple[Point, int], float]:
        found: dict[tuple[Point, int], float] = defaultdict(float)
        for (_, lr), weight in self.weights.items():
            for (other, seed), share in self.means[lr].runs.items():
                found[(self.parametrization, other), seed] += weight * share
        return dict(found)

    @property
    def variance(self) -> float:
        """The variance of the oracle's loss / the variance of the loss of one run."""
        return math.fsum(weight**2 for weight in self.runs.values())

    @property
    def n_runs(self) -> int:
        """The number of runs at the LRs to which the curve was fitted; at all finished LRs without a fit."""
        fitted = self.curve.lrs_fitted
        return sum(mean.seeds for lr, mean in self.means.items() if (lr in fitted if fitted else mean.loss is not None))

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


def on_oracle_grid(lr: float, middle: float, config: RegretConfig) -> bool:
    """Whether an LR is one of those that the oracle may sweep. This tells its runs from those of most proposals.

    `middle` is that of the sweep.
    """
    validation = config.validation
    factor = math.sqrt(validation.oracle_factor) if validation.oracle_refine else validation.oracle_factor
    return on_grid(lr, middle, factor)


def on_search_grid(lr: float, parametrization: ParametrizationName, config: RegretConfig) -> bool:
    """Whether an LR is one of those that a search under this arm may run. A class of the user's own may run any LR."""
    grids = [entry.grid for entry in config.entries.values() if label_of(entry.searched) == parametrization]
    return any(grid is None or on_grid(lr, *grid) for grid in grids)


def on_grid(lr: float, origin: float, factor: float) -> bool:
    """Whether an LR is origin * factor^k, to rounding."""
    steps = math.log(lr / origin) / math.log(factor)
    return abs(steps - round(steps)) < 1e-6


def swept_means(
    config: RegretConfig,
    measurements: Iterable[Measurement],
    rung: Rung,
    horizon: int,
    parametrization: ParametrizationName,
    proposals: Iterable[Proposal],
) -> dict[float, Mean]:
    """The mean loss of each LR on the oracle's grid over the seeds of its sweep."""
    seeds, middle = config.validation.sweep_seeds, sweep_middle(config, proposals, rung.name, parametrization)
    losses = losses_by_lr(measurements, rung.name, horizon, parametrization, seeds)
    swept = {lr: own for lr, own in losses.items() if on_oracle_grid(lr, middle, config)}
    return seed_means(swept, seeds, lean=config.validation.oracle_lean)


def find_oracle(
    config: RegretConfig,
    measurements: Sequence[Measurement],
    rung: Rung,
    horizon: int,
    parametrization: ParametrizationName,
    noise: Noise,
    proposals: Sequence[Proposal] = (),
) -> Oracle:
    """The oracle of an arm: a parabola through the losses of its sweep, averaged over seeds.

    If the parabola has no minimum inside the sweep, the oracle is the best LR that was measured. `noise` is that of
    one run. `proposals` are those of the study, with which lean sweeps share LRs.
    """
    seeds = config.validation.sweep_seeds
    means = swept_means(config, measurements, rung, horizon, parametrization, proposals)
    if len(means) < LEAST_LRS:  # not swept yet: these are proposals that happen to lie on the grid
        means = {}
    sweep = {lr: mean.loss for lr, mean in means.items()}
    spread = noise.sd * _spread(means.values()) if noise.sd else None
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
        cost_flops=_sweep_flops(config, measurements, rung, parametrization, proposals),
    )
    slopes = _slopes(sweep, spread) if interior else {best: 1.0} if best is not None else {}
    weights: dict[Point, float] = {(parametrization, lr): slope for lr, slope in slopes.items()}
    return Oracle(parametrization, result, curve, weights, means)


def _spread(means: Iterable[Mean]) -> float:
    """The sd of the loss at an LR / the sd of the loss of one run: the root of the mean variance over all LRs."""
    known = [mean.variance for mean in means if mean.loss is not None]
    return math.sqrt(math.fsum(known) / len(known)) if known else 1.0


def _sweep_flops(
    config: RegretConfig,
    measurements: Iterable[Measurement],
    rung: Rung,
    parametrization: ParametrizationName,
    proposals: Sequence[Proposal],
) -> float:
    """FLOPs of the distinct runs of a sweep. One run may be read at all horizons of its rung, and counts once."""
    middle = sweep_middle(config, proposals, rung.name, parametrization)
    runs = {
        m.trial_id: m.flops
        for m in measurements
        if (m.rung, label(m)) == (rung.name, parametrization)
        and m.seed in config.validation.sweep_seeds
        and on_oracle_grid(m.lr, middle, config)
    }
    return math.fsum(runs.values())


def _fit(sweep: Mapping[float, float | None], noise: float | None) -> Curve:
    return fit_curve(list(sweep), list(sweep.values()), level=LEVEL, noise=noise)


def _slopes(sweep: Mapping[float, float | None], noise: float | None) -> dict[float, float]:
    """The derivative of the fitted minimum with respect to the loss at each finished LR."""
    finished = [lr for lr, loss in sweep.items() if loss is not None]
    slopes = minimum_slopes(list(sweep), list(sweep.values()), noise=noise, step=STEP)
    return dict(zip(finished, slopes, strict=True))
