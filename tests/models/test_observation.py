"""What the probe reports of models whose answer is known."""

import math

import pytest
import torch

from lrladder.models import parametrization
from lrladder.models.observation import feature_metrics, observe
from lrladder.models.parameters import tag_of
from lrladder.models.roles import Role
from lrladder.models.rules import STANDARD
from lrladder.models.shape import ModelShape
from lrladder.models.transformer import Block, Transformer
from tests.models.shapes import dense_shape, latent_shape, moe_shape


def _model(shape: ModelShape | None = None) -> Transformer:
    shape = shape or moe_shape()
    return parametrization.build(STANDARD, shape, shape, backend="reference", embedding_std=1.0, seed=0).model


def _tokens(model: Transformer) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(model.shape.vocab_size, (2, model.shape.seq_len), generator=generator)


def _weights(model: Transformer) -> dict[str, torch.Tensor]:
    return {name: param.detach().clone() for name, param in model.named_parameters()}


@torch.no_grad()
def test_log_z_and_entropies_of_a_model_that_knows_nothing() -> None:
    model = _model()
    model.head.zero_()
    for block in model.blocks:
        assert isinstance(block, Block) and block.moe.router is not None
        block.moe.router.zero_()
    found = observe(model, _tokens(model)).metrics
    assert found["log_z"] == pytest.approx(math.log(model.shape.vocab_size))
    assert found["router_entropy_token"] == found["router_entropy_batch"] == pytest.approx(1)


@torch.no_grad()
def test_a_decided_router_has_no_entropy_of_tokens_but_may_be_even_over_the_batch() -> None:
    model = _model()
    before = observe(model, _tokens(model)).metrics
    for block in model.blocks:
        assert isinstance(block, Block) and block.moe.router is not None
        block.moe.router.mul_(1e4)
    found = observe(model, _tokens(model)).metrics
    assert found["router_entropy_token"] < 0.01 < before["router_entropy_token"]
    assert found["router_entropy_batch"] > 0.5


@torch.no_grad()
def test_the_largest_attention_logit_follows_the_gain_of_q() -> None:
    model = _model()
    before = observe(model, _tokens(model)).metrics["attention_logit_max"]
    first = model.blocks[0]
    assert isinstance(first, Block)
    first.attention.q_norm.gain.mul_(100)
    assert observe(model, _tokens(model)).metrics["attention_logit_max"] > 20 * before


def test_a_dense_model_has_no_router() -> None:
    model = _model(dense_shape())
    assert not [name for name in observe(model, _tokens(model)).metrics if name.startswith("router")]


@torch.no_grad()
def test_features_that_grow_by_a_tenth_change_by_a_tenth() -> None:
    model = _model()
    tokens, start = _tokens(model), _weights(model)
    before = observe(model, tokens)
    still = feature_metrics(model, start, before.features, before)
    assert {value for name, value in still.items() if name.startswith("feature_change")} == {0.0}
    model.embedding.mul_(1.1)
    moved = feature_metrics(model, start, before.features, observe(model, tokens))
    assert moved["feature_change/0"] == pytest.approx(0.1, rel=1e-5)
    assert moved["feature_change/1"] < 0.11  # blocks see normed inputs, so what they add stays


@pytest.mark.parametrize(
    "shape", [moe_shape(), dense_shape(), latent_shape(shared_width=0)], ids=["moe", "dense", "latent"]
)
@torch.no_grad()
def test_an_update_along_the_weight_is_aligned_as_the_weight_is(shape: ModelShape) -> None:
    """dW = W / 4 of W at the end: output change 1/4 exactly, and alignment ratio 1, whatever the inputs."""
    model = _model(shape)
    start = {name: 0.75 * value for name, value in _weights(model).items()}
    now = observe(model, _tokens(model))
    found = feature_metrics(model, start, now.features, now)
    roles = {tag_of(p, name).role for name, p in model.named_parameters()} - {Role.NORM, Role.EMBEDDING}
    for role in roles:
        assert found[f"output_change/{role}"] == pytest.approx(0.25, rel=1e-4)
        assert found[f"alignment_ratio/{role}"] == pytest.approx(1, rel=1e-4)


@torch.no_grad()
def test_a_random_update_is_less_aligned_than_one_along_the_inputs() -> None:
    model = _model()
    tokens, now_weights = _tokens(model), _weights(model)
    now = observe(model, tokens)
    mean = now.calls["norm"].output.flatten(0, 1).mean(0)
    noise = torch.randn(model.head.shape, generator=torch.Generator().manual_seed(0))
    updates = {"random": 0.01 * noise, "along": 0.01 * mean.expand_as(model.head)}
    ratio = {}
    for kind, update in updates.items():
        start = now_weights | {"head": model.head - update}
        ratio[kind] = feature_metrics(model, start, now.features, now)["alignment_ratio/head"]
    assert ratio["random"] == pytest.approx(1, abs=0.3)
    assert ratio["along"] > 1.2 * ratio["random"]
