"""The settings of each paradigm that comes with LR Ladder. Light: a study is read without what its searches need."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from lrladder.paradigms.mutransfer.drift import DRIFT_OCTAVES
from lrladder.paradigms.published import LAWS

Seed = Annotated[int, Field(ge=0, lt=2**63)]  # what torch's generators take
LawName = Literal["step_law", "deepseek", "zhou", "joint_moe"]
assert set(LawName.__args__) == {law.name for law in LAWS}  # type: ignore[attr-defined]


class Settings(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AnySettings(Settings):
    """Of a class of the user's own, as they were written: the class reads them when the study runs."""

    model_config = ConfigDict(frozen=True, extra="allow")


class GridSettings(Settings):
    """A geometric grid of LRs around a guess."""

    lr_guess: float = Field(ge=1e-8, le=100)
    factor: float = Field(2.0, ge=1.05, le=100)
    seeds: tuple[Seed, ...] = Field((0,), min_length=1)


class SearchSettings(Settings):
    """How LRs are looked for: a geometric grid around a guess, extended by `factor` until the minimum is interior."""

    lr_guess: float = Field(ge=1e-8, le=100)
    factor: float = Field(2.0, ge=1.05, le=100)
    points: int = Field(4, ge=3, le=32)
    max_extensions: int = Field(4, ge=0, le=32)
    seeds: tuple[Seed, ...] = Field((0,), min_length=1)


class FittingSettings(SearchSettings):
    """`points` and `max_extensions` are of `full`; other strategies ask for three LRs and as many as it takes."""

    strategy: Literal["full", "search_factor", "economy", "active"] = "full"


class RoleSearchSettings(Settings):
    """LR multipliers of whole roles, each tried at `factor` and its inverse on the proxy at its best LR.

    With `ablate` each is tried alone at every target too, at the LR that is proposed there.
    """

    roles: tuple[str, ...] = Field(min_length=1)
    factor: float = Field(2.0, ge=1.05, le=100)
    max_trials: PositiveInt  # runs, seeds counted
    ablate: bool = True


class MuTransferSettings(SearchSettings):
    """The search on the proxy."""

    proxy: str | None = None  # the rung that is searched; None: the base of the parametrization
    drift_octaves: float = Field(DRIFT_OCTAVES, ge=0, le=10)  # of the best LR per doubling of width, batch, tokens; 90%
    role_search: RoleSearchSettings | None = None


class ConstantSettings(GridSettings):
    by: Literal["median", "best"] = "median"  # of the cells' best LRs, or of the loss summed over the cells


class PublishedSettings(SearchSettings):
    """A law's exponents, with a prefactor from the proxy's own best LR, from the minima of all cells, or as published.

    The last asks for no run.
    """

    law: LawName
    prefactor: Literal["proxy", "cells", "published"] = Field("proxy", exclude_if=lambda given: given == "proxy")
    proxy: str | None = None  # the rung whose own best LR the law is multiplied onto; None: the base


class TuningSettings(Settings):
    """Tuning at the target itself, among the LRs lr_guess * factor**k of a fixed number of points."""

    lr_guess: float = Field(ge=1e-8, le=100)
    factor: float = Field(2.0, ge=1.05, le=100)
    points: int = Field(8, ge=3, le=64)
    trials: PositiveInt = 3  # runs at each target
    seed: Seed = 1000  # none of the validation's, so that no run is tuned on what it is scored on
