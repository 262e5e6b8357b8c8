"""The public architectures that are held, by model_type: what their config.json calls our fields.

What a class computes whatever its file says was read in transformers 5.23.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from lrladder.models.shape import ModelShape


class Family(NamedTuple):
    """What one model_type calls our fields, and what its other keys must say.

    `reads`: keys that `architecture` and `sizes` use. `fixed`: keys that must have one of these values where they are
    given, as the model has nothing for any other. `written`: the keys from which the class would make a shape of ours,
    beside those of every family; those of `architecture` and `sizes` the other way round. None: another class computes
    all that this one does. `unused`: keys without effect on training.
    """

    experts: str
    expert_width: str
    architecture: Callable[[Any], dict[str, Any]]
    sizes: Callable[[Any], dict[str, int]] = lambda config: {}
    reads: frozenset[str] = frozenset()
    fixed: Mapping[str, tuple[object, ...]] = {}
    written: Callable[[ModelShape], dict[str, Any]] | None = None
    unused: frozenset[str] = frozenset()


def rope_of(config: Any) -> dict[str, Any]:
    """The class folds rope_theta, rope_scaling, rotary_dim and partial_rotary_factor into this."""
    return dict(getattr(config, "rope_parameters", None) or {})


def _partial(config: Any) -> dict[str, Any]:
    return {"rotary_fraction": float(rope_of(config).get("partial_rotary_factor", 1.0))}


def _biased_sigmoid(config: Any) -> dict[str, Any]:
    """The router of DeepSeek-V3, which GLM, dots1 and Solar share (arXiv 2412.19437)."""
    groups = config.n_group or 1
    return {
        "score": "sigmoid",
        "expert_bias": True,
        "renormalise": bool(config.norm_topk_prob),
        "routed_scale": float(config.routed_scaling_factor),
        "num_groups": groups,
        "top_groups": (config.topk_group or 1) if groups > 1 else 1,
    }


_OF_ROUTER = frozenset({"norm_topk_prob", "routed_scaling_factor", "n_group", "topk_group", "n_shared_experts"})


def _shared(config: Any) -> dict[str, int]:
    return {"shared_width": (config.n_shared_experts or 0) * config.moe_intermediate_size}


def _first_dense(blocks: int | None, width: int) -> dict[str, int]:
    return {"dense_blocks": blocks, "dense_width": width} if blocks else {}


def _shared_and_dense(config: Any) -> dict[str, int]:
    return _shared(config) | _first_dense(config.first_k_dense_replace, config.intermediate_size)


def _ernie_sizes(config: Any) -> dict[str, int]:
    shared = (config.moe_num_shared_experts or 0) * config.moe_intermediate_size
    return {"shared_width": shared} | _first_dense(config.moe_layer_start_index, config.intermediate_size)


def _renormalise(shape: ModelShape) -> dict[str, Any]:
    return {"norm_topk_prob": shape.architecture.renormalise}


def _glm_keys(shape: ModelShape) -> dict[str, Any]:
    asked = shape.architecture
    return {
        "use_qk_norm": asked.qk_norm == "head",
        "attention_bias": asked.qkv_bias,
        "partial_rotary_factor": asked.rotary_fraction,
        "norm_topk_prob": asked.renormalise,
        "routed_scaling_factor": asked.routed_scale,
        "n_group": asked.num_groups,
        "topk_group": asked.top_groups,
        "n_shared_experts": shape.shared_width // shape.expert_width,
        "first_k_dense_replace": shape.num_dense,
        "intermediate_size": shape.dense_width or shape.expert_width,
    }


def _ernie_keys(shape: ModelShape) -> dict[str, Any]:
    return {
        "moe_num_shared_experts": shape.shared_width // shape.expert_width,
        "moe_layer_start_index": shape.num_dense,
        "moe_layer_end_index": shape.depth - 1,
        "intermediate_size": shape.dense_width or shape.expert_width,
    }


FAMILIES = {
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
            **_biased_sigmoid(config),
        },
        _shared_and_dense,
        reads=_OF_ROUTER | {"use_qk_norm", "attention_bias", "first_k_dense_replace", "intermediate_size"},
        fixed={"scoring_func": ("sigmoid",), "topk_method": ("noaux_tc",)},
        written=_glm_keys,
    ),
    "dots1": Family(
        "n_routed_experts",
        "moe_intermediate_size",
        lambda config: {"qk_norm": "head", **_biased_sigmoid(config)},
        _shared_and_dense,
        reads=_OF_ROUTER | {"first_k_dense_replace", "intermediate_size"},
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
            **_biased_sigmoid(config),
        },
        _shared,
        reads=_OF_ROUTER | {"attention_bias"},
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
}
