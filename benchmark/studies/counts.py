"""Counts the trials of a study by verdict."""

from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from lrladder.benchmark.documents import Frozen
from lrladder.paradigms.lab import RANKS


class Ended(Protocol):
    """Anything that knows its trial and how the trial ended, such as a measurement."""

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


def count_trials(measurements: Iterable[Ended], *, trained_now: int = 0) -> TrialCounts:
    """Numbers of distinct trials, each under its worst verdict."""
    return TrialCounts(**by_verdict(measurements), trained_now=trained_now)


def by_verdict(measurements: Iterable[Ended]) -> Counter[str]:
    """Numbers of distinct trials by verdict. A trial with several horizons counts under its worst verdict."""
    worst: dict[str, str] = {}
    for m in measurements:
        if RANKS.get(m.verdict, -1) > RANKS.get(worst.get(m.trial_id, ""), -1):
            worst[m.trial_id] = m.verdict
    return Counter(worst.values())
