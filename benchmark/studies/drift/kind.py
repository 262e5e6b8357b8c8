"""The kind of drift studies: how far the best LR moves along each axis of a model, with its rule off and on."""

from collections.abc import Callable, Iterable, Sequence

from lrladder.benchmark.studies.drift.config import DriftConfig, parametrization_name
from lrladder.benchmark.studies.drift.results import DriftResults
from lrladder.benchmark.studies.kind import StartedStudy, StudyKind
from lrladder.benchmark.studies.planner import Sweep
from lrladder.benchmark.studies.results import Found
from lrladder.paradigms.lab import Lab


class DriftKind(StudyKind[DriftConfig, DriftResults]):
    """Drift studies (`kind: axes`): how far the best LR moves along each axis, with and without the rule for it."""

    name = "axes"
    config_model = DriftConfig
    results_model = DriftResults

    def parametrizations(self, config: DriftConfig) -> Sequence[str]:
        return [parametrization_name(axis.axis, variant) for axis in config.axes for variant in axis.variants]

    def sweeps(self, config: DriftConfig) -> Iterable[Sweep]:
        from lrladder.benchmark.studies.drift.planner import sweeps

        return sweeps(config)

    def notes(self, config: DriftConfig) -> tuple[str, ...]:
        return ("points that give the same training run are trained once and are listed where they come first",)

    def start(self, config: DriftConfig, lab: Lab, on_stage: Callable[[str], None]) -> StartedStudy[DriftResults]:
        from lrladder.benchmark.studies.drift.study import DriftStudy

        return DriftStudy(config, lab, on_stage)

    def assemble(self, config: DriftConfig, found: Found) -> DriftResults:
        from lrladder.benchmark.studies.drift.study import assemble

        return assemble(config, found)


DRIFT = DriftKind()
