"""The planned sweeps of a drift study."""

from collections.abc import Iterator

from lrladder.benchmark.lab.resolve import planned
from lrladder.benchmark.studies.drift.config import PAYER, DriftConfig, parametrization_name
from lrladder.benchmark.studies.planner import Sweep, search_sweep
from lrladder.paradigms.lab import Request


def sweeps(config: DriftConfig) -> Iterator[Sweep]:
    """The sweeps, with each distinct run once. At the base most variants are the same function."""
    known: set[str] = set()
    for axis in config.axes:
        for variant in axis.variants:
            for rung in config.points(axis):
                name = parametrization_name(axis.axis, variant)
                horizons = tuple(h for h in rung.horizons if not _ids(config, rung.name, name, h) <= known)
                known |= {key for horizon in rung.horizons for key in _ids(config, rung.name, name, horizon)}
                if horizons:
                    yield search_sweep(PAYER, rung._replace(horizons=horizons), name, config.search)


def _ids(config: DriftConfig, rung: str, parametrization: str, horizon: int) -> set[str]:
    request = Request(rung, parametrization, 1.0, 0, (horizon,))
    return {trial.id for trial in planned(request, config)}
