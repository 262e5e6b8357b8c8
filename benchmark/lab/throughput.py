"""The speed that is expected of one worker on a CPU, before any run has been timed."""

import math

import numpy as np

from lrladder.models.shape import ModelShape

SOURCE = (
    "measured on one core of an AMD EPYC at fp32, compiled, evaluation included, MoE of 8 experts top-2, vocabulary "
    "1,024: width 32 (2 layers) 51k tokens/s, 64 (3 layers) 27k, 128 (4 layers) 9k; effective FLOP/s interpolated over "
    "width, constant outside"
)
_MEASURED = ((32, 2, 51_000.0), (64, 3, 27_000.0), (128, 4, 9_000.0))  # width, depth, tokens/s per core


def cpu_flops_per_second(width: int) -> float:
    """Effective FLOP/s of one core, interpolated in log width; see SOURCE."""
    measured = [_shape(w, depth).flops_per_token * tokens for w, depth, tokens in _MEASURED]
    widths = [math.log(w) for w, _, _ in _MEASURED]
    return float(np.exp(np.interp(math.log(width), widths, np.log(measured))))


def _shape(width: int, depth: int) -> ModelShape:
    return ModelShape(
        vocab_size=1024,
        width=width,
        depth=depth,
        head_size=16,
        num_experts=8,
        top_k=2,
        expert_width=width,
        seq_len=128,
    )
