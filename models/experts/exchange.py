"""Experts that are spread over ranks: every row goes to the rank that has its expert, and back. No row is dropped."""

from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lrladder.models.experts.permuted import ExpertBackend, permuted
from lrladder.models.parameters import tag_of


class Share(NamedTuple):
    """The experts that this rank holds: number `part` of equal parts, in the order of the experts.

    The ranks of `group` hold one part each, in order. The ranks of `copies` hold this part.
    """

    part: int
    num_parts: int
    group: Any
    copies: Any

    def of(self, whole: Tensor) -> Tensor:
        """This rank's part of a tensor [E, ...] of all experts."""
        return whole.chunk(self.num_parts)[self.part]

    def join(self, part: Tensor) -> Tensor:
        """The tensor [E, ...] of all experts, from the parts of all ranks of the group, which must all call this."""
        parts = [torch.empty_like(part) for _ in range(self.num_parts)]
        dist.all_gather(parts, part.contiguous(), group=self.group)
        return torch.cat(parts)

    def sum(self, values: list[float], device: torch.device) -> list[float]:
        """The sums of values over the ranks of the group, which must all call this."""
        total = torch.tensor(values, dtype=torch.float64, device=device)
        dist.all_reduce(total, group=self.group)
        found: list[float] = total.tolist()
        return found


def share_of(param: Tensor) -> Share | None:
    """The share of a parameter whose experts are spread over ranks; None for any other parameter."""
    share: Share | None = getattr(param, "share", None)
    return share


def shared_out(param: nn.Parameter, name: str, share: Share) -> nn.Parameter:
    """A parameter with this rank's part of the experts in `param`, and the same role."""
    made = nn.Parameter(share.of(param.detach()).clone())
    made.tag, made.share = tag_of(param, name), share  # type: ignore[attr-defined]
    return made


def exchanged(backend: ExpertBackend, share: Share) -> ExpertBackend:
    """A backend with the weights [E / ranks, ...] of this rank's experts, for choices among all E.

    `backend` computes the rows that arrive at this rank. Each row has one expert.
    """

    def run(x_rd: Tensor, rows_e: Tensor, up_f2hd: Tensor, down_fdh: Tensor) -> Tensor:
        leaving_nf = rows_e.view(share.num_parts, -1)  # rows to each rank, for each of its experts
        arriving_nf = torch.empty_like(leaving_nf)
        dist.all_to_all_single(arriving_nf, leaving_nf, group=share.group)
        leaving, arriving = leaving_nf.sum(1).tolist(), arriving_nf.sum(1).tolist()
        expert_a = torch.arange(len(up_f2hd), device=x_rd.device).repeat(share.num_parts)
        expert_a = expert_a.repeat_interleave(arriving_nf.flatten(), output_size=sum(arriving))
        x_ad = _Exchange.apply(x_rd, leaving, arriving, share.group)
        one_a = x_ad.new_ones((len(x_ad), 1), dtype=torch.float32)
        y_ad = backend(x_ad, expert_a[:, None], one_a, up_f2hd, down_fdh)
        y_rd: Tensor = _Exchange.apply(y_ad, arriving, leaving, share.group)
        return y_rd

    return permuted(run, ranks=share.num_parts)


class _Exchange(torch.autograd.Function):
    """Send rows to the ranks of a group, `leaving[i]` of them to rank i, and receive `arriving[i]` from it.

    The backward pass sends the gradients the other way.
    """

    @staticmethod
    def forward(ctx: Any, x_rd: Tensor, leaving: list[int], arriving: list[int], group: Any) -> Tensor:
        ctx.sent = leaving, arriving, group
        return _sent(x_rd, leaving, arriving, group)

    @staticmethod
    def backward(ctx: Any, grad_ad: Tensor) -> tuple[Tensor, None, None, None]:
        leaving, arriving, group = ctx.sent
        return _sent(grad_ad, arriving, leaving, group), None, None, None


def _sent(x_rd: Tensor, leaving: list[int], arriving: list[int], group: Any) -> Tensor:
    received = x_rd.new_empty((sum(arriving), x_rd.shape[1]))
    dist.all_to_all_single(received, x_rd.contiguous(), arriving, leaving, group=group)
    return received
