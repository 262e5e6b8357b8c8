"""Compiled regions against the model as written. The first compilation of a machine takes half a minute."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lrladder.benchmark.training.train import train
from lrladder.models import compiled as regions
from lrladder.models.compiled import agree, compile_blocks, compiler_missing
from lrladder.models.hooks import calls_of
from lrladder.models.parametrization import build
from lrladder.models.rules import MUTRANSFER
from lrladder.models.transformer import Output, Transformer, next_token_loss
from tests.benchmark.trials import tiny_corpus, tiny_trial
from tests.models.shapes import latent_shape, moe_shape, public_shape, tied_shape, wide_latent_shape


@pytest.fixture(autouse=True)
def _needs_a_compiler() -> None:
    if (reason := compiler_missing()) is not None:
        pytest.skip(reason)


def _public() -> Transformer:
    """With a dense first block, biases, and experts chosen by groups."""
    shape = public_shape(width=64, expert_width=64, shared_width=32, dense_width=96, heads=16, kv_heads=8, depth=3)
    return build(MUTRANSFER, shape, public_shape(), backend="grouped", embedding_std=1.0, seed=0).model


def _tied() -> Transformer:
    """Of another width than the others, so that no compiled region of theirs serves it."""
    shape = tied_shape(width=96, expert_width=96, depth=3)
    return build(MUTRANSFER, shape, tied_shape(), backend="grouped", embedding_std=1.0, seed=0).model


def _latent() -> Transformer:
    shape = wide_latent_shape().model_copy(update={"heads": 6})
    return build(MUTRANSFER, shape, latent_shape(), backend="grouped", embedding_std=1.0, seed=0).model


def _model(**changes: int) -> Transformer:
    """Deeper and wider than its base, so that no multiplier is 1."""
    shape = moe_shape(**({"width": 64, "expert_width": 64, "depth": 3} | changes))
    return build(MUTRANSFER, shape, moe_shape(), backend="grouped", embedding_std=1.0, seed=0).model


@pytest.mark.parametrize("make", [_model, _public, _tied, _latent])
def test_compiled_equals_written(make: Callable[[], Transformer]) -> None:
    """Loss, router losses, loads and every gradient; and hooks see the model as it is written."""
    torch._dynamo.utils.counters.clear()
    written, compiled = make(), make()
    assert written.head_multiplier != 1 and written.branch_multiplier != 1
    loss_of = compile_blocks(compiled, batch=4)
    assert loss_of is not None
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


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_the_loss_that_is_compiled_is_torchs_cross_entropy(scale: float) -> None:
    """Uncompiled here, with its gradients; also where a softmax is 0 or 1 in fp32."""
    generator = torch.Generator().manual_seed(0)
    features, head = torch.randn(2, 8, 16, generator=generator), scale * torch.randn(64, 16, generator=generator)
    targets = torch.randint(0, 64, (2, 8), generator=generator)
    none = torch.zeros(())
    found = []
    for loss_fn in (next_token_loss, regions._fused_loss):
        x, w = features.clone().requires_grad_(), head.clone().requires_grad_()
        loss = loss_fn(Output(x, w, none, none, none), targets)
        found.append([loss.detach(), *torch.autograd.grad(loss, [x, w])])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6 * scale)


def test_a_compiled_trial_gives_the_uncompiled_losses(tmp_path: Path) -> None:
    corpus = tiny_corpus(tmp_path)
    written, compiled = (
        train(tiny_trial(), corpus, log=lambda row: None, compiled=compiled) for compiled in (False, True)
    )
    assert [m.compiled for m in (*written, *compiled)] == [False, False, True, True]
    for one, other in zip(written, compiled, strict=True):
        assert other.loss == pytest.approx(one.loss, abs=1e-4)


@pytest.mark.parametrize(
    "sizes",
    [
        {"width": 32, "expert_width": 32, "seq_len": 8},  # 16 tokens, 32 rows, 32 wide: once 100% off in the router
        {"width": 32, "expert_width": 16, "seq_len": 8, "num_experts": 16, "top_k": 4},
    ],
)
def test_sizes_that_coincide(sizes: dict[str, int]) -> None:
    assert compile_blocks(_model(depth=1, **sizes), batch=2) is not None


def _half_the_gradient(loss: Tensor) -> Tensor:
    return loss.detach() + 0.5 * (loss - loss.detach())


def test_what_is_compiled_wrongly_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The loss is the same, its gradient is not: the trial runs as written, and its log and measurement say so."""
    right = regions.next_token_loss
    monkeypatch.setattr(regions, "_AGREED", {})
    monkeypatch.setattr(regions, "_compiled_loss", lambda: lambda *args: _half_the_gradient(right(*args)))
    rows: list[dict[str, object]] = []
    corpus = tiny_corpus(tmp_path)
    (written,) = train(tiny_trial(), corpus, log=lambda row: None)[:1]
    (guarded,) = train(tiny_trial(), corpus, log=rows.append, compiled=True)[:1]
    assert not guarded.compiled and guarded.loss == written.loss
    assert any("uncompiled" in str(row.get("note")) for row in rows)


def test_agreement_is_by_tensor_and_knows_no_nan() -> None:
    one, small = torch.ones(4), torch.full((4,), 1e-3)
    assert agree([one, small], [one, small], 1e-3)
    assert not agree([one, small * 1.01], [one, small], 1e-3)  # however small beside the others
    assert agree([one, torch.full((4,), 1e-9)], [one, torch.zeros(4)], 1e-3)  # rounding where nothing should be
    assert not agree([one, torch.full((4,), torch.nan)], [one, small], 1e-3)
