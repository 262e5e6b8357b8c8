"""Small shapes for tests."""

from lrladder.models.shape import ModelShape


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
