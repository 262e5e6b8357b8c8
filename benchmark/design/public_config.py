"""Translates the config.json of a model on Hugging Face to a ModelShape, or names what our model cannot represent.

The file is read by the config class of the transformers library, so defaults and renamed keys are right. No field is
ignored silently: it is translated, or has no effect on training, or is named in `left_out`, or the file is refused.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.reading import CONFIG_BYTES, read_text
from lrladder.models.architecture import Architecture
from lrladder.models.shape import ModelShape

PRETRAINING_LENGTH = 4096  # tokens of a sequence, unless the file names another length; assumption: the usual one


class Public(NamedTuple):
    """A model from a config.json. `left_out`: what the file says that the study does not represent, in words."""

    model_type: str
    shape: ModelShape
    aux_loss_coef: float | None  # of our load-balancing loss, converted; None if the file has no coefficient
    left_out: tuple[str, ...]


class _Family(NamedTuple):
    """How a model_type is translated.

    `experts` and `expert_width` are its names for these fields. `architecture` makes fields of our Architecture from a
    config. `unused` are keys that have no effect, or that `architecture` reads.
    """

    experts: str
    expert_width: str
    architecture: Callable[[Any], dict[str, Any]]
    unused: frozenset[str] = frozenset()


FAMILIES = {
    "mixtral": _Family("num_local_experts", "intermediate_size", lambda _: {"qk_norm": "none"}),
    "qwen3_moe": _Family(
        "num_experts",
        "moe_intermediate_size",
        lambda config: {"qk_norm": "head", "renormalise": bool(config.norm_topk_prob)},
        frozenset({"intermediate_size", "norm_topk_prob"}),  # the first is of dense blocks, and there are none
    ),
    "olmoe": _Family(
        "num_experts",
        "intermediate_size",
        lambda config: {"qk_norm": "full", "renormalise": bool(config.norm_topk_prob)},
        frozenset({"norm_topk_prob"}),
    ),
}
HELD = frozenset(
    {
        *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim"),
        *("rms_norm_eps", "rope_theta", "rope_scaling", "rope_parameters", "num_experts_per_tok", "model_type"),
        *("max_position_embeddings", "router_aux_loss_coef"),
    }
)
# Keys about files and text generation, without effect on training.
BOOKKEEPING = frozenset(
    {
        *("architectures", "auto_map", "bos_token_id", "eos_token_id", "pad_token_id", "dtype", "torch_dtype"),
        *("transformers_version", "use_cache", "output_router_logits", "max_window_layers", "_name_or_path"),
        "pretraining_tp",
    }
)
# Keys that our model has no counterpart for, with the values at which they have no effect.
FIXED: Mapping[str, tuple[object, ...]] = {
    "hidden_act": ("silu",),
    "attention_bias": (False, None),
    "attention_dropout": (0, None),
    "clip_qkv": (None,),
    "decoder_sparse_step": (1,),
    "mlp_only_layers": ([], None),
    "router_jitter_noise": (0, None),
    "tie_word_embeddings": (False, None),
    "use_sliding_window": (False, None),
}
# Fields of models that we do not have, and what they mean. A refusal names them, unless the value switches them off.
FOREIGN = {
    "kv_lora_rank": "latent attention",
    "q_lora_rank": "latent attention",
    "linear_num_key_heads": "linear attention",
    "linear_attn_config": "linear attention",
    "index_topk": "sparse indexer",
    "layer_types": "attention that differs by block",
    "sliding_window": "a window of attention",
    "swiglu_limit": "clamped SwiGLU",
    "attention_bias": "biases of attention",
    "use_bias": "biases",
    "partial_rotary_factor": "RoPE on a part of each head",
    "scoring_func": "scores of the router",
    "n_group": "experts chosen by groups",
    "topk_group": "experts chosen by groups",
    "routed_scaling_factor": "scale of the routed experts",
    "n_shared_experts": "shared experts",
    "moe_num_shared_experts": "shared experts",
    "shared_expert_intermediate_size": "gated shared expert",
    "first_k_dense_replace": "dense first blocks",
    "moe_layer_start_index": "dense first blocks",
    "num_nextn_predict_layers": "multi-token prediction",
    "tie_word_embeddings": "tied head",
}
OFF: tuple[object, ...] = (None, False, 0, "", [], "softmax")
ONE_IS_OFF = frozenset({"n_group", "topk_group", "partial_rotary_factor", "routed_scaling_factor"})
# What a model_type always does, whatever its file says; read in the code of transformers 5.23.
BY_CLASS = {
    "dots1": "a sigmoid router with bias correction",
    "ernie4_5_moe": "a bias correction of the router, RoPE on interleaved pairs",
    "glm4_moe": "a sigmoid router with bias correction",
    "gpt_oss": "attention sinks, biases of the experts",
    "minimax_m2": "a sigmoid router with bias correction",
    "qwen3_next": "linear attention",
    "solar_open": "a sigmoid router with bias correction",
}


def read_public(path: Path, *, seq_len: int | None = None) -> Public:
    """The model that a config.json describes, with sequences of `seq_len` tokens; default: those of its pre-training.

    Raises InputError, which names everything that our model cannot represent.
    """
    data = _json(path)
    kind = data.get("model_type")
    family = FAMILIES.get(str(kind))
    if family is None:
        by_class = (BY_CLASS[str(kind)],) if str(kind) in BY_CLASS else ()
        named = "; ".join((*by_class, *_foreign(data)))
        told = f"; LR Ladder's model also lacks {named}" if named else ""
        known = ", ".join(sorted(FAMILIES))
        raise InputError(f"{path}: model_type {kind!r} is not supported, only {known} are{told}")
    config = _theirs(path, data, str(kind))
    length = seq_len or _pretraining_length(config)
    faults = [*_unknown(data, family), *_not_fixed(config, length)]
    if faults:
        raise InputError(f"{path}: LR Ladder's model lacks {'; '.join(faults)}")
    try:
        shape = _shape(config, family, length)
    except ValidationError as error:
        raise InputError(f"{path}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from error
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise InputError(f"{path}: a size is missing or is not a valid number ({error}); correct it") from error
    return Public(str(kind), shape, _aux_loss(config, shape), tuple(_left_out(data, config, shape)))


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(read_text(path, CONFIG_BYTES))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}); give a model's config.json") from error
    if not isinstance(data, dict) or "model_type" not in data:
        raise InputError(f"{path}: it has no model_type; give the config.json of a model on the Hugging Face hub")
    return data


def _theirs(path: Path, data: dict[str, Any], kind: str) -> Any:
    """The config as an object of transformers' own class."""
    sys.modules.setdefault("torchvision", None)  # type: ignore[arg-type]  # mup's: a CUDA build that breaks on import
    try:
        from transformers import CONFIG_MAPPING
    except ImportError as error:
        raise InputError(
            "design reads config.json through the transformers library, which is not installed: "
            "pip install -c constraints.txt -e '.[hf]'"
        ) from error
    try:
        return CONFIG_MAPPING[kind].from_dict(data)
    except Exception as error:  # their validation raises many kinds
        raise InputError(f"{path}: transformers refuses it: {' '.join(str(error).split())[:200]}") from error


def _rope(config: Any) -> dict[str, Any]:
    return dict(getattr(config, "rope_parameters", None) or {})


def _pretraining_length(config: Any) -> int:
    """Tokens of a sequence in pre-training, before a later phase extends the context by scaling RoPE."""
    longest = int(config.max_position_embeddings)
    return int(_rope(config).get("original_max_position_embeddings") or min(longest, PRETRAINING_LENGTH))


def _shape(config: Any, family: _Family, seq_len: int) -> ModelShape:
    heads = int(config.num_attention_heads)
    head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
    architecture = Architecture(
        norm_eps=float(config.rms_norm_eps),
        rope_theta=float(_rope(config)["rope_theta"]),
        **family.architecture(config),
    )
    return ModelShape(
        vocab_size=config.vocab_size,
        width=config.hidden_size,
        depth=config.num_hidden_layers,
        head_size=head_size,
        heads=heads,
        kv_heads=config.num_key_value_heads or heads,
        num_experts=getattr(config, family.experts),
        top_k=config.num_experts_per_tok,
        expert_width=getattr(config, family.expert_width),
        seq_len=seq_len,
        architecture=architecture,
    )


def _aux_loss(config: Any, shape: ModelShape) -> float | None:
    """The file's coefficient in units of our loss.

    Their loss counts every choice of a token and pools all blocks. Ours uses shares of the choices and sums over
    blocks. With equal loads in all blocks both penalties are then equal.
    """
    given = getattr(config, "router_aux_loss_coef", None)
    return None if given is None else float(given) * shape.top_k / shape.depth


def _unknown(data: Mapping[str, Any], family: _Family) -> Iterator[str]:
    own = {family.experts, family.expert_width, *family.unused, "sliding_window", "initializer_range"}
    for key in sorted(set(data) - HELD - BOOKKEEPING - set(FIXED) - own):
        yield f"{key} {json.dumps(data[key])[:40]}"


def _not_fixed(config: Any, seq_len: int) -> Iterator[str]:
    for name, allowed in FIXED.items():
        value = getattr(config, name, allowed[0])
        if value not in allowed:
            yield f"{name} {json.dumps(value, default=str)[:40]}"
    window = getattr(config, "sliding_window", None)
    if window is not None and window < seq_len:
        yield f"sliding_window {window}, shorter than the {seq_len:,} tokens of a sequence"


def _foreign(data: Mapping[str, Any]) -> Iterator[str]:
    for name, meaning in FOREIGN.items():
        if name in data and data[name] not in OFF and not (name in ONE_IS_OFF and data[name] == 1):
            value = json.dumps(data[name], default=str)
            yield f"{name} {value if len(value) <= 20 else ''}".rstrip() + f" ({meaning})"


def _left_out(data: Mapping[str, Any], config: Any, shape: ModelShape) -> Iterator[str]:
    kind = _rope(config).get("rope_type", "default")
    if kind != "default":
        yield f"RoPE scaling {kind!r}: a later phase; the ladder trains on {shape.seq_len:,} tokens a sequence"
    elif shape.seq_len < config.max_position_embeddings:
        yield f"sequences over {shape.seq_len:,} tokens (max_position_embeddings {config.max_position_embeddings:,})"
    if "initializer_range" in data:
        yield f"initializer_range {data['initializer_range']}: the rule table initialises each role"
