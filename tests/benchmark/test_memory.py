"""The memory foreseen against what a process grew by."""

import subprocess
import sys
from pathlib import Path

import pytest

# width, depth, experts, sequence, vocabulary, tokens of a batch: parameters, activations and logits weigh most in turn
SIZES = {
    "parameters": (512, 2, 16, 256, 256, 512),
    "blocks": (128, 6, 8, 256, 1024, 8192),
    "logits": (64, 1, 4, 256, 8192, 8192),
}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.skipif(sys.platform != "linux", reason="/proc is read")
def test_the_plan_foresees_memory_within_15_percent(sizes: tuple[int, ...]) -> None:
    command = [sys.executable, "-m", "tests.benchmark.peak_memory", *map(str, sizes)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    grown, foreseen = map(float, done.stdout.splitlines()[-1].split())
    assert grown == pytest.approx(foreseen, rel=0.15)
