"""How experts are chosen and weighted beside a softmax, and how a bias balances them."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lrladder.models.architecture import Architecture
from lrladder.models.balance import balance
from lrladder.models.moe import route
from lrladder.models.shape import ModelShape
from lrladder.models.transformer import Transformer, routed_moes
from tests.models.shapes import dense_shape, moe_shape

BIASED = Architecture(score="sigmoid", expert_bias=True)


def drawn(*sizes: int, seed: int = 0) -> Tensor:
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(seed))


def test_sigmoid_scores_are_renormalised_or_not() -> None:
    logits_te = drawn(9, 6)
    found = route(logits_te, 2, Architecture(score="sigmoid", routed_scale=2.5))
    scores = logits_te.sigmoid().gather(1, found.expert_tk)
    torch.testing.assert_close(found.weight_tk, 2.5 * scores / scores.sum(-1, keepdim=True))
    plain = route(logits_te, 2, Architecture(score="sigmoid", renormalise=False))
    torch.testing.assert_close(plain.weight_tk, scores)
    shares = logits_te.sigmoid() / logits_te.sigmoid().sum(-1, keepdim=True)
    torch.testing.assert_close(found.stats.probability_e, shares.mean(0))


@pytest.mark.parametrize("score", ["softmax", "sigmoid"])
def test_a_bias_moves_the_choice_and_no_weight(score: Any) -> None:
    logits_te, bias_e = drawn(9, 6), torch.tensor([0, 0, 0, 0, 0, 5.0])
    asked = Architecture(score=score, expert_bias=True, renormalise=False)
    found = route(logits_te, 2, asked, bias_e)
    assert (found.expert_tk == 5).any(-1).all()
    scores = logits_te.softmax(-1) if score == "softmax" else logits_te.sigmoid()
    torch.testing.assert_close(found.weight_tk, scores.gather(1, found.expert_tk))
    assert torch.equal(route(logits_te, 2, asked, torch.zeros(6)).expert_tk, route(logits_te, 2).expert_tk)


def in_groups(score_e: list[float], top_k: int, groups: int, top_groups: int, group_best: int = 2) -> set[int]:
    """The choice of DeepSeek-V3 for one token, expert by expert (arXiv 2412.19437; its model code), or of V2."""
    size = len(score_e) // groups
    members = [range(g * size, (g + 1) * size) for g in range(groups)]
    worth = [sum(sorted(score_e[e] for e in group)[-group_best:]) for group in members]
    best = sorted(range(groups), key=worth.__getitem__)[-top_groups:]
    allowed = [e for g in best for e in members[g]]
    return set(sorted(allowed, key=score_e.__getitem__)[-top_k:])


@settings(max_examples=30)
@given(seed=st.integers(0, 999), groups=st.sampled_from([2, 4]), top_groups=st.integers(1, 2), biased=st.booleans())
def test_groups_choose_as_a_loop_over_tokens_does(seed: int, groups: int, top_groups: int, biased: bool) -> None:
    logits_te, bias_e = drawn(5, 8, seed=seed), drawn(8, seed=seed + 1)
    asked = Architecture(score="sigmoid", num_groups=groups, top_groups=top_groups)
    found = route(logits_te, 2, asked, bias_e if biased else None)
    for chosen, score_e in zip(found.expert_tk, logits_te.sigmoid() + biased * bias_e, strict=True):
        assert set(chosen.tolist()) == in_groups(score_e.tolist(), 2, groups, top_groups)


@settings(max_examples=30)
@given(seed=st.integers(0, 999), groups=st.sampled_from([2, 4]), top_groups=st.integers(1, 2))
def test_groups_may_go_by_their_best_expert(seed: int, groups: int, top_groups: int) -> None:
    """As in DeepSeek-V2 (arXiv 2405.04434), whose scores are a softmax."""
    logits_te = drawn(5, 8, seed=seed)
    asked = Architecture(renormalise=False, num_groups=groups, top_groups=top_groups, group_best=1)
    found = route(logits_te, 2, asked)
    for chosen, score_e in zip(found.expert_tk, logits_te.softmax(-1), strict=True):
        assert set(chosen.tolist()) == in_groups(score_e.tolist(), 2, groups, top_groups, group_best=1)
    torch.testing.assert_close(found.weight_tk, logits_te.softmax(-1).gather(1, found.expert_tk))


def updated_expert_bias(tokens_per_expert: Tensor, expert_bias: Tensor, rate: float) -> Tensor:
    """The formula of megatron-core 0.16.1, megatron/core/transformer/moe/moe_utils.py, without its sum over ranks."""
    average = tokens_per_expert.sum(dim=-1, keepdim=True) / tokens_per_expert.shape[-1]
    return expert_bias + torch.sign(average - tokens_per_expert) * rate


@settings(max_examples=30)
@given(counts=st.lists(st.integers(0, 5), min_size=8, max_size=8).filter(lambda counts: sum(counts[:4]) > 0))
def test_the_update_is_megatrons_to_the_bit(counts: list[int]) -> None:
    """Also where some experts have exactly the mean; shares are rounded as those of a batch in parts are."""
    model = Transformer(_with(BIASED), backend="reference")
    counts[4:] = reversed(counts[:4])
    count_le = torch.tensor(counts).view(2, 4)
    expected = torch.full((2, 4), 0.3)
    for moe in routed_moes(model):
        moe.expert_bias.fill_(0.3)
    share_le = sum(count_le.float() / count_le[0].sum() for _ in range(3)) / 3
    for _ in range(100):
        balance(model, share_le, rate=0.001, assignments=int(count_le[0].sum()))
        expected = updated_expert_bias(count_le, expected, 0.001)
    assert torch.equal(torch.stack([moe.expert_bias for moe in routed_moes(model)]), expected)


def test_a_bias_makes_loads_even() -> None:
    """A router that prefers two of four experts; after the updates every expert has about a quarter."""
    model = Transformer(_with(BIASED), backend="reference")
    moe = routed_moes(model)[0]
    logits_te = drawn(400, 4) + torch.tensor([2.0, 2.0, 0, 0])
    loads = []
    for _ in range(400):
        load_e = route(logits_te, 2, BIASED, moe.expert_bias).stats.load_e
        balance(model, load_e.expand(2, 4), rate=0.002, assignments=800)
        loads.append(load_e.max().item())
    assert loads[0] > 0.4
    assert loads[-1] < 0.27


@pytest.mark.parametrize(
    ("of", "named"),
    [
        ({"score": "sigmoid", "num_groups": 3}, "no equal groups"),
        ({"score": "sigmoid", "num_groups": 4}, "no equal groups of two"),
        ({"score": "sigmoid", "num_groups": 2, "top_groups": 3}, "top_groups 3 is more"),
        ({"num_groups": 4, "group_best": 1}, "no equal groups of two"),
    ],
)
def test_groups_must_fit_the_experts(of: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        _with(Architecture(**of))


def test_top_k_must_fit_the_groups_that_a_token_uses() -> None:
    with pytest.raises(ValueError, match="top_k 3 is more than the 2 experts of top_groups 1"):
        ModelShape(
            **moe_shape(top_k=3).model_dump(), architecture=Architecture(score="sigmoid", num_groups=2, top_groups=1)
        )


def test_a_dense_model_has_no_bias() -> None:
    model = Transformer(ModelShape(**dense_shape().model_dump(), architecture=BIASED))
    assert not list(model.buffers())
    assert not routed_moes(model)


def _with(architecture: Architecture) -> ModelShape:
    return ModelShape(**moe_shape().model_dump(), architecture=architecture)
