"""Plans the runs of a tuning, as far as they are known before it starts."""

from collections.abc import Iterator

from lrladder.benchmark.studies.planner import Lrs, Sweep
from lrladder.benchmark.studies.recipe.config import TuningConfig
from lrladder.benchmark.studies.recipe.ingredients import OLD
from lrladder.benchmark.studies.recipe.tuning import LAST, SEARCH


def sweeps(config: TuningConfig) -> Iterator[Sweep]:
    """The sweeps of the search and of the final comparison. All runs cost the same.

    The search is planned to bracket each direction once. The rest of its budget is planned as extensions.
    """
    (rung,) = config.rungs
    directions = len(config.ingredients) + 1  # two of them together too
    settings = config.budget // len(config.search_seeds)
    least = min(1 + 2 * directions, settings)
    runs: Lrs = [(None, i >= least) for i in range(settings)]
    yield Sweep(SEARCH, "recipe", rung, OLD, runs, config.search_seeds, rung.horizons)
    last: Lrs = [(None, i >= 2) for i in range(2 + len(config.ingredients))]
    yield Sweep(LAST, "recipe", rung, OLD, last, config.fresh_seeds, rung.horizons)


def notes(config: TuningConfig) -> tuple[str, ...]:
    """Notes for the reader of the plan."""
    budget = f"the search takes at most {config.budget} runs of the base (budget)"
    last = "then fresh seeds compare the old recipe, the new one, and the new one with each change put back alone"
    return budget, last
