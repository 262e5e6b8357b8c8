"""A trial: one training run, fully specified. Its id is a hash of everything that can change its numbers."""

import hashlib
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from lrladder.benchmark.config.parts import OptimizerConfig, RecipeConfig
from lrladder.benchmark.ladder import Base
from lrladder.benchmark.schedules import Reference, ScheduleConfig
from lrladder.models.rules import Rules, TokenRule, token_rule
from lrladder.models.shape import ModelShape

SPEC_VERSION = 4  # raised when the meaning of a specification changes, so that old results are not reused


class Trial(BaseModel):
    """One resolved training run. `rules` carry its LR, init and decay over from `base`, which standard ones ignore.

    `rule_tokens` is the horizon that rules by tokens speak of, None where none does. Later horizons continue the run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec_version: int = SPEC_VERSION
    shape: ModelShape
    base: Base
    rules: Rules
    horizon_exponent: float | None
    role_lrs: tuple[tuple[str, float], ...]
    lr: float
    seed: int
    horizons: tuple[PositiveInt, ...] = Field(min_length=1)
    rule_tokens: int | None
    batch_tokens: int
    optimizer: OptimizerConfig
    recipe: RecipeConfig = RecipeConfig()  # what stored trials that do not say were trained with
    schedule: ScheduleConfig
    expert_backend: str
    precision: Literal["fp32", "bf16"]
    corpus_digest: str
    val_documents: int

    @cached_property
    def id(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    @property
    def trunk_id(self) -> str:
        """Of all runs that differ in their horizons alone: they share a trunk, where there is one."""
        return hashlib.sha256(self.model_dump_json(exclude={"horizons"}).encode()).hexdigest()[:16]

    @property
    def tokens(self) -> int:
        """Tokens trained on in all."""
        return self.schedule.run_tokens(self.horizons, self.batch_tokens)

    @property
    def flops(self) -> float:
        """Planned training FLOPs: what a plan counts, a lab charges and a search budgets."""
        return float(self.shape.flops_per_token * self.tokens)


def branch_point(horizon: int, trial: Trial) -> int:
    """Tokens after which the decay to `horizon` begins, at a whole step."""
    return trial.schedule.decay_start(horizon, trial.batch_tokens)


def reference(trial: Trial) -> Reference:
    """Where a power schedule's LR is the trial's: the base's batch and horizon."""
    return Reference(trial.base.batch_tokens, trial.base.tokens)


def role_lrs_of(trial: Trial) -> dict[str, float]:
    """What multiplies the LR of whole roles beside the rules: the recipe's ratios and the trial's own multipliers."""
    ratios, own = trial.recipe.role_lrs, dict(trial.role_lrs)
    return {role: ratios.get(role, 1.0) * own.get(role, 1.0) for role in {**ratios, **own}}


def token_rule_of(trial: Trial) -> TokenRule:
    """The trial's own multipliers for its batch and horizon; a rule that depends on the horizon has one."""
    return token_rule(
        trial.rules,
        m_batch=trial.batch_tokens / trial.base.batch_tokens,
        m_tokens=(trial.rule_tokens or trial.base.tokens) / trial.base.tokens,
        m_size=trial.shape.n_active / trial.base.shape.n_active,
        exponent=trial.horizon_exponent,
    )
