"""The noise of a run: what is left of its loss when the means of its setting and of its seed are taken out."""

import math
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from lrladder.paradigms.level import LEVEL
from lrladder.paradigms.quantiles import t_quantile

NEAR = 0.3  # nats above the best setting; assumption: settings within this distance have the same noise
LEAST = 7  # settings that are always used, even if they are worse; assumption: with two seeds they give six df
Losses = Sequence[float | None]  # of one setting, by seed in one order; None: diverged


class Noise(NamedTuple):
    """Sd of one loss in nats, paired by seed, with its degrees of freedom. It is infinite before anything is known."""

    sd: float = math.inf
    df: int = 0

    def sd_of_difference(self, n_seeds: int) -> float:
        """Sd of the difference of the means of two settings over the same seeds."""
        return self.sd * math.sqrt(2 / n_seeds)

    def limit(self, n_seeds: int, *, sds: float) -> float:
        """A difference of `sds` sds, in nats.

        With few degrees of freedom it is larger, so that it is exceeded by chance as rarely.
        """
        if not self.df:
            return math.inf
        return t_quantile(ndtr(sds), self.df) * self.sd_of_difference(n_seeds)

    def half_width(self, n_seeds: int, *, level: float = LEVEL) -> float | None:
        """Half width of the interval of the difference of two means, in nats; None before the noise is known."""
        return t_quantile((1 + level) / 2, self.df) * self.sd_of_difference(n_seeds) if self.df else None


def pooled(groups: Iterable[Sequence[Losses]]) -> Noise:
    """The noise from the residuals of loss ~ setting + seed. All settings of a group have the same seeds.

    In each group the LEAST best settings are used, and all others within NEAR of the best one.
    """
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
