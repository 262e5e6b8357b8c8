"""The ways that a replay scores: paradigms on runs that were made before, some of them once for each budget."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.reading import parse_json
from lrladder.paradigms import registry
from lrladder.paradigms.entry_lab import EntryLab, Limits
from lrladder.paradigms.lab import Lab, Rung
from lrladder.paradigms.paradigm import NoProposal, Paradigm, Terms
from lrladder.paradigms.registry import NAMED, Named
from lrladder.paradigms.settings import TuningSettings

FIRST = "fitting"  # always scored, and first
PARAMETRIZATION = "sp"  # of requests; it has no meaning here, because all runs of a table have the same one
LR_GUESS = 0.01  # settings need one, but it is not used, because the runs of a table have fixed LRs


class Way(NamedTuple):
    """A paradigm that is scored, and its budget."""

    strategy: str  # as the user wrote it: a name of the registry, or a class of the user's own
    named: Named
    budget: float | None = None  # in target runs; None: its own
    from_here: bool = False  # whether the class may be imported from the working directory

    @property
    def name(self) -> str:
        """The name under which it is scored and pays."""
        return self.strategy if self.budget is None else f"{self.strategy}@{self.budget:g}"

    @property
    def is_own(self) -> bool:
        """Whether it is a class of the user's own."""
        return self.named.paradigm not in registry.SHIPPED

    @property
    def searches_targets(self) -> bool:
        """Whether it searches the target itself."""
        found = registry.searches_targets(self.named.paradigm)
        return self.make().searches_targets if found is None else found

    def make(self) -> Paradigm:
        """The paradigm before its search. Raises ValueError if it cannot be imported or refuses its settings."""
        make = registry.load(self.named.paradigm, from_here=self.from_here)
        return make(_settings(self.named, make), Terms(name=self.name, budget=self.budget, is_replay=True))

    def search(self, lab: Lab, ladder: Sequence[Rung]) -> Paradigm:
        """The paradigm after its search of the ladder's proxies, or of its targets. Raises NoProposal."""
        paradigm = self.make()
        limits = Limits(self.budget, paradigm.searches_targets)
        own = EntryLab(lab, ladder, payer=self.name, parametrization=PARAMETRIZATION, limits=limits)
        try:
            paradigm.search(own, ladder)
        except NoProposal:
            raise
        except Exception as error:
            if self.is_own:  # whatever a class of the user's own does
                raise NoProposal(f"{type(error).__name__}: {error}") from error
            raise
        return paradigm


def _settings(named: Named, make: object) -> Any:
    if named.paradigm not in registry.SHIPPED:
        model = getattr(make, "Settings", None) or registry.settings_model(named.paradigm)
        return model.model_validate(named.settings)
    model = registry.SHIPPED[named.paradigm].settings
    # a replay returns the same run for every seed
    seed = {"seed": 0} if model is TuningSettings else {}
    return model.model_validate({"lr_guess": LR_GUESS, **seed, **named.settings})


def ways_of(strategies: Sequence[str], budgets: Sequence[float], *, from_here: bool = False) -> tuple[Way, ...]:
    """The ways to score: FIRST, and then the strategies asked for, or else all of the registry.

    Raises InputError for an unknown name, or if no strategy can use the budgets.
    """
    names = dict.fromkeys((FIRST, *(strategies or NAMED)))
    found = {name: _named(name, from_here=from_here) for name in names}
    if budgets and not any(named.has_budget for named in found.values()):
        bounded = ", ".join(name for name, named in NAMED.items() if named.has_budget)
        raise InputError(f"--budgets: no chosen strategy has a budget; add one of {bounded}, or leave --budgets out")
    return tuple(
        Way(name, named, budget, from_here)
        for name, named in found.items()
        for budget in (budgets if budgets and named.has_budget else (None,))
    )


def _named(text: str, *, from_here: bool) -> Named:
    """A name of the registry, or `package.module:Class,key=value,...`, with settings of a class of the user's own."""
    name, *pairs = text.split(",")
    if name in NAMED and not pairs:
        return NAMED[name]
    if name in NAMED or name in registry.SHIPPED:
        raise InputError(f"--strategy {text}: {name} takes no settings here; use one of {', '.join(NAMED)}")
    try:
        named = registry.resolved(name)._replace(settings=dict(map(_setting, pairs)))
        Way(text, named, from_here=from_here).make()
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"--strategy {text}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except ValueError as error:
        if ":" not in name:
            raise InputError(f"--strategy {text}: this strategy is unknown; use one of {', '.join(NAMED)}") from error
        raise InputError(f"--strategy {text}: {error}") from error
    return named


def _setting(pair: str) -> tuple[str, Any]:
    """(key, value) of a text key=value. A value that is not JSON is text. Raises ValueError."""
    key, equals, value = pair.partition("=")
    if not equals:
        raise ValueError(f"{pair!r} is not a setting; write key=value")
    try:
        return key, parse_json(value)
    except ValueError:
        return key, value


def parse_budgets(text: str | None) -> tuple[float, ...]:
    """The costs in a text such as 0.05,0.1,1, ascending. Raises InputError for anything but positive numbers."""
    budgets = []
    for word in (text or "").split(",") if text is not None else ():
        try:
            budget = float(word)
        except ValueError:
            budget = math.nan
        if not 0 < budget < math.inf:
            told = word.strip() or "nothing"
            raise InputError(f"--budgets {text}: {told} is not a cost; write runs of the target, such as 0.1,1")
        budgets.append(budget)
    return tuple(sorted(set(budgets)))
