"""Causal self-attention with RoPE: grouped queries, and norms of queries and keys in each head or over all of them.

A kind of attention is a module with the matrix `out`, `qkv_bias` (which may be None), and the methods `forward` and
`inputs`. It puts its queries, keys and values through `Mixing`, where hooks find them.
"""

import functools
from collections.abc import Callable, Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrladder.models.architecture import OWN_NORM_EPS, Architecture
from lrladder.models.calls import Call
from lrladder.models.parameters import linear, parameter
from lrladder.models.roles import Role, Tag
from lrladder.models.shape import ModelShape


class RMSNorm(nn.Module):
    """x / rms(x) * gain over the last dimension."""

    def __init__(
        self, width: int, eps: float = OWN_NORM_EPS, *, in_block: bool = True, before_tied_head: bool = False
    ) -> None:
        super().__init__()
        self.eps = eps
        tag = Tag(Role.NORM, 1, width, in_block=in_block, before_tied_head=before_tied_head)
        self.gain = parameter(width, tag=tag)

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.gain.to(x.dtype), self.eps)


class AllHeadsNorm(RMSNorm):
    """RMSNorm over all heads together of [batch, heads, seq, head_size], as in OLMoE (arXiv 2409.02060)."""

    def forward(self, x_bhsd: Tensor) -> Tensor:
        return super().forward(x_bhsd.transpose(1, 2).flatten(2)).view_as(x_bhsd.transpose(1, 2)).transpose(1, 2)


@functools.lru_cache(maxsize=8)  # every step of a run asks for the same one
def rope_table(seq_len: int, head_size: int, theta: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines, each [seq_len, head_size / 2], fp32."""
    frequency = theta ** (-torch.arange(0, head_size, 2, device=device, dtype=torch.float32) / head_size)
    angle = torch.arange(seq_len, device=device, dtype=torch.float32)[:, None] * frequency
    return angle.cos(), angle.sin()


def rope_of(shape: ModelShape, seq_len: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The `rope_table` of a model."""
    return rope_table(seq_len, shape.rotary_size, shape.architecture.rope_theta, device)


def rotate(x_bhsd: Tensor, cos_sd: Tensor, sin_sd: Tensor) -> Tensor:
    """RoPE on [batch, heads, seq, head_size]: the first and second halves are the rotated pairs."""
    first, second = x_bhsd.chunk(2, dim=-1)
    cos, sin = cos_sd.to(x_bhsd.dtype), sin_sd.to(x_bhsd.dtype)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def rotate_neighbours(x_bhsd: Tensor, cos_sd: Tensor, sin_sd: Tensor) -> Tensor:
    """RoPE whose rotated pairs are entries 0 and 1, 2 and 3 and so on, as in RoFormer and Ernie-4.5."""
    first, second = x_bhsd[..., 0::2], x_bhsd[..., 1::2]
    cos, sin = cos_sd.to(x_bhsd.dtype), sin_sd.to(x_bhsd.dtype)
    return torch.stack((first * cos - second * sin, second * cos + first * sin), dim=-1).flatten(-2)


def rotation_of(architecture: Architecture) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """RoPE with the pairs of an architecture."""
    return {"halves": rotate, "neighbours": rotate_neighbours}[architecture.rope_pairs]


class Mixing(nn.Module):
    """Values [batch, heads, seq, value_size], mixed by the causal softmax of q.k / sqrt(head_size).

    The scale is constant, because a ladder has one head size. Groups of queries may share a key and a value. Heads of
    queries and of values that differ in size are filled up with zeros, because the kernels that do not hold all scores
    in memory want one size.
    """

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        head_size, value_size = q.shape[-1], v.shape[-1]
        if head_size != value_size:
            size = max(head_size, value_size)
            q, k, v = (F.pad(x, (0, size - x.shape[-1])) for x in (q, k, v))
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=head_size**-0.5)
            return mixed[..., :value_size]
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=q.shape[1] != k.shape[1])


class Attention(nn.Module):
    """Causal self-attention. `qkv` has the rows of queries, then of keys, then of values.

    With fewer key-value heads than heads, each group of queries shares one key and one value.
    """

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        width, all_heads, kv = shape.width, shape.attention_width, shape.kv_width
        self.head_size, self.heads = shape.head_size, (shape.num_heads, shape.num_kv_heads, shape.num_kv_heads)
        rows = all_heads + 2 * kv
        self.qkv = parameter(rows, width, tag=Tag(Role.ATTENTION, width, rows))
        has_bias = shape.architecture.qkv_bias
        self.qkv_bias = parameter(rows, tag=Tag(Role.BIAS, 1, rows)) if has_bias else None
        self.out = parameter(width, all_heads, tag=Tag(Role.ATTENTION, all_heads, width, writes_residual=True))
        self.q_norm, self.k_norm = (_qk_norm(shape, size) for size in shape.qk_norm_sizes)
        self.mixing = Mixing()
        self._rotate = rotation_of(shape.architecture)
        self._rotary_size = shape.rotary_size

    def turned(self, x_bhsd: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
        """RoPE on the part of each head that has it."""
        if self._rotary_size == self.head_size:
            return self._rotate(x_bhsd, *rope)
        part, rest = x_bhsd.split((self._rotary_size, self.head_size - self._rotary_size), dim=-1)
        return torch.cat((self._rotate(part, *rope), rest), dim=-1)

    def forward(self, x_bsd: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
        batch, seq, _ = x_bsd.shape
        qkv = linear(x_bsd, self.qkv, self.qkv_bias).view(batch, seq, sum(self.heads), self.head_size)
        q, k, v = (part.transpose(1, 2) for part in qkv.split(self.heads, dim=2))
        q, k = self.turned(self.q_norm(q), rope), self.turned(self.k_norm(k), rope)
        return linear(self.mixing(q, k, v).transpose(1, 2).flatten(2), self.out)

    def inputs(self, calls: Mapping[str, Call]) -> Iterator[tuple[str, Tensor]]:
        """The names of the matrices that read the residual stream, each with what it is multiplied by in the calls."""
        yield "qkv", calls[""].args[0]


def _qk_norm(shape: ModelShape, size: int) -> nn.Module:
    kind, eps = shape.architecture.qk_norm, shape.architecture.norm_eps
    if kind == "none":
        return nn.Identity()
    return RMSNorm(size, eps) if kind == "head" else AllHeadsNorm(size, eps)
