"""Gives a model of transformers the parameters of ours."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lrladder.benchmark.hf.names import CHOICE_BIAS, theirs_of
from lrladder.models.transformer import Transformer


@torch.no_grad()
def give(model: Transformer, peer: Any, scale: Mapping[str, float] | None = None) -> None:
    """Copy our parameters to theirs, each times the `scale` of its name, and the biases of the experts' choice.

    Every parameter of theirs must get one.
    """
    left = trained_of(peer)
    for name, param in model.named_parameters():
        own = [left.pop(other) for other in theirs_of(name)]
        parts = param.split([len(one) for one in own])
        for one, part in zip(own, parts, strict=True):
            one.copy_(part * (scale or {}).get(name, 1.0))
    assert not left, f"no parameter of ours for {sorted(left)}"
    theirs = [value for name, value in peer.state_dict().items() if name.endswith(CHOICE_BIAS)]
    for buffer, other in zip(model.buffers(), theirs, strict=True):
        other.copy_(buffer.view_as(other))


def trained_of(peer: Any) -> dict[str, Tensor]:
    """Their parameters, without a bias of the experts' choice, which has no gradient."""
    return {name: param for name, param in peer.named_parameters() if param.requires_grad}
