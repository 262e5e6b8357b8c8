"""Counts the trials of a study by verdict."""

from collections.abc import Sequence
from typing import Protocol

from lrladder.benchmark.documents import Frozen


class Ended(Protocol):
    """Anything that knows its trial and how the trial ended, such as a measurement or a reading."""

    @property
    def trial_id(self) -> str: ...

    @property
    def verdict(self) -> str: ...


class TrialCounts(Frozen):
    """Numbers of trials by verdict. `trained_now` counts those that this process trained."""

    finished: int = 0
    diverged: int = 0
    failed: int = 0
    trained_now: int = 0


def count_trials(measurements: Sequence[Ended], *, trained_now: int = 0) -> TrialCounts:
    """Distinct trials by verdict. A trial with several horizons counts under its worst verdict."""
    worst: dict[str, int] = {}
    order = ("finished", "diverged", "failed")
    for m in measurements:
        if m.verdict in order:
            worst[m.trial_id] = max(worst.get(m.trial_id, 0), order.index(m.verdict))
    finished, diverged, failed = (sum(value == rank for value in worst.values()) for rank in range(3))
    return TrialCounts(finished=finished, diverged=diverged, failed=failed, trained_now=trained_now)
