"""The kind of study that tunes the base recipe, which no paradigm chooses, once for all paradigms."""

from collections.abc import Callable, Iterable, Sequence

from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.studies.kind import StartedStudy, StudyKind
from lrladder.benchmark.studies.planner import Sweep
from lrladder.benchmark.studies.recipe.config import TuningConfig
from lrladder.benchmark.studies.recipe.ingredients import OLD
from lrladder.benchmark.studies.recipe.results import TuningResults
from lrladder.benchmark.studies.results import Found
from lrladder.paradigms.lab import Lab


class TuningKind(StudyKind[TuningConfig, TuningResults]):
    """Tunings of a base recipe (`kind: recipe`)."""

    name = "recipe"
    config_model = TuningConfig
    results_model = TuningResults

    def parametrizations(self, config: TuningConfig) -> Sequence[str]:
        """The one parametrization of the plan. The search finds all other settings while it runs."""
        return (OLD,)

    def names_of(self, config: TuningConfig, trial: Trial) -> Sequence[str]:
        """The name of the setting of a trial, read from the trial."""
        from lrladder.benchmark.studies.recipe.ingredients import name_of_parts

        return (name_of_parts(config.recipe, config.optimizer, trial.recipe, trial.optimizer),)

    def sweeps(self, config: TuningConfig) -> Iterable[Sweep]:
        from lrladder.benchmark.studies.recipe.planner import sweeps

        return sweeps(config)

    def notes(self, config: TuningConfig) -> tuple[str, ...]:
        from lrladder.benchmark.studies.recipe.planner import notes

        return notes(config)

    def start(self, config: TuningConfig, lab: Lab, on_stage: Callable[[str], None]) -> StartedStudy[TuningResults]:
        from lrladder.benchmark.studies.recipe.study import TuningStudy

        return TuningStudy(config, lab, on_stage)

    def assemble(self, config: TuningConfig, found: Found) -> TuningResults:
        from lrladder.benchmark.studies.recipe.assembly import assemble

        return assemble(config, found)


TUNING = TuningKind()
