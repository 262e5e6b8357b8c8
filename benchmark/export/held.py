"""Which class of transformers computes what a shape of ours does."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from lrladder.benchmark.design.public_config import keys_of, public_of
from lrladder.benchmark.errors import InputError
from lrladder.models.shape import ModelShape

QK_NORMS = {"head": "QK-norm in each head", "full": "QK-norm over all heads", "none": "no QK-norm"}


class Held(NamedTuple):
    """A model_type of transformers, and the content of the config.json with which it is a shape of ours."""

    model_type: str
    keys: dict[str, Any]


def held(shape: ModelShape, source: str) -> Held:
    """The first class whose config reads back as exactly this shape.

    Raises InputError if there is none. It names what no class has together, and what the nearest class has instead.
    """
    if shape.num_experts == 1:
        raise InputError(f"{source}: a dense model (num_experts 1) has no router, but all classes that are known have")
    wanted = _plain(shape)
    found = {}
    for keys in keys_of(shape):
        kind = keys["model_type"]
        found[kind] = _differences(wanted, keys, shape.seq_len)
        if not found[kind]:
            return Held(kind, keys)
    nearest = min(found, key=lambda kind: len(found[kind]))
    raise InputError(
        f"{source}: no class of transformers that LR Ladder knows has {', '.join(features(shape))} together; the "
        f"nearest, {nearest}, has {', '.join(found[nearest])}; docs/own-model.md lists what each has"
    )


def features(shape: ModelShape) -> Iterator[str]:
    """What a shape has that not every class has, in words."""
    asked = shape.architecture
    yield QK_NORMS[asked.qk_norm] if shape.kv_rank is None else "latent attention"
    yield f"{asked.score} routing{' with a bias of the choice' if asked.expert_bias else ''}"
    if shape.shared_width:
        yield f"an ungated shared expert of {shape.shared_width / shape.expert_width:g} times an expert's width"
    words = {
        "dense first blocks": shape.num_dense > 0,
        "biases of queries, keys and values": asked.qkv_bias,
        "weights of experts that are not renormalised": not asked.renormalise,
        "a scale of the experts' weights": asked.routed_scale != 1,
        "groups of experts": asked.num_groups > 1,
        "RoPE on a part of each head": shape.rotary_size < shape.head_size and not shape.kv_rank,
        "RoPE of neighbours": asked.rope_pairs == "neighbours",
        "a tied head": asked.tied,
    }
    yield from (word for word, has in words.items() if has)


def _differences(wanted: dict[str, Any], keys: dict[str, Any], seq_len: int) -> list[str]:
    """What a class with these keys has in other ways than is wanted; empty if nothing."""
    try:
        made = _plain(public_of(keys, source=keys["model_type"], seq_len=seq_len).shape)
    except InputError as error:
        return [str(error)]
    return [f"{name} {made[name]} in place of {value}" for name, value in wanted.items() if made[name] != value]


def _plain(shape: ModelShape) -> dict[str, Any]:
    """Every field that says what is computed, with the defaults filled in."""
    own = {name: getattr(shape, name) for name in type(shape).model_fields if name != "architecture"}
    own |= {"heads": shape.num_heads, "kv_heads": shape.num_kv_heads, "rotary_size": shape.rotary_size}
    blocks = {name: getattr(shape.architecture, name) for name in type(shape.architecture).model_fields}
    return own | {name: value for name, value in blocks.items() if name != "rotary_fraction"}
