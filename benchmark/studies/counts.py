"""Counts the trials of a study by verdict."""

from collections import Counter
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
    for m in measurements:
        rank = _RANKS.get(m.verdict)
        if rank is not None and rank >= worst.get(m.trial_id, 0):
            worst[m.trial_id] = rank
    found = Counter(worst.values())
    return TrialCounts(**{verdict: found[rank] for verdict, rank in _RANKS.items()}, trained_now=trained_now)


_RANKS = {"finished": 0, "diverged": 1, "failed": 2}  # the worst last
