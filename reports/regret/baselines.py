"""Two baselines that every entry should beat: to sweep the LR of the target itself, and to keep the LR of the proxy.

They are computed from stored results.
"""

import math
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np

from lrladder.benchmark.studies.regret.results import OracleResult, RegretResults, TargetResult
from lrladder.paradigms.lab import Measurement
from lrladder.reports.regret import analysis

SWEEP, KEEP = "direct sweep of the target", "keep the proxy's LR"
NEAR = math.log(2)  # distance in ln LR from the minimum up to which the loss is read from the parabola; assumption
KEPT_UNDER = "sp"  # the parametrization under which an LR is kept; under muP this would be muTransfer


class Baseline(NamedTuple):
    """A baseline at one target. `lr_regret` is its loss above the minimum of the sweep, nats; None if not known."""

    name: str
    parametrization: str
    lr: float
    lr_regret: float | None
    cost_flops: float


def baselines(results: RegretResults, target: TargetResult) -> list[Baseline]:
    """The sweep of each parametrization, whose LR regret is 0 by definition, and the LR of the base."""
    found = [
        Baseline(SWEEP, label, oracle.lr, 0.0, oracle.cost_flops)
        for label, oracle in target.oracle.items()
        if oracle.lr is not None
    ]
    return [*found, *_kept(results, target)]


def _kept(results: RegretResults, target: TargetResult) -> Iterator[Baseline]:
    """The best LR of the base at its longest horizon. Its cost is that of all runs of the base to this horizon."""
    base, oracle = analysis.base_rung(results), target.oracle.get(KEPT_UNDER)
    own = [c for c in results.curves if (c.rung, c.parametrization) == (base, KEPT_UNDER) and c.lr_best is not None]
    longest = max(own, key=lambda curve: curve.horizon, default=None)
    if oracle is None or longest is None or longest.lr_best is None:
        return
    cell = base, KEPT_UNDER, longest.horizon
    runs = {m.trial_id: m.flops for m in results.measurements if (m.rung, m.parametrization, m.horizon) == cell}
    regret = _regret(results, target, oracle, longest.lr_best)
    yield Baseline(KEEP, KEPT_UNDER, longest.lr_best, regret, math.fsum(runs.values()))


def _regret(results: RegretResults, target: TargetResult, oracle: OracleResult, lr: float) -> float | None:
    """Loss at an LR minus the minimum of the sweep, nats; None if the LR is outside the sweep.

    It is read from the parabola near the best LR, and else interpolated between neighbouring runs.
    """
    place = (target.rung, target.tokens, KEPT_UNDER)
    curve = next((c for c in results.curves if (c.rung, c.horizon, c.parametrization) == place), None)
    if curve is not None and curve.curvature and curve.lr_best and abs(math.log(lr / curve.lr_best)) <= NEAR:
        return curve.curvature * math.log(lr / curve.lr_best) ** 2
    means = _means([m for m in results.measurements if (m.rung, m.horizon, m.parametrization) == place])
    if oracle.loss is None or len(means) < 2 or not min(means) <= lr <= max(means):
        return None
    return float(np.interp(math.log(lr), np.log(list(means)), list(means.values()))) - oracle.loss


def _means(runs: Sequence[Measurement]) -> dict[float, float]:
    """Mean loss by LR, in ascending order, for the LRs at which every seed finished."""
    by_lr: dict[float, list[float | None]] = {}
    for m in sorted(runs, key=lambda m: m.lr):
        if not m.role_lrs:
            by_lr.setdefault(m.lr, []).append(m.loss)
    return {lr: fmean(x for x in losses if x is not None) for lr, losses in by_lr.items() if None not in losses}
