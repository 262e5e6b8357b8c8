"""The grid of LRs that a search runs on, and a finer lattice to which proposals may be rounded."""

import math
from typing import Protocol

# Resolution of the lattice. Rounding an LR to it costs 0.25 millinats on average in `cpu`. Near-equal proposals become
# one run: their true losses differ by 0.3 millinats, but two runs would differ by 10 in noise (docs/decision.md).
STEPS_PER_OCTAVE = 16
_ROUNDING = 1e-9  # of a step


class Grid(Protocol):
    """The LRs lr_guess * factor**k of all whole k."""

    @property
    def lr_guess(self) -> float: ...
    @property
    def factor(self) -> float: ...


class FirstLrs(Grid, Protocol):
    """The `points` LRs of a grid with which a search starts."""

    @property
    def points(self) -> int: ...


class SearchSpec(FirstLrs, Protocol):
    """Search `points` LRs of a grid, and extend it in at most `max_extensions` rounds."""

    @property
    def max_extensions(self) -> int: ...
    @property
    def seeds(self) -> tuple[int, ...]: ...


def grid_lr(grid: Grid, k: float) -> float:
    """The k-th LR of the grid; k need not be whole. All LRs are computed here, so that equal LRs are equal trials."""
    return float(grid.lr_guess * grid.factor**k)


def steps_to(lr: float, grid: Grid) -> float:
    """The k of `grid_lr` at an LR, which need not be whole."""
    return math.log(lr / grid.lr_guess) / math.log(grid.factor)


def first_steps(points: int) -> range:
    """The steps k around the guess with which a search starts. If `points` is even, there are more below the guess.

    The reason is that too high an LR may diverge, and a diverged run shows no curvature.
    """
    return range(-(points // 2), points - points // 2)


def first_lrs(spec: FirstLrs) -> list[float]:
    """The LRs of a search before any extension, in ascending order."""
    return [grid_lr(spec, k) for k in first_steps(spec.points)]


def on_lattice(factor: float) -> bool:
    """Whether the lattice contains the grid of this factor and also its half steps."""
    steps = STEPS_PER_OCTAVE / 2 * math.log2(factor)
    return round(steps) > 0 and abs(steps - round(steps)) < _ROUNDING


def snap(lr: float, grid: Grid) -> float:
    """The nearest LR of the lattice that contains the grid of `grid`. LRs of the grid are unchanged.

    Raises ValueError as `lattice_step` does.
    """
    return grid_lr(grid, lattice_step(lr, grid))


def lattice_step(lr: float, grid: Grid) -> float:
    """The step of the grid, which need not be whole, at which the lattice has the LR nearest to this one.

    Raises ValueError for an LR that is not positive and finite, or for a factor whose grid fits no lattice.
    """
    if not (math.isfinite(lr) and lr > 0):
        raise ValueError(f"lr is {lr}; only a positive, finite LR can be put on a lattice")
    if not on_lattice(grid.factor):
        raise ValueError(
            f"factor {grid.factor:g} is not a whole number of steps of 1/{STEPS_PER_OCTAVE // 2} octave, "
            "so no lattice holds its grid; give a power of 2 or of sqrt(2)"
        )
    per_grid_step = round(STEPS_PER_OCTAVE * math.log2(grid.factor))
    steps = round(STEPS_PER_OCTAVE * math.log2(lr / grid.lr_guess))
    return steps / per_grid_step
