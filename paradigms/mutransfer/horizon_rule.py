"""The rules that carry an LR to another token horizon, and the horizons of the proxy that must be searched for each."""

from collections.abc import Sequence
from typing import Literal

HorizonRule = Literal["none", "wsd", "sde", "power", "fitted"]


def searched_horizons(rule: HorizonRule, horizons: Sequence[int]) -> tuple[int, ...]:
    """The horizons of the proxy to search. A rule with a known exponent needs only the longest one."""
    return (max(horizons),) if rule in ("wsd", "sde", "power") else tuple(horizons)
