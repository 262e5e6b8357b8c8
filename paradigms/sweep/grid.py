"""The grid of LRs that a search runs on."""

from typing import Protocol


class SearchSpec(Protocol):
    """Look at `points` LRs of the grid lr_guess * factor**k, extended in at most `max_extensions` rounds."""

    @property
    def lr_guess(self) -> float: ...
    @property
    def factor(self) -> float: ...
    @property
    def points(self) -> int: ...
    @property
    def max_extensions(self) -> int: ...
    @property
    def seeds(self) -> tuple[int, ...]: ...


def grid_lr(spec: SearchSpec, k: int) -> float:
    """The k-th LR of the grid. Always computed this way, so that equal LRs are equal trials."""
    return float(spec.lr_guess * spec.factor**k)
