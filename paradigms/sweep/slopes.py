"""Derivatives of a value of a fitted sweep, such as its minimum, by the loss of each run, by finite differences."""

from collections.abc import Callable, Sequence

from lrladder.paradigms.sweep.curve import fit_curve

STEP = 1e-6  # nats; step of the finite differences, too small to change which points are fitted

Losses = Sequence[float | None]  # None: diverged
Values = tuple[float, ...]


def loss_slopes(losses: Losses, values: Callable[[Losses], Values | None], *, step: float = STEP) -> list[Values]:
    """d values / d loss for each finished run, in order.

    The sum of the squared slopes of a value, times the variance of one loss, is the variance of that value. `values`
    computes numbers from a sweep, or None if it has none. If a moved loss gives None, that run's slopes are 0. Raises
    ValueError if the sweep itself gives None.
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
    """d minimum / d loss for each finished run of an interior sweep. `noise` is the sd of one loss, if known."""

    def minimum(moved: Losses) -> tuple[float] | None:
        found = fit_curve(lrs, moved, noise=noise).minimum
        return None if found is None else (found,)

    return [slope for (slope,) in loss_slopes(losses, minimum, step=step)]
