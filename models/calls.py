"""What a module was called with and what it gave, as `models.hooks` records it."""

from typing import Any, NamedTuple


class Call(NamedTuple):
    """The arguments and the output of one module in a forward pass."""

    args: tuple[Any, ...]
    output: Any
