"""Records the inputs and outputs of each module in one forward pass of a model."""

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lrladder.models.calls import Call
from lrladder.models.compiled import uncompiled

T = TypeVar("T")


@torch.no_grad()
def calls_of(module: nn.Module, args: tuple[Any, ...], weights: Mapping[str, Tensor] | None = None) -> dict[str, Call]:
    """Run a module, with the given weights in place of its own, and return the call of each submodule by name."""
    calls: dict[str, Call] = {}

    def keep(name: str) -> Any:
        return lambda _, args, output: calls.update({name: Call(args, output)})

    handles = [part.register_forward_hook(keep(name)) for name, part in module.named_modules()]
    try:
        with uncompiled():
            functional_call(module, dict(weights or {}), args)
    finally:
        for handle in handles:
            handle.remove()
    return calls


def inside(place: str, found: Mapping[str, T]) -> dict[str, T]:
    """Entries of `found` at or under the dotted name `place`; keys are the rest of their names."""
    return {
        name.removeprefix(place).removeprefix("."): value
        for name, value in found.items()
        if name == place or name.startswith(f"{place}.")
    }


def attention_logits(calls: Mapping[str, Call]) -> Tensor:
    """q.k / sqrt(head_size), [B, heads, pairs], of the pairs that the causal mask allows, from an attention's calls."""
    q, k, _ = calls["mixing"].args
    k = k.repeat_interleave(q.shape[1] // k.shape[1], dim=1)  # each group of queries shares one key
    logits = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    seen = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).tril()
    return logits[..., seen]
