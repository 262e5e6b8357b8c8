"""What a public architecture calls our fields, and how those that share a router or blocks are read.

What a class computes whatever its file says was read in transformers 5.23.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from lrladder.models.shape import ModelShape


class Family(NamedTuple):
    """What one model_type calls our fields, and what its other keys must say.

    `reads`: keys that `architecture` and `sizes` use. `sizes` may replace what all families have, such as the size of a
    head. `fixed`: keys that must have one of these values where they are given, as the model has nothing for any other.
    `written`: the keys from which the class would make a shape of ours, beside those of every family; those of
    `architecture` and `sizes` the other way round. None: another class computes all that this one does. `unused`: keys
    without effect on training. `library_type`: the model_type of the class in the transformers library, if it has
    another one. `faults`: what else a config has that our model lacks, in words. `has_latents`: whether its attention
    is latent.
    """

    experts: str
    expert_width: str
    architecture: Callable[[Any], dict[str, Any]]
    sizes: Callable[[Any], dict[str, int | None]] = lambda config: {}
    reads: frozenset[str] = frozenset()
    fixed: Mapping[str, tuple[object, ...]] = {}
    written: Callable[[ModelShape], dict[str, Any]] | None = None
    unused: frozenset[str] = frozenset()
    library_type: str | None = None
    faults: Callable[[Any], Iterator[str]] = lambda config: iter(())
    has_latents: bool = False


def rope_of(config: Any) -> dict[str, Any]:
    """The class folds rope_theta, rope_scaling, rotary_dim and partial_rotary_factor into this."""
    return dict(getattr(config, "rope_parameters", None) or {})


OF_ROUTER = frozenset({"norm_topk_prob", "routed_scaling_factor", "n_group", "topk_group", "n_shared_experts"})


def biased_sigmoid(config: Any) -> dict[str, Any]:
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


def router_keys(shape: ModelShape) -> dict[str, Any]:
    """The keys of that router, and of the shared experts and dense blocks beside it."""
    asked = shape.architecture
    return {
        "norm_topk_prob": asked.renormalise,
        "routed_scaling_factor": asked.routed_scale,
        "n_group": asked.num_groups,
        "topk_group": asked.top_groups,
        "n_shared_experts": shape.shared_width // shape.expert_width,
        "first_k_dense_replace": shape.num_dense,
        "intermediate_size": shape.dense_width or shape.expert_width,
    }


def shared(config: Any) -> dict[str, int | None]:
    """Of shared experts, whose width is that of one routed expert each."""
    return {"shared_width": (config.n_shared_experts or 0) * config.moe_intermediate_size}


def first_dense(blocks: int | None, width: int) -> dict[str, int | None]:
    """Of dense first blocks, if there are any."""
    return {"dense_blocks": blocks, "dense_width": width} if blocks else {}


def shared_and_dense(config: Any) -> dict[str, int | None]:
    """Of both."""
    return shared(config) | first_dense(config.first_k_dense_replace, config.intermediate_size)
