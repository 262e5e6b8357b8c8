"""The kind of studies of schedules: the cost of one LR setting per schedule over tokens, batches and sizes."""

from collections.abc import Callable, Iterable, Sequence

from lrladder.benchmark.studies.kind import StartedStudy, StudyKind
from lrladder.benchmark.studies.planner import Sweep, search_sweep
from lrladder.benchmark.studies.results import Found
from lrladder.benchmark.studies.schedules.config import SCHEDULE_NAMES, SchedulesConfig
from lrladder.benchmark.studies.schedules.results import SchedulesResults
from lrladder.paradigms.lab import Lab


class SchedulesKind(StudyKind[SchedulesConfig, SchedulesResults]):
    """Comparisons of Power with WSD (`kind: power`)."""

    name = "power"
    config_model = SchedulesConfig
    results_model = SchedulesResults

    def parametrizations(self, config: SchedulesConfig) -> Sequence[str]:
        return SCHEDULE_NAMES

    def sweeps(self, config: SchedulesConfig) -> Iterable[Sweep]:
        """The sweeps. WSD and Power have one trunk for all horizons; cosine needs one run per horizon."""
        for family in config.families:
            for schedule in SCHEDULE_NAMES:
                for rung in config.swept_rungs(family, schedule):
                    yield search_sweep(schedule, rung, schedule, config.search)

    def start(
        self, config: SchedulesConfig, lab: Lab, on_stage: Callable[[str], None]
    ) -> StartedStudy[SchedulesResults]:
        from lrladder.benchmark.studies.schedules.study import SchedulesStudy

        return SchedulesStudy(config, lab, on_stage)

    def assemble(self, config: SchedulesConfig, found: Found) -> SchedulesResults:
        from lrladder.benchmark.studies.schedules.study import assemble

        return assemble(config, found)


SCHEDULES = SchedulesKind()
