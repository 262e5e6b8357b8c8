"""The public architectures with multi-head latent attention: DeepSeek-V2 and V3, Moonlight, Kimi-K2 and GLM-4.7-Flash.

What a class computes whatever its file says was read in transformers 5.23.
"""

from collections.abc import Iterator
from itertools import takewhile
from typing import Any

from lrladder.benchmark.design.family import (
    OF_ROUTER,
    Family,
    biased_sigmoid,
    first_dense,
    router_keys,
    shared,
    shared_and_dense,
)
from lrladder.models.shape import ModelShape

OF_ATTENTION = frozenset({"kv_lora_rank", "q_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"})
# Keys of the first published code that no class of transformers reads. `aux_loss_alpha` and `seq_aux` are of the
# balance loss, which public_config.py converts and names; the others must say what the class does anyway.
EVERY_BLOCK: dict[str, tuple[object, ...]] = {"moe_layer_freq": (1,)}
OF_DEVICES = frozenset({"ep_size", "qk_head_dim"})  # experts on devices; the sum of the two sizes of a head's parts


def _attention(config: Any) -> dict[str, Any]:
    """The classes of V2 rotate neighbours; those of V3 do unless `rope_interleave` is false."""
    return {"qk_norm": "none", "rope_pairs": "neighbours" if getattr(config, "rope_interleave", True) else "halves"}


def _latents(config: Any) -> dict[str, int | None]:
    return {
        "head_size": config.qk_nope_head_dim + config.qk_rope_head_dim,
        "kv_heads": None,  # each head has its own, whatever the file says; `_faults` compares
        "kv_rank": config.kv_lora_rank,
        "q_rank": config.q_lora_rank,
        "rope_size": config.qk_rope_head_dim,
        "value_size": config.v_head_dim,
    }


def _faults(config: Any) -> Iterator[str]:
    if config.num_key_value_heads != config.num_attention_heads:
        yield f"num_key_value_heads {config.num_key_value_heads} beside {config.num_attention_heads} heads with latents"
    if config.head_dim != config.qk_rope_head_dim:  # the classes take the wavelengths of RoPE from it
        yield f"head_dim {config.head_dim} beside qk_rope_head_dim {config.qk_rope_head_dim}"
    if not config.n_shared_experts:
        yield "n_shared_experts 0 beside latent attention"  # the classes have matrices without entries then


def _faults_of_lite(config: Any) -> Iterator[str]:
    yield from _faults(config)
    kinds = config.mlp_layer_types
    dense = _dense_first(config)
    if "dense" in kinds[dense:]:
        yield "mlp_layer_types with dense blocks after those with experts"
    if (given := getattr(config, "first_k_dense_replace", dense)) != dense:
        yield f"first_k_dense_replace {given} beside {dense} dense blocks of mlp_layer_types, which the class goes by"


def _dense_first(config: Any) -> int:
    return len(list(takewhile(lambda kind: kind == "dense", config.mlp_layer_types)))


def _softmax(config: Any) -> dict[str, Any]:
    """The router of DeepSeek-V2 (arXiv 2405.04434), whose weights are never renormalised; groups go by their best."""
    has_groups = config.topk_method == "group_limited_greedy"
    groups = {"num_groups": config.n_group, "top_groups": config.topk_group, "group_best": 1} if has_groups else {}
    return {"renormalise": False, "routed_scale": float(config.routed_scaling_factor), **groups}


def _latent_keys(shape: ModelShape) -> dict[str, Any]:
    assert shape.rope_size is not None
    return {
        "kv_lora_rank": shape.kv_rank,
        "q_lora_rank": shape.q_rank,
        "qk_nope_head_dim": shape.head_size - shape.rope_size,
        "qk_rope_head_dim": shape.rope_size,
        "v_head_dim": shape.value_size,
        "head_dim": shape.rope_size,
        **router_keys(shape),
    }


def _v2_keys(shape: ModelShape) -> dict[str, Any]:
    method = "group_limited_greedy" if shape.architecture.num_groups > 1 else "greedy"
    return _latent_keys(shape) | {"topk_method": method}


def _v3_keys(shape: ModelShape) -> dict[str, Any]:
    return _latent_keys(shape) | {"rope_interleave": shape.architecture.rope_pairs == "neighbours"}


def _lite_keys(shape: ModelShape) -> dict[str, Any]:
    kinds = ["dense"] * shape.num_dense + ["sparse"] * (shape.depth - shape.num_dense)
    return _v3_keys(shape) | {"mlp_layer_types": kinds}


_V3 = Family(
    "n_routed_experts",
    "moe_intermediate_size",
    lambda config: _attention(config) | biased_sigmoid(config),
    lambda config: _latents(config) | shared_and_dense(config),
    reads=OF_ATTENTION | OF_ROUTER | {"first_k_dense_replace", "intermediate_size", "rope_interleave"},
    fixed={"scoring_func": ("sigmoid",), "topk_method": ("noaux_tc",), **EVERY_BLOCK},
    written=_v3_keys,
    unused=OF_DEVICES,
    faults=_faults,
    has_latents=True,
)
LATENT = {
    "deepseek_v2": _V3._replace(
        architecture=lambda config: _attention(config) | _softmax(config),
        reads=(OF_ATTENTION | OF_ROUTER | {"first_k_dense_replace", "intermediate_size"}) - {"norm_topk_prob"},
        fixed={
            "scoring_func": ("softmax",),
            "topk_method": ("greedy", "group_limited_greedy"),
            "norm_topk_prob": (False, None),  # the class ignores it; DeepSeek's own code would renormalise
            "mlp_bias": (False,),
            **EVERY_BLOCK,
        },
        written=_v2_keys,
    ),
    "deepseek_v3": _V3,
    "kimi_k2": _V3._replace(written=None, library_type="deepseek_v3"),  # its model code is that of DeepSeek-V3
    "glm4_moe_lite": _V3._replace(
        sizes=lambda config: (
            _latents(config) | shared(config) | first_dense(_dense_first(config), config.intermediate_size)
        ),
        reads=_V3.reads | {"mlp_layer_types"},
        written=_lite_keys,
        faults=_faults_of_lite,
    ),
}
