"""Multi-head latent attention (MLA, arXiv 2405.04434): queries, keys and values are computed from narrow latents."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from lrladder.models.attention import Mixing, RMSNorm, rotation_of
from lrladder.models.calls import Call
from lrladder.models.parameters import linear, parameter
from lrladder.models.roles import Role, Tag
from lrladder.models.shape import ModelShape

LATENT_NORM_EPS = 1e-6  # of the published models, whatever their rms_norm_eps: transformers 5.23, DeepseekV3RMSNorm


class LatentAttention(nn.Module):
    """Causal self-attention whose keys and values come from one latent, and whose queries may come from another.

    Rows are ordered as in the transformers library: `q` and `q_b` have, for each head, its entries without RoPE and
    then those with it; `kv_a` has the latent, then the entries of keys with RoPE, which all heads share; `kv_b` has,
    for each head, the keys' entries without RoPE, then the values. `q` is there if queries have no latent.
    """

    qkv_bias = None  # none of the published models has one
    q: nn.Parameter | None

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        assert shape.kv_rank is not None
        assert shape.value_size is not None
        d, kv_rank, rope, heads = shape.width, shape.kv_rank, shape.rotary_size, shape.num_heads
        self.heads, self.plain, self.rope, self.value = heads, shape.head_size - rope, rope, shape.value_size
        self._make_queries(d, shape.q_rank, shape.attention_width)
        self.kv_a = parameter(kv_rank + rope, d, tag=Tag(Role.KV_A, d, kv_rank + rope))
        self.kv_a_norm = RMSNorm(kv_rank, LATENT_NORM_EPS)
        rows = heads * (self.plain + self.value)
        self.kv_b = parameter(rows, kv_rank, tag=Tag(Role.KV_B, kv_rank, rows))
        width = shape.value_width
        self.out = parameter(d, width, tag=Tag(Role.ATTENTION, width, d, writes_residual=True))
        self.mixing = Mixing()
        self._rotate = rotation_of(shape.architecture)

    def _make_queries(self, width: int, rank: int | None, rows: int) -> None:
        if rank is None:
            self.q = parameter(rows, width, tag=Tag(Role.ATTENTION, width, rows))
            return
        self.q = None
        self.q_a = parameter(rank, width, tag=Tag(Role.Q_A, width, rank))
        self.q_a_norm = RMSNorm(rank, LATENT_NORM_EPS)
        self.q_b = parameter(rows, rank, tag=Tag(Role.Q_B, rank, rows))

    def _queries(self, x_bsd: Tensor) -> Tensor:
        if self.q is not None:
            return linear(x_bsd, self.q)
        return linear(self.q_a_norm(linear(x_bsd, self.q_a)), self.q_b)

    def forward(self, x_bsd: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
        q = self._by_head(self._queries(x_bsd))
        latent, k_rope = linear(x_bsd, self.kv_a).split((len(self.kv_a_norm.gain), self.rope), dim=-1)
        k, v = self._by_head(linear(self.kv_a_norm(latent), self.kv_b)).split((self.plain, self.value), dim=-1)
        q, q_rope = q.split((self.plain, self.rope), dim=-1)
        q = torch.cat((q, self._rotate(q_rope, *rope)), dim=-1)
        k = torch.cat((k, self._rotate(k_rope[:, None], *rope).expand(-1, self.heads, -1, -1)), dim=-1)
        return linear(self.mixing(q, k, v).transpose(1, 2).flatten(2), self.out)

    def _by_head(self, x_bsr: Tensor) -> Tensor:
        """Rows of all heads to [batch, heads, seq, rows of a head]."""
        return x_bsr.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def inputs(self, calls: Mapping[str, Call]) -> Iterator[tuple[str, Tensor]]:
        """The names of the matrices, each with what it is multiplied by in the calls."""
        x_bsd = calls[""].args[0]
        if self.q is not None:
            yield "q", x_bsd
        else:
            yield "q_a", x_bsd
            yield "q_b", calls["q_a_norm"].output
        yield "kv_a", x_bsd
        yield "kv_b", calls["kv_a_norm"].output
        yield "out", calls["mixing"].output.transpose(1, 2).flatten(2)
