"""Runs the study that tunes the base recipe on a lab. Its results are made from everything that was measured."""

from collections.abc import Callable

from lrladder.benchmark.studies.recipe.assembly import assemble
from lrladder.benchmark.studies.recipe.config import TuningConfig
from lrladder.benchmark.studies.recipe.results import TuningResults
from lrladder.benchmark.studies.recipe.tuning import Tuning
from lrladder.benchmark.studies.results import Found
from lrladder.paradigms.lab import Lab


class TuningStudy:
    """One tuning on a lab. `on_stage` is called with the name of each stage when it begins."""

    def __init__(self, config: TuningConfig, lab: Lab, on_stage: Callable[[str], None]) -> None:
        self._config = config
        self._tuning = Tuning(config, lab, on_stage)

    def run(self) -> None:
        """Search, and then train the final comparison on fresh seeds."""
        self._tuning.run()

    def results(self, found: Found) -> TuningResults:
        """The results so far."""
        return assemble(self._config, found)
