"""Heads, head sizes and norms beside our own: what is new changes nothing that was there."""

from typing import Any

import pytest
import torch

from lrladder.models.architecture import OWN, Architecture
from lrladder.models.attention import AllHeadsNorm, Attention, rope_of, rope_table, rotate
from lrladder.models.moe import Dense, MoE, route
from lrladder.models.parametrization import build, rule_table
from lrladder.models.rules import MUTRANSFER, Rule
from lrladder.models.shape import ModelShape, nearest_divisor
from lrladder.models.transformer import Transformer
from tests.benchmark.trials import tiny_trial
from tests.models.shapes import moe_shape, public_shape


def given_heads(shape: ModelShape) -> ModelShape:
    """The same model, with its heads spelt out."""
    return ModelShape(**shape.model_dump(), heads=shape.num_heads, kv_heads=shape.num_heads)


def table(shape: ModelShape, base: ModelShape) -> dict[str, Rule]:
    with torch.device("meta"):
        model = Transformer(shape)
    return rule_table(MUTRANSFER, model, base, embedding_std=1.0)


def test_ids_of_trials_are_those_of_before() -> None:
    """A golden id; and a dump that has no new field, from which ids are made."""
    assert tiny_trial().id == "8259ce035e44759a"
    assert set(moe_shape().model_dump()) == set(moe_shape().model_fields_set) | {"shared_width"}
    own = moe_shape().model_copy(update={"architecture": Architecture()})
    assert own.model_dump() == moe_shape().model_dump()
    assert set(Architecture().model_dump()) == {"qk_norm", "norm_eps", "rope_theta", "renormalise"}
    other = ModelShape(**moe_shape().model_dump(), architecture=Architecture(qk_norm="none"))
    assert ModelShape.model_validate(other.model_dump()) == other != moe_shape()


def test_heads_spelt_out_are_the_same_model() -> None:
    shape, base = moe_shape(width=64), moe_shape()
    spelt = given_heads(shape)
    assert (spelt.n_active, spelt.flops_per_token) == (shape.n_active, shape.flops_per_token)
    assert table(spelt, given_heads(base)) == table(shape, base)
    assert table(spelt, base) == table(shape, base)


def test_the_width_that_attention_reads_is_that_of_its_heads() -> None:
    """At twice the width and four times the heads: the rule of `out` goes by its own fan-in, 4; that of qkv by 2."""
    base = ModelShape(**moe_shape().model_dump(), heads=2, kv_heads=1)
    rules = table(ModelShape(**moe_shape(width=64, expert_width=64).model_dump(), heads=8, kv_heads=2), base)
    assert rules["blocks.0.attention.out"].lr == pytest.approx(1 / 4)
    assert rules["blocks.0.attention.qkv"].lr == pytest.approx(1 / 2)
    assert rules["blocks.0.attention.out"].init_std == pytest.approx((8 * 8) ** -0.5 * 4**-0.5)


def test_counts_of_a_model_with_dense_blocks_are_those_of_the_tensors() -> None:
    shape = public_shape(depth=5, dense_blocks=2, dense_width=40)
    with torch.device("meta"):
        model = Transformer(shape)
    assert sum(param.numel() for param in model.parameters()) == shape.n_total + shape.n_embedding
    idle = 3 * 3 * shape.width * shape.expert_width * (shape.num_experts - shape.top_k)
    assert shape.n_active == shape.n_total - idle
    assert [type(block.moe) for block in model.blocks] == [Dense, Dense, MoE, MoE, MoE]
    assert {"dense_blocks", "dense_width"} <= set(shape.model_dump())


def test_a_dense_block_is_a_swiglu_and_has_no_load() -> None:
    model = build(MUTRANSFER, public_shape(), public_shape(), backend="reference", embedding_std=1.0, seed=0).model
    dense, x_bsd = model.blocks[0].moe, torch.randn(2, 3, 32, generator=torch.Generator().manual_seed(0))
    gate, up = (x_bsd @ dense.dense_up.T).chunk(2, -1)
    torch.testing.assert_close(dense(x_bsd)[0], (torch.nn.functional.silu(gate) * up) @ dense.dense_down.T)
    output = model(torch.arange(6).view(2, 3))
    assert output.load.shape == output.probability.shape == (1, 4)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"dense_blocks": 2}, "leaves no block of 2"),
        ({"dense_width": None}, "go together"),
        ({"num_experts": 1, "top_k": 1}, "all blocks are dense"),
    ],
)
def test_dense_blocks_must_fit(change: dict[str, Any], named: str) -> None:
    sizes = {**moe_shape().model_dump(), "dense_blocks": 1, "dense_width": 48} | change
    with pytest.raises(ValueError, match=named):
        ModelShape(**sizes)


@pytest.mark.parametrize("of", [*({"qk_norm": norm} for norm in ("head", "full", "none")), {"qkv_bias": True}])
def test_counts_are_those_of_the_tensors(of: dict[str, Any]) -> None:
    sizes = moe_shape(shared_width=16).model_dump()
    shape = ModelShape(**sizes, heads=6, kv_heads=3, architecture=Architecture(**of))
    with torch.device("meta"):
        model = Transformer(shape)
    assert sum(param.numel() for param in model.parameters()) == shape.n_total + shape.n_embedding


def turned(x_bhsd: torch.Tensor, **architecture: Any) -> torch.Tensor:
    shape = ModelShape(**moe_shape().model_dump(), architecture=Architecture(**architecture))
    return Attention(shape).turned(x_bhsd, rope_of(shape, x_bhsd.shape[2], x_bhsd.device))


def test_rope_on_a_part_leaves_the_rest() -> None:
    """The part is a head of its own size."""
    x_bhsd = torch.randn(2, 4, 5, 8, generator=torch.Generator().manual_seed(0))
    partly = turned(x_bhsd, rotary_fraction=0.5)
    assert torch.equal(partly[..., 4:], x_bhsd[..., 4:])
    assert torch.equal(partly[..., :4], rotate(x_bhsd[..., :4], *rope_table(5, 4, 1e4, x_bhsd.device)))


def test_rope_on_neighbours_is_that_on_halves_in_another_order() -> None:
    x_bhsd = torch.randn(2, 4, 5, 8, generator=torch.Generator().manual_seed(0))
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    torch.testing.assert_close(turned(x_bhsd, rope_pairs="neighbours")[..., order], turned(x_bhsd[..., order]))


def test_a_bias_shifts_queries_keys_and_values_and_starts_at_zero() -> None:
    shape = ModelShape(**moe_shape().model_dump(), architecture=Architecture(qk_norm="none", qkv_bias=True))
    model = build(MUTRANSFER, shape, shape, backend="reference", embedding_std=1.0, seed=0).model
    plain = build(
        MUTRANSFER,
        shape.model_copy(update={"architecture": Architecture(qk_norm="none")}),
        moe_shape(),
        backend="reference",
        embedding_std=1.0,
        seed=0,
    ).model
    tokens = torch.arange(8)[None]
    assert torch.equal(model(tokens).logits, plain(tokens).logits)
    attention = model.blocks[0].attention
    with torch.no_grad():
        attention.qkv_bias[-shape.width :] = 1.0  # of the values: the mean over tokens moves by as much
    change = model.blocks[0].attention.out.sum(1)
    x_bsd, rope = torch.randn(1, 8, shape.width), rope_of(shape, 8, torch.device("cpu"))
    torch.testing.assert_close(attention(x_bsd, rope) - plain.blocks[0].attention(x_bsd, rope), change.expand(1, 8, -1))


@pytest.mark.parametrize(("fraction", "named"), [(0.1, "RoPE 0 of"), (0.7, "RoPE 5 of")])
def test_rope_needs_pairs(fraction: float, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        ModelShape(**moe_shape().model_dump(), architecture=Architecture(rotary_fraction=fraction))


def test_a_norm_over_all_heads_sees_them_together() -> None:
    norm = AllHeadsNorm(6)
    torch.nn.init.ones_(norm.gain)
    x_bhsd = torch.randn(2, 3, 5, 2, generator=torch.Generator().manual_seed(0))
    out = norm(x_bhsd)
    torch.testing.assert_close(out.square().mean((1, 3)), torch.ones(2, 5), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(out / x_bhsd, (out / x_bhsd)[:, :1, :, :1].expand_as(out))


def test_weights_that_are_not_renormalised_are_probabilities_among_all_experts() -> None:
    logits = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    routing = route(logits, 2, Architecture(renormalise=False))
    torch.testing.assert_close(routing.weight_tk, logits.softmax(-1).gather(1, routing.expert_tk))
    torch.testing.assert_close(routing.weight_tk / routing.weight_tk.sum(-1, keepdim=True), route(logits, 2).weight_tk)


def test_a_scale_multiplies_what_the_routed_experts_add() -> None:
    """And not what the shared expert adds."""
    shape = moe_shape(shared_width=16)
    moes = [
        build(
            MUTRANSFER, shape.model_copy(update={"architecture": Architecture(routed_scale=scale)}), shape,
            backend="reference", embedding_std=1.0, seed=0,
        ).model.blocks[0].moe
        for scale in (1.0, 2.5)
    ]  # fmt: skip
    x_bsd = torch.randn(1, 6, 32, generator=torch.Generator().manual_seed(0))
    (once, _), (scaled, _) = (moe(x_bsd) for moe in moes)
    for moe in moes:
        moe.shared_up = None
    torch.testing.assert_close(scaled - once, 1.5 * moes[0](x_bsd)[0])


@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 3), (2, 4)])
def test_groups_of_queries_must_be_even(heads: int, kv_heads: int) -> None:
    with pytest.raises(ValueError, match="not a multiple of kv_heads"):
        ModelShape(**moe_shape().model_dump(), heads=heads, kv_heads=kv_heads)


def test_the_nearest_divisor() -> None:
    assert [nearest_divisor(12, wanted) for wanted in (0.3, 1.2, 2.6, 4.5, 100)] == [1, 1, 3, 4, 12]
    assert OWN.qk_norm == "head"
