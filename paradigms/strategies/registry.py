"""All strategies by name. Each one is made for the target whose LR it is to choose."""

from collections.abc import Callable, Mapping
from functools import partial

from lrladder.paradigms.lab import Rung
from lrladder.paradigms.published import LAWS
from lrladder.paradigms.strategies.active import Active, ActiveSpec
from lrladder.paradigms.strategies.baselines import (
    AsPublished,
    ConstantBest,
    ConstantMedian,
    NearestCell,
    RandomSearch,
    Refitted,
    TpeSearch,
)
from lrladder.paradigms.strategies.search import Economy, EconomySpec, FactorSpec, FullGrid, SearchFactor, Strategy

TRIALS = (3, 5)  # of tuning at the target


def _aimless(make: Callable[[], Strategy]) -> Callable[[Rung], Strategy]:
    return lambda aim: make()


STRATEGIES: Mapping[str, Callable[[Rung], Strategy]] = {
    "fitting": _aimless(FullGrid),
    "search_factor": lambda aim: SearchFactor(aim=aim),
    "economy": lambda aim: Economy(aim=aim),
    "active": lambda aim: Active(aim=aim),
    "nearest_cell": lambda aim: NearestCell(aim=aim),
    "constant_median": _aimless(ConstantMedian),
    "constant_best": _aimless(ConstantBest),
    **{f"{law.name}_published": _aimless(partial(AsPublished, law)) for law in LAWS},
    **{f"{law.name}_refitted": _aimless(partial(Refitted, law)) for law in LAWS},
    **{f"random_{trials}": _aimless(partial(RandomSearch, trials)) for trials in TRIALS},
    **{f"tpe_{trials}": _aimless(partial(TpeSearch, trials)) for trials in TRIALS},
}
# Searches whose cost can be bounded: made for a target and the most that they may cost, in runs of it.
BUDGETED: Mapping[str, Callable[[Rung, float], Strategy]] = {
    "search_factor": lambda aim, runs: SearchFactor(FactorSpec(target_runs=runs), aim=aim),
    "economy": lambda aim, runs: Economy(EconomySpec(target_runs=runs), aim=aim),
    "active": lambda aim, runs: Active(ActiveSpec(target_runs=runs), aim=aim),
}
ON_TARGET = frozenset(f"{kind}_{trials}" for kind in ("random", "tpe") for trials in TRIALS)  # they search the target
