"""The ingredients of a recipe (the numbers that are tuned), in octaves from their old values, and names of settings.

A setting has a value for each ingredient. Its name lists the values that differ from the old recipe, without the LR,
for example "embedding_lr=32.0,embedding_std=2.0". A study asks for runs by this name, and the name can be read from a
stored trial.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from lrladder.benchmark.config.parts import OptimizerConfig, RecipeConfig, Strict
from lrladder.paradigms.lab import ParametrizationName

OLD = "old"  # the name of the setting that differs in nothing but perhaps the LR
LR = "lr"
# The range of each ingredient. Assumption: more than two octaves on either side of the best at widths 32 to 96, so that
# a side that is flat can be seen to be flat for two octaves.
RANGES = {
    "embedding_lr": (1.0, 1024.0),
    "embedding_std": (0.25, 32.0),
    "head_lr": (0.125, 8.0),
    "norm_lr": (0.125, 8.0),
    "router_lr": (0.125, 8.0),
}
TIED_HEAD_LR = (0.125, 128.0)  # of head_lr where the head is the embedding too; assumption, as above
# The range is the old value divided by, and times, this factor. Assumption: beyond it training is another regime.
FACTORS = {LR: 16.0, "weight_decay": 8.0, "beta2": 8.0}
DIGITS = 4  # significant digits of a value, so that the value in the printed config is exactly the one that was trained

Setting = Mapping[str, float]  # a value for each ingredient
Part = TypeVar("Part", bound=Strict)


class Ingredient(NamedTuple):
    """One number of a recipe; `start`, `low` and `high` are octaves from its old value."""

    name: str
    old: float
    start: float
    low: float
    high: float

    def value(self, octaves: float) -> float:
        """The value at this offset from the old one. For beta2, octaves are octaves of 1 - beta2."""
        if not octaves:
            return self.old
        if self.name == "beta2":
            return round(1 - _rounded((1 - self.old) * 2**octaves), 12)
        return _rounded(self.old * 2**octaves)


def ingredients_of(
    recipe: RecipeConfig,
    optimizer: OptimizerConfig,
    *,
    lr: float,
    embedding_start: float,
    is_routed: bool,
    is_tied: bool,
) -> dict[str, Ingredient]:
    """The ingredients in the order of the search.

    A model without a router has no `router_lr`, a tied one no embedding of its own, and a recipe without weight decay
    no `weight_decay`.
    """
    old = {
        **({} if is_tied else {"embedding_lr": recipe.embedding_lr}),
        LR: lr,
        **({} if is_tied else {"embedding_std": optimizer.embedding_std}),
        "head_lr": recipe.head_lr,
        "norm_lr": recipe.norm_lr,
        **({"router_lr": recipe.router_lr} if is_routed else {}),
        **({"weight_decay": optimizer.weight_decay} if optimizer.weight_decay else {}),
        "beta2": optimizer.beta2,
    }
    starts = {"embedding_lr": embedding_start}
    ranges = RANGES | ({"head_lr": TIED_HEAD_LR} if is_tied else {})
    return {name: _ingredient(name, value, starts.get(name, value), ranges) for name, value in old.items()}


def _ingredient(name: str, old: float, start: float, ranges: Mapping[str, tuple[float, float]]) -> Ingredient:
    if name in ranges:
        low, high = (math.log2(value / old) for value in ranges[name])
    else:
        high = math.log2(FACTORS[name])
        low = -high
    if name == "beta2":
        high = min(high, -math.log2(1 - old) - 0.01)  # 1 - beta2 stays below 1
    begin = math.log2(start / old)
    return Ingredient(name, old, begin, min(low, begin, 0.0), max(high, begin, 0.0))


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def name_of(setting: Setting, old: Setting) -> ParametrizationName:
    """The name of a setting. The LR is not part of it, because a request has an LR of its own."""
    return ",".join(f"{name}={setting[name]!r}" for name in old if name != LR and setting[name] != old[name]) or OLD


def changes_of(parametrization: ParametrizationName) -> dict[str, float]:
    """The values that differ from the old recipe, read from a name."""
    if parametrization == OLD:
        return {}
    return {name: float(value) for name, value in (part.split("=") for part in parametrization.split(","))}


def changed(part: Part, parametrization: ParametrizationName) -> Part:
    """A part of the old config with the values of a setting."""
    known = type(part).model_fields
    return part.model_copy(update={k: v for k, v in changes_of(parametrization).items() if k in known})


def name_of_parts(
    old_recipe: RecipeConfig, old_optimizer: OptimizerConfig, recipe: RecipeConfig, optimizer: OptimizerConfig
) -> ParametrizationName:
    """The name of the setting with which a trial was trained."""
    return name_of(_values(recipe, optimizer), _values(old_recipe, old_optimizer))


def _values(recipe: RecipeConfig, optimizer: OptimizerConfig) -> dict[str, float]:
    """All but the LR, in the order of the search."""
    held = recipe.model_dump() | optimizer.model_dump()
    return {name: held[name] for name in (*RANGES, *FACTORS) if name != LR}
