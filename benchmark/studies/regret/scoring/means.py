"""The mean loss at each LR of a sweep over the same seeds, also at LRs that were trained with only some of them.

Losses are modelled as (effect of the LR) + (effect of the seed) + noise. At an LR without some of the seeds, the
effects of these are taken from the LRs that have all. This is the least-squares estimate if the others have one seed.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from lrladder.benchmark.studies.regret.scoring.noise import label
from lrladder.paradigms.lab import Measurement, ParametrizationName

Losses = Mapping[int, float | None]  # by seed; None: diverged


class Mean(NamedTuple):
    """The mean loss at one LR over the seeds of a sweep, in nats; None if a seed diverged."""

    loss: float | None
    seeds: int  # with which the LR was trained
    runs: Mapping[tuple[float, int], float]  # by LR and seed: the weight in `loss` of each run. They sum to 1

    @property
    def variance(self) -> float:
        """The variance of `loss` / the variance of the loss of one run."""
        return math.fsum(weight**2 for weight in self.runs.values())


def losses_by_lr(
    measurements: Iterable[Measurement],
    rung: str,
    horizon: int,
    parametrization: ParametrizationName,
    seeds: Sequence[int],
) -> dict[float, Losses]:
    """Losses of the runs that ended, by LR (ascending) and seed, at one rung and horizon, under one arm."""
    found: dict[float, dict[int, float | None]] = {}
    for m in measurements:
        here = (m.rung, m.horizon, label(m)) == (rung, horizon, parametrization) and m.seed in seeds
        if here and m.verdict in ("finished", "diverged"):
            found.setdefault(m.lr, {})[m.seed] = m.loss
    return dict(sorted(found.items()))


def seed_means(losses: Mapping[float, Losses], seeds: Sequence[int], *, lean: bool) -> dict[float, Mean]:
    """The mean at each LR over `seeds`. An LR without some of them is left out, unless the sweep is `lean`.

    In a lean sweep it is left out as long as no LR has all seeds.
    """
    whole = [lr for lr, own in losses.items() if len(own) == len(seeds) and None not in own.values()]
    means: dict[float, Mean] = {}
    for lr, own in losses.items():
        if None in own.values():
            means[lr] = Mean(None, len(own), {})
        elif lr in whole:
            means[lr] = _mean(losses, {(lr, seed): 1 / len(seeds) for seed in own}, len(own))
        elif lean and whole:
            means[lr] = _mean(losses, _completed(lr, own, seeds, whole), len(own))
    return means


def _completed(lr: float, own: Losses, seeds: Sequence[int], whole: Sequence[float]) -> dict[tuple[float, int], float]:
    """Weights that add to the mean over an LR's own seeds what all `seeds` lie above these at the LRs that have all."""
    weights = {(lr, seed): 1 / len(own) for seed in own}
    for other in whole:
        for seed in seeds:
            weights[other, seed] = (1 / len(seeds) - (seed in own) / len(own)) / len(whole)
    return weights


def _mean(losses: Mapping[float, Losses], weights: Mapping[tuple[float, int], float], seeds: int) -> Mean:
    return Mean(math.fsum(weight * (losses[lr][seed] or 0.0) for (lr, seed), weight in weights.items()), seeds, weights)
