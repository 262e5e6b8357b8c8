"""The memory foreseen: in fp32 against what a process grew by, in bf16 against the tensors alive."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lrladder.benchmark.training.loop import Loop
from lrladder.benchmark.training.memory import OF_ATTENTION, memory_bytes, more_of_latents
from lrladder.models.attention import Attention, rope_of
from lrladder.models.latent_attention import LatentAttention
from lrladder.models.parametrization import build
from lrladder.models.rules import STANDARD
from lrladder.models.shape import ModelShape
from tests.benchmark.training.live_tensors import LiveTensors
from tests.benchmark.trials import no_log, tiny_corpus, tiny_trial
from tests.models.shapes import latent_shape, moe_shape
from tests.paths import ROOT

# width, depth, experts, sequence, vocabulary, tokens of a batch: parameters, activations and logits weigh most in turn
SIZES = {
    "parameters": (512, 2, 16, 256, 256, 512),
    "blocks": (128, 6, 8, 256, 1024, 8192),
    "logits": (64, 1, 4, 256, 8192, 8192),
}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.skipif(sys.platform != "linux", reason="/proc is read")
def test_the_plan_foresees_memory_within_15_percent(sizes: tuple[int, ...]) -> None:
    command = [sys.executable, "-m", "tests.benchmark.training.peak_memory", *map(str, sizes)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    grown, foreseen = map(float, done.stdout.splitlines()[-1].split())
    assert grown == pytest.approx(foreseen, rel=0.15)


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_the_plan_foresees_the_tensors_of_bf16_within_15_percent(
    sizes: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lrladder.benchmark.training.watch.EVERY", 1)  # a probe in the decay is the most that is alive
    width, depth, num_experts, seq_len, vocab_size, batch_tokens = sizes
    shape = moe_shape(
        width=width, expert_width=width, depth=depth, head_size=64, num_experts=num_experts, seq_len=seq_len,
        vocab_size=vocab_size,
    )  # fmt: skip
    trial = tiny_trial(precision="bf16", shape=shape, batch_tokens=batch_tokens, horizons=(2 * batch_tokens,))
    loop = Loop(trial, tiny_corpus(tmp_path, shape, tokens=4 * batch_tokens), no_log)
    with LiveTensors((*loop.engine.module.parameters(), *loop.watch._start.values(), *loop.watch._features)) as live:
        loop.train_to(batch_tokens, horizon=2 * batch_tokens)
        _trunk = loop.snapshot()  # alive beside the decay, as in training
        loop.train_to(2 * batch_tokens, horizon=2 * batch_tokens)
    assert live.peak == pytest.approx(memory_bytes(trial, compiled=False), rel=0.15)


def kept_per_token(shape: ModelShape) -> float:
    """Elements that autograd keeps for the backward pass of one attention, but for its input and parameters."""
    attention = build(STANDARD, shape, shape, backend="reference", embedding_std=1.0, seed=0).model.blocks[0].attention
    assert isinstance(attention, Attention | LatentAttention)
    x_bsd, alive = torch.randn(1, 64, shape.width, requires_grad=True), []
    known = {x.untyped_storage().data_ptr() for x in (x_bsd, *attention.parameters())}

    def keep(x: torch.Tensor) -> torch.Tensor:
        alive.append(x)
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        attention(x_bsd, rope_of(shape, 64, x_bsd.device))
    storages = {x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() // x.itemsize for x in alive}
    return sum(size for place, size in storages.items() if place not in known) / 64


@pytest.mark.parametrize("value_size", [24, 32, 48])
@pytest.mark.parametrize("q_rank", [96, None])
def test_the_plan_counts_what_latent_attention_keeps(value_size: int, q_rank: int | None) -> None:
    """Heads of values that are smaller than those of queries, as large, and larger."""
    sizes = {"width": 256, "head_size": 32, "heads": 8, "rope_size": 8, "kv_rank": 64}
    shape = latent_shape(**sizes, q_rank=q_rank, value_size=value_size)
    assert more_of_latents(moe_shape()) == 0
    assert OF_ATTENTION * 256 + more_of_latents(shape) == pytest.approx(kept_per_token(shape), rel=0.03)
    assert kept_per_token(moe_shape(width=256, head_size=32)) == pytest.approx(OF_ATTENTION * 256, rel=0.03)
