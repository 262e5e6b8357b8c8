"""The trunk's in-memory state: what a decay branch starts from, and what the trunk gets back untouched."""

from typing import Any

import torch
from torch import Tensor


class TrunkState:
    """A copy of every tensor that training changes: parameters, fp32 masters where there are any, and AdamW moments.

    The engine's inner optimizer holds the tensors that are really updated: the parameters themselves at stage 0 in
    fp32, flat fp32 partitions under bf16 or ZeRO 1. The data position is the step number, kept by the caller.
    """

    def __init__(self, engine: Any) -> None:
        self._live = _tensors(engine)
        self._saved = [tensor.detach().clone() for tensor in self._live]
        self._rng = torch.get_rng_state()

    @torch.no_grad()
    def restore(self) -> None:
        for tensor, saved in zip(self._live, self._saved, strict=True):
            tensor.copy_(saved)
        torch.set_rng_state(self._rng)


def _tensors(engine: Any) -> list[Tensor]:
    optimizer = engine.basic_optimizer
    found = list(engine.module.parameters())
    found += [param for group in optimizer.param_groups for param in group["params"]]
    found += [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
    return list({id(tensor): tensor for tensor in found}.values())
