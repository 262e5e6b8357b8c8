"""Rows of (token, choice) sorted by expert in torch, for GEMMs that know nothing of routing."""

from collections.abc import Callable

import torch
from torch import Tensor

# (x [rows, d] sorted by expert, rows per expert [E], up [E, 2h, d], down [E, d, h]) -> [rows, d]
RowsBackend = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
ExpertBackend = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def count(expert_tk: Tensor, num_experts: int) -> Tensor:
    """Rows of each expert, [E] int64. Its size does not depend on the data, unlike bincount's: it can be compiled."""
    chosen = expert_tk.flatten()
    return chosen.new_zeros(num_experts).scatter_add_(0, chosen, torch.ones_like(chosen))


def permuted(experts: RowsBackend) -> ExpertBackend:
    """A backend that permutes once per layer, runs `experts`, and adds up each token's choices."""

    def run(x_td: Tensor, expert_tk: Tensor, weight_tk: Tensor, up_e2hd: Tensor, down_edh: Tensor) -> Tensor:
        top_k = expert_tk.shape[-1]
        order = expert_tk.flatten().argsort(stable=True)  # rows of (token, choice), grouped by expert
        rows_e = count(expert_tk, len(up_e2hd))
        y_rd = experts(x_td[order // top_k], rows_e, up_e2hd, down_edh)
        y_tkd = y_rd[_inverse(order)].view(-1, top_k, x_td.shape[-1])
        return (y_tkd * weight_tk.to(y_tkd.dtype)[..., None]).sum(1)

    return run


def _inverse(order: Tensor) -> Tensor:
    places = torch.arange(len(order), device=order.device)
    return torch.empty_like(order).scatter_(0, order, places)
