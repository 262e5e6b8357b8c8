"""Translates the config.json of a model on Hugging Face to a ModelShape, or names what our model cannot represent.

The file is read by the config class of the transformers library, so defaults and renamed keys are right. No field is
ignored silently: it is translated, or has no effect on training, or is named in `left_out`, or the file is refused.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from lrladder.benchmark.design.families import FAMILIES
from lrladder.benchmark.design.family import Family, rope_of
from lrladder.benchmark.design.foreign import named
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.hf.library import library
from lrladder.benchmark.reading import CONFIG_BYTES, parse_json, read_text
from lrladder.models.architecture import Architecture
from lrladder.models.shape import ModelShape

PRETRAINING_LENGTH = 4096  # most tokens of a sequence; assumption: the usual number before the context is extended


class Public(NamedTuple):
    """A model from a config.json. `left_out`: what the file says that the study does not represent, in words."""

    model_type: str
    shape: ModelShape
    aux_loss_coef: float | None  # of our load-balancing loss, converted; None if the file has no coefficient
    left_out: tuple[str, ...]


HELD = frozenset(
    {
        *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim"),
        *("rms_norm_eps", "rope_theta", "rope_scaling", "rope_parameters", "num_experts_per_tok", "model_type"),
        *("max_position_embeddings", "router_aux_loss_coef", "partial_rotary_factor", "rotary_dim"),
        "tie_word_embeddings",
    }
)
# Said in `left_out`, or looked at apart.
LEFT_OUT = frozenset(
    {
        *("sliding_window", "layer_types", "initializer_range", "attn_type_list", "num_nextn_predict_layers"),
        *("use_mtp", "num_mtp_modules", "mtp_transformer_layers", "moe_layer_end_index"),
        *("aux_loss_alpha", "seq_aux"),
    }
)
# Keys about files and text generation, without effect on training.
BOOKKEEPING = frozenset(
    {
        *("architectures", "auto_map", "bos_token_id", "eos_token_id", "pad_token_id", "dtype", "torch_dtype"),
        *("transformers_version", "use_cache", "output_router_logits", "max_window_layers", "_name_or_path"),
        *("pretraining_tp", "quantization_config"),
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
    "use_sliding_window": (False, None),
}


def read_public(path: Path, *, seq_len: int | None = None) -> Public:
    """The model that a config.json describes, with sequences of `seq_len` tokens; default: those of its pre-training.

    Raises InputError, which names everything that our model cannot represent.
    """
    return public_of(_json(path), source=str(path), seq_len=seq_len)


def public_of(data: dict[str, Any], *, source: str, seq_len: int | None = None) -> Public:
    """The same for the content of a config.json, whose origin messages call `source`. Raises InputError."""
    kind = data.get("model_type")
    family = FAMILIES.get(str(kind))
    if family is None:
        told, known = named(str(kind), data), ", ".join(sorted(FAMILIES))
        raise InputError(f"{source}: model_type {kind!r} is not supported, only {known} are{told}")
    config = _theirs(source, data, family.library_type or str(kind))
    length = seq_len or _pretraining_length(config)
    faults = [*_unknown(data, config, family), *_not_fixed(config, family, length)]
    if faults:
        raise InputError(f"{source}: LR Ladder's model lacks {'; '.join(faults)}")
    try:
        shape = _shape(config, family, length)
    except ValidationError as error:
        raise InputError(f"{source}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from error
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise InputError(f"{source}: a size is missing or is not a valid number ({error}); correct it") from error
    return Public(str(kind), shape, _aux_loss(data, config, shape), tuple(_left_out(data, config, shape)))


def keys_of(shape: ModelShape) -> Iterator[dict[str, Any]]:
    """For each class the config.json with which it comes nearest to a shape of ours; `public_of` says how near."""
    for kind, family in FAMILIES.items():
        if family.written is not None and family.has_latents == (shape.kv_rank is not None):
            yield {**_common_keys(shape, kind, family), **family.written(shape)}


def _common_keys(shape: ModelShape, kind: str, family: Family) -> dict[str, Any]:
    asked = shape.architecture
    return {
        "model_type": kind,
        "vocab_size": shape.vocab_size,
        "hidden_size": shape.width,
        "num_hidden_layers": shape.depth,
        "num_attention_heads": shape.num_heads,
        "num_key_value_heads": shape.num_kv_heads,
        "head_dim": shape.head_size,
        "rms_norm_eps": asked.norm_eps,
        "rope_theta": asked.rope_theta,
        "num_experts_per_tok": shape.top_k,
        "max_position_embeddings": shape.seq_len,
        "tie_word_embeddings": asked.tied,
        **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id")),
        family.experts: shape.num_experts,
        family.expert_width: shape.expert_width,
    }


def _json(path: Path) -> dict[str, Any]:
    try:
        data = parse_json(read_text(path, CONFIG_BYTES))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}); give a model's config.json") from error
    if not isinstance(data, dict) or "model_type" not in data:
        raise InputError(f"{path}: it has no model_type; give the config.json of a model on the Hugging Face hub")
    return data


def _theirs(source: str, data: dict[str, Any], kind: str) -> Any:
    """The config as an object of transformers' own class."""
    transformers = library("design reads config.json through")
    try:
        return transformers.CONFIG_MAPPING[kind].from_dict(data)
    except Exception as error:  # their validation raises many kinds
        raise InputError(f"{source}: transformers refuses it: {' '.join(str(error).split())[:200]}") from error


def _pretraining_length(config: Any) -> int:
    """Tokens of a sequence in pre-training, before later phases extend the context."""
    longest = rope_of(config).get("original_max_position_embeddings") or config.max_position_embeddings
    return min(int(longest), PRETRAINING_LENGTH)


def _shape(config: Any, family: Family, seq_len: int) -> ModelShape:
    heads = int(config.num_attention_heads)
    head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
    architecture = Architecture(
        norm_eps=float(config.rms_norm_eps),
        rope_theta=float(rope_of(config)["rope_theta"]),
        tied=bool(config.tie_word_embeddings),
        **family.architecture(config),
    )
    sizes: dict[str, Any] = {
        "vocab_size": config.vocab_size,
        "width": config.hidden_size,
        "depth": config.num_hidden_layers,
        "head_size": head_size,
        "heads": heads,
        "kv_heads": config.num_key_value_heads or heads,
        "num_experts": getattr(config, family.experts),
        "top_k": config.num_experts_per_tok,
        "expert_width": getattr(config, family.expert_width),
        "seq_len": seq_len,
    }
    return ModelShape(**sizes | family.sizes(config), architecture=architecture)


def _aux_loss(data: Mapping[str, Any], config: Any, shape: ModelShape) -> float | None:
    """The file's coefficient in units of our loss.

    Their loss counts every choice of a token and pools all blocks. Ours uses shares of the choices and sums over
    blocks. With equal loads in all blocks both penalties are then equal. Where a bias balances the experts and the file
    has no coefficient, there is no such loss, whatever the class's default: an assumption.
    """
    if data.get("aux_loss_alpha") is not None:  # DeepSeek's: shares of the choices, summed over blocks, as in ours
        return float(data["aux_loss_alpha"])
    biased = shape.architecture.expert_bias
    given = data.get("router_aux_loss_coef") if biased else getattr(config, "router_aux_loss_coef", None)
    if given is None:
        return 0.0 if biased else None
    return float(given) * shape.top_k / (shape.depth - shape.num_dense)


def _unknown(data: Mapping[str, Any], config: Any, family: Family) -> Iterator[str]:
    own = {family.experts, family.expert_width, *family.reads, *family.fixed, *family.unused, *LEFT_OUT}
    known = HELD | BOOKKEEPING | set(FIXED) | own
    saved = {theirs for ours, theirs in config.attribute_map.items() if ours in known}  # as transformers writes them
    for key in sorted(set(data) - known - saved):
        yield f"{key} {json.dumps(data[key])[:40]}"


def _not_fixed(config: Any, family: Family, seq_len: int) -> Iterator[str]:
    for name, allowed in {**FIXED, **family.fixed}.items():
        value = getattr(config, name, allowed[0])
        if value not in allowed and name not in family.reads:
            yield f"{name} {json.dumps(value, default=str)[:40]}"
    yield from family.faults(config)
    if any(kind != 1 for kind in getattr(config, "attn_type_list", None) or []):
        yield "attn_type_list with other than full attention"
    if getattr(config, "moe_layer_end_index", None) not in (None, config.num_hidden_layers - 1):
        yield f"moe_layer_end_index {config.moe_layer_end_index}: dense blocks after those with experts"
    window, kinds = getattr(config, "sliding_window", None), getattr(config, "layer_types", None)
    if window is not None and window < seq_len and (kinds is None or "sliding_attention" in kinds):
        yield f"sliding_window {window}, shorter than the {seq_len:,} tokens of a sequence"


def _left_out(data: Mapping[str, Any], config: Any, shape: ModelShape) -> Iterator[str]:
    rope = rope_of(config)
    if (kind := rope.get("rope_type", "default")) != "default":
        factor = " and its factor on attention's scores (mscale_all_dim)" if rope.get("mscale_all_dim") else ""
        yield f"RoPE scaling {kind!r}{factor}: a later phase; the ladder trains on {shape.seq_len:,} tokens a sequence"
    elif shape.seq_len < config.max_position_embeddings:
        yield f"sequences over {shape.seq_len:,} tokens (max_position_embeddings {config.max_position_embeddings:,})"
    predicted = data.get("num_nextn_predict_layers") or data.get("num_mtp_modules")
    if predicted:
        yield f"multi-token prediction ({predicted}): the transformers library's class leaves it out too"
    if data.get("seq_aux") and data.get("aux_loss_alpha"):
        yield "seq_aux: the balance loss is over a batch; training {micro_batch: 1, aux_loss_over: micro_batch} is near"
    if "initializer_range" in data:
        yield f"initializer_range {data['initializer_range']}: the rule table initialises each role"
