"""Balancing experts by a bias in their choice, without a loss: arXiv 2408.15664, algorithm 1."""

import torch
from torch import Tensor

from lrladder.models.transformer import Transformer, routed_moes


@torch.no_grad()
def balance(model: Transformer, load_le: Tensor, *, rate: float, assignments: int) -> None:
    """Raise the biases of experts below the mean load by `rate`, and lower those above it, in place.

    `load_le` has each expert's share [L, E] of the `assignments` (tokens times top-k) of a step, over all ranks. This
    is `get_updated_expert_bias` of megatron-core 0.16. Counts are whole again by rounding, so that an expert with
    exactly the mean load keeps its bias.
    """
    counts_le = (load_le.double() * assignments).round()
    change_le = (counts_le.mean(-1, keepdim=True) - counts_le).sign().float() * rate
    for moe, change_e in zip(routed_moes(model), change_le, strict=True):
        assert moe.expert_bias is not None
        moe.expert_bias.add_(change_e)
