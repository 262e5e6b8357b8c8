"""The strategies that a replay scores. Those whose cost can be bounded are scored once per budget."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from lrladder.benchmark.errors import InputError
from lrladder.paradigms.lab import Rung
from lrladder.paradigms.strategies.registry import BUDGETED, STRATEGIES
from lrladder.paradigms.strategies.search import Strategy

FIRST = "fitting"


class Way(NamedTuple):
    """A strategy, and the most that it may cost, in target runs, if there is a budget."""

    strategy: str
    budget: float | None = None

    @property
    def name(self) -> str:
        return self.strategy if self.budget is None else f"{self.strategy}@{self.budget:g}"

    def make(self, aim: Rung) -> Strategy:
        return STRATEGIES[self.strategy](aim) if self.budget is None else BUDGETED[self.strategy](aim, self.budget)


def ways_of(strategies: Sequence[str], budgets: Sequence[float]) -> tuple[Way, ...]:
    """FIRST, then the requested strategies, or all. Raises InputError for an unknown name or a budget without use."""
    unknown = [name for name in strategies if name not in STRATEGIES]
    if unknown:
        raise InputError(f"--strategy {unknown[0]}: unknown; there are {', '.join(STRATEGIES)}")
    names = dict.fromkeys((FIRST, *(strategies or STRATEGIES)))
    if budgets and not BUDGETED.keys() & names.keys():
        raise InputError(f"--budgets: no strategy asked for has one; those that have are {', '.join(BUDGETED)}")
    return tuple(
        way
        for name in names
        for way in ([Way(name, budget) for budget in budgets] if budgets and name in BUDGETED else [Way(name)])
    )


def parse_budgets(text: str | None) -> tuple[float, ...]:
    """The numbers in a text such as 0.05,0.1,1, ascending. Raises InputError for a text without costs."""
    budgets = []
    for word in (text or "").split(",") if text is not None else ():
        try:
            budget = float(word)
        except ValueError:
            budget = math.nan
        if not 0 < budget < math.inf:
            told = word.strip() or "nothing"
            raise InputError(f"--budgets {text}: {told} is no cost; write runs of the target, as 0.1,1")
        budgets.append(budget)
    return tuple(sorted(set(budgets)))
