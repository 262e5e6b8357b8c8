"""Half widths of the intervals of differences at a target, in nats. They are None if the noise is unknown."""

from collections.abc import Mapping
from typing import NamedTuple

from lrladder.benchmark.studies.regret.results import ParadigmResult
from lrladder.benchmark.studies.regret.scoring.noise import Noises
from lrladder.benchmark.studies.regret.scoring.oracle import Oracle
from lrladder.paradigms.sweep.noise import Noise


class Widths(NamedTuple):
    """The noise of differences at one target, and the half widths of their intervals at a level such as 0.9."""

    noises: Noises
    oracles: Mapping[str, Oracle]  # by parametrization

    def noise(self, first: ParadigmResult, second: ParadigmResult) -> Noise:
        """The noise of the difference of the mean losses of two entries that have no run in common."""
        return self.noises.between(first.parametrization, second.parametrization, first.n_seeds)

    def entries(self, first: ParadigmResult, second: ParadigmResult, level: float) -> float | None:
        """The half width for two entries. It is 0 if they have the same runs, as their difference is exactly 0."""
        return 0.0 if first.same_as(second) else self.noise(first, second).half_width(1.0, level=level)

    def minima(self, first: str, second: str, level: float) -> float | None:
        """The half width for the minima of two sweeps with the same seeds, given by their arms."""
        sweeps = [self.oracles[name] for name in (first, second)]
        n = sweeps[0].result.n_seeds
        weights = {oracle.parametrization: oracle.variance for oracle in sweeps}
        misfit = sum(oracle.misfit(self.noises.base.run) for oracle in sweeps)
        return self.noises.of(weights, 2 / n).half_width(1.0, misfit, level=level)
