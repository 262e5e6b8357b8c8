"""The two stages of a tuning: search the recipe on some seeds, then measure its gain on other seeds."""

from collections.abc import Callable

from lrladder.benchmark.studies.recipe.config import TuningConfig
from lrladder.benchmark.studies.recipe.noise import Noise, pooled
from lrladder.benchmark.studies.recipe.runs import RunMissing, Runs
from lrladder.benchmark.studies.recipe.search import Search
from lrladder.paradigms.lab import Lab

SEARCH, LAST = "search", "last figures"  # payers: of the search, and of the final comparison


class Tuning:
    """The search and the final comparison of a study, on one lab."""

    def __init__(self, config: TuningConfig, lab: Lab, on_stage: Callable[[str], None] = lambda stage: None) -> None:
        self.config, self._on_stage = config, on_stage
        self.searched = Runs(config, lab, config.search_seeds, SEARCH, limit=config.budget)
        self.fresh = Runs(config, lab, config.fresh_seeds, LAST)
        self.search = Search(config.ingredients, self.searched.measure, self._search_noise, config.max_passes, on_stage)
        self.missing = ""  # the run that was missing, so that the tuning could not end

    def run(self) -> None:
        """Search, and then train the final comparison on fresh seeds, as far as runs are available."""
        try:
            self.search.run()
            self._on_stage(LAST)
            self.fresh.measure([self.old, self.new, *self.put_back().values()])
        except RunMissing as error:
            self.missing = str(error)

    @property
    def old(self) -> dict[str, float]:
        """The old recipe, by ingredient."""
        return {name: one.old for name, one in self.config.ingredients.items()}

    @property
    def new(self) -> dict[str, float]:
        """The recipe that the search has found so far, by ingredient."""
        return self.search.setting(self.search.position)

    def put_back(self) -> dict[str, dict[str, float]]:
        """For each changed ingredient, the new recipe with this ingredient alone at its old value."""
        return {name: {**self.new, name: value} for name, value in self.old.items() if self.new[name] != value}

    def noise(self) -> Noise:
        """The noise of all runs so far."""
        return pooled([list(self.searched.known.values()), list(self.fresh.known.values())])

    def _search_noise(self) -> Noise:
        return pooled([list(self.searched.known.values())])
