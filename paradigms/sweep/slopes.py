"""What each run's loss adds to a value read off a fitted sweep, such as its minimum: by finite differences."""

from collections.abc import Callable, Sequence

from lrladder.paradigms.sweep.curve import fit_curve

STEP = 1e-6  # nats, by which a loss is moved to see what follows; too small to change which points are fitted

Losses = Sequence[float | None]  # None: diverged
Values = tuple[float, ...]


def loss_slopes(losses: Losses, values: Callable[[Losses], Values | None], *, step: float = STEP) -> list[Values]:
    """d values / d loss of each finished run, in order. The squares of a value's slopes sum to its variance in runs.

    `values` reads its numbers off a sweep, None where that has none; a run that takes them away counts as no slope.
    Raises ValueError where the sweep as it is has none.
    """
    found = values(losses)
    if found is None:
        raise ValueError("these losses have no values whose slopes could be told")
    slopes = []
    for i, loss in enumerate(losses):
        if loss is not None:
            moved = values([*losses[:i], loss + step, *losses[i + 1 :]]) or found
            slopes.append(tuple((new - old) / step for new, old in zip(moved, found, strict=True)))
    return slopes


def minimum_slopes(
    lrs: Sequence[float], losses: Losses, *, noise: float | None = None, step: float = STEP
) -> list[float]:
    """d minimum / d loss of each finished run of an interior sweep, whose losses have the sd `noise` where known."""

    def minimum(moved: Losses) -> tuple[float] | None:
        found = fit_curve(lrs, moved, noise=noise).minimum
        return None if found is None else (found,)

    return [slope for (slope,) in loss_slopes(losses, minimum, step=step)]
