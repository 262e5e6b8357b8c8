"""Causal self-attention with RoPE and QK-norm."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrladder.models.parameters import linear, parameter
from lrladder.models.roles import Role, Tag
from lrladder.models.shape import ModelShape

ROPE_BASE = 10_000.0  # RoFormer, arXiv 2104.09864
NORM_EPS = 1e-6  # assumption: keeps RMSNorm finite and is far below the mean square of any activation


class RMSNorm(nn.Module):
    """x / rms(x) * gain over the last dimension."""

    def __init__(self, width: int, *, in_block: bool = True) -> None:
        super().__init__()
        self.gain = parameter(width, tag=Tag(Role.NORM, 1, width, in_block=in_block))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.gain.to(x.dtype), NORM_EPS)


def rope_table(seq_len: int, head_size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines, each [seq_len, head_size / 2], fp32."""
    frequency = ROPE_BASE ** (-torch.arange(0, head_size, 2, device=device, dtype=torch.float32) / head_size)
    angle = torch.arange(seq_len, device=device, dtype=torch.float32)[:, None] * frequency
    return angle.cos(), angle.sin()


def rotate(x_bhsd: Tensor, cos_sd: Tensor, sin_sd: Tensor) -> Tensor:
    """RoPE on [batch, heads, seq, head_size]: the first and second halves are the rotated pairs."""
    first, second = x_bhsd.chunk(2, dim=-1)
    cos, sin = cos_sd.to(x_bhsd.dtype), sin_sd.to(x_bhsd.dtype)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class Attention(nn.Module):
    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        width = shape.width
        self.num_heads, self.head_size = shape.num_heads, shape.head_size
        self.qkv = parameter(3 * width, width, tag=Tag(Role.ATTENTION, width, 3 * width))
        self.out = parameter(width, width, tag=Tag(Role.ATTENTION, width, width, writes_residual=True))
        self.q_norm, self.k_norm = RMSNorm(shape.head_size), RMSNorm(shape.head_size)

    def forward(self, x_bsd: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
        batch, seq, width = x_bsd.shape
        qkv = linear(x_bsd, self.qkv).view(batch, seq, 3, self.num_heads, self.head_size)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        q, k = rotate(self.q_norm(q), *rope), rotate(self.k_norm(k), *rope)
        # the default scale is 1/sqrt(head_size); it is constant, because a ladder has one head size
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return linear(mixed.transpose(1, 2).reshape(batch, seq, width), self.out)
