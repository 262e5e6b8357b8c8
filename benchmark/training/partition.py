"""Finds the parts of each parameter that ZeRO keeps on this rank, and the tensors in which they lie.

ZeRO 1 and 2 update one flat fp32 tensor per parameter group, of which each rank holds one part. ZeRO 3 updates flat
tensors made of a part of each parameter. The names read here are those of DeepSpeed 0.19.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch.distributed as dist
from torch import Tensor

from lrladder.benchmark.training.ranks import Ranks


class Piece(NamedTuple):
    """`numel` values of the parameter at `param` in the model, from `start`, lie in `flat` from `place`."""

    param: int
    start: int
    flat: Tensor
    place: int
    numel: int

    @property
    def held(self) -> Tensor:
        """The values of this piece, which the optimizer updates."""
        return self.of(self.flat)

    def of(self, flat: Tensor) -> Tensor:
        """This piece's part of a tensor that lies as `flat` does."""
        return flat.view(-1).narrow(0, self.place, self.numel)

    def inside(self, whole: Tensor) -> Tensor:
        """This piece's part of a tensor that has the shape of the parameter."""
        return whole.view(-1).narrow(0, self.start, self.numel)


def flat_tensors(engine: Any) -> list[Tensor]:
    """The tensors that the optimizer updates in place of parameters; none without ZeRO."""
    match engine.zero_optimization_stage():
        case 0:
            return []
        case 3:
            return list(engine.optimizer.fp32_partitioned_groups_flat)
        case _:
            return list(engine.optimizer.single_partition_of_fp32_groups)


def pieces(engine: Any, ranks: Ranks) -> list[Piece]:
    """Everything that this rank holds of the parameters. Padding is in no piece."""
    index = {id(param): place for place, param in enumerate(engine.module.parameters())}
    match engine.zero_optimization_stage():
        case 0:
            return []
        case 3:
            return list(_by_parameter(engine.optimizer, index, ranks))
        case _:
            return list(_by_group(engine.optimizer, index))


def _by_group(optimizer: Any, index: dict[int, int]) -> Iterator[Piece]:
    for group, flat in enumerate(optimizer.single_partition_of_fp32_groups):
        place = dist.get_rank(optimizer.real_dp_process_group[group])  # fewer ranks hold parts of spread experts
        before = optimizer.parallel_partitioned_bit16_groups[group][:place]
        begin = sum(part.numel() for part in before)
        params, offsets = optimizer.round_robin_bit16_groups[group], optimizer.round_robin_bit16_offsets[group]
        for param, offset in zip(params, offsets, strict=True):
            first, last = max(begin, offset), min(begin + flat.numel(), offset + param.numel())
            if first < last:
                yield Piece(index[id(param)], first - offset, flat, first - begin, last - first)


def _by_parameter(optimizer: Any, index: dict[int, int], ranks: Ranks) -> Iterator[Piece]:
    for params, flat in zip(optimizer.fp16_groups, optimizer.fp32_partitioned_groups_flat, strict=True):
        place = 0
        for param in params:
            size = param.ds_tensor.ds_numel  # with padding; each rank holds as much
            start = ranks.index * size
            if (numel := min(size, param.ds_numel - start)) > 0:
                yield Piece(index[id(param)], start, flat, place, numel)
            place += size
