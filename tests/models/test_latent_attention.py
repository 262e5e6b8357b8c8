"""Multi-head latent attention: its counts, what RoPE turns, and its limits. tests/hf has the transformers library."""

from typing import Any

import pytest
import torch

from lrladder.models.architecture import Architecture
from lrladder.models.attention import rope_of
from lrladder.models.hooks import attention_logits, calls_of
from lrladder.models.latent_attention import LatentAttention
from lrladder.models.parametrization import build, rule_table
from lrladder.models.rules import MUTRANSFER, STANDARD
from lrladder.models.shape import OF_LATENTS, ModelShape
from lrladder.models.transformer import Transformer
from tests.models.shapes import LIKE_DEEPSEEK, latent_shape, moe_shape, wide_latent_shape


def attention_of(shape: ModelShape) -> LatentAttention:
    model = build(STANDARD, shape, shape, backend="reference", embedding_std=1.0, seed=0).model
    found = model.blocks[0].attention
    assert isinstance(found, LatentAttention)
    return found


def drawn(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("change", [{}, {"q_rank": None}, {"value_size": 11, "heads": 6}])
def test_counts_are_those_of_the_tensors(change: dict[str, Any]) -> None:
    shape = latent_shape(**change)
    with torch.device("meta"):
        model = Transformer(shape)
    assert sum(param.numel() for param in model.parameters()) == shape.n_total + shape.n_embedding
    scores = shape.seq_len * shape.num_heads * (shape.head_size + shape.value_size)  # type: ignore[operator]
    head = shape.vocab_size * shape.width
    assert shape.flops_per_token == 6 * (shape.n_active + head) + 3 * shape.depth * scores


def test_a_model_without_latents_has_no_field_of_them() -> None:
    assert set(OF_LATENTS).isdisjoint(moe_shape().model_dump())
    assert moe_shape().value_width == moe_shape().attention_width


@torch.no_grad()
def test_without_rope_the_order_of_earlier_tokens_is_nothing() -> None:
    """So all positions are in the entries that RoPE turns; with RoPE the order counts."""
    shape = latent_shape()
    attention, x_bsd = attention_of(shape), drawn(1, 6, shape.width)
    order = [2, 0, 1, 4, 3, 5]
    cos, sin = rope_of(shape, 6, x_bsd.device)
    assert cos.shape == (6, 2)  # half of rope_size
    still = (torch.ones_like(cos), torch.zeros_like(sin))
    last, other = (attention(x, still)[:, -1] for x in (x_bsd, x_bsd[:, order]))
    torch.testing.assert_close(last, other)
    last, other = (attention(x, (cos, sin))[:, -1] for x in (x_bsd, x_bsd[:, order]))
    assert (last - other).norm() > 0.01 * last.norm()


@torch.no_grad()
def test_logits_of_attention_are_those_that_mix_the_values() -> None:
    shape = latent_shape()
    attention, x_bsd = attention_of(shape), drawn(2, 5, shape.width)
    calls = calls_of(attention, (x_bsd, rope_of(shape, 5, x_bsd.device)))
    logits = torch.full((2, shape.num_heads, 5, 5), -torch.inf)
    logits[..., torch.ones(5, 5, dtype=torch.bool).tril()] = attention_logits(calls)
    value = calls["mixing"].args[2]
    assert value.shape == (2, shape.num_heads, 5, shape.value_size)
    torch.testing.assert_close(logits.softmax(-1) @ value, calls["mixing"].output)


@torch.no_grad()
def test_all_heads_share_the_turned_part_of_keys_alone() -> None:
    shape = latent_shape()
    calls = calls_of(attention_of(shape), (drawn(2, 5, shape.width), rope_of(shape, 5, torch.device("cpu"))))
    key = calls["mixing"].args[1]
    turned, plain = key[..., 4:], key[..., :4]
    assert torch.equal(turned, turned[:, :1].expand_as(turned))
    assert not torch.allclose(plain, plain[:, :1].expand_as(plain))


@torch.no_grad()
@pytest.mark.parametrize("q_rank", [24, None])
def test_inputs_are_what_the_matrices_are_multiplied_by(q_rank: int | None) -> None:
    """The output from its input is the module's; every matrix has an input."""
    shape = latent_shape(q_rank=q_rank)
    attention = attention_of(shape)
    calls = calls_of(attention, (drawn(2, 5, shape.width), rope_of(shape, 5, torch.device("cpu"))))
    inputs = dict(attention.inputs(calls))
    assert set(inputs) == {name for name, param in attention.named_parameters() if param.dim() == 2}
    torch.testing.assert_close(inputs["out"] @ attention.out.T, calls[""].output)
    latent = (inputs["kv_a"] @ attention.kv_a.T)[..., : shape.kv_rank]
    torch.testing.assert_close(attention.kv_a_norm(latent), inputs["kv_b"])


def test_rules_go_by_the_fan_in_of_each_matrix() -> None:
    """Width and heads are twice those of the base, the rank of keys and values too, and that of queries is thrice."""
    with torch.device("meta"):
        model = Transformer(wide_latent_shape())
    rules = rule_table(MUTRANSFER, model, latent_shape(), embedding_std=1.0)
    found = {name: rules[f"blocks.1.attention.{name}"].lr for name in ("q_a", "q_b", "kv_a", "kv_b", "out")}
    assert found == pytest.approx({"q_a": 1 / 2, "q_b": 1 / 3, "kv_a": 1 / 2, "kv_b": 1 / 2, "out": 1 / 2})
    assert rules["blocks.1.attention.q_b"].init_std == pytest.approx(72**-0.5)
    assert rules["blocks.1.attention.kv_a"].init_std == pytest.approx(64**-0.5)
    assert rules["blocks.1.attention.q_a_norm.gain"] == rules["blocks.1.attention_norm.gain"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"kv_rank": None}, "go with kv_rank"),
        ({"rope_size": None}, "needs rope_size and value_size"),
        ({"value_size": None}, "needs rope_size and value_size"),
        ({"rope_size": 3}, "rope_size 3 is not an even number"),
        ({"rope_size": 8}, "rope_size 8 is not an even number below head_size 8"),
        ({"kv_heads": 2}, "leave kv_heads out"),
    ],
)
def test_sizes_that_make_no_latent_attention_are_refused(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        latent_shape(**change)


@pytest.mark.parametrize("change", [{"qk_norm": "head"}, {"qkv_bias": True}, {"rotary_fraction": 0.5}])
def test_what_latents_replace_is_refused(change: dict[str, Any]) -> None:
    asked = Architecture.model_validate(LIKE_DEEPSEEK.model_dump() | change)
    with pytest.raises(ValueError, match="kv_rank goes with architecture"):
        ModelShape(**latent_shape().model_dump() | {"architecture": asked})
