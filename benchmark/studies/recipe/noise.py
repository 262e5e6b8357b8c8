"""The noise of a run: what is left of a loss after the level of its setting and the level of its seed."""

import math
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np
from scipy import stats

from lrladder.paradigms.level import LEVEL

NEAR = 0.3  # nats above the best; assumption: runs that learn as well as the best are as noisy
LEAST = (
    7  # settings that tell the noise even where few are near, as in a first search for the LR; six df with two seeds
)
Losses = Sequence[float | None]  # of one setting, by seed in one order; None: diverged


class Noise(NamedTuple):
    """Sd of one loss in nats, paired by seed, with its degrees of freedom. It is infinite before anything is known."""

    sd: float = math.inf
    df: int = 0

    def sd_of_difference(self, n_seeds: int) -> float:
        """Sd of the difference of the means of two settings over the same seeds."""
        return self.sd * math.sqrt(2 / n_seeds)

    def limit(self, n_seeds: int, *, sds: float) -> float:
        """The difference that is `sds` sds. With few degrees of freedom, the larger one that is as improbable."""
        if not self.df:
            return math.inf
        return float(stats.t.ppf(stats.norm.cdf(sds), self.df)) * self.sd_of_difference(n_seeds)

    def half_width(self, n_seeds: int, *, level: float = LEVEL) -> float | None:
        """Half width of the interval of such a difference."""
        return float(stats.t.ppf((1 + level) / 2, self.df)) * self.sd_of_difference(n_seeds) if self.df else None


def pooled(groups: Iterable[Sequence[Losses]]) -> Noise:
    """Noise from the residuals of loss ~ setting + seed, in groups with common seeds, of settings of similar loss."""
    total, df = 0.0, 0
    for group in groups:
        whole = [[loss for loss in losses if loss is not None] for losses in group if None not in losses]
        whole.sort(key=fmean)
        table = np.array([row for i, row in enumerate(whole) if i < LEAST or fmean(row) <= fmean(whole[0]) + NEAR])
        if table.ndim == 2 and min(table.shape) >= 2:
            rest = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
            total += float((rest**2).sum())
            df += (table.shape[0] - 1) * (table.shape[1] - 1)
    return Noise(math.sqrt(total / df), df) if df else Noise()
