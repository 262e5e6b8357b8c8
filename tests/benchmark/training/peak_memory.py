"""Train a trial in a process of its own; prints what the process grew by and what was foreseen, in bytes."""

import sys
import tempfile
from pathlib import Path

import torch

from lrladder.benchmark.training.loop import Loop
from lrladder.benchmark.training.memory import memory_bytes
from lrladder.benchmark.training.optimizer import start_deepspeed
from tests.benchmark.trials import BATCH, tiny_corpus, tiny_trial
from tests.models.shapes import moe_shape


def main(width: int, depth: int, num_experts: int, seq_len: int, vocab_size: int, batch_tokens: int) -> None:
    torch.set_num_threads(1)
    start_deepspeed()
    shape = moe_shape(
        width=width, expert_width=width, depth=depth, head_size=64, num_experts=num_experts, seq_len=seq_len,
        vocab_size=vocab_size,
    )  # fmt: skip
    trial = tiny_trial(shape=shape, batch_tokens=batch_tokens, horizons=(2 * batch_tokens,))
    with tempfile.TemporaryDirectory() as folder:
        corpus = tiny_corpus(Path(folder), shape, tokens=4 * batch_tokens)
        Loop(tiny_trial(), tiny_corpus(Path(folder) / "tiny"), lambda row: None).train_to(BATCH, horizon=2 * BATCH)
        before = _peak()  # with all that is imported on the way
        loop = Loop(trial, corpus, lambda row: None)
        loop.train_to(batch_tokens, horizon=2 * batch_tokens)
        _trunk = loop.snapshot()  # alive beside the decay, as in training
        loop.train_to(2 * batch_tokens, horizon=2 * batch_tokens)
        print(_peak() - before, memory_bytes(trial, compiled=False))


def _peak() -> int:
    """Of this program; getrusage would count the process that it was forked from."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
