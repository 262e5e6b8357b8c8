"""An average of the trunk's weights, which is evaluated in place of a decay: `read: ema`.

The average lies beside the moments in the optimizer's state. So snapshots, checkpoints and continued runs hold it.
Every rank averages whole weights, which none has under ZeRO 3 (`benchmark.lab.resolve` refuses that).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

NAME = "average"  # in the optimizer's state of each parameter


@torch.no_grad()
def add_step(engine: Any, step: int, exponent: float) -> None:
    """Update the average with the weights after `step` steps, counted from 1.

    The weights after n of N steps enter the average with weight (n / N)^exponent, as in ScheduleConfig.
    """
    params, held = list(engine.module.parameters()), engine.basic_optimizer.state
    if step == 1:
        for param in params:
            held[param][NAME] = param.detach().clone()
        return
    share = 1 - (1 - 1 / step) ** (exponent + 1)  # arXiv 2312.02696, with beta = (1 - 1 / t)^(gamma + 1)
    torch._foreach_lerp_([held[param][NAME] for param in params], params, share)


@contextmanager
@torch.no_grad()
def average_in_place(engine: Any) -> Iterator[None]:
    """A context in which the model has the averaged weights."""
    params: list[Tensor] = list(engine.module.parameters())
    own = [param.detach().clone() for param in params]
    torch._foreach_copy_(params, [engine.basic_optimizer.state[param][NAME] for param in params])
    try:
        yield
    finally:
        torch._foreach_copy_(params, own)
