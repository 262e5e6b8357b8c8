"""Dropless top-k mixture of SwiGLU experts, with the losses that keep its router balanced."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

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


def route(logits_te: Tensor, top_k: int, *, renormalise: bool = True) -> Routing:
    """Choose the top-k experts of each token by logits [T, E]. Weights are an fp32 softmax over the chosen logits.

    This equals a softmax over all experts that is renormalised over the chosen ones. Without `renormalise` the weights
    are those of the softmax over all experts, and sum to less than 1.
    """
    logits_te = logits_te.float()
    expert_tk = logits_te.detach().topk(top_k, dim=-1).indices
    num_experts = logits_te.shape[-1]
    is_chosen_tke = chosen(expert_tk, num_experts)
    logits_tk = torch.where(is_chosen_tke, logits_te[:, None], 0).sum(-1)  # no scatter in its backward; see `Taken`
    load_e = is_chosen_tke.sum((0, 1)).float() / expert_tk.numel()
    stats = RouterStats(
        probability_e=logits_te.softmax(-1).mean(0),
        router_z=logits_te.logsumexp(-1).square().mean(),  # ST-MoE, arXiv 2202.08906 eq. 5
        load_e=load_e,
    )
    rest = logits_tk - logits_te.logsumexp(-1, keepdim=True)
    weight_tk = logits_tk.softmax(-1) if renormalise else rest.exp()
    return Routing(weight_tk, expert_tk, stats)


class MoE(nn.Module):
    """Routed experts and an optional shared expert. With one routed expert there is no router (a dense block)."""

    def __init__(self, shape: ModelShape, backend: ExpertBackend) -> None:
        super().__init__()
        d, h, num_experts = shape.width, shape.expert_width, shape.num_experts
        self.top_k, self.num_experts, self.backend = shape.top_k, num_experts, backend
        self.renormalise = shape.architecture.renormalise
        self.up = parameter(num_experts, 2 * h, d, tag=Tag(Role.EXPERT_UP, d, 2 * h))
        self.down = parameter(num_experts, d, h, tag=Tag(Role.EXPERT_DOWN, h, d, writes_residual=True))
        self.router = parameter(num_experts, d, tag=Tag(Role.ROUTER, d, num_experts)) if num_experts > 1 else None
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
        routing = route(linear(x_td.float(), self.router), self.top_k, renormalise=self.renormalise)
        up, down = self.up.to(x_td.dtype), self.down.to(x_td.dtype)
        return self.backend(x_td, routing.expert_tk, routing.weight_tk, up, down), routing.stats
