"""LR sensitivity: the mean cost of a wrong LR, over the same number of octaves around the best LR of each arm."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np

from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.paradigms.lab import Measurement
from lrladder.reports.drawing import labels_of
from lrladder.reports.kept import kept
from lrladder.reports.regret import analysis
from lrladder.reports.regret.health import Spread, spread

LEAST = 0.5  # octaves; assumption: a narrower range says nothing about wrong LRs
MOST = 2.0  # octaves; assumption: nobody is off by more, and farther out only divergence would count
POINTS = 41  # LRs over which the mean is taken


class Sensitivity(NamedTuple):
    """The mean of loss minus lowest loss (nats) over the LRs within `octaves` of the best swept LR.

    `spread` is over seeds. This is the LR sensitivity of arXiv 2309.14322, except that there all runs share one range
    of LRs. Best LRs differ between parametrizations, so here the range is around the best LR of each.
    """

    rung: str
    horizon: int
    parametrization: str
    spread: Spread
    octaves: float
    lr_best: float
    diverged_from: float | None  # lowest LR at which any run diverged


Swept = Mapping[float, Mapping[int, Measurement]]  # by LR, ascending, and seed


@kept
def sensitivities(results: RegretResults) -> list[Sensitivity]:
    """The sensitivities at the longest horizon of each rung at which two or more arms bracket their best LR."""
    found = []
    for rung in results.rungs:
        horizon = max(rung.horizons, default=0)
        sweeps = {p: _sweep(results, rung.name, horizon, p) for p in labels_of(results)}
        bests = {p: best for p, sweep in sweeps.items() if (best := _best(sweep)) is not None}
        octaves = min([MOST, *(_reach(sweeps[p], lr) for p, lr in bests.items())])
        if len(bests) < 2 or octaves < LEAST:
            continue
        spreads = {p: _spread(sweeps[p], lr, octaves) for p, lr in bests.items()}
        if len(set(spreads.values())) == 1:
            continue  # at the base all are one model, and nothing is compared
        for p, over in spreads.items():
            if over is not None:
                lost = [lr for lr, runs in sweeps[p].items() if any(m.loss is None for m in runs.values())]
                found.append(Sensitivity(rung.name, horizon, p, over, octaves, bests[p], min(lost, default=None)))
    return found


def _sweep(results: RegretResults, rung: str, horizon: int, parametrization: str) -> Swept:
    """The runs of a sweep by LR and seed, with the seeds that were run at all of its LRs."""
    runs: dict[float, dict[int, Measurement]] = {}
    for m in analysis.cells(results).get((rung, horizon, parametrization), ()):
        if not m.role_lrs and m.lr > 0 and m.verdict != "failed":
            runs.setdefault(m.lr, {})[m.seed] = m
    seeds = [set(by_seed) for by_seed in runs.values()]
    common = set.intersection(*seeds) if seeds else set()
    return {lr: {seed: runs[lr][seed] for seed in sorted(common)} for lr in sorted(runs)} if common else {}


def _best(sweep: Swept) -> float | None:
    """The LR with the lowest mean loss; None unless it lies between other LRs."""
    means = {lr: fmean(m.loss or 0.0 for m in runs.values()) for lr, runs in sweep.items() if _all_finished(runs)}
    best = min(means, key=lambda lr: means[lr], default=None)
    return None if best is None or best in (min(sweep), max(sweep)) else best


def _all_finished(runs: Mapping[int, Measurement]) -> bool:
    return all(m.loss is not None for m in runs.values())


def _reach(sweep: Swept, best: float) -> float:
    """Octaves from the best LR to the nearer end of the sweep."""
    return min(math.log2(best / min(sweep)), math.log2(max(sweep) / best))


def _spread(sweep: Swept, best: float, octaves: float) -> Spread | None:
    """The sensitivity of each seed, as a spread. Losses are interpolated linearly in log LR between runs.

    A diverged run, or one with a loss above the initial loss, counts with the initial loss. None if that is unknown.
    """
    seeds: Sequence[int] = list(sweep[best])
    values = []
    for seed in seeds:
        runs = {lr: by_seed[seed] for lr, by_seed in sweep.items()}
        starts = [m.metrics["initial_loss"] for m in runs.values() if "initial_loss" in m.metrics]
        if not starts:
            return None
        start = fmean(starts)
        losses = [start if m.loss is None else min(m.loss, start) for m in runs.values()]
        places = np.linspace(math.log2(best) - octaves, math.log2(best) + octaves, POINTS)
        loss = np.interp(places, [math.log2(lr) for lr in runs], losses)
        values.append(float(loss.mean()) - (runs[best].loss or 0.0))
    return spread(values)
