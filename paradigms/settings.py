"""The settings of each paradigm that comes with LR Ladder.

This module imports nothing heavy, so that a config can be read quickly.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from lrladder.paradigms.mutransfer.drift import DRIFT_OCTAVES
from lrladder.paradigms.published import LAWS

Seed = Annotated[int, Field(ge=0, lt=2**63)]  # what torch's generators take
LawName = Literal["step_law", "deepseek", "zhou", "joint_moe"]
assert set(LawName.__args__) == {law.name for law in LAWS}  # type: ignore[attr-defined]


class Settings(BaseModel):
    """Settings of a paradigm. They cannot be changed, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AnySettings(Settings):
    """Settings of a class of the user's own, as the config has them. The class checks them when the study runs."""

    model_config = ConfigDict(frozen=True, extra="allow")


class GridSettings(Settings):
    """A geometric grid of LRs around a guess. The defaults here and below are assumptions."""

    lr_guess: float = Field(ge=1e-8, le=100)
    factor: float = Field(2.0, ge=1.05, le=100)
    seeds: tuple[Seed, ...] = Field((0,), min_length=1)


class SearchSettings(Settings):
    """A search for the LR on a geometric grid around a guess, which is extended until it brackets the minimum."""

    lr_guess: float = Field(ge=1e-8, le=100)
    factor: float = Field(2.0, ge=1.05, le=100)
    points: int = Field(4, ge=3, le=32)
    max_extensions: int = Field(4, ge=0, le=32)
    seeds: tuple[Seed, ...] = Field((0,), min_length=1)


class FittingSettings(SearchSettings):
    """The settings of Fitting. Only the strategy `full` uses `points` and `max_extensions`.

    The other strategies start a cell with three LRs and add LRs until its minimum is bracketed.
    """

    strategy: Literal["full", "search_factor", "economy", "active"] = "full"


class RoleSearchSettings(Settings):
    """The search for LR multipliers of whole roles, which tries `factor` and its inverse for each on the proxy.

    With `ablate` each multiplier is also tried alone at every target, at the LR that is proposed there.
    """

    roles: tuple[str, ...] = Field(min_length=1)
    factor: float = Field(2.0, ge=1.05, le=100)
    max_trials: PositiveInt  # most runs of the search; each seed is a run
    ablate: bool = True


class MuTransferSettings(SearchSettings):
    """The settings of muTransfer: the search on the proxy, and the width of its intervals."""

    proxy: str | None = None  # the rung that is searched; None: the base of the parametrization
    # Half width of the 90% interval of the drift: octaves of the best LR per doubling of width, batch and tokens.
    drift_octaves: float = Field(DRIFT_OCTAVES, ge=0, le=10)
    role_search: RoleSearchSettings | None = None


class ConstantSettings(GridSettings):
    """One LR for all models: the median of the cells' best LRs, or the best one by the sum of the cells' losses."""

    by: Literal["median", "best"] = "median"


class PublishedSettings(SearchSettings):
    """A published law. `prefactor` says where its factor k comes from.

    `proxy`: the best LR of the proxy; `cells`: the best LRs of all cells; `published`: the publication, without a run.
    """

    law: LawName
    prefactor: Literal["proxy", "cells", "published"] = Field("proxy", exclude_if=lambda given: given == "proxy")
    proxy: str | None = None  # the rung whose best LR gives the factor; None: the base


class TuningSettings(Settings):
    """Tuning at the target itself, on a grid of `points` LRs lr_guess * factor**k."""

    lr_guess: float = Field(ge=1e-8, le=100)
    factor: float = Field(2.0, ge=1.05, le=100)
    points: int = Field(8, ge=3, le=64)
    trials: PositiveInt = 3  # runs at each target
    seed: Seed = 1000  # not a seed of the validation, so that nothing is tuned on the runs with which it is scored
