"""The rule table: role -> init std, forward multiplier, LR and weight decay, for standard parametrization and muP.

Width ratios come from the `mup` package: base and delta models give each tensor its infinite dimensions, and its
`width_mult` is the ratio m of its fan-in. What mup does not know (router, experts) is resolved here by role:

| role                  | init std, sp       | init std, mup           | LR, mup | weight decay, mup |
| embedding             | sigma_e            | sigma_e                 | lr      | 0                 |
| attention, expert up  | fan_in^-1/2        | the same                | lr / m  | wd * m            |
| expert down           | fan_in^-1/2        | the same, m of h        | lr / m  | wd * m            |
| router                | fan_in^-1/2        | base fan_in^-1/2 / m    | lr / m  | 0                 |
| norm gains            | 1 (constant)       | 1                       | lr      | 0                 |
| head                  | fan_in^-1/2        | base fan_in^-1/2, and logits / m | lr | 0              |

Sources: Tensor Programs V, arXiv 2203.03466 table 8 (dense roles; decay as in mup's MuAdamW, so lr * wd does not
depend on width); experts as hidden matrices and the router as LR / m, std / m: arXiv 2508.09752 and 2601.20205.
Under sp every LR is lr and every matrix in the blocks but the router decays by wd. Matrices that write to the residual
stream start at (2 * depth)^-1/2 of their std in both (GPT-2); depth has no muP rule yet.
"""

import math
from typing import Literal, NamedTuple

import mup
import torch
from torch import nn

from models.roles import Role, Tag, tag_of
from models.shape import ModelShape
from models.transformer import Transformer

Name = Literal["sp", "mup"]

HIDDEN = {Role.ATTENTION, Role.EXPERT_UP, Role.EXPERT_DOWN, Role.SHARED_UP, Role.SHARED_DOWN}


class Rule(NamedTuple):
    """What one parameter gets: init std (None: ones), and multipliers on the study's lr and weight decay."""

    init_std: float | None
    lr: float
    weight_decay: float


def rule(name: Name, tag: Tag, *, m: float, depth: int, embedding_std: float) -> Rule:
    """The table above for one parameter; `m` is fan_in over the base model's fan_in (1 under sp)."""
    assert name == "mup" or m == 1, "sp has no width ratio"
    if tag.role is Role.EMBEDDING:
        return Rule(embedding_std, 1.0, 0.0)
    if tag.role is Role.NORM:
        return Rule(None, 1.0, 0.0)
    std = tag.fan_in**-0.5
    if tag.role is Role.HEAD:
        return Rule(std * m**0.5, 1.0, 0.0)
    if tag.role is Role.ROUTER:
        return Rule(std * m**-0.5, 1 / m, 0.0)
    assert tag.role in HIDDEN, tag.role
    residual = (2 * depth) ** -0.5 if tag.writes_residual else 1.0
    return Rule(std * residual, 1 / m, m)


def attach_mup_shapes(model: Transformer, base: ModelShape) -> None:
    """Give every parameter mup's `infshape`. Base and delta models live on the meta device and cost nothing."""
    delta = base.model_copy(
        update={
            "width": 2 * base.width,
            "expert_width": 2 * base.expert_width,
            "shared_width": 2 * base.shared_width,
        }
    )
    at_depth = {"depth": model.shape.depth}  # mup pairs tensors by name: same depth, widths alone differ
    with torch.device("meta"):
        base_model = Transformer(base.model_copy(update=at_depth))
        delta_model = Transformer(delta.model_copy(update=at_depth))
    # our own modules take the place of mup's readout, so mup neither rescales nor checks layer types
    mup.set_base_shapes(model, base_model, delta=delta_model, rescale_params=False, do_assert=False)


def width_ratio(param: nn.Parameter) -> float:
    """m of one parameter: mup's ratio of its last infinite dimension, which is the fan-in of a matrix."""
    return float(param.infshape.width_mult())  # type: ignore[attr-defined]


def build(
    name: Name, shape: ModelShape, base: ModelShape, *, backend: str, embedding_std: float, seed: int
) -> tuple[Transformer, dict[str, Rule]]:
    """An initialised model and the rule of each of its parameters, by name."""
    multiplier = base.width / shape.width if name == "mup" else 1.0
    model = Transformer(shape, backend=backend, head_multiplier=multiplier)
    if name == "mup":
        attach_mup_shapes(model, base)
    rules = {
        key: rule(
            name,
            tag_of(param, key),
            m=width_ratio(param) if name == "mup" else 1.0,
            depth=shape.depth,
            embedding_std=embedding_std,
        )
        for key, param in model.named_parameters()
    }
    initialise(model, rules, seed=seed)
    return model, rules


@torch.no_grad()
def initialise(model: nn.Module, rules: dict[str, Rule], *, seed: int) -> None:
    """Truncated normals (at 3 std) by rule, from one generator in the order of the names."""
    generator = torch.Generator().manual_seed(seed)
    for key, param in model.named_parameters():
        std = rules[key].init_std
        if std is None:
            param.fill_(1.0)
        else:
            nn.init.trunc_normal_(param, std=std, a=-3 * std, b=3 * std, generator=generator)
        assert math.isfinite(param.sum().item()), key


def param_groups(
    model: nn.Module, rules: dict[str, Rule], *, lr: float, weight_decay: float
) -> list[dict[str, object]]:
    """AdamW groups, one per distinct (LR, decay) multiplier; `lr_multiplier` stays in the group for the schedule."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for key, param in model.named_parameters():
        groups.setdefault((rules[key].lr, rules[key].weight_decay), []).append(param)
    return [
        {"params": params, "lr": lr * m_lr, "weight_decay": weight_decay * m_wd, "lr_multiplier": m_lr}
        for (m_lr, m_wd), params in groups.items()
    ]
