"""How much losses at targets scatter over seeds, and what that makes of a difference. Formulas: docs/decision.md."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from lrladder.benchmark.studies.regret.scoring.components import Components, Run, combined, components
from lrladder.paradigms.lab import Measurement
from lrladder.paradigms.paradigm import Proposal
from lrladder.paradigms.sweep.noise import Noise

Point = tuple[str, float]  # a run but for its seed: its parametrization, with multipliers of roles, and LR


class Noises(NamedTuple):
    """Pooled over the targets of a study. A parametrization stands for its schedule too.

    An entry that is not swept, as one under another schedule, may scatter more: that must not blur what is said of the
    others, so it has its own variance where two LRs tell one, and the interaction that it enters is of all.
    """

    curves: Noise  # of every run of what is swept, near or far: what a sweep's parabola is held against
    swept: Components  # of near runs of what is swept
    all: Components  # of all near runs
    unswept: Mapping[str, Components]  # of the near runs of each parametrization without a sweep

    @property
    def base(self) -> Components:
        """What a run scatters where its parametrization does not tell it apart."""
        return self.all if self.swept.variance is None else self.swept

    def of(self, weights: Mapping[str, float], interaction: float = 0.0) -> Noise:
        """Of a sum of runs whose squared weights add up to `weights`, by parametrization; nats.

        `interaction` is the same sum for the effects of a seed under one parametrization; 0 within one.
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
        """Of the difference of two runs' means over the same seeds, given their parametrizations."""
        if first == second:
            return self.of({first: 2 / n_seeds})
        return self.of({first: 1 / n_seeds, second: 1 / n_seeds}, 2 / n_seeds)

    def after(self, n_seeds: int, labels: Sequence[str]) -> "Noises":
        """As well as it will be known after `n_seeds` more of entries, given each one's parametrization.

        A seed adds a run of each entry, less the seed's effect under each parametrization; decision.md has the df.
        """
        within, across = len(labels) - len(set(labels)), len(set(labels)) - 1

        def grown(known: Components) -> Components:
            more = known.dof + n_seeds * within, known.interaction_dof + n_seeds * across
            return known._replace(dof=more[0], interaction_dof=more[1])

        return self._replace(swept=grown(self.swept), all=grown(self.all))


def seed_noise(measurements: Iterable[Measurement]) -> Noise:
    """Residuals of loss ~ (parametrization, LR) + seed within each rung and horizon, pooled over these.

    The seed's own effect (its data order) is common to all runs of a rung and cancels where runs of the same seeds are
    compared, so it is taken out. Only LRs with two finished seeds count.
    """
    cells: dict[tuple[str, int], dict[Run, float]] = {}
    for m in measurements:
        if m.loss is not None and m.verdict == "finished":
            cells.setdefault((m.rung, m.horizon), {})[Run("", (label(m), m.lr), m.seed)] = m.loss
    return components(cells.values()).run


def label(of: Measurement | Proposal) -> str:
    return of.parametrization + "".join(f" {role} x{factor:g}" for role, factor in sorted(of.role_lrs))
