"""What public models have that our model lacks, and what stands in for it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

LINEAR, INDEXER, SINKS = "linear attention", "sparse indexer", "attention sinks"
# Fields of models that we do not have, and what they mean. A refusal names them, unless the value switches them off.
FOREIGN = {
    "linear_num_key_heads": LINEAR,
    "linear_attn_config": LINEAR,
    "index_topk": INDEXER,
    "layer_types": "attention that differs by block",
    "sliding_window": "a window of attention",
    "swiglu_limit": "clamped SwiGLU",
    "attention_bias": "biases of attention",
    "use_bias": "biases",
    "shared_expert_intermediate_size": "gated shared expert",
}
OFF: tuple[object, ...] = (None, False, 0, "", [])
# What a model_type always does, whatever its file says; read in the code of transformers 5.23.
BY_CLASS = {
    "gpt_oss": f"{SINKS}, biases of the experts",
    "hunyuan_v1_moe": "norms of queries and keys after RoPE",
    "granitemoe": "multipliers of embedding, residual stream, attention and logits",
    "qwen2_moe": "gated shared expert",
    "qwen3_next": LINEAR,
}
STANDS_IN = {
    LINEAR: "a qwen3_moe of its sizes stands in, with full attention in every block",
    INDEXER: "a deepseek_v3 of its sizes stands in, with full attention",
    SINKS: "a mixtral of its sizes stands in, with full attention and no sinks",
}


def named(kind: str, data: Mapping[str, Any]) -> str:
    """What an unsupported model_type has and ours lacks, and what stands in; empty where nothing is known."""
    found = [*([BY_CLASS[kind]] if kind in BY_CLASS else []), *_fields(data)]
    if not found:
        return ""
    stands_in = next((f"; {text}" for what, text in STANDS_IN.items() if what in " ".join(found)), "")
    return f"; LR Ladder's model also lacks {'; '.join(found)}{stands_in}"


def _fields(data: Mapping[str, Any]) -> Iterator[str]:
    for name, meaning in FOREIGN.items():
        if name in data and data[name] not in OFF:
            value = json.dumps(data[name], default=str)
            yield f"{name} {value if len(value) <= 20 else ''}".rstrip() + f" ({meaning})"
