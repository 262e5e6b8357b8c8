"""Estimates the two variances in the losses at targets that a comparison of entries needs.

A loss is modelled as (effect of the LR) + (effect of the seed) + (effect of the seed under this parametrization) +
(rest). The effect of the seed cancels when runs of the same seeds are compared. This module estimates the variances
of the last two parts, which docs/decision.md calls tau2 and s2. A parametrization here includes its schedule.
"""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lrladder.paradigms.sweep.noise import Noise

Array = NDArray[np.float64]
Ints = NDArray[np.intp]

SINGULAR = 1e-9  # singular values up to this times the number of runs are 0 but for rounding; assumption


class Run(NamedTuple):
    """A run at one target. `group` is its parametrization with its schedule, `point` its LR and role multipliers."""

    group: str
    point: Hashable
    seed: int


class Squares(NamedTuple):
    """Sums of squares (nats^2) of two nested least-squares fits to the runs at one target.

    The larger fit has the terms (LR) + (seed x parametrization), the smaller one (LR) + (seed). The arrays have the
    shape of the losses without its last axis.
    """

    rest: Array  # residuals of the larger fit
    dof: int
    interaction: Array  # residuals of the smaller fit minus those of the larger one
    interaction_dof: int
    scale: float  # expected value of `interaction` is s2 * interaction_dof + tau2 * scale


class Components(NamedTuple):
    """Estimated variances in nats^2, with their degrees of freedom. `variance` is None without any."""

    variance: float | None  # s2: of one run, once the effect of its seed under its parametrization is taken out
    dof: int  # includes those of the interaction where it is estimated as 0
    interaction: float  # tau2: of what a seed adds under one parametrization and not under the others
    interaction_dof: int

    @property
    def run(self) -> Noise:
        """The noise of one run: the square root of s2, in nats."""
        return Noise(None if self.variance is None else math.sqrt(self.variance), self.dof)


NOTHING = Components(None, 0, 0.0, 0)


def components(targets: Iterable[Mapping[Run, float]]) -> Components:
    """The variances, pooled over targets, from the losses (nats) of the runs at each target.

    LRs may have unequal numbers of seeds. If the interaction's mean square is at most s2, then tau2 is 0 and both mean
    squares estimate s2. They are pooled, as restricted maximum likelihood does under tau2 >= 0 (Thompson 1962, Annals
    of Mathematical Statistics 33, 273).
    """
    sums = [squares(list(runs), np.array(list(runs.values()))) for runs in targets if runs]
    if not sums:
        return NOTHING
    dof, interaction_dof = sum(s.dof for s in sums), sum(s.interaction_dof for s in sums)
    if not dof:
        return Components(None, 0, 0.0, interaction_dof)
    rest, interaction = float(sum(s.rest for s in sums)), float(sum(s.interaction for s in sums))
    excess = interaction - rest / dof * interaction_dof
    if excess <= 0:
        pooled = dof + interaction_dof
        return Components((rest + interaction) / pooled, pooled, 0.0, interaction_dof)
    return Components(rest / dof, dof, excess / sum(s.scale for s in sums), interaction_dof)


def squares(runs: Sequence[Run], losses: Array) -> Squares:
    """The sums of squares at one target. `losses` (nats) has shape (..., runs); each row is fitted on its own.

    The larger fit lowers the residual sum of squares by s2 * interaction_dof + tau2 * scale on average (Henderson's
    method 3). If all LRs have the same seeds, this gives the formulas of docs/decision.md.
    """
    points = _levels([(run.group, run.point) for run in runs])
    seeds, within = _levels([run.seed for run in runs]), _levels([(run.group, run.seed) for run in runs])
    small, large = _Fit(points, seeds), _Fit(points, within)
    rest, both = large.residual(losses), small.residual(losses)
    return Squares(
        rest if large.dof else 0 * rest, large.dof, both - rest, small.dof - large.dof, small.unexplained(within)
    )


def _levels(keys: Sequence[Hashable]) -> Ints:
    """The number of each key among the distinct keys, in the order of first use."""
    place = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    return np.array([place[key] for key in keys])


class _Fit:
    """The least-squares fit of losses ~ (point) + (block), given the levels of both for each run.

    The blocks, of which there may be thousands, are taken out first, by the mean of each. So no matrix has more than
    runs times points entries.
    """

    def __init__(self, points: Ints, blocks: Ints) -> None:
        self._order = np.argsort(blocks, kind="stable")
        self._counts = np.bincount(blocks)
        self._starts = np.cumsum(self._counts) - self._counts
        self._blocks = blocks
        found, sizes, _ = np.linalg.svd(self._without_blocks(np.eye(points.max() + 1)[points].T).T, full_matrices=False)
        self._basis = found[:, sizes > SINGULAR * len(points)]  # of what points add to blocks
        self.dof = len(points) - len(self._counts) - self._basis.shape[1]

    def _without_blocks(self, values: Array) -> Array:
        """Values, whose last axis is the runs, minus the mean of their block."""
        sums = np.add.reduceat(values[..., self._order], self._starts, axis=-1)
        return values - (sums / self._counts)[..., self._blocks]

    def residual(self, losses: Array) -> Array:
        """The residual sum of squares of losses [..., runs]."""
        within = self._without_blocks(losses)
        return np.asarray(np.sum((within - within @ self._basis @ self._basis.T) ** 2, axis=-1))

    def unexplained(self, levels: Ints) -> float:
        """The residual sum of squares of the indicators of levels, each of which lies in one block, added up."""
        counts, block = np.bincount(levels), np.zeros(levels.max() + 1, dtype=int)
        block[levels] = self._blocks
        sums = np.zeros((len(counts), self._basis.shape[1]))
        np.add.at(sums, levels, self._basis)
        return float(np.sum(counts - counts**2 / self._counts[block]) - np.sum(sums**2))


def combined(parts: Sequence[tuple[float, float]]) -> Noise:
    """The noise of a sum of independent parts, given by (variance, degrees of freedom), by Satterthwaite's formula.

    Its sd is None if a part has no degrees of freedom. A part with variance zero adds nothing.
    """
    known = [(variance, dof) for variance, dof in parts if variance > 0]
    total = sum(variance for variance, _ in known)
    if any(dof <= 0 for _, dof in parts):
        return Noise(None, 0)
    if not known:
        return Noise(0.0, min((dof for _, dof in parts), default=math.inf))
    return Noise(math.sqrt(total), total**2 / sum(variance**2 / dof for variance, dof in known))
