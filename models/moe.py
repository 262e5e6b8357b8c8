"""Dropless top-k mixture of SwiGLU experts, with the losses that keep its router balanced."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrladder.models.architecture import OWN, Architecture
from lrladder.models.experts.permuted import ExpertBackend, chosen
from lrladder.models.experts.reference import swiglu
from lrladder.models.parameters import linear, parameter
from lrladder.models.roles import Role, Tag
from lrladder.models.shape import ModelShape


class RouterStats(NamedTuple):
    """What the auxiliary losses of a router are computed from, over the tokens of one pass.

    `probability_e` [E] is each expert's mean probability, `load_e` [E] its share of the assignments; both sum to 1.
    `router_z` is the z loss before its coefficient. Ranks and micro batches share one `load_e` (`load_balance_of`).
    """

    probability_e: Tensor
    router_z: Tensor
    load_e: Tensor


def load_balance_of(load_le: Tensor, probability_le: Tensor) -> Tensor:
    """The load-balance loss before its coefficient, summed over blocks, from [L, E] each (arXiv 2101.03961 eq. 4).

    Only the probabilities have a gradient, and the loss is linear in them. So the mean of this loss over parts of a
    batch has the value and gradient of the loss of the whole batch, if every part gets the loads of the whole batch.
    """
    num_experts = load_le.shape[-1]
    if num_experts == 1:
        return probability_le.new_zeros(())
    return (num_experts * (load_le * probability_le).sum(-1)).sum()


class Routing(NamedTuple):
    """The chosen experts of each token: their weights [T, k] and indices [T, k]."""

    weight_tk: Tensor
    expert_tk: Tensor
    stats: RouterStats


def route(
    logits_te: Tensor, top_k: int, architecture: Architecture = OWN, expert_bias: Tensor | None = None
) -> Routing:
    """Choose the top-k experts of each token by logits [T, E]. Weights are an fp32 softmax over the chosen logits.

    This equals a softmax over all experts that is renormalised over the chosen ones. `architecture` may ask for sigmoid
    scores, for weights that are not renormalised, and for a scale of them. `expert_bias` [E] takes part in the choice
    alone. For the balance loss a sigmoid is divided by its sum over all experts (arXiv 2412.19437 eq. 19).
    """
    logits_te = logits_te.float()
    expert_tk = _top(logits_te.detach(), top_k, architecture, expert_bias)
    num_experts = logits_te.shape[-1]
    is_chosen_tke = chosen(expert_tk, num_experts)
    score_te = log_scores(logits_te, architecture)
    score_tk = torch.where(is_chosen_tke, score_te[:, None], 0).sum(-1)  # no scatter in its backward; see `Taken`
    load_e = is_chosen_tke.sum((0, 1)).float() / expert_tk.numel()
    stats = RouterStats(
        probability_e=score_te.softmax(-1).mean(0),
        router_z=logits_te.logsumexp(-1).square().mean(),  # ST-MoE, arXiv 2202.08906 eq. 5
        load_e=load_e,
    )
    return Routing(_weights(score_tk, logits_te, architecture), expert_tk, stats)


def log_scores(logits: Tensor, architecture: Architecture) -> Tensor:
    """Logarithms of the experts' scores; those of a softmax without its constant, which no choice depends on."""
    return F.logsigmoid(logits) if architecture.score == "sigmoid" else logits


def _weights(score_tk: Tensor, logits_te: Tensor, architecture: Architecture) -> Tensor:
    """Of the chosen experts, from the logarithms of their scores."""
    if architecture.renormalise:
        weight_tk = score_tk.softmax(-1)
    elif architecture.score == "sigmoid":
        weight_tk = score_tk.exp()
    else:
        weight_tk = (score_tk - logits_te.logsumexp(-1, keepdim=True)).exp()
    return weight_tk if architecture.routed_scale == 1 else weight_tk * architecture.routed_scale


def _top(logits_te: Tensor, top_k: int, architecture: Architecture, expert_bias: Tensor | None) -> Tensor:
    """The chosen experts [T, k]. Without a bias and groups they are those of the largest logits."""
    if expert_bias is None and architecture.num_groups == 1:
        return logits_te.topk(top_k, dim=-1).indices
    score_te = logits_te.sigmoid() if architecture.score == "sigmoid" else logits_te.softmax(-1)
    if expert_bias is not None:
        score_te = score_te + expert_bias
    if architecture.num_groups > 1:
        score_te = _in_top_groups(score_te, architecture)
    return score_te.topk(top_k, dim=-1).indices


def _in_top_groups(score_te: Tensor, architecture: Architecture) -> Tensor:
    """Scores [T, E], minus infinity outside of the groups with the largest sums of their best."""
    groups = architecture.num_groups
    score_tgm = score_te.unflatten(-1, (groups, -1))
    best = score_tgm.topk(architecture.group_best, dim=-1).values.sum(-1).topk(architecture.top_groups, dim=-1).indices
    is_best_tg = chosen(best, groups).any(-2)
    return score_tgm.masked_fill(~is_best_tg[..., None], -math.inf).flatten(-2)


class Dense(nn.Module):
    """The SwiGLU of a dense block in a model with experts. It has no router, and so no statistics of one."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        assert shape.dense_width is not None
        d, f = shape.width, shape.dense_width
        self.router = None
        self.dense_up = parameter(2 * f, d, tag=Tag(Role.DENSE_UP, d, 2 * f))
        self.dense_down = parameter(d, f, tag=Tag(Role.DENSE_DOWN, f, d, writes_residual=True))

    def forward(self, x_bsd: Tensor) -> tuple[Tensor, tuple[()]]:
        return linear(swiglu(linear(x_bsd, self.dense_up)), self.dense_down), ()


class MoE(nn.Module):
    """Routed experts and an optional shared expert. With one routed expert there is no router (a dense model).

    `expert_bias` [E] is a buffer: no gradient moves it, but `models.balance` after each step.
    """

    expert_bias: Tensor | None

    def __init__(self, shape: ModelShape, backend: ExpertBackend) -> None:
        super().__init__()
        d, h, num_experts = shape.width, shape.expert_width, shape.num_experts
        self.top_k, self.num_experts, self.backend = shape.top_k, num_experts, backend
        self.architecture = shape.architecture
        self.up = parameter(num_experts, 2 * h, d, tag=Tag(Role.EXPERT_UP, d, 2 * h))
        self.down = parameter(num_experts, d, h, tag=Tag(Role.EXPERT_DOWN, h, d, writes_residual=True))
        self.router = parameter(num_experts, d, tag=Tag(Role.ROUTER, d, num_experts)) if num_experts > 1 else None
        has_bias = self.router is not None and self.architecture.expert_bias
        self.register_buffer("expert_bias", torch.zeros(num_experts) if has_bias else None)
        s = shape.shared_width
        self.shared_up = parameter(2 * s, d, tag=Tag(Role.SHARED_UP, d, 2 * s)) if s else None
        self.shared_down = parameter(d, s, tag=Tag(Role.SHARED_DOWN, s, d, writes_residual=True)) if s else None

    def forward(self, x_bsd: Tensor) -> tuple[Tensor, RouterStats]:
        x_td = x_bsd.flatten(0, 1)
        y_td, stats = self._routed(x_td)
        if self.shared_up is not None and self.shared_down is not None:
            y_td = y_td + linear(swiglu(linear(x_td, self.shared_up)), self.shared_down)
        return y_td.view_as(x_bsd), stats

    def _routed(self, x_td: Tensor) -> tuple[Tensor, RouterStats]:
        if self.router is None:
            one = x_td.new_ones(1, dtype=torch.float32)
            y_td = linear(swiglu(linear(x_td, self.up[0])), self.down[0])
            return y_td, RouterStats(one, x_td.new_zeros((), dtype=torch.float32), one)
        routing = self.routing(x_td)
        up, down = self.up.to(x_td.dtype), self.down.to(x_td.dtype)
        return self.backend(x_td, routing.expert_tk, routing.weight_tk, up, down), routing.stats

    def routing(self, x_td: Tensor) -> Routing:
        """Of a block with a router."""
        assert self.router is not None
        return route(linear(x_td.float(), self.router), self.top_k, self.architecture, self.expert_bias)
