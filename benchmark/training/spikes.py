"""Spikes of a loss or a gradient norm. The definition is ours, because there is no canonical one."""

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

WINDOW = 64  # most steps before the judged step that it is compared with; assumption
SHARE = 0.25  # the window of a short run is this share of its steps, so that most of them can be judged; assumption
LEAST = (
    32  # least steps of a window: with fewer, calm runs had a spike each, because MADs scatter (preset cpu, 2026-11)
)
MADS = 5 * 1.4826  # a spike exceeds the median of the window by 5 robust sds; an sd is 1.4826 MADs of normal values


class Spikes(NamedTuple):
    """The `number` of spikes, and their total `area` above the medians (unit x steps) and `steps` until recovery.

    A spike lasts until the value is below the threshold that it exceeded. The threshold stays that of its first step.
    """

    number: int
    area: float
    steps: int
    judged: int  # number of steps with a complete window before them


def window(steps: int) -> int:
    """The number of steps before a step with which it is compared, in a run of `steps` steps."""
    return min(WINDOW, max(LEAST, round(SHARE * steps)))


def find_spikes(values: Sequence[float]) -> Spikes:
    """The spikes among `values`, which has one finite value per step, in order."""
    number, area, steps = 0, 0.0, 0
    step = width = window(len(values))
    while step < len(values):
        before = values[step - width : step]
        middle = median(before)
        limit = middle + MADS * median(abs(value - middle) for value in before)
        if not values[step] > limit:
            step += 1
            continue
        number += 1
        while step < len(values) and values[step] > limit:
            area += values[step] - middle
            steps += 1
            step += 1
    return Spikes(number, area, steps, max(0, len(values) - width))
