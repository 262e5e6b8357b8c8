"""The parameters of our model, their names in transformers' models, and their kinds in a recipe.

The names are those of the classes of transformers 5.23 for the architectures in design/families.py. `tests/hf` gives
every one of their parameters its counterpart in our model.
"""

import re
from typing import NamedTuple


class Counterpart(NamedTuple):
    """A parameter of ours: its kind in a recipe, and the parameters of theirs whose rows it has, in order."""

    kind: str
    theirs: tuple[str, ...]


IN_BLOCK = {
    "attention_norm.gain": Counterpart("norm_block", ("input_layernorm.weight",)),
    "attention.qkv": Counterpart("attention_qkv", tuple(f"self_attn.{part}_proj.weight" for part in "qkv")),
    "attention.qkv_bias": Counterpart("bias", tuple(f"self_attn.{part}_proj.bias" for part in "qkv")),
    "attention.out": Counterpart("attention_out", ("self_attn.o_proj.weight",)),
    "attention.q": Counterpart("attention_qkv", ("self_attn.q_proj.weight",)),
    "attention.q_a": Counterpart("q_a", ("self_attn.q_a_proj.weight",)),
    "attention.q_a_norm.gain": Counterpart("norm_block", ("self_attn.q_a_layernorm.weight",)),
    "attention.q_b": Counterpart("q_b", ("self_attn.q_b_proj.weight",)),
    "attention.kv_a": Counterpart("kv_a", ("self_attn.kv_a_proj_with_mqa.weight",)),
    "attention.kv_a_norm.gain": Counterpart("norm_block", ("self_attn.kv_a_layernorm.weight",)),
    "attention.kv_b": Counterpart("kv_b", ("self_attn.kv_b_proj.weight",)),
    "attention.q_norm.gain": Counterpart("norm_block", ("self_attn.q_norm.weight",)),
    "attention.k_norm.gain": Counterpart("norm_block", ("self_attn.k_norm.weight",)),
    "moe_norm.gain": Counterpart("norm_block", ("post_attention_layernorm.weight",)),
    "moe.router": Counterpart("router", ("mlp.gate.weight",)),
    "moe.up": Counterpart("expert_up", ("mlp.experts.gate_up_proj",)),
    "moe.down": Counterpart("expert_down", ("mlp.experts.down_proj",)),
    "moe.shared_up": Counterpart(
        "shared_up", ("mlp.shared_experts.gate_proj.weight", "mlp.shared_experts.up_proj.weight")
    ),
    "moe.shared_down": Counterpart("shared_down", ("mlp.shared_experts.down_proj.weight",)),
    "moe.dense_up": Counterpart("dense_up", ("mlp.gate_proj.weight", "mlp.up_proj.weight")),
    "moe.dense_down": Counterpart("dense_down", ("mlp.down_proj.weight",)),
}
ENDS = {
    "embedding": Counterpart("embedding", ("model.embed_tokens.weight",)),
    "norm.gain": Counterpart("norm_final", ("model.norm.weight",)),
    "head": Counterpart("head", ("lm_head.weight",)),
}
TIED = Counterpart("tied", ENDS["embedding"].theirs)  # the kind of the embedding where it is the head too
CHOICE_BIAS = "e_score_correction_bias"  # how the name of theirs ends that is our buffer `expert_bias`
_KINDS = {name: kind for kind, theirs in IN_BLOCK.values() for name in theirs}
_KINDS_OF_ENDS = {name: kind for kind, theirs in ENDS.values() for name in theirs}


def theirs_of(name: str) -> tuple[str, ...]:
    """The parameters of theirs whose rows a parameter of ours has, in order."""
    if name in ENDS:
        return ENDS[name].theirs
    _, layer, rest = name.split(".", 2)
    return tuple(f"model.layers.{layer}.{part}" for part in IN_BLOCK[rest].theirs)


def kind_of_theirs(name: str, *, tied: bool) -> str | None:
    """The kind in a recipe of a parameter of theirs; None for one that ours has not.

    `tied`: their head is their embedding.
    """
    if tied and name in TIED.theirs:
        return TIED.kind
    found = re.fullmatch(r"model\.layers\.\d+\.(.+)", name)
    return _KINDS.get(found[1]) if found else _KINDS_OF_ENDS.get(name)
