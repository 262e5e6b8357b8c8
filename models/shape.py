"""The shape of a model: its sizes, parameter counts and training FLOPs. This file does not import torch."""

import math
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lrladder.models.architecture import OWN, Architecture
from lrladder.models.roles import Role

MAX_SIZE = 2**24  # assumption: about a hundred times the widest published model and longest context
Size = Annotated[int, Field(gt=0, le=MAX_SIZE)]
Depth = Annotated[int, Field(gt=0, le=4096)]  # assumption: about thirty times the deepest published model

OF_LATENTS = ("kv_rank", "q_rank", "rope_size", "value_size")  # fields that only latent attention has


def nearest_divisor(number: int, wanted: float) -> int:
    """The divisor of `number` that is nearest to `wanted` in ratio."""
    small = [divisor for divisor in range(1, math.isqrt(number) + 1) if number % divisor == 0]
    divisors = {*small, *(number // divisor for divisor in small)}
    return min(sorted(divisors), key=lambda divisor: abs(math.log(divisor / wanted)))


class ModelShape(BaseModel):
    """Sizes of one decoder-only MoE transformer, or of a dense SwiGLU transformer when `num_experts` is 1.

    Parameter counts leave out token embedding and LM head, as Step Law does (arXiv 2503.04715).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)  # built at first use

    vocab_size: Size
    """Number of token ids."""
    width: Size
    """Width of the residual stream."""
    depth: Depth
    """Number of blocks."""
    head_size: Size
    """Width of one attention head."""
    num_experts: Size
    """Number of routed experts in each block; 1 for a dense model."""
    top_k: Size
    """Number of routed experts that each token uses."""
    expert_width: Size
    """Hidden width of one routed expert."""
    shared_width: Annotated[int, Field(le=MAX_SIZE)] = 0
    """Hidden width of the shared expert. 0 means that there is none; several are one expert of their joint width."""
    seq_len: Size
    """Tokens of one training sequence."""
    # A dump leaves out these fields with their default, so that the ids of older trials do not change.
    heads: Size | None = Field(None, exclude_if=lambda heads: heads is None)
    """Number of heads of queries. null: width / head_size."""
    kv_heads: Size | None = Field(None, exclude_if=lambda heads: heads is None)
    """Number of heads of keys and of values (grouped queries). null: one for each head of queries."""
    dense_blocks: Size | None = Field(None, exclude_if=lambda blocks: blocks is None)
    """Number of first blocks that have a dense SwiGLU instead of experts. null: none."""
    dense_width: Size | None = Field(None, exclude_if=lambda width: width is None)
    """Hidden width of the dense blocks."""
    kv_rank: Size | None = Field(None, exclude_if=lambda rank: rank is None)
    """Width of the latent from which all keys and values are computed (multi-head latent attention). null: none."""
    q_rank: Size | None = Field(None, exclude_if=lambda rank: rank is None)
    """Width of the latent from which all queries are computed. null: they are computed from the residual stream."""
    rope_size: Size | None = Field(None, exclude_if=lambda size: size is None)
    """With kv_rank: the last entries of a head, which RoPE turns. All heads share these entries of the keys."""
    value_size: Size | None = Field(None, exclude_if=lambda size: size is None)
    """With kv_rank: width of one head of values; head_size is that of queries and keys."""
    architecture: Architecture = Field(OWN, exclude_if=lambda given: given == OWN)
    """What the blocks compute, such as norms and RoPE."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.heads is None and self.width % self.head_size:
            raise ValueError(f"width {self.width} is not divisible by head_size {self.head_size}; change one of them")
        if self.head_size % 2:
            raise ValueError(f"head_size {self.head_size} is odd, but RoPE needs an even one; change it")
        self._require_latents()
        if self.rotary_size % 2 or not self.rotary_size:
            raise ValueError(
                f"rotary_fraction {self.architecture.rotary_fraction:g} gives RoPE {self.rotary_size} of head_size "
                f"{self.head_size}; RoPE needs an even number"
            )
        if self.num_heads % self.num_kv_heads:
            raise ValueError(f"heads {self.num_heads} is not a multiple of kv_heads {self.num_kv_heads}; change one")
        if self.top_k > self.num_experts:
            raise ValueError(f"top_k {self.top_k} is more than num_experts {self.num_experts}; lower top_k")
        self._require_groups()
        self._require_experts_after_dense_blocks()
        if self.shared_width < 0:
            raise ValueError(f"shared_width {self.shared_width} is negative; give 0 for no shared expert")
        return self

    def _require_latents(self) -> None:
        """Latent attention has all of its sizes, and nothing that it replaces."""
        if self.kv_rank is None:
            if self.q_rank or self.rope_size or self.value_size:
                raise ValueError("q_rank, rope_size and value_size go with kv_rank; give it too, or leave them out")
            return
        if self.rope_size is None or self.value_size is None:
            raise ValueError("kv_rank needs rope_size and value_size; give both")
        if self.rope_size % 2 or self.rope_size >= self.head_size:
            raise ValueError(f"rope_size {self.rope_size} is not an even number below head_size {self.head_size}")
        if self.kv_heads not in (None, self.heads):
            raise ValueError("kv_heads: with kv_rank each head has its own keys and values; leave kv_heads out")
        asked = self.architecture
        if asked.qk_norm != "none" or asked.qkv_bias or asked.rotary_fraction != 1:
            raise ValueError(
                "kv_rank goes with architecture qk_norm none, qkv_bias false and rotary_fraction 1, as its norms are "
                "of its latents and rope_size says what RoPE turns; set these three"
            )

    def _require_groups(self) -> None:
        """Groups of experts are equal, of at least two, and those that a token uses hold its top k."""
        asked = self.architecture
        if asked.num_groups == 1:
            return
        size, left = divmod(self.num_experts, asked.num_groups)
        if left or size < 2:
            raise ValueError(
                f"num_groups {asked.num_groups}: {self.num_experts} experts make no equal groups of two or more"
            )
        if self.top_k > size * asked.top_groups:
            raise ValueError(
                f"top_k {self.top_k} is more than the {size * asked.top_groups} experts of top_groups "
                f"{asked.top_groups}; change one of them"
            )

    def _require_experts_after_dense_blocks(self) -> None:
        if (self.dense_blocks is None) != (self.dense_width is None):
            raise ValueError("dense_blocks and dense_width go together; give both or neither")
        if self.num_dense >= self.depth:
            raise ValueError(f"dense_blocks {self.num_dense} leaves no block of {self.depth} with experts; give fewer")
        if self.dense_blocks and self.num_experts == 1:
            raise ValueError("dense_blocks: with num_experts 1 all blocks are dense; leave it and dense_width out")

    @property
    def roles(self) -> tuple[Role, ...]:
        """The roles of the model's parameters."""
        tied, shared, dense = self.architecture.tied, self.shared_width > 0, self.num_dense > 0
        optional = {
            Role.EMBEDDING: not tied,
            Role.HEAD: not tied,
            Role.TIED: tied,
            Role.ROUTER: self.num_experts > 1,
            Role.SHARED_UP: shared,
            Role.SHARED_DOWN: shared,
            Role.DENSE_UP: dense,
            Role.DENSE_DOWN: dense,
            Role.BIAS: self.architecture.qkv_bias,
            Role.Q_A: self.q_rank is not None,
            Role.Q_B: self.q_rank is not None,
            Role.KV_A: self.kv_rank is not None,
            Role.KV_B: self.kv_rank is not None,
        }
        return tuple(role for role in Role if optional.get(role, True))

    @property
    def num_dense(self) -> int:
        """Dense blocks before those with experts."""
        return self.dense_blocks or 0

    @property
    def num_heads(self) -> int:
        """Number of heads of queries."""
        return self.heads or self.width // self.head_size

    @property
    def num_kv_heads(self) -> int:
        """Number of heads of keys, and of values."""
        return self.kv_heads or self.num_heads

    @property
    def attention_width(self) -> int:
        """Width of all heads of queries together. It is the width of the model unless `heads` is given."""
        return self.width if self.heads is None else self.heads * self.head_size

    @property
    def kv_width(self) -> int:
        """Width of all heads of keys together, and of all heads of values."""
        return self.attention_width if self.kv_heads is None else self.kv_heads * self.head_size

    @property
    def value_width(self) -> int:
        """Width of all heads of values together, once for each head of queries. Attention's output reads it."""
        return self.attention_width if self.value_size is None else self.num_heads * self.value_size

    @property
    def rotary_size(self) -> int:
        """Entries of each head that RoPE turns, rounded down as in the transformers library."""
        return self.rope_size or int(self.head_size * self.architecture.rotary_fraction)

    @property
    def qk_norm_sizes(self) -> tuple[int, int]:
        """Number of gains of the norm of queries, and of the norm of keys, in one block."""
        own = {"head": (self.head_size, self.head_size), "full": (self.attention_width, self.kv_width), "none": (0, 0)}
        return own[self.architecture.qk_norm]

    def _n_blocks(self, experts: int) -> int:
        """Parameters of all blocks, with so many experts in each that has any."""
        routed = self.depth - self.num_dense
        dense = 3 * self.width * (self.dense_width or 0)
        return self.depth * self._n_rest + self.num_dense * dense + routed * self._n_moe(experts)

    def _n_moe(self, experts: int) -> int:
        router = self.width * self.num_experts if self.num_experts > 1 else 0
        return 3 * self.width * (experts * self.expert_width + self.shared_width) + router

    @property
    def _n_rest(self) -> int:
        """Attention, and the norms before attention and before the experts, of one block."""
        return 2 * self.width + (self._n_attention if self.kv_rank is None else self._n_latent_attention(self.kv_rank))

    @property
    def _n_attention(self) -> int:
        matrices = 2 * self.width * (self.attention_width + self.kv_width)  # q and out; k and v
        biases = self.attention_width + 2 * self.kv_width if self.architecture.qkv_bias else 0
        return matrices + biases + sum(self.qk_norm_sizes)

    def _n_latent_attention(self, kv_rank: int) -> int:
        d, heads, rope = self.width, self.num_heads, self.rotary_size
        q_rank, all_q = self.q_rank, self.attention_width
        # 1: the gains of the norm of a latent
        queries = d * all_q if q_rank is None else q_rank * (d + 1 + all_q)
        keys_and_values = heads * (self.head_size - rope) + self.value_width
        return queries + d * (kv_rank + rope) + kv_rank * (1 + keys_and_values) + self.value_width * d

    @property
    def n_total(self) -> int:
        """Non-embedding parameters, with all experts."""
        return self._n_blocks(self.num_experts) + self.width

    @property
    def n_experts(self) -> int:
        """Parameters of all routed experts, without routers and shared experts."""
        return (self.depth - self.num_dense) * 3 * self.width * self.num_experts * self.expert_width

    @property
    def n_active(self) -> int:
        """Non-embedding parameters that one token uses: of the routed experts, only top_k in each block."""
        return self._n_blocks(self.top_k) + self.width

    @property
    def n_embedding(self) -> int:
        """Parameters of the token embedding and of the LM head, which are one matrix if they are tied."""
        return (1 if self.architecture.tied else 2) * self.vocab_size * self.width

    @property
    def flops_per_token(self) -> int:
        """Training FLOPs (forward + backward) per token.

        Each active non-embedding parameter and each parameter of the LM head costs 6. The embedding look-up is free.
        Causal attention adds 3 * depth * seq_len * (attention width + value width), which are equal but for latent
        attention. The factor for both is 12 in PaLM (arXiv 2204.02311 appendix B); the causal mask halves it.
        """
        head = self.vocab_size * self.width
        scores_and_values = self.attention_width + self.value_width
        return 6 * (self.n_active + head) + 3 * self.depth * self.seq_len * scores_and_values
