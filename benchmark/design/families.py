"""The public architectures that are held, by model_type: what their config.json calls our fields.

What a class computes whatever its file says was read in transformers 5.23.
"""

from typing import Any

from lrladder.benchmark.design.family import (
    OF_ROUTER,
    Family,
    biased_sigmoid,
    first_dense,
    rope_of,
    router_keys,
    shared,
    shared_and_dense,
)
from lrladder.benchmark.design.latent_families import LATENT
from lrladder.models.shape import ModelShape


def _partial(config: Any) -> dict[str, Any]:
    return {"rotary_fraction": float(rope_of(config).get("partial_rotary_factor", 1.0))}


def _ernie_sizes(config: Any) -> dict[str, int | None]:
    width = (config.moe_num_shared_experts or 0) * config.moe_intermediate_size
    return {"shared_width": width} | first_dense(config.moe_layer_start_index, config.intermediate_size)


def _renormalise(shape: ModelShape) -> dict[str, Any]:
    return {"norm_topk_prob": shape.architecture.renormalise}


def _glm_keys(shape: ModelShape) -> dict[str, Any]:
    asked = shape.architecture
    return {
        "use_qk_norm": asked.qk_norm == "head",
        "attention_bias": asked.qkv_bias,
        "partial_rotary_factor": asked.rotary_fraction,
        **router_keys(shape),
    }


def _ernie_keys(shape: ModelShape) -> dict[str, Any]:
    return {
        "moe_num_shared_experts": shape.shared_width // shape.expert_width,
        "moe_layer_start_index": shape.num_dense,
        "moe_layer_end_index": shape.depth - 1,
        "intermediate_size": shape.dense_width or shape.expert_width,
    }


FAMILIES: dict[str, Family] = {
    "mixtral": Family("num_local_experts", "intermediate_size", lambda _: {"qk_norm": "none"}, written=lambda _: {}),
    "qwen3_moe": Family(
        "num_experts",
        "moe_intermediate_size",
        lambda config: {"qk_norm": "head", "renormalise": bool(config.norm_topk_prob)},
        reads=frozenset({"norm_topk_prob"}),
        # Qwen3-Coder-480B's file has these keys, which the class does not read.
        fixed={"qkv_bias": (False,), "use_qk_norm": (True,), "shared_expert_intermediate_size": (0,)},
        written=_renormalise,
        unused=frozenset({"intermediate_size"}),  # of dense blocks, and there are none
    ),
    "olmoe": Family(
        "num_experts",
        "intermediate_size",
        lambda config: {"qk_norm": "full", "renormalise": bool(config.norm_topk_prob)},
        reads=frozenset({"norm_topk_prob"}),
        written=_renormalise,
    ),
    "glm4_moe": Family(
        "n_routed_experts",
        "moe_intermediate_size",
        lambda config: {
            "qk_norm": "head" if config.use_qk_norm else "none",
            "qkv_bias": bool(config.attention_bias),
            **_partial(config),
            **biased_sigmoid(config),
        },
        shared_and_dense,
        reads=OF_ROUTER | {"use_qk_norm", "attention_bias", "first_k_dense_replace", "intermediate_size"},
        fixed={"scoring_func": ("sigmoid",), "topk_method": ("noaux_tc",)},
        written=_glm_keys,
    ),
    "dots1": Family(
        "n_routed_experts",
        "moe_intermediate_size",
        lambda config: {"qk_norm": "head", **biased_sigmoid(config)},
        shared_and_dense,
        reads=OF_ROUTER | {"first_k_dense_replace", "intermediate_size"},
        fixed={"scoring_func": ("noaux_tc", "sigmoid"), "topk_method": ("noaux_tc",), "moe_layer_freq": (1,)},
    ),
    "minimax_m2": Family(
        "num_local_experts",
        "intermediate_size",
        lambda config: {"qk_norm": "full", "score": "sigmoid", "expert_bias": True, **_partial(config)},
        fixed={
            "scoring_func": ("sigmoid",),
            "use_routing_bias": (True,),
            "use_qk_norm": (True,),
            "qk_norm_type": ("per_layer",),
            "shared_intermediate_size": (0,),
        },
        written=lambda shape: {"rotary_dim": shape.rotary_size},
        unused=frozenset({"mlp_intermediate_size", "shared_moe_mode"}),  # of parts that the class does not have
    ),
    "solar_open": Family(
        "n_routed_experts",
        "moe_intermediate_size",
        lambda config: {
            "qk_norm": "none",
            "qkv_bias": bool(config.attention_bias),
            **_partial(config),
            **biased_sigmoid(config),
        },
        shared,
        reads=OF_ROUTER | {"attention_bias"},
        fixed={"first_k_dense_replace": (0,), "use_qk_norm": (False,)},
        unused=frozenset({"intermediate_size"}),  # of dense blocks, and there are none
    ),
    "ernie4_5_moe": Family(
        "moe_num_experts",
        "moe_intermediate_size",
        lambda _: {"qk_norm": "none", "rope_pairs": "neighbours", "expert_bias": True},
        _ernie_sizes,
        reads=frozenset(
            {"moe_k", "moe_num_shared_experts", "moe_layer_start_index", "moe_layer_end_index", "intermediate_size"}
        ),
        fixed={
            "use_bias": (False, None),
            "moe_layer_interval": (1,),
            "moe_norm_min": (1e-12,),  # a floor of the sum of the chosen weights, which these never reach
            "use_rmsnorm": (True,),
            "moe_gate": ("topk",),
            "moe_use_aux_free": (True,),
        },
        written=_ernie_keys,
        unused=frozenset({"moe_capacity"}),  # nothing is dropped
    ),
    **LATENT,
}
