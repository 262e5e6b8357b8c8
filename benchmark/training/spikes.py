"""Spikes of a loss or a gradient norm. The definition is ours, because there is no canonical one."""

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

WINDOW = 64  # steps before the step that is judged
MADS = 5 * 1.4826  # a spike exceeds the median of the window by 5 robust sds


class Spikes(NamedTuple):
    """The `number` of spikes, and their total `area` above the medians (unit x steps) and `steps` until recovery.

    A spike lasts until the value is below the threshold that it exceeded. The threshold stays that of its first step.
    """

    number: int
    area: float
    steps: int
    judged: int  # number of steps with a complete window before them


def find_spikes(values: Sequence[float]) -> Spikes:
    """`values`: one value per step, in order."""
    number, area, steps = 0, 0.0, 0
    step = WINDOW
    while step < len(values):
        window = values[step - WINDOW : step]
        middle = median(window)
        limit = middle + MADS * median(abs(value - middle) for value in window)
        if not values[step] > limit:
            step += 1
            continue
        number += 1
        while step < len(values) and values[step] > limit:
            area += values[step] - middle
            steps += 1
            step += 1
    return Spikes(number, area, steps, max(0, len(values) - WINDOW))
