"""The settings of each paradigm that comes with LR Ladder.

This module imports nothing heavy, so that a config can be read quickly.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from lrladder.paradigms.mutransfer.drift import DRIFT_OCTAVES
from lrladder.paradigms.published import LAWS

Seed = Annotated[int, Field(ge=0, lt=2**63)]  # what torch's generators take
Confirm = Literal["always", "if_noisy"]
LawName = Literal["step_law", "deepseek", "zhou", "joint_moe"]
assert set(LawName.__args__) == {law.name for law in LAWS}  # type: ignore[attr-defined]


class Settings(BaseModel):
    """Settings of a paradigm. They cannot be changed, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)  # built at first use


class AnySettings(Settings):
    """Settings of a class of the user's own, as the config has them. The class checks them when the study runs."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)  # built at first use


class GridSettings(Settings):
    """A geometric grid of LRs around a guess. The defaults here and below are assumptions."""

    lr_guess: float = Field(ge=1e-8, le=100)
    """An LR of the grid, about which the search starts."""
    factor: float = Field(2.0, ge=1.05, le=100)
    """Ratio of neighbouring LRs."""
    seeds: tuple[Seed, ...] = Field((0,), min_length=1)
    """Seeds of the runs; each LR is run once with each."""


class SearchSettings(Settings):
    """A search for the LR on a geometric grid around a guess, which is extended until it brackets the minimum."""

    lr_guess: float = Field(ge=1e-8, le=100)
    """An LR of the grid, about which the search starts."""
    factor: float = Field(2.0, ge=1.05, le=100)
    """Ratio of neighbouring LRs."""
    points: int = Field(4, ge=3, le=32)
    """Number of LRs with which the search starts."""
    max_extensions: int = Field(4, ge=0, le=32)
    """Most rounds in which LRs are added because the best LR lies at the edge."""
    seeds: tuple[Seed, ...] = Field((0,), min_length=1)
    """Seeds of the runs; each LR is run once with each."""


class FittingSettings(SearchSettings):
    """The settings of Fitting. Only the strategy `full` uses `points` and `max_extensions`.

    The other strategies start a cell with three LRs and add LRs until its minimum is bracketed.
    """

    strategy: Literal["full", "search_factor", "economy", "active"] = "full"
    """Which runs it asks for (docs/fitting.md)."""
    confirm: Confirm = Field("always", exclude_if=lambda given: given == "always")
    """Whether the search always makes sure of its best LRs by more runs: search_factor and economy by two LRs on either
    side, `full` by the seeds after the first. `if_noisy`: only if the noise moves the best LRs by more than 5%."""

    @model_validator(mode="after")
    def _confirmed(self) -> Self:
        if self.confirm != "always" and self.strategy == "active":
            raise ValueError("confirm: the strategy active weighs the noise itself; remove confirm")
        return self


class RoleSearchSettings(Settings):
    """The search for LR multipliers of whole roles on the proxy."""

    roles: tuple[str, ...] = Field(min_length=1)
    """The roles whose LR is searched, such as `router`."""
    factor: float = Field(2.0, ge=1.05, le=100)
    """The multiplier that is tried for each role, and its inverse."""
    max_trials: PositiveInt
    """Most runs of the search; each seed is a run."""
    ablate: bool = True
    """Whether each multiplier is also tried alone at every target, at the LR that is proposed there."""


class MuTransferSettings(SearchSettings):
    """The settings of muTransfer: the search on the proxy, and the width of its intervals."""

    proxy: str | None = None
    """Name of the rung that is searched. null: the base of the parametrization."""
    drift_octaves: float = Field(DRIFT_OCTAVES, ge=0, le=10)
    """Half width of the 90% interval of the drift: octaves of the best LR per doubling of width, batch and tokens."""
    role_search: RoleSearchSettings | None = None
    """The search for LR multipliers of roles. null: none."""


class ConstantSettings(GridSettings):
    """One LR for all models: the median of the cells' best LRs, or the best one by the sum of the cells' losses."""

    by: Literal["median", "best"] = "median"
    """Which LR is taken from the best LRs of the cells."""


class PublishedSettings(SearchSettings):
    """A published law, whose exponents are kept."""

    law: LawName
    """The law (docs/theory.md)."""
    prefactor: Literal["proxy", "cells", "published"] = Field("proxy", exclude_if=lambda given: given == "proxy")
    """Where the factor k of the law comes from: the best LR of the proxy, the best LRs of all cells, or the
    publication, without a run."""
    proxy: str | None = None
    """Name of the rung whose best LR gives the factor. null: the base."""


class TuningSettings(Settings):
    """Tuning at the target itself, on a grid of `points` LRs lr_guess * factor**k."""

    lr_guess: float = Field(ge=1e-8, le=100)
    """An LR of the grid, about which the search starts."""
    factor: float = Field(2.0, ge=1.05, le=100)
    """Ratio of neighbouring LRs."""
    points: int = Field(8, ge=3, le=64)
    """Number of LRs of the grid."""
    trials: PositiveInt = 3
    """Number of runs at each target."""
    seed: Seed = 1000
    """Seed of the runs. It may not be one of the validation, so that nothing is tuned on the runs that score it."""
