"""Spreads the experts of a model over ranks: `training: {expert_parallel: n}`.

Each group of n neighbouring ranks holds every expert once. Its ranks send tokens to one another. DeepSpeed sums the
gradient of an expert over the ranks that hold it, and divides it by the number of all ranks, as for other parameters.
The names read here are those of DeepSpeed 0.19.
"""

from collections.abc import Iterable
from typing import Any

from torch import nn

from lrladder.models.experts.exchange import Share, exchanged, share_of, shared_out
from lrladder.models.transformer import Transformer, routed_moes


def spread_experts(model: Transformer, count: int) -> None:
    """Keep only this rank's experts of an initialised model. All ranks must call this, before the optimizer is made."""
    share = _share(count)
    for moe in routed_moes(model):
        moe.up, moe.down = shared_out(moe.up, "up", share), shared_out(moe.down, "down", share)
        moe.backend = exchanged(moe.backend, share)
        for param in (moe.up, moe.down):  # what DeepSpeed knows an expert by
            param.allreduce, param.group_name = False, _name(count)  # type: ignore[attr-defined]
    model.add_module("spread", _marker(model.shape.num_experts))


def mark_groups(groups: Iterable[dict[str, Any]]) -> None:
    """Tell DeepSpeed which of the optimizer's groups are spread experts; a group has no others."""
    for group in groups:
        share = share_of(group["params"][0])
        if share is not None:
            group |= {"moe": True, "name": _name(share.num_parts)}


def has_spread_experts(model: nn.Module) -> bool:
    """Whether this rank holds only a part of the experts."""
    return any(share_of(param) is not None for param in model.parameters())


def _name(count: int) -> str:
    return f"ep_size_{count}"  # DeepSpeed's name for the groups of so many ranks


def _share(count: int) -> Share:
    from deepspeed.utils import groups

    name = _name(count)
    if name not in groups._get_expert_parallel_group_dict():
        groups._create_expert_and_data_parallel(count)
    group, copies = groups._get_expert_parallel_group(name), groups._get_expert_data_parallel_group(name)
    return Share(groups._get_expert_parallel_rank(name), count, group, copies)


def _marker(num_experts: int) -> nn.Module:
    """A module without parameters. DeepSpeed treats experts apart only in a model that has a layer of its own MoE."""
    from deepspeed.moe.layer import MoE

    class Spread(MoE):
        def __init__(self) -> None:
            nn.Module.__init__(self)
            self.num_experts = num_experts

        def set_deepspeed_parallelism(self, *_: object) -> None:
            """The groups exist already."""

    return Spread()
