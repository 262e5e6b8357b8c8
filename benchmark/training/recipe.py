"""The recipe of a run: LR, weight decay, eps, init and multiplier for each kind of parameter, and the betas.

It is made from the parameter groups that training would build for the same trial, with a model on the meta device.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import nn

from lrladder.benchmark.lab.recipe import Recipe, Setting
from lrladder.benchmark.lab.resolve import Setup, planned
from lrladder.benchmark.lab.trial import Trial, lr_ratios_of, reference, token_rule_of
from lrladder.benchmark.ladder import Base
from lrladder.benchmark.training import optimizer
from lrladder.models.parameters import tag_of
from lrladder.models.parametrization import rule_table
from lrladder.models.roles import Role, Tag
from lrladder.models.rules import Rule, Rules
from lrladder.models.shape import ModelShape
from lrladder.models.transformer import Transformer
from lrladder.paradigms.lab import Request
from lrladder.paradigms.paradigm import Proposal


def proposal_recipe(setup: Setup, proposal: Proposal) -> Recipe:
    """The recipe with which the validation runs of a proposal are trained."""
    return trial_recipe(proposal_trial(setup, proposal), parametrization=proposal.parametrization)


def proposal_trial(setup: Setup, proposal: Proposal) -> Trial:
    """A validation run of a proposal, without corpus and precision, on which a recipe does not depend."""
    rung = setup.rungs.rung(proposal.rung)
    horizon = max(rung.horizons) if proposal.horizon in rung.continued else proposal.horizon
    request = Request(
        proposal.rung,
        proposal.parametrization,
        proposal.lr,
        0,
        (horizon,),
        proposal.horizon_exponent,
        proposal.role_lrs,
    )
    (trial,) = planned(request, setup)
    return trial


def trial_recipe(trial: Trial, *, parametrization: str) -> Recipe:
    """The recipe of a trial with one horizon. Raises ValueError if it has several."""
    (tokens,) = trial.horizons
    return recipe_at(trial, tokens, parametrization=parametrization)


def recipe_at(trial: Trial, tokens: int, *, parametrization: str) -> Recipe:
    """The recipe of a trial on its way to one of its horizons."""
    plan = _plan_of(trial)
    groups = optimizer.groups(trial, plan.model, plan.rules)
    beta1, beta2 = optimizer.betas(trial)
    return Recipe(
        parametrization=parametrization,
        tokens=tokens,
        batch_tokens=trial.batch_tokens,
        lr=trial.lr,
        token_factor=token_rule_of(trial).lr,
        horizon_exponent=trial.horizon_exponent,
        lr_ratios=lr_ratios_of(trial),
        role_lrs=trial.role_lrs,
        beta1=beta1,
        beta2=beta2,
        grad_clip=trial.optimizer.grad_clip,
        tau_ema=optimizer.tau_ema(trial, groups, tokens),
        settings=_settings(plan, groups),
        schedule=trial.schedule.words(tokens, reference(trial)),
    )


def _settings(plan: "_Plan", groups: Sequence[dict[str, object]]) -> tuple[Setting, ...]:
    """One setting for each kind of parameter, in the order of the model."""
    group_of = {id(param): group for group in groups for param in _params(group)}
    settings: dict[str, Setting] = {}
    for name, param in plan.model.named_parameters():
        tag, rule, group = tag_of(param, name), plan.rules[name], group_of[id(param)]
        found = Setting(
            role=tag.role,
            kind=kind_of(tag),
            example=name,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            init_std=rule.init_std,
            forward=rule.forward,
        )
        first = settings.setdefault(found.kind, found)
        assert found == first.model_copy(update={"example": name}), f"{name} is not as other {found.kind}"
    return tuple(settings.values())


def meta_model(trial: Trial) -> Transformer:
    """The model of the trial on the meta device, which uses no memory, with tagged parameters."""
    return _plan_of(trial).model


def multipliers(trial: Trial) -> dict[str, float]:
    """What the output of each parameter's layer is multiplied by, by the name of the parameter."""
    return {name: rule.forward for name, rule in _plan_of(trial).rules.items()}


def kind_of(tag: Tag) -> str:
    """The role, split where it matters: attention parameters that write to the residual stream, and norms in blocks."""
    if tag.role is Role.ATTENTION:
        return "attention_out" if tag.writes_residual else "attention_qkv"
    if tag.role is Role.NORM:
        return "norm_block" if tag.in_block else "norm_final"
    return tag.role


class _Plan(NamedTuple):
    """A model on the meta device, and the rule of each of its parameters by name."""

    model: Transformer
    rules: dict[str, Rule]


def _plan_of(trial: Trial) -> _Plan:
    return _plan(trial.rules, trial.shape, trial.base, trial.optimizer.embedding_std)


@lru_cache(maxsize=32)
def _plan(rules: Rules, shape: ModelShape, base: Base, embedding_std: float) -> _Plan:
    with torch.device("meta"):
        model = Transformer(shape)
    return _Plan(model, rule_table(rules, model, base.shape, embedding_std=embedding_std))


def _params(group: dict[str, object]) -> list[nn.Parameter]:
    params = group["params"]
    assert isinstance(params, list)
    return params
