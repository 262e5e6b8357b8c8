"""A trial: one training run, fully specified. Its id is a hash of everything that can change its numbers."""

import hashlib
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_serializer, field_validator

from lrladder.benchmark.config.parts import OptimizerConfig, RecipeConfig
from lrladder.benchmark.config.training import TrainingSettings
from lrladder.benchmark.lab.interrupts import interrupts_kept
from lrladder.benchmark.ladder import Base
from lrladder.benchmark.schedules import Reference, ScheduleConfig
from lrladder.models.rules import Rules, TokenRule, token_rule
from lrladder.models.shape import ModelShape

SPEC_VERSION = 4  # raised when the meaning of a specification changes, so that old results are not reused


class Trial(BaseModel):
    """One fully specified training run. `rules` compute its LRs, init and decay from `lr` and the ratios to `base`.

    `rule_tokens` is the horizon that rules depending on tokens use; None if there is no such rule. Longer horizons of
    the trial continue the run at the LR of this horizon. `training` changes no number beyond rounding, so it is neither
    in the specification nor in the id. `aux_loss_sequences` is in them only if it changes numbers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)  # built at first use

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
    recipe: RecipeConfig = RecipeConfig()  # stored trials without this field were trained with the default
    schedule: ScheduleConfig
    expert_backend: str
    precision: Literal["fp32", "bf16"]
    corpus_digest: str
    val_documents: int
    aux_loss_sequences: int | None = Field(None, exclude_if=lambda value: value is None)
    training: TrainingSettings = Field(TrainingSettings(), exclude=True)

    @field_serializer("optimizer")
    def _as_before(self, optimizer: OptimizerConfig) -> dict[str, Any]:
        """The optimizer with ZeRO stage 0, as every specification of version 4 has it, so that ids do not change."""
        return {**optimizer.model_dump(), "zero_stage": 0}

    @field_validator("optimizer", mode="before")
    @classmethod
    def _without_stage(cls, given: Any) -> Any:
        return {key: value for key, value in given.items() if key != "zero_stage"} if isinstance(given, dict) else given

    @cached_property
    def id(self) -> str:
        """Hash of the specification."""
        return self._hash()

    @property
    def trunk_id(self) -> str:
        """The id of the trunk. Trials that differ only in their horizons share it, if their schedule has a trunk."""
        return self._hash(exclude={"horizons"})

    def _hash(self, exclude: set[str] | None = None) -> str:
        with interrupts_kept():
            text = self.model_dump_json(exclude=exclude)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def run_id(self) -> str:
        """The name of the files of its run, which trials with the same trunk share."""
        return self.trunk_id if self.schedule.has_trunk else self.id

    @property
    def tokens(self) -> int:
        """Tokens that the trial trains on in total."""
        return self.schedule.run_tokens(self.horizons, self.batch_tokens)

    @property
    def flops(self) -> float:
        """Planned training FLOPs. Plans, charges of the lab and search budgets all use this number."""
        return float(self.shape.flops_per_token * self.tokens)


def branch_point(horizon: int, trial: Trial) -> int:
    """Number of tokens, a multiple of the batch, after which the decay to `horizon` begins."""
    return trial.schedule.decay_start(horizon, trial.batch_tokens)


def reference(trial: Trial) -> Reference:
    """The batch and horizon of the base. There the peak LR under a power schedule is the LR of the trial."""
    return Reference(trial.base.batch_tokens, trial.base.tokens)


def lr_ratios_of(trial: Trial) -> dict[str, float]:
    """The recipe's LR ratio of each role that has one, in the trial's model."""
    return trial.recipe.role_lrs(tied=trial.shape.architecture.tied)


def role_lrs_of(trial: Trial) -> dict[str, float]:
    """The factor on the LR of each role, apart from the rules: the recipe's LR ratio times the trial's multiplier."""
    ratios, own = lr_ratios_of(trial), dict(trial.role_lrs)
    return {role: ratios.get(role, 1.0) * own.get(role, 1.0) for role in {**ratios, **own}}


def token_rule_of(trial: Trial) -> TokenRule:
    """The multipliers of the trial for its batch and horizon. They are 1 if no rule depends on them."""
    return token_rule(
        trial.rules,
        m_batch=trial.batch_tokens / trial.base.batch_tokens,
        m_tokens=(trial.rule_tokens or trial.base.tokens) / trial.base.tokens,
        m_size=trial.shape.n_active / trial.base.shape.n_active,
        exponent=trial.horizon_exponent,
    )
