"""Sorts rows of (token, choice) by expert in torch, for GEMMs that do not handle routing."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# (x [rows, d] sorted by expert, rows per expert [E], up [E, 2h, d], down [E, d, h]) -> [rows, d]
RowsBackend = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
ExpertBackend = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def chosen(expert_tk: Tensor, num_experts: int) -> Tensor:
    """One-hot form of the chosen experts: bool [T, k, E]."""
    return expert_tk[..., None] == torch.arange(num_experts, device=expert_tk.device)


def permuted(experts: RowsBackend, *, ranks: int = 1) -> ExpertBackend:
    """A backend that sorts rows by expert once per layer, runs `experts`, and sums each token's weighted choices.

    If the experts are spread over several ranks, the weights are those of this rank's experts alone.
    """

    def run(x_td: Tensor, expert_tk: Tensor, weight_tk: Tensor, up_e2hd: Tensor, down_edh: Tensor) -> Tensor:
        top_k = expert_tk.shape[-1]
        order = expert_tk.flatten().argsort(stable=True)  # rows of (token, choice), grouped by expert
        inverse = _inverse(order)
        rows_e = chosen(expert_tk, ranks * len(up_e2hd)).sum((0, 1))
        x_rd = Taken.apply(x_td, order // top_k, inverse.view(-1, top_k))
        y_rd = experts(x_rd, rows_e, up_e2hd, down_edh)
        y_tkd = Taken.apply(y_rd, inverse, order[:, None]).view(-1, top_k, x_td.shape[-1])
        return (y_tkd * weight_tk.to(y_tkd.dtype)[..., None]).sum(1)

    return run


class Taken(torch.autograd.Function):
    """x[index], with a backward pass that gathers.

    `index` takes every row of x n times; `back` [rows of x, n] has the places where it does. Autograd's own backward
    pass would be a scatter. On a GPU that means atomic adds; on a CPU torch 2.13 may compile it to run after the code
    that reads its result (docs/performance.md).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(back)
        return x[index]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (back,) = ctx.saved_tensors
        return grad[back].sum(1), None, None


def _inverse(order: Tensor) -> Tensor:
    places = torch.arange(len(order), device=order.device)
    return torch.empty_like(order).scatter_(0, order, places)
