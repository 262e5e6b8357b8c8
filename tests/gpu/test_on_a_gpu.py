"""What only a GPU can show: bf16 kernels against the loop, compiled regions, checkpoints, and the memory foreseen."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from lrladder.benchmark.lab.trial import Trial
from lrladder.benchmark.training.checkpoints import Clock
from lrladder.benchmark.training.memory import memory_bytes
from lrladder.benchmark.training.run import Run
from lrladder.benchmark.training.train import train
from lrladder.models.experts import BACKENDS
from lrladder.models.no_megablocks import no_megablocks
from lrladder.models.shape import ModelShape
from tests.benchmark.trials import tiny_corpus, tiny_trial
from tests.models.shapes import moe_shape

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")

D, H, EXPERTS, TOKENS = 256, 512, 8, 1000
ROUTINGS = {
    "even": lambda t: (t % EXPERTS, (t + 3) % EXPERTS),
    "uneven": lambda t: (0, 1 + t % 3),
    "one expert alone": lambda t: (5, 2),
}
BF16 = 2e-2  # of the largest entry; bf16 holds 8 bits, and sums of D or H products are rounded once


def _backend(name: str) -> str:
    if name == "megablocks" and (reason := no_megablocks(has_gpu=torch.cuda.is_available())):
        pytest.skip(reason)
    return name


def _shape() -> ModelShape:
    return moe_shape(width=256, expert_width=256, head_size=64, num_experts=8, seq_len=128, vocab_size=512)


def _trial(**changes: object) -> Trial:
    return tiny_trial(**({"precision": "bf16", "shape": _shape(), "batch_tokens": 4096, **_tokens(20)} | changes))


def _tokens(steps: int) -> dict[str, object]:
    return {"horizons": (4096 * steps // 2, 4096 * steps)}


@pytest.mark.parametrize("routing", ROUTINGS.values(), ids=ROUTINGS)
@pytest.mark.parametrize("name", ["grouped", "megablocks"])
def test_backends_in_bf16_equal_the_loop_in_fp32(name: str, routing) -> None:  # type: ignore[no-untyped-def]
    generator = torch.Generator().manual_seed(0)
    expert_tk = torch.tensor([routing(t) for t in range(TOKENS)]).cuda()
    inputs = [
        torch.randn(TOKENS, D, generator=generator),
        torch.randn(TOKENS, 2, generator=generator).softmax(-1),
        torch.randn(EXPERTS, 2 * H, D, generator=generator) / D**0.5,
        torch.randn(EXPERTS, D, H, generator=generator) / H**0.5,
    ]
    out = torch.randn(TOKENS, D, generator=generator).cuda()

    def outcome(backend: str, dtype: torch.dtype) -> list[Tensor]:
        x, weight, up, down = (tensor.cuda().requires_grad_() for tensor in inputs)
        y = BACKENDS[backend]()(x.to(dtype), expert_tk, weight, up.to(dtype), down.to(dtype))
        (y.float() * out).sum().backward()
        return [y.detach().float(), *(tensor.grad for tensor in (x, weight, up, down) if tensor.grad is not None)]

    for got, expected in zip(outcome(_backend(name), torch.bfloat16), outcome("reference", torch.float32), strict=True):
        assert float((got - expected).abs().max() / expected.abs().max()) < BF16


@pytest.mark.parametrize("name", ["grouped", "megablocks"])
def test_compiled_training_gives_the_uncompiled_losses(name: str, tmp_path: Path) -> None:
    corpus = tiny_corpus(tmp_path, _shape(), tokens=200_000)
    trial = _trial(expert_backend=_backend(name))
    written, compiled = (train(trial, corpus, log=lambda row: None, compiled=flag) for flag in (False, True))
    for one, other in zip(written, compiled, strict=True):
        assert one.loss is not None and other.loss == pytest.approx(one.loss, abs=0.02)


def test_a_bf16_run_goes_on_from_its_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = tiny_corpus(tmp_path, _shape(), tokens=200_000)
    whole = train(_trial(), corpus, log=lambda row: None)
    monkeypatch.setattr(Clock, "due", lambda self: True)
    run = Run(_trial(), corpus, lambda row: None, path=tmp_path / f"{_trial().trunk_id}.pt")
    run.train_to(5 * 4096, horizon=max(_trial().horizons))
    run.loop.engine.destroy()
    rows: list[dict[str, object]] = []
    continued = train(_trial(), corpus, log=rows.append, trunks=tmp_path)
    assert {"continued_from_tokens": 5 * 4096} in rows
    for one, other in zip(whole, continued, strict=True):  # kernels that add up in any order are not repeatable
        assert one.loss is not None and other.loss == pytest.approx(one.loss, abs=0.02)


def test_memory_is_what_the_plan_says(tmp_path: Path) -> None:
    """Within 15%, of a model large enough that activations and parameters both count."""
    shape = moe_shape(
        width=512, expert_width=512, depth=4, head_size=64, num_experts=16, seq_len=512, vocab_size=8192
    )  # fmt: skip
    trial = _trial(shape=shape, batch_tokens=32768, horizons=(32768 * 8,))
    corpus = tiny_corpus(tmp_path, shape, tokens=400_000)
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    train(trial, corpus, log=lambda row: None, compiled=True)
    assert torch.cuda.max_memory_allocated() - before == pytest.approx(memory_bytes(trial, compiled=True), rel=0.15)
