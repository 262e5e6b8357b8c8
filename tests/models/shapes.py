"""Small shapes for tests."""

from lrladder.models.architecture import Architecture
from lrladder.models.shape import ModelShape

# As in GLM-4.5, with groups of experts as in DeepSeek-V3.
LIKE_GLM = Architecture(
    norm_eps=1e-5,
    rope_theta=1e6,
    qkv_bias=True,
    rotary_fraction=0.5,
    routed_scale=2.5,
    score="sigmoid",
    expert_bias=True,
    num_groups=2,
    top_groups=1,
)

# As in DeepSeek-V3.
LIKE_DEEPSEEK = LIKE_GLM.model_copy(
    update={"qk_norm": "none", "qkv_bias": False, "rotary_fraction": 1.0, "rope_pairs": "neighbours"}
)


def moe_shape(**changes: int) -> ModelShape:
    sizes = {
        "vocab_size": 64,
        "width": 32,
        "depth": 2,
        "head_size": 8,
        "num_experts": 4,
        "top_k": 2,
        "expert_width": 32,
        "seq_len": 16,
    }
    return ModelShape(**(sizes | changes))


def dense_shape(**changes: int) -> ModelShape:
    return moe_shape(**({"num_experts": 1, "top_k": 1} | changes))


def tied_shape(**changes: int) -> ModelShape:
    """With one matrix for embedding and head."""
    return ModelShape(**moe_shape(**changes).model_dump(), architecture=Architecture(tied=True))


def public_shape(**changes: int) -> ModelShape:
    """Of a public model: grouped queries, a shared expert and a dense first block."""
    sizes = {"heads": 8, "kv_heads": 4, "shared_width": 16, "dense_blocks": 1, "dense_width": 48}
    return ModelShape(**moe_shape().model_dump() | sizes | changes, architecture=LIKE_GLM)


def latent_shape(**changes: int | None) -> ModelShape:
    """With latent attention, a shared expert and a dense first block, as in DeepSeek-V3."""
    sizes = {"heads": 4, "kv_rank": 16, "q_rank": 24, "rope_size": 4, "value_size": 6}
    sizes |= {"shared_width": 16, "dense_blocks": 1, "dense_width": 48}
    return ModelShape(**moe_shape().model_dump() | sizes | changes, architecture=LIKE_DEEPSEEK)


def wide_latent_shape() -> ModelShape:
    """Twice as wide as `latent_shape`, 1.5 times as deep, and with ranks that are 2 and 3 times as large."""
    sizes = {"width": 64, "expert_width": 64, "shared_width": 32, "dense_width": 96, "depth": 3}
    return latent_shape(**sizes, heads=8, kv_rank=32, q_rank=72)
