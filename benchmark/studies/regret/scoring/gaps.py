"""What of a regret is not the LR's: the parametrization's part and the schedule's."""

from collections.abc import Mapping
from typing import NamedTuple


class Recipe(NamedTuple):
    """What an LR is chosen for."""

    parametrization: str
    schedule: str


class Gaps(NamedTuple):
    """Nats; they add up to the recipe's own lowest loss above the lowest of all. None where they cannot be told."""

    parametrization: float | None
    schedule: float | None


def split_gap(own: Recipe, minima: Mapping[Recipe, float]) -> Gaps:
    """Of the best recipe, over `minima`: lowest losses by recipe, of those that were swept.

    Where both parts differ, the step between goes by the best parametrization under the own schedule, else by the own
    parametrization under the best schedule; where neither was swept, the two parts cannot be told.
    """
    if own not in minima:
        return Gaps(None, None)
    best = min(minima, key=lambda recipe: minima[recipe])
    whole = minima[own] - minima[best]
    if own.schedule == best.schedule:
        return Gaps(whole, 0.0)
    if own.parametrization == best.parametrization:
        return Gaps(0.0, whole)
    between = minima.get(Recipe(best.parametrization, own.schedule))
    if between is not None:
        return Gaps(minima[own] - between, between - minima[best])
    between = minima.get(Recipe(own.parametrization, best.schedule))
    if between is not None:
        return Gaps(between - minima[best], minima[own] - between)
    return Gaps(None, None)
