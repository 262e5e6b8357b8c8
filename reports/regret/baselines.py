"""Two baselines that every entry should beat: to sweep the LR of the target itself, and to keep the LR of the proxy.

They are computed from stored results.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lrladder.benchmark.studies.regret.parts import ValidationConfig
from lrladder.benchmark.studies.regret.results import CurveResult, OracleResult, RegretResults, TargetResult
from lrladder.benchmark.studies.regret.scoring.means import seed_means
from lrladder.paradigms.lab import Measurement
from lrladder.paradigms.sweep.noise import Noise
from lrladder.reports.kept import kept
from lrladder.reports.regret import analysis

Array = NDArray[np.float64]

SWEEP, KEEP = "direct sweep of the target", "keep the proxy's LR"
NEAR = math.log(2)  # of ln LR about the minimum, where the parabola stands for the loss; farther, neighbours do
KEPT_UNDER = "sp"  # where an LR is kept as it is; under muP, to keep it is what muTransfer does
STEP = 1e-6  # nats, of the slopes of a regret in the losses that it is read off


class Baseline(NamedTuple):
    """At one target. `lr_regret` is in nats above the best of the sweep, with its 90% interval; None if not known."""

    name: str
    parametrization: str
    lr: float
    lr_regret: float | None
    cost_flops: float
    n_seeds: int
    low: float | None = None
    high: float | None = None


@kept
def baselines(results: RegretResults, target: TargetResult) -> list[Baseline]:
    """The sweep of each parametrization, whose LR regret is 0 by definition, and the LR of the base."""
    found = [
        Baseline(SWEEP, label, oracle.lr, 0.0, oracle.cost_flops, oracle.n_seeds)
        for label, oracle in target.oracle.items()
        if oracle.lr is not None
    ]
    return [*found, *_keep(results, target)]


def _keep(results: RegretResults, target: TargetResult) -> Iterator[Baseline]:
    """The best LR of the base at its longest horizon. Its cost is that of all runs of the base to this horizon."""
    base, oracle = analysis.base_rung(results), target.oracle.get(KEPT_UNDER)
    own = [c for c in results.curves if (c.rung, c.parametrization) == (base, KEPT_UNDER) and c.lr_best is not None]
    longest = max(own, key=lambda curve: curve.horizon, default=None)
    if oracle is None or not oracle.n_lrs or longest is None or longest.lr_best is None:
        return
    cell = longest.rung, longest.horizon, KEPT_UNDER
    runs = {m.trial_id: m.flops for m in analysis.cells(results).get(cell, ())}
    regret, half = _regret(results, target, oracle, longest.lr_best)
    ends = (None, None) if regret is None or half is None else (regret - half, regret + half)
    cost = math.fsum(runs.values())
    yield Baseline(KEEP, KEPT_UNDER, longest.lr_best, regret, cost, oracle.n_seeds, *ends)


def _regret(
    results: RegretResults, target: TargetResult, oracle: OracleResult, lr: float
) -> tuple[float | None, float | None]:
    """Loss at an LR above the sweep's minimum, and the half width of its 90% interval, where they are known.

    Near the best LR it is read on the sweep's parabola, else between neighbouring runs. The interval has the noise of
    the losses that it is read off, to first order.
    """
    place = (target.rung, target.tokens, KEPT_UNDER)
    curve = next((c for c in results.curves if (c.rung, c.horizon, c.parametrization) == place), None)
    means = _means(results, analysis.cells(results).get(place, ()))
    x = math.log(lr)
    fitted = None if curve is None or not curve.lrs_fitted else _Parabola.of(curve, means)
    if curve is not None and curve.curvature and curve.lr_best and abs(x - math.log(curve.lr_best)) <= NEAR:
        value = curve.curvature * (x - math.log(curve.lr_best)) ** 2
        return value, fitted and _half_width(results, oracle, fitted, lambda y: fitted.above(x, y))
    if oracle.loss is None or len(means) < 2 or not min(means) <= lr <= max(means):
        return None, None
    places = np.log(list(means))
    value = float(np.interp(x, places, [mean.loss for mean in means.values()])) - oracle.loss
    return value, fitted and _half_width(
        results, oracle, fitted, lambda y: float(np.interp(x, places, y)) - fitted.minimum(y)
    )


class Finished(NamedTuple):
    """The mean loss at an LR whose runs finished, and the weights of runs in it, by LR and seed."""

    loss: float
    runs: Mapping[tuple[float, int], float]


class _Parabola(NamedTuple):
    """Least squares through the LRs of a sweep that its curve was fitted to; `means` are of all LRs."""

    x: Array  # ln LR of all
    means: Sequence[Finished]
    entered: NDArray[np.bool_]

    @property
    def losses(self) -> Array:
        return np.array([mean.loss for mean in self.means])

    @classmethod
    def of(cls, curve: CurveResult, means: dict[float, Finished]) -> "_Parabola | None":
        entered = np.array([any(math.isclose(lr, known, rel_tol=1e-6) for known in curve.lrs_fitted) for lr in means])
        return cls(np.log(list(means)), list(means.values()), entered) if entered.sum() > 2 else None

    def _fit(self, losses: Array) -> Array:
        return np.polyfit(self.x[self.entered], losses[self.entered], 2)

    def minimum(self, losses: Array) -> float:
        a, b, c = self._fit(losses)
        return float(c - b**2 / (4 * a))

    def above(self, x: float, losses: Array) -> float:
        a, b, _ = self._fit(losses)
        return float(a * (x + b / (2 * a)) ** 2)

    def scatter(self) -> float:
        """Variance of the losses about it, nats^2; 0 where no degree of freedom is left."""
        left = int(self.entered.sum()) - 3
        away = self.losses - np.polyval(self._fit(self.losses), self.x)
        return float((away[self.entered] ** 2).sum()) / left if left else 0.0


def _half_width(
    results: RegretResults, oracle: OracleResult, fitted: _Parabola, read: Callable[[Array], float]
) -> float | None:
    if results.seed_noise is None:
        return None
    losses = fitted.losses
    slopes = [(read(losses + STEP * unit) - read(losses - STEP * unit)) / (2 * STEP) for unit in np.eye(len(losses))]
    squared, explained = math.fsum(slope**2 for slope in slopes), results.seed_noise**2 / oracle.n_seeds
    runs: dict[tuple[float, int], float] = defaultdict(float)
    for slope, mean in zip(slopes, fitted.means, strict=True):
        for run, weight in mean.runs.items():
            runs[run] += slope * weight
    noise = Noise(results.seed_noise, results.seed_noise_df)
    variance = math.fsum(weight**2 for weight in runs.values())
    return noise.half_width(variance, max(0.0, fitted.scatter() - explained) * squared)


def _means(results: RegretResults, runs: Sequence[Measurement]) -> dict[float, Finished]:
    """The mean at each LR, ascending, over the seeds that every LR has, of the LRs at which these finished.

    In a lean sweep it is over the seeds of the sweep, as in the scoring.
    """
    by_lr: dict[float, dict[int, float | None]] = {}
    for m in sorted(runs, key=lambda m: m.lr):
        if not m.role_lrs and m.verdict != "failed":
            by_lr.setdefault(m.lr, {})[m.seed] = m.loss
    validation = results.config.get("validation")
    lean = isinstance(validation, dict) and bool(validation.get("oracle_lean"))
    common = set.intersection(*(set(losses) for losses in by_lr.values())) if by_lr else set()
    seeds = ValidationConfig.model_validate(validation).sweep_seeds if lean else tuple(sorted(common))
    whole = {lr: {seed: losses[seed] for seed in seeds if seed in losses} for lr, losses in by_lr.items()}
    means = seed_means({lr: own for lr, own in whole.items() if own}, seeds, lean=lean)
    return {lr: Finished(mean.loss, mean.runs) for lr, mean in means.items() if mean.loss is not None}
