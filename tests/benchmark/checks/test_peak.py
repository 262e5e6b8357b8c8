"""The products of a training step that `lrladder bench` times, and their FLOPs."""

import torch

from lrladder.benchmark.checks.bench.peak import SQUARE, Peak
from lrladder.models.parametrization import build
from lrladder.models.transformer import Transformer, next_token_loss
from tests.benchmark.trials import tiny_trial


def test_the_products_of_a_step_have_the_flops_of_the_model_without_attention() -> None:
    trial = tiny_trial()
    shape, rows = trial.shape, 32
    model = build(trial.rules, shape, trial.base.shape, backend="grouped", embedding_std=1.0, seed=0).model
    assert isinstance(model, Transformer)
    tokens = torch.arange(rows)[None] % shape.vocab_size

    def step() -> None:
        next_token_loss(model(tokens), tokens).backward()

    peak = Peak(step, torch.device("cpu"), torch.float32)
    *products, square = peak.products
    # Each matrix but the embedding is multiplied once forward and twice backward, with 2 FLOPs per weight and token.
    head = shape.vocab_size * shape.width
    matrices = shape.n_active + head - sum(p.numel() for p in model.parameters() if p.ndim == 1)
    assert sum(p.flops * p.count for p in products) == 6 * rows * matrices
    assert square.flops == 2 * SQUARE["cpu"] ** 3


def test_a_turn_keeps_the_best_rate_and_counts_products_as_often_as_a_step_has_them() -> None:
    a = torch.randn(64, 64)

    def step() -> None:
        for _ in range(3):
            torch.mm(a, a)

    peak = Peak(step, torch.device("cpu"), torch.float32)
    peak.turn()
    peak.turn()
    product, _ = peak.products
    assert product.count == 3
    assert len(peak.rates) == 2
    assert 3 * product.flops / max(peak.rates) <= peak.products_seconds * (1 + 1e-9)
