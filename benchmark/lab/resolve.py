"""From the request of a paradigm to the trials that are trained."""

import math
from typing import Literal, Protocol

from lrladder.benchmark.config.parts import CorpusConfig, OptimizerConfig, RecipeConfig
from lrladder.benchmark.config.training import TrainingSettings
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.ladder import Base, Ladder, Rung
from lrladder.benchmark.schedules import ScheduleConfig
from lrladder.models.rules import STANDARD, Rules
from lrladder.paradigms.lab import ParametrizationName, Request


class Setup(Protocol):
    """The settings of a study that all of its trials share."""

    @property
    def corpus(self) -> CorpusConfig: ...
    @property
    def expert_backend(self) -> str: ...
    @property
    def rungs(self) -> Ladder: ...
    @property
    def base(self) -> Base: ...
    def base_of(self, rung: Rung, parametrization: ParametrizationName) -> Base: ...
    def rules_of(self, parametrization: ParametrizationName) -> Rules: ...
    def schedule_of(self, parametrization: ParametrizationName) -> ScheduleConfig: ...
    def optimizer_of(self, parametrization: ParametrizationName) -> OptimizerConfig: ...
    def recipe_of(self, parametrization: ParametrizationName) -> RecipeConfig: ...
    def training_of(self, rung: Rung) -> TrainingSettings: ...


def resolve(
    request: Request, setup: Setup, *, corpus_digest: str, precision: Literal["fp32", "bf16"]
) -> tuple[Trial, ...]:
    """The trials of a request: one trial for all horizons, or one per horizon if a rule depends on the horizon.

    At the base every rule multiplies by 1. The trial then gets the standard rules, so that all parametrizations share
    one trial there and it is trained once.
    """
    rung = setup.rungs.rung(request.rung)
    base = setup.base_of(rung, request.parametrization)
    rules, schedule = _rules(request, setup, rung, base), rung.schedule(_schedule(request, setup))
    _require_average(schedule, setup.training_of(rung))
    parts = _parts(rung, request.horizons, shared=schedule.has_trunk and not rules.by_tokens)
    in_use = {part: STANDARD if _is_base(rules, rung, part, base) else rules for part in parts}
    return tuple(
        Trial(
            shape=rung.shape,
            base=base,
            rules=in_use[part],
            horizon_exponent=_exponent(request, in_use[part]),
            role_lrs=tuple(sorted(request.role_lrs)),
            lr=request.lr,
            seed=request.seed,
            horizons=part,
            rule_tokens=part[0] if in_use[part].by_tokens else None,
            batch_tokens=rung.batch_tokens,
            optimizer=_optimizer(setup.optimizer_of(request.parametrization), rung),
            recipe=setup.recipe_of(request.parametrization),
            schedule=schedule,
            expert_backend=setup.expert_backend,
            precision=precision,
            corpus_digest=corpus_digest,
            val_documents=setup.corpus.val_documents,
            aux_loss_sequences=setup.training_of(rung).aux_loss_sequences,
            training=setup.training_of(rung),
        )
        for part in parts
    )


def _require_average(schedule: ScheduleConfig, training: TrainingSettings) -> None:
    """Raises InputError if the weights are to be averaged and no rank has all of them."""
    if schedule.read == "ema" and training.zero_stage == 3:
        raise InputError(
            "training.zero_stage: at stage 3 no rank has the whole weights, which `read: ema` averages; "
            "set zero_stage to 2 or less"
        )


def planned(request: Request, setup: Setup) -> tuple[Trial, ...]:
    """The trials of a request without corpus and precision, for what depends on neither, such as cost and recipe."""
    return resolve(request, setup, corpus_digest="", precision="fp32")


def planned_flops(request: Request, setup: Setup) -> float:
    """Planned FLOPs of all trials of a request."""
    return math.fsum(trial.flops for trial in planned(request, setup))


def _rules(request: Request, setup: Setup, rung: Rung, base: Base) -> Rules:
    """The rules of a request. Rules that would do nothing are off, so that horizons can share a trunk.

    This matters for a fitted horizon rule at the batch of the base. A request without an exponent belongs to the search
    for it, in which every rule that depends on tokens is off. At an exponent of 0 the horizon rule does nothing.
    """
    rules = setup.rules_of(request.parametrization)
    if rules.horizon != "fitted" or rung.batch_tokens != base.batch_tokens:
        return rules
    if request.horizon_exponent is None:
        return rules.model_copy(update={"horizon": "none", "decay_horizon": "none", "betas": False})
    return rules if request.horizon_exponent else rules.model_copy(update={"horizon": "none"})


def _exponent(request: Request, rules: Rules) -> float | None:
    """The horizon exponent of a trial; None if the rules need none. A search at another batch than the base's has 0."""
    match rules.horizon:
        case "fitted":
            return request.horizon_exponent or 0.0
        case "power":
            return request.horizon_exponent
        case _:
            return None


def _schedule(request: Request, setup: Setup) -> ScheduleConfig:
    schedule = setup.schedule_of(request.parametrization)
    if schedule.kind != "power" or request.horizon_exponent is None:
        return schedule
    return schedule.model_copy(update={"exponent": request.horizon_exponent})


def _parts(rung: Rung, asked: tuple[int, ...], *, shared: bool) -> tuple[tuple[int, ...], ...]:
    """The horizons of each trial. Continued horizons go with the longest horizon that is not continued."""
    horizons = tuple(sorted(asked))
    if shared:
        return (horizons,)
    own = tuple(horizon for horizon in horizons if horizon not in rung.continued)
    return (*((horizon,) for horizon in own[:-1]), (*own[-1:], *(h for h in horizons if h in rung.continued)))


def _is_base(rules: Rules, rung: Rung, horizons: tuple[int, ...], base: Base) -> bool:
    """Whether every rule multiplies by 1 here. Sizes that no rule depends on (experts, vocabulary) may differ."""
    names = ("width", "depth", "expert_width", "shared_width", "dense_width", "attention_width", "q_rank", "kv_rank")
    same_shape = all(getattr(rung.shape, name) == getattr(base.shape, name) for name in names)
    return same_shape and (not rules.by_tokens or (rung.batch_tokens, horizons) == (base.batch_tokens, (base.tokens,)))


def _optimizer(optimizer: OptimizerConfig, rung: Rung) -> OptimizerConfig:
    if rung.weight_decay is None:
        return optimizer
    return optimizer.model_copy(update={"weight_decay": rung.weight_decay})
