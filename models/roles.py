"""What each parameter is. Roles and fans are given where a parameter is made and never guessed from its shape."""

from enum import StrEnum
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Role(StrEnum):
    EMBEDDING = "embedding"
    ATTENTION = "attention"
    ROUTER = "router"
    EXPERT_UP = "expert_up"  # gate and up
    EXPERT_DOWN = "expert_down"
    SHARED_UP = "shared_up"
    SHARED_DOWN = "shared_down"
    NORM = "norm"
    HEAD = "head"


class Tag(NamedTuple):
    """Role and fans of one parameter. `writes_residual`: its output is added to the residual stream.

    `in_block`: it is part of one of the model's blocks, so that rules of depth apply.
    """

    role: Role
    fan_in: int
    fan_out: int
    writes_residual: bool = False
    in_block: bool = True


def parameter(*shape: int, tag: Tag, device: torch.device | str | None = None) -> nn.Parameter:
    """An uninitialised parameter that carries its tag. Matrices are [..., fan_out, fan_in], as in nn.Linear."""
    made = nn.Parameter(torch.empty(*shape, device=device))
    made.tag = tag  # type: ignore[attr-defined]
    return made


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """x W^T in the dtype of x: weights stay in fp32, bf16 is for activations and products."""
    return F.linear(x, weight.to(x.dtype))


def tag_of(param: nn.Parameter, name: str) -> Tag:
    tag = getattr(param, "tag", None)
    if not isinstance(tag, Tag):
        raise ValueError(f"parameter {name} has no role; make it with models.roles.parameter")
    return tag
