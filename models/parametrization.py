"""Applies the rule table of models/rules.py to a model: ratios to the base (by mup), init, optimizer groups."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import mup
import torch
from torch import nn

from lrladder.models.experts.exchange import share_of
from lrladder.models.parameters import tag_of
from lrladder.models.roles import Role
from lrladder.models.rules import AT_BASE, Ratios, Rule, Rules, TokenRule, rule
from lrladder.models.shape import ModelShape
from lrladder.models.transformer import Transformer


class Built(NamedTuple):
    """An initialised model, and the rule of each of its parameters by name."""

    model: Transformer
    rules: dict[str, Rule]


def attach_mup_shapes(model: Transformer, base: ModelShape) -> None:
    """Give every parameter the `infshape` of mup, which holds its ratios to the base.

    mup needs a base and a delta model for this. Both live on the meta device and take no memory.
    """
    widths = {"width": base.width, "expert_width": base.expert_width, "shared_width": base.shared_width}
    if model.shape.heads or base.heads:
        widths |= {"heads": base.num_heads, "kv_heads": base.num_kv_heads}
    for name in ("dense_width", "q_rank", "kv_rank"):
        if getattr(model.shape, name) is not None:
            widths[name] = getattr(base, name)  # the config refuses a ladder where some models alone have it
            assert widths[name] is not None, name
    # mup treats every size that differs between base and delta as a width, so all other sizes are the model's own
    twice = {name: 2 * size for name, size in widths.items()}
    with torch.device("meta"):
        base_model = Transformer(model.shape.model_copy(update=widths))
        delta_model = Transformer(model.shape.model_copy(update=twice))
    # our rules scale the readout, so mup must neither rescale parameters nor require its own readout layer
    mup.set_base_shapes(model, base_model, delta=delta_model, rescale_params=False, do_assert=False)


def ratios_of(param: nn.Parameter, name: str, *, depth: float, width: float) -> Ratios:
    """One parameter's ratios to the base, from mup's shapes. A dimension that is not a width has ratio 1."""
    last = float(param.infshape.width_mult())  # type: ignore[attr-defined]
    tag = tag_of(param, name)
    if tag.role in (Role.NORM, Role.BIAS):
        return Ratios(depth=depth, width=width)
    dims = param.infshape  # type: ignore[attr-defined]
    other = float(dims[-2].width_mult()) if dims[-2].isinf() else 1.0
    # matrices are [..., fan_out, fan_in], an embedding [fan_in, fan_out]
    fan_in, fan_out = (other, last) if tag.role is Role.EMBEDDING else (last, other)
    return Ratios(fan_in, fan_out, depth, width)


def build(
    rules: Rules,
    shape: ModelShape,
    base: ModelShape,
    *,
    backend: str,
    embedding_std: float,
    seed: int,
    dtype: torch.dtype = torch.float32,
) -> Built:
    """An initialised model and its rules.

    `base` is the shape at which every parametrization gives the same model and the same training.
    """
    model = Transformer(shape, backend=backend, dtype=dtype)
    table = rule_table(rules, model, base, embedding_std=embedding_std)
    model.head_multiplier = table[model.multiplied_name].forward
    model.branch_multiplier = table["blocks.0.attention.out"].forward
    initialise(model, table, seed=seed)
    return Built(model, table)


def rule_table(rules: Rules, model: Transformer, base: ModelShape, *, embedding_std: float) -> dict[str, Rule]:
    """The rule of each parameter, by parameter name. The model may live on the meta device."""
    attach_mup_shapes(model, base)
    depth, width = model.shape.depth, model.shape.width
    return {
        name: rule(
            rules,
            tag_of(param, name),
            ratios_of(param, name, depth=depth / base.depth, width=width / base.width),
            depth=depth,
            embedding_std=embedding_std,
        )
        for name, param in model.named_parameters()
    }


@torch.no_grad()
def initialise(model: nn.Module, rules: Mapping[str, Rule], *, seed: int) -> None:
    """Fill every parameter with a truncated normal (cut at 3 std) of its rule's std, or with ones where std is None.

    A std of 0 gives zeros, without a draw.

    One generator draws all parameters, in the order of the model.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, param in model.named_parameters():
        std = rules[name].init_std
        if std is None:
            param.fill_(1.0)
        elif std == 0:
            param.zero_()
        else:
            nn.init.trunc_normal_(param, std=std, a=-3 * std, b=3 * std, generator=generator)
        assert math.isfinite(param.sum().item()), name


def param_groups(
    model: nn.Module,
    rules: Mapping[str, Rule],
    *,
    lr: float,
    weight_decay: float,
    eps: float,
    tokens: TokenRule = AT_BASE,
    role_lrs: Mapping[str, float] | None = None,
) -> list[dict[str, object]]:
    """AdamW groups, one per distinct (LR, weight decay, eps). Experts that are spread over ranks have their own groups.

    Each group also holds `lr_multiplier`, which the schedule needs, and `roles`, which the recorded metrics need.
    `role_lrs` maps the name of a role to a multiplier of its LR.
    """
    groups: dict[tuple[float, float, float, bool], dict[str, nn.Parameter]] = {}
    for name, param in model.named_parameters():
        found = rules[name]
        m_lr = found.lr * tokens.lr * (role_lrs or {}).get(tag_of(param, name).role, 1.0)
        is_spread = share_of(param) is not None
        key = (m_lr, found.weight_decay * tokens.weight_decay, found.eps * tokens.eps, is_spread)
        groups.setdefault(key, {})[name] = param
    return [
        {
            "params": list(params.values()),
            "lr": lr * m_lr,
            "weight_decay": weight_decay * m_decay,
            "eps": eps * m_eps,
            "lr_multiplier": m_lr,
            "roles": sorted({tag_of(param, name).role.value for name, param in params.items()}),
        }
        for (m_lr, m_decay, m_eps, _), params in groups.items()
    ]
