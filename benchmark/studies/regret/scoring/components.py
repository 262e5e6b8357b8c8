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
    points = _indicators([(run.group, run.point) for run in runs])
    seeds = _indicators([run.seed for run in runs])
    group_seeds = _indicators([(run.group, run.seed) for run in runs])
    small, large = _residual_maker(points, seeds), _residual_maker(points, group_seeds)
    rest, both = (np.sum((losses @ maker) ** 2, axis=-1) for maker in (large, small))
    dof = round(float(np.trace(large)))
    interaction_dof = round(float(np.trace(small))) - dof
    scale = float(np.trace(group_seeds.T @ small @ group_seeds))
    return Squares(rest if dof else 0 * rest, dof, both - rest, interaction_dof, scale)


def _indicators(keys: Sequence[Hashable]) -> Array:
    """One column for each distinct key, in the order of first use."""
    place = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    columns = np.zeros((len(keys), len(place)))
    columns[np.arange(len(keys)), [place[key] for key in keys]] = 1.0
    return columns


def _residual_maker(*factors: Array) -> Array:
    """The matrix (runs, runs) that maps losses to their residuals after a least-squares fit of all the factors."""
    design = np.hstack(factors)
    return np.eye(len(design)) - design @ np.linalg.pinv(design)


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
