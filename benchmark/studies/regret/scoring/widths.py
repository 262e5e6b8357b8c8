"""Half widths of the differences that a verdict rests on, nats; None where the noise is unknown."""

from collections.abc import Mapping
from typing import NamedTuple

from lrladder.benchmark.studies.regret.results import ParadigmResult
from lrladder.benchmark.studies.regret.scoring.noise import Noises
from lrladder.benchmark.studies.regret.scoring.oracle import Oracle
from lrladder.paradigms.sweep.noise import Noise


class Widths(NamedTuple):
    """At one target."""

    noises: Noises
    oracles: Mapping[str, Oracle]  # by parametrization

    def noise(self, first: ParadigmResult, second: ParadigmResult) -> Noise:
        """Of the difference of two entries' means, from other runs than each other's."""
        return self.noises.between(first.parametrization, second.parametrization, first.n_seeds)

    def entries(self, first: ParadigmResult, second: ParadigmResult, level: float) -> float | None:
        """Two entries of the same runs differ by exactly 0."""
        return 0.0 if first.same_as(second) else self.noise(first, second).half_width(1.0, level=level)

    def minima(self, first: str, second: str, level: float) -> float | None:
        """Of the lowest losses of two sweeps over the same seeds."""
        sweeps = [self.oracles[name] for name in (first, second)]
        n = sweeps[0].result.n_seeds
        weights = {oracle.parametrization: oracle.squared_weights / n for oracle in sweeps}
        misfit = sum(oracle.misfit(self.noises.base.run) for oracle in sweeps)
        return self.noises.of(weights, 2 / n).half_width(1.0, misfit, level=level)
