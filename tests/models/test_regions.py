"""Compiled regions against the model as written. The first compilation of a machine takes half a minute."""

from pathlib import Path

import pytest
import torch

from benchmark.training.loop import train
from models.calls import calls_of
from models.parametrization import build
from models.regions import compile_blocks, compiler_missing
from models.rules import MUTRANSFER
from models.transformer import Transformer, next_token_loss
from tests.benchmark.trials import tiny_corpus, tiny_trial
from tests.models.shapes import moe_shape


@pytest.fixture(autouse=True)
def _needs_a_compiler() -> None:
    if (reason := compiler_missing()) is not None:
        pytest.skip(reason)


def _model() -> Transformer:
    """Deeper and wider than its base, so that no multiplier is 1."""
    shape = moe_shape(width=64, expert_width=64, depth=3)
    return build(MUTRANSFER, shape, moe_shape(), backend="grouped", embedding_std=1.0, seed=0).model


def test_compiled_equals_written() -> None:
    """Loss, router losses, loads and every gradient; and hooks see the model as it is written."""
    torch._dynamo.utils.counters.clear()
    written, compiled = _model(), _model()
    assert written.head_multiplier != 1 and written.branch_multiplier != 1
    loss_of = compile_blocks(compiled)
    tokens = torch.randint(0, 64, (4, 17), generator=torch.Generator().manual_seed(0))
    found = []
    for model, loss_fn in ((written, next_token_loss), (compiled, loss_of)):
        output = model(tokens[:, :-1])
        loss = loss_fn(output, tokens[:, 1:])
        (loss + output.load_balance + output.router_z).backward()
        grads = [param.grad for param in model.parameters()]
        found.append([loss.detach(), output.load_balance.detach(), output.router_z.detach(), output.load, *grads])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    stats = torch._dynamo.utils.counters["stats"]
    assert stats["unique_graphs"] >= 2  # a block, and the head with its loss
    assert not torch._dynamo.utils.counters["graph_break"]
    calls = [calls_of(model, (tokens[:, :-1],)) for model in (written, compiled)]
    assert calls[0].keys() == calls[1].keys()
    torch.testing.assert_close(calls[0][""].output.logits, calls[1][""].output.logits)


def test_a_compiled_trial_gives_the_uncompiled_losses(tmp_path: Path) -> None:
    corpus = tiny_corpus(tmp_path)
    written, compiled = (
        train(tiny_trial(), corpus, log=lambda row: None, compiled=compiled) for compiled in (False, True)
    )
    assert [m.compiled for m in (*written, *compiled)] == [False, False, True, True]
    for one, other in zip(written, compiled, strict=True):
        assert other.loss == pytest.approx(one.loss, abs=1e-4)
