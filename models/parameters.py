"""Parameters that carry their role: how they are made, and how the role is read."""

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


def tag_of(param: nn.Parameter, name: str) -> Tag:
    """The tag of a parameter. Raises ValueError if it has none."""
    tag = getattr(param, "tag", None)
    if not isinstance(tag, Tag):
        raise ValueError(f"parameter {name} has no role; make it with models.parameters.parameter")
    return tag
