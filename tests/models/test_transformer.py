"""Properties of the model: causality, counts, routing, and equality with a dense oracle."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from lrladder.models.attention import rope_table, rotate
from lrladder.models.moe import MoE, load_balance_of, route
from lrladder.models.parameters import tag_of, to_logits
from lrladder.models.parametrization import build
from lrladder.models.roles import Role
from lrladder.models.rules import STANDARD
from lrladder.models.shape import ModelShape
from lrladder.models.transformer import Transformer
from tests.models.shapes import dense_shape, latent_shape, moe_shape, public_shape, tied_shape


def _model(shape: ModelShape, backend: str = "grouped") -> Transformer:
    return build(STANDARD, shape, shape, backend=backend, embedding_std=0.1, seed=0)[0]


def _tokens(shape: ModelShape, batch: int = 3) -> torch.Tensor:
    return torch.randint(0, shape.vocab_size, (batch, shape.seq_len), generator=torch.Generator().manual_seed(1))


@given(
    heads=st.integers(1, 4),
    depth=st.integers(1, 3),
    experts=st.integers(1, 5),
    expert_width=st.integers(1, 9),
    shared=st.sampled_from([0, 8]),
)
def test_counts_equal_the_parameters_made(heads: int, depth: int, experts: int, expert_width: int, shared: int) -> None:
    shape = moe_shape(
        width=8 * heads, depth=depth, num_experts=experts, top_k=min(2, experts), expert_width=expert_width,
        shared_width=shared,
    )  # fmt: skip
    with torch.device("meta"):
        made = sum(param.numel() for param in Transformer(shape).parameters())
    assert made == shape.n_total + shape.n_embedding
    idle = depth * 3 * shape.width * expert_width * (experts - shape.top_k)
    assert shape.n_active == shape.n_total - idle


@pytest.mark.parametrize(
    "shape",
    [
        moe_shape(),
        moe_shape(shared_width=8),
        dense_shape(),
        tied_shape(),
        public_shape(),
        latent_shape(),
        latent_shape(q_rank=None),
    ],
)
def test_the_roles_of_a_shape_are_those_of_the_parameters_made(shape: ModelShape) -> None:
    with torch.device("meta"):
        made = {tag_of(param, name).role for name, param in Transformer(shape).named_parameters()}
    assert sorted(shape.roles) == sorted(made)


def test_no_token_sees_the_future() -> None:
    shape = moe_shape(shared_width=16)
    model, tokens = _model(shape), _tokens(shape)
    changed = tokens.clone()
    changed[:, 9:] = (changed[:, 9:] + 1) % shape.vocab_size
    before, after = model(tokens).logits, model(changed).logits
    torch.testing.assert_close(before[:, :9], after[:, :9], rtol=0, atol=1e-5)
    assert (before[:, 9:] - after[:, 9:]).abs().max() > 1e-3


def test_backends_share_one_state_dict_and_agree() -> None:
    shape = moe_shape()
    reference, grouped = _model(shape, "reference"), _model(shape, "grouped")
    grouped.load_state_dict(reference.state_dict())
    outputs = [model(_tokens(shape)) for model in (reference, grouped)]
    torch.testing.assert_close(outputs[0].logits, outputs[1].logits, rtol=1e-5, atol=1e-5)


def test_every_parameter_has_a_role_with_its_fans() -> None:
    for name, param in Transformer(moe_shape(shared_width=8)).named_parameters():
        tag = tag_of(param, name)
        if param.ndim > 1 and tag.role is not Role.EMBEDDING:
            assert (tag.fan_out, tag.fan_in) == tuple(param.shape[-2:]), name


def test_route_is_a_softmax_renormalised_over_the_top_k() -> None:
    logits = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    routing = route(logits, 2)
    full = logits.softmax(-1).gather(1, routing.expert_tk)
    torch.testing.assert_close(routing.weight_tk, full / full.sum(-1, keepdim=True))
    assert routing.stats.load_e.sum().item() == 1.0


def test_balance_loss_is_one_when_balanced_and_e_when_collapsed() -> None:
    """Switch form: E * sum f P has its minimum 1 at uniform routing, and E when one expert takes all."""
    uniform = torch.eye(4).repeat(5, 1) * 1e-6
    collapsed = torch.tensor([100.0, 0, 0, 0]).repeat(20, 1)
    for logits, expected in ((uniform, 1), (collapsed, 4)):
        stats = route(logits, 1).stats
        assert abs(load_balance_of(stats.load_e[None], stats.probability_e[None]).item() - expected) < 1e-5


def test_top_k_of_all_experts_equals_the_weighted_sum_over_experts() -> None:
    shape = moe_shape(top_k=4)
    moe = _model(shape).blocks[0].moe
    assert isinstance(moe, MoE) and moe.router is not None
    x = torch.randn(1, shape.seq_len, shape.width, generator=torch.Generator().manual_seed(2))
    weight = F.linear(x, moe.router).softmax(-1)
    experts = []
    for up, down in zip(moe.up, moe.down, strict=True):
        gate, value = F.linear(x, up).chunk(2, -1)
        experts.append(F.linear(F.silu(gate) * value, down))
    expected = (torch.stack(experts, -1) * weight[..., None, :]).sum(-1)
    torch.testing.assert_close(moe(x)[0], expected, rtol=1e-4, atol=1e-5)


def test_dense_block_has_no_router_and_no_router_losses() -> None:
    shape = dense_shape()
    model = _model(shape)
    assert not [name for name, param in model.named_parameters() if tag_of(param, name).role is Role.ROUTER]
    output = model(_tokens(shape))
    assert output.load_balance.item() == 0 and output.router_z.item() == 0


def test_rope_keeps_lengths_and_depends_on_distance_only() -> None:
    cos_sin = rope_table(12, 8, 10_000.0, torch.device("cpu"))
    q, k = torch.randn(2, 1, 1, 1, 8, generator=torch.Generator().manual_seed(3)).expand(2, 1, 1, 12, 8)
    rotated_q, rotated_k = rotate(q, *cos_sin), rotate(k, *cos_sin)
    torch.testing.assert_close(rotated_q.norm(dim=-1), q.norm(dim=-1))
    scores = (rotated_q @ rotated_k.transpose(-1, -2))[0, 0]
    torch.testing.assert_close(scores[5, 3], scores[11, 9], rtol=1e-4, atol=1e-5)


def test_logits_and_their_gradients_are_those_of_a_linear_layer() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.equal(to_logits(x, weight), F.linear(x, weight))
    assert torch.autograd.gradcheck(to_logits, (x, weight))
