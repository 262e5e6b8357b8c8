"""The runs of one sweep by learning rate, and which of them do not belong to the parabola near its minimum."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Side = Literal["low", "high"]
Array = NDArray[np.float64]

# A run that is above the lowest loss by more than this share of it blew up. Assumption: published sweeps rise by 5%.
BLOWN_UP = 0.2
ODD = 0.02  # share of the lowest loss by which a run may be above one that is farther from the best LR; assumption
MIN_LEFT = 3  # LRs that must be left if an odd one is taken out: as many as a parabola has coefficients


class Sweep(NamedTuple):
    """One sweep by distinct LR, ascending. An LR diverges when any of its seeds does."""

    tried: Array  # LRs with any result
    finished: Array  # LRs whose every seed finished
    means: Array  # loss of each finished LR, mean over its seeds
    runs: tuple[tuple[float, ...], ...]  # losses of each finished LR


class Settled(NamedTuple):
    """A sweep without its `blown_up` LRs, which only bracket the minimum, and its `odd` LRs, which are dropped."""

    sweep: Sweep
    blown_up: tuple[float, ...]
    odd: tuple[float, ...]

    @property
    def flags(self) -> tuple[str, ...]:
        """What was taken out, as flags."""
        flags = []
        if self.odd:
            why = f"over {100 * ODD:g}% above runs farther from the best; they are perhaps unfinished and are left out"
            flags.append(f"runs at LR {_listed(self.odd)} lie {why}")
        if self.blown_up:
            why = f"over {100 * BLOWN_UP:g}% above the lowest loss, so they only bracket the minimum"
            flags.append(f"runs at LR {_listed(self.blown_up)} lie {why}")
        return tuple(flags)


def sweep(lrs: Sequence[float], losses: Sequence[float | None]) -> Sweep:
    """Group runs by LR; a loss of None is a diverged run. Raises ValueError on an LR or loss that cannot be used."""
    if len(lrs) != len(losses):
        raise ValueError(f"{len(lrs)} learning rates but {len(losses)} losses")
    groups: dict[float, list[float | None]] = {}
    for lr, loss in zip(lrs, losses, strict=True):
        if not (math.isfinite(lr) and lr > 0) or not (loss is None or math.isfinite(loss)):
            raise ValueError(f"lr {lr} with loss {loss}: the LR must be positive and both finite")
        groups.setdefault(lr, []).append(loss)
    runs = {
        lr: tuple(sorted(loss for loss in groups[lr] if loss is not None))
        for lr in sorted(groups)
        if None not in groups[lr]
    }
    means = np.array([math.fsum(run) / len(run) for run in runs.values()])
    return Sweep(np.array(sorted(groups)), np.array(list(runs)), means, tuple(runs.values()))


def open_side(data: Sweep) -> Side | None:
    """The side on which no LR is worse than the best one. A diverged LR is worse than any finished one."""
    if not len(data.finished):
        return "low"
    best = data.finished[int(np.argmin(data.means))]
    if best == data.tried[0]:
        return "low"
    return "high" if best == data.tried[-1] else None


def settle(data: Sweep) -> Settled:
    """Take out the runs that do not belong to the parabola around the lowest loss.

    A run more than BLOWN_UP above the lowest, with only such runs farther out, blew up or hardly trained. Its LR
    brackets the minimum as a diverged one does. A run is odd if it lies above one that is farther out, because losses
    rise away from the best LR. It was probably stopped early, so it is left out. If several runs look odd the sweep is
    noisy, and none is taken out.
    """
    if not len(data.finished):
        return Settled(data, (), ())
    lowest, place = float(data.means.min()), int(data.means.argmin())
    rise = (data.means - lowest) / abs(lowest) if lowest else np.zeros_like(data.means)
    odd = [*_odd(rise, range(place - 1, -1, -1)), *_odd(rise, range(place + 1, len(rise)))]
    if len(odd) > 1 or len(rise) - len(odd) < MIN_LEFT:
        odd = []
    blown = [i for i in range(len(rise)) if rise[i] > BLOWN_UP and i not in odd]
    keep = [i for i in range(len(rise)) if i not in odd and i not in blown]
    odd_lrs, blown_lrs = (tuple(float(data.finished[i]) for i in chosen) for chosen in (odd, blown))
    tried = data.tried[~np.isin(data.tried, odd_lrs)]
    kept = Sweep(tried, data.finished[keep], data.means[keep], tuple(data.runs[i] for i in keep))
    return Settled(kept, blown_lrs, odd_lrs)


def _odd(rise: Array, outward: Sequence[int]) -> list[int]:
    """Indices, among `outward` (one side, from the best LR on), of LRs that are more than ODD above one farther out."""
    return [i for k, i in enumerate(outward) if any(rise[i] - rise[j] > ODD for j in outward[k + 1 :])]


def _listed(lrs: Sequence[float]) -> str:
    return ", ".join(f"{lr:.3g}" for lr in lrs)
