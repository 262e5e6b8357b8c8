"""What stands in for executors: trials that end one by one, in the order in which they were asked for."""

from collections.abc import Iterator, Sequence

from lrladder.benchmark.lab.executor import More
from lrladder.benchmark.lab.trial import Trial


def until_no_more(trials: Sequence[Trial], more: More) -> Iterator[Trial]:
    """The trials, and those that `more` gives after each, until it gives none after the last."""
    waiting = list(trials)
    while waiting:
        yield waiting.pop(0)
        waiting += more()
