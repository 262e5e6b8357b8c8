"""The ranks of a trial: one process for each of its devices. Each rank trains its share of every batch."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


class Ranks:
    """What the ranks of one trial tell each other. All of them must call these methods in the same order.

    With one rank nothing is sent. `count` is the number of ranks, `index` is the place of this one.
    """

    def __init__(self) -> None:
        self.count, self.index = dist.get_world_size(), dist.get_rank()
        # Flags go through the CPU, so that asking for them does not wait for the GPU.
        own = self.count > 1 and dist.get_backend() != "gloo"
        self._flags = dist.new_group(backend="gloo") if own else None

    @property
    def is_first(self) -> bool:
        """Whether this rank writes the files."""
        return self.index == 0

    def means(self, *values: Tensor) -> list[Tensor]:
        """The mean of each value over the ranks, without a gradient. It is nan on every rank if one rank has nan."""
        return self.start_means(*values)()

    def start_means(self, *values: Tensor) -> Callable[[], list[Tensor]]:
        """As `means`, but return at once with a function that waits for the means.

        All values are sent together, because each exchange waits for the slowest rank.
        """
        held = [value.detach() for value in values]
        if self.count == 1:
            return lambda: held
        sent = torch.cat([value.flatten() for value in held])
        under_way = dist.all_reduce(sent, async_op=True)

        def wait() -> list[Tensor]:
            under_way.wait()
            parts = (sent / self.count).split([value.numel() for value in held])
            return [part.view(value.shape) for part, value in zip(parts, held, strict=True)]

        return wait

    def sum(self, value: Tensor, group: Any = None) -> Tensor:
        """The sum over the ranks, in place; over some of them if a group is given."""
        if self.count > 1:
            dist.all_reduce(value, group=group)
        return value

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag, whether it is set on any rank."""
        if self.count == 1:
            return flags
        found = torch.tensor(flags, dtype=torch.int32)
        dist.all_reduce(found, op=dist.ReduceOp.MAX, group=self._flags)
        return tuple(found.bool().tolist())

    def in_turn(self, work: Callable[[], T]) -> T:
        """Do the same work on all ranks, on the first one before the others."""
        if self.count == 1:
            return work()
        if self.is_first:
            found = work()
            dist.barrier(group=self._flags)
            return found
        dist.barrier(group=self._flags)
        return work()

    def share(self, rows: Tensor) -> Tensor:
        """This rank's equal share of the rows of a batch."""
        size = len(rows) // self.count
        return rows[self.index * size : (self.index + 1) * size]
