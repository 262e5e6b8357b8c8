"""A trial: one training run, fully specified. Its id is a hash of everything that can change its numbers."""

import hashlib
from functools import cached_property
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from benchmark.config import CorpusConfig, OptimizerConfig
from benchmark.ladder import Base, Ladder, Rung
from benchmark.schedules import Reference, ScheduleConfig
from models.rules import STANDARD, Rules, TokenRule, token_rule
from models.shape import ModelShape
from paradigms.base import ParametrizationName, Request

SPEC_VERSION = 3  # raised when the meaning of a specification changes, so that old results are not reused


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
    horizons: tuple[int, ...]
    rule_tokens: int | None
    batch_tokens: int
    optimizer: OptimizerConfig
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
        """Tokens trained on in all: the trunk to the last branch point, and each horizon's decay."""
        trunk = max(branch_point(horizon, self) for horizon in self.horizons)
        return trunk + sum(horizon - branch_point(horizon, self) for horizon in self.horizons)

    @property
    def flops(self) -> float:
        return float(self.shape.flops_per_token * self.tokens)


def branch_point(horizon: int, trial: Trial) -> int:
    """Tokens after which the decay to `horizon` begins, at a whole step."""
    return trial.schedule.decay_start(horizon, trial.batch_tokens)


def reference(trial: Trial) -> Reference:
    """Where a power schedule's LR is the trial's: the base's batch and horizon."""
    return Reference(trial.base.batch_tokens, trial.base.tokens)


class Setup(Protocol):
    """What a study says about all of its trials."""

    @property
    def corpus(self) -> CorpusConfig: ...
    @property
    def optimizer(self) -> OptimizerConfig: ...
    @property
    def expert_backend(self) -> str: ...
    @property
    def rungs(self) -> Ladder: ...
    @property
    def base(self) -> Base: ...
    def base_of(self, rung: Rung) -> Base: ...
    def rules_of(self, parametrization: ParametrizationName) -> Rules: ...
    def schedule_of(self, parametrization: ParametrizationName) -> ScheduleConfig: ...


def resolve(
    request: Request, setup: Setup, *, corpus_digest: str, precision: Literal["fp32", "bf16"]
) -> tuple[Trial, ...]:
    """The trials that a paradigm's request means: one, or one a horizon where the LR depends on the horizon.

    At the base all rules are one function, so the standard ones stand for them and the run is trained once.
    """
    rung = setup.rungs.rung(request.rung)
    base = setup.base_of(rung)
    rules, schedule = setup.rules_of(request.parametrization), _schedule(request, setup)
    parts = _parts(rung, request.horizons, shared=schedule.has_trunk and not rules.by_tokens)
    in_use = {part: STANDARD if _is_base(rules, rung, part, base) else rules for part in parts}
    return tuple(
        Trial(
            shape=rung.shape,
            base=base,
            rules=in_use[part],
            horizon_exponent=request.horizon_exponent if in_use[part].horizon in ("power", "fitted") else None,
            role_lrs=tuple(sorted(request.role_lrs)),
            lr=request.lr,
            seed=request.seed,
            horizons=part,
            rule_tokens=part[0] if in_use[part].by_tokens else None,
            batch_tokens=rung.batch_tokens,
            optimizer=_optimizer(setup, rung),
            schedule=schedule,
            expert_backend=setup.expert_backend,
            precision=precision,
            corpus_digest=corpus_digest,
            val_documents=setup.corpus.val_documents,
        )
        for part in parts
    )


def _schedule(request: Request, setup: Setup) -> ScheduleConfig:
    schedule = setup.schedule_of(request.parametrization)
    if schedule.kind != "power" or request.horizon_exponent is None:
        return schedule
    return schedule.model_copy(update={"exponent": request.horizon_exponent})


def _parts(rung: Rung, asked: tuple[int, ...], *, shared: bool) -> tuple[tuple[int, ...], ...]:
    """Horizons that one run is read at. Those that only continue a run go with the longest that does not."""
    horizons = tuple(sorted(asked))
    if shared:
        return (horizons,)
    own = tuple(horizon for horizon in horizons if horizon not in rung.continued)
    return (*((horizon,) for horizon in own[:-1]), (*own[-1:], *(h for h in horizons if h in rung.continued)))


def _is_base(rules: Rules, rung: Rung, horizons: tuple[int, ...], base: Base) -> bool:
    """Sizes of no rule (experts, vocabulary) may differ."""
    names = ("width", "depth", "expert_width", "shared_width")
    same_shape = all(getattr(rung.shape, name) == getattr(base.shape, name) for name in names)
    return same_shape and (not rules.by_tokens or (rung.batch_tokens, horizons) == (base.batch_tokens, (base.tokens,)))


def _optimizer(setup: Setup, rung: Rung) -> OptimizerConfig:
    if rung.weight_decay is None:
        return setup.optimizer
    return setup.optimizer.model_copy(update={"weight_decay": rung.weight_decay})


def token_rule_of(trial: Trial) -> TokenRule:
    """The trial's own multipliers for its batch and horizon; a rule that depends on the horizon has one."""
    return token_rule(
        trial.rules,
        m_batch=trial.batch_tokens / trial.base.batch_tokens,
        m_tokens=(trial.rule_tokens or trial.base.tokens) / trial.base.tokens,
        m_size=trial.shape.n_active / trial.base.shape.n_active,
        exponent=trial.horizon_exponent,
    )
