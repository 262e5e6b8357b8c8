"""The noise of losses at targets over seeds, and of their sums and differences. Formulas: docs/decision.md."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from lrladder.benchmark.studies.regret.scoring.components import Components, Run, combined, components
from lrladder.paradigms.lab import Measurement
from lrladder.paradigms.paradigm import Proposal
from lrladder.paradigms.sweep.noise import Noise

Point = tuple[str, float]  # everything about a run but its seed: (`label` of it, LR)


class Noises(NamedTuple):
    """The noise of runs at targets, pooled over the targets of a study. A parametrization here includes its schedule.

    Runs of a parametrization that the oracle does not sweep may scatter more. To keep this out of statements about the
    other entries, such a parametrization has its own variance, if its runs at two or more LRs allow an estimate.
    """

    curves: Noise  # of all runs of swept parametrizations, near or far: the noise for fitting a sweep's parabola
    swept: Components  # of near runs of swept parametrizations
    all: Components  # of all near runs
    unswept: Mapping[str, Components]  # of near runs of each parametrization without a sweep

    @property
    def base(self) -> Components:
        """The noise of a run whose parametrization has no estimate of its own."""
        return self.all if self.swept.variance is None else self.swept

    def of(self, weights: Mapping[str, float], interaction: float = 0.0) -> Noise:
        """The noise (nats) of a weighted sum of losses.

        `weights` has the sum of the squared weights, by parametrization. `interaction` is the sum of the squared
        weights of the interactions of seed and parametrization; it is 0 within one parametrization.
        """
        parts, rest = [], 0.0
        for name, weight in weights.items():
            own = self.unswept.get(name)
            if own is not None and own.variance is not None:
                parts.append((weight * own.variance, own.dof))
            else:
                rest += weight
        if rest:
            parts.append((rest * (self.base.variance or 0.0), 0 if self.base.variance is None else self.base.dof))
        if interaction:
            pool = self.all if any(name in self.unswept for name in weights) else self.base
            parts.append((interaction * pool.interaction, pool.interaction_dof))
        return combined(parts)

    def between(self, first: str, second: str, n_seeds: int) -> Noise:
        """The noise of the difference of two means over the same `n_seeds` seeds, given their parametrizations."""
        if first == second:
            return self.of({first: 2 / n_seeds})
        return self.of({first: 1 / n_seeds, second: 1 / n_seeds}, 2 / n_seeds)

    def after(self, n_seeds: int, labels: Sequence[str]) -> "Noises":
        """As well as it will be known after `n_seeds` more of entries, given each one's parametrization.

        A seed adds a run of each entry, less the seed's effect under each parametrization; decision.md has the df.
        """
        within, across = len(labels) - len(set(labels)), len(set(labels)) - 1

        def grown(known: Components) -> Components:
            pooled = 0 if known.interaction else across  # as `components` does
            return known._replace(
                dof=known.dof + n_seeds * (within + pooled), interaction_dof=known.interaction_dof + n_seeds * across
            )

        return self._replace(swept=grown(self.swept), all=grown(self.all))


def seed_noise(measurements: Iterable[Measurement]) -> Noise:
    """The noise of one run: the sd of the residuals of loss ~ (parametrization, LR) + seed, pooled over cells.

    The effect of a seed, such as its order of the data, is the same for all runs of a cell. It cancels when runs of the
    same seeds are compared, so it is not part of the noise. Only LRs with two finished seeds count.
    """
    cells: dict[tuple[str, int], dict[Run, float]] = {}
    for m in measurements:
        if m.loss is not None and m.verdict == "finished":
            cells.setdefault((m.rung, m.horizon), {})[Run("", (label(m), m.lr), m.seed)] = m.loss
    return components(cells.values()).run


def label(of: Measurement | Proposal) -> str:
    """The label of its arm, followed by its multipliers of roles if it has any, as in `mup head x2`."""
    return of.parametrization + "".join(f" {role} x{factor:g}" for role, factor in sorted(of.role_lrs))
