"""The reference backend that the others are tested against: a plain loop over experts."""

import torch
import torch.nn.functional as F
from torch import Tensor


def swiglu(gate_up: Tensor) -> Tensor:
    """silu(gate) * up for [..., 2h] -> [..., h]; gate is the first half."""
    gate, up = gate_up.chunk(2, dim=-1)
    return F.silu(gate) * up


def reference_experts(x_rd: Tensor, rows_e: Tensor, up_e2hd: Tensor, down_edh: Tensor) -> Tensor:
    """SwiGLU experts on rows sorted by expert. `rows_e` has the number of rows of each expert, which may be zero."""
    parts = x_rd.split(rows_e.tolist())
    return torch.cat(
        [F.linear(swiglu(F.linear(part, up)), down) for part, up, down in zip(parts, up_e2hd, down_edh, strict=True)]
    )
