"""Parameters that carry their role: how they are made, and how the role is read."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrladder.models.roles import Tag


def parameter(*shape: int, tag: Tag, device: torch.device | str | None = None) -> nn.Parameter:
    """An uninitialised parameter with a tag. Matrices are [..., fan_out, fan_in], as in nn.Linear."""
    made = nn.Parameter(torch.empty(*shape, device=device))
    made.tag = tag  # type: ignore[attr-defined]
    return made


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W^T + b in the dtype of x. Weights are fp32 and rounded here: bf16 is for activations and products."""
    return F.linear(x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype))


def to_logits(x: Tensor, weight: Tensor) -> Tensor:
    """As `linear`, for a weight [V, d] with many more rows than columns.

    On a CPU its gradient is computed as (x^T G)^T. Autograd would compute G^T x, for which MKL takes up to twice as
    long (docs/performance.md).
    """
    if x.is_cuda:
        return linear(x, weight)
    found: Tensor = _ToLogits.apply(x, weight.to(x.dtype))
    return found


class _ToLogits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.linear(x, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        by_weight = (x.flatten(0, -2).t() @ grad.flatten(0, -2)).t()
        return grad @ weight, by_weight


def tag_of(param: nn.Parameter, name: str) -> Tag:
    """The tag of a parameter. Raises ValueError if it has none."""
    tag = getattr(param, "tag", None)
    if not isinstance(tag, Tag):
        raise ValueError(f"parameter {name} has no role; make it with models.parameters.parameter")
    return tag
