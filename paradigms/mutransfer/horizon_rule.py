"""Which rule carries the LR over to another token horizon, and what it leaves to be searched."""

from collections.abc import Sequence
from typing import Literal

HorizonRule = Literal["none", "sde", "power", "fitted"]


def searched_horizons(rule: HorizonRule, horizons: Sequence[int]) -> tuple[int, ...]:
    """The proxy's horizons to search: with a rule of known exponent the base's, its longest, says all."""
    return (max(horizons),) if rule in ("sde", "power") else tuple(horizons)
