"""Splits the part of a regret that is not the fault of the LR into a parametrization gap and a schedule gap."""

from collections.abc import Mapping
from typing import NamedTuple


class Recipe(NamedTuple):
    """A parametrization and a schedule, by name."""

    parametrization: str
    schedule: str


class Gaps(NamedTuple):
    """The two gaps in nats. They add up to the recipe's minimum minus the lowest minimum. None: they are not known."""

    parametrization: float | None
    schedule: float | None


def split_gap(own: Recipe, minima: Mapping[Recipe, float]) -> Gaps:
    """The gaps between the recipe `own` and the best one. `minima` has the lowest loss (nats) of each swept recipe.

    If the best recipe differs in both parts, the split needs a recipe in between. It is the best parametrization under
    the own schedule, or else the own parametrization under the best schedule. If neither was swept, the gaps are None.
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
