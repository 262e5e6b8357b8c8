"""The rules that carry the LR to another token horizon, and the horizons of the proxy that each needs searched."""

from collections.abc import Sequence
from typing import Literal

HorizonRule = Literal["none", "wsd", "sde", "power", "fitted"]


def searched_horizons(rule: HorizonRule, horizons: Sequence[int]) -> tuple[int, ...]:
    """The proxy's horizons to search. A rule with a known exponent needs only the longest, which is the base's."""
    return (max(horizons),) if rule in ("wsd", "sde", "power") else tuple(horizons)
