"""Where nobody wins: how many more seeds would decide, if the true difference is the measured one."""

import math
from typing import NamedTuple

from lrladder.benchmark.studies.regret.results import ParadigmResult, TargetResult

MOST = 100  # runs; assumption: if deciding costs more, the two entries are equal for any purpose


class NextRuns(NamedTuple):
    """More seeds of two entries. `seeds` is None if more than MOST runs would be needed."""

    first: str
    second: str
    difference: float  # nats, loss of the second minus that of the first, as measured
    seeds: int | None  # additional seeds of each, with which 80% of studies find a difference of this size

    @property
    def n_runs(self) -> int:
        """The number of runs of both entries together."""
        return 2 * (self.seeds or 0)


def next_runs(target: TargetResult) -> NextRuns | None:
    """The runs that would decide between the cheapest entry and the best one, or between the best and the next.

    None if there is a winner, the noise is not known, or all tied entries propose the same run. The lead over all
    others that 80% of studies find falls with the square root of the number of seeds. For two entries alone it is even
    smaller, so the number is rather too large.
    """
    if target.winner is not None or target.cheapest is None or not target.smallest_difference:
        return None
    tied = [p for p in target.paradigms if p.loss is not None and p.name not in target.behind]
    best, *rivals = sorted(tied, key=_loss)
    cheapest = next(p for p in tied if p.name == target.cheapest)
    rivals = [p for p in ([cheapest] if not cheapest.same_as(best) else rivals) if not p.same_as(best)]
    if not rivals:
        return None
    difference = _loss(rivals[0]) - _loss(best)
    seeds = _more_seeds(difference, target.smallest_difference, best.n_seeds)
    return NextRuns(best.name, rivals[0].name, difference, seeds)


def _more_seeds(difference: float, smallest: float, n: int) -> int | None:
    needed = n * (smallest / difference) ** 2 if difference > 0 else math.inf
    more = max(1, math.ceil(min(needed, MOST)) - n)
    return more if needed < MOST and 2 * more <= MOST else None


def _loss(p: ParadigmResult) -> float:
    return math.inf if p.loss is None else p.loss
