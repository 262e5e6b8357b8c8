"""The memory foreseen: in fp32 against what a process grew by, in bf16 against the tensors alive."""

import subprocess
import sys
from pathlib import Path

import pytest

from lrladder.benchmark.training.loop import Loop
from lrladder.benchmark.training.memory import memory_bytes
from tests.benchmark.training.live_tensors import LiveTensors
from tests.benchmark.trials import no_log, tiny_corpus, tiny_trial
from tests.models.shapes import moe_shape
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
