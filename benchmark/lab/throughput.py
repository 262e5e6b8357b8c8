"""The speed that is expected of one worker on a CPU, before any run has been timed."""

import math
from functools import cache

from lrladder.models.shape import ModelShape

SOURCE = (
    "estimated from the speed of one core of an AMD EPYC, in fp32, with evaluation, for MoE models of 8 experts, top-2 "
    "and a vocabulary of 1,024: 51k tokens/s at width 32 (2 layers), 27k at 64 (3 layers) and 9k at 128 (4 layers), "
    "compiled. At width 16 (2 layers) it is 51k too, because such runs are too short to be compiled. FLOP/s are "
    "interpolated over width, and are those of the nearest of these widths outside"
)
# Width, depth, tokens/s per core. That width 16 is as fast as width 32 is an assumption: in preset cpu on an AMD EPYC
# without AVX-512 (2026-11-29) the medians are 27k (n = 9 runs of 40,960 tokens or more) and 26k (n = 2 of 139,264).
_MEASURED = ((16, 2, 51_000.0), (32, 2, 51_000.0), (64, 3, 27_000.0), (128, 4, 9_000.0))


@cache
def cpu_flops_per_second(width: int) -> float:
    """Effective FLOP/s of one core, interpolated in log width; see SOURCE."""
    import numpy as np  # here, so that `--help` does not import it

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
