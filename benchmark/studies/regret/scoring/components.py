"""Variance components of the losses at targets: of one run over seeds, and of a seed with a parametrization.

A loss is (LR) + (seed's own effect) + (seed x parametrization) + (rest). The seed's own effect cancels where runs of
the same seeds are compared. The formulas are in docs/decision.md.
"""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lrladder.paradigms.sweep.noise import Noise

Array = NDArray[np.float64]


class Run(NamedTuple):
    """A run at one target: `group` is its parametrization with its schedule, `point` all else but the seed."""

    group: str
    point: Hashable
    seed: int


class Squares(NamedTuple):
    """Sums of squares, nats^2, of the runs at one target, or of several targets summed; shape (..., ) of the losses."""

    rest: Array  # about (LR) + (seed x parametrization)
    dof: int
    interaction: Array  # by which that fits better than (LR) + (seed)
    interaction_dof: int
    scale: float  # expected `interaction` per unit of tau2, where all else is zero


class Components(NamedTuple):
    """Variances, nats^2; `variance` is None without a degree of freedom."""

    variance: float | None  # s2, of one run about its seed's effect under its parametrization
    dof: int
    interaction: float  # tau2, of a seed's effect under one parametrization about its effect in all
    interaction_dof: int

    @property
    def run(self) -> Noise:
        return Noise(None if self.variance is None else math.sqrt(self.variance), self.dof)


NOTHING = Components(None, 0, 0.0, 0)


def components(targets: Iterable[Mapping[Run, float]]) -> Components:
    """From the losses of near runs, target by target; runs may have unequal numbers of seeds."""
    sums = [squares(list(runs), np.array(list(runs.values()))) for runs in targets if runs]
    if not sums:
        return NOTHING
    dof, interaction_dof = sum(s.dof for s in sums), sum(s.interaction_dof for s in sums)
    if not dof:
        return Components(None, 0, 0.0, interaction_dof)
    s2 = float(sum(s.rest for s in sums)) / dof
    tau2 = 0.0
    if interaction_dof:
        tau2 = (float(sum(s.interaction for s in sums)) - s2 * interaction_dof) / sum(s.scale for s in sums)
    return Components(s2, dof, max(0.0, tau2), interaction_dof)


def squares(runs: Sequence[Run], losses: Array) -> Squares:
    """Of two nested least-squares fits at one target; `losses` has shape (..., runs): one design, many studies.

    The expected gain of the larger fit is s2 * interaction_dof + tau2 * scale (Henderson's method 3), which is
    decision.md's I where all runs have the same seeds.
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
    """The projection that takes losses to their residuals about the sum of the factors."""
    design = np.hstack(factors)
    return np.eye(len(design)) - design @ np.linalg.pinv(design)


def combined(parts: Sequence[tuple[float, float]]) -> Noise:
    """The sd of a sum of independent parts, given by (variance, degrees of freedom), by Satterthwaite's formula.

    None where a part is unknown: one without degrees of freedom. A part of variance zero does not enter.
    """
    known = [(variance, dof) for variance, dof in parts if variance > 0]
    total = sum(variance for variance, _ in known)
    if any(dof <= 0 for _, dof in parts):
        return Noise(None, 0)
    if not known:
        return Noise(0.0, min((dof for _, dof in parts), default=math.inf))
    return Noise(math.sqrt(total), total**2 / sum(variance**2 / dof for variance, dof in known))
