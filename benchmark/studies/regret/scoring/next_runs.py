"""Where nobody wins: how many more seeds would name the best of those that are not told apart, by the same rule."""

from collections.abc import Iterator, Sequence

from lrladder.benchmark.studies.regret.results import NextRunsResult, ParadigmResult
from lrladder.benchmark.studies.regret.scoring.decision import FOUND_SHARE, Rival, found_share
from lrladder.benchmark.studies.regret.scoring.noise import Noises

MOST_RUNS = 100  # assumption: beyond this price the entries are equal for any purpose


def next_runs(tied: Sequence[ParadigmResult], cheapest: ParadigmResult, noises: Noises) -> tuple[NextRunsResult, ...]:
    """For all of `tied` at once, the best first; where that is too dear, for the best and the cheapest alone too.

    `tied` are distinct runs by mean loss. Empty unless the noise is known and there are two.
    """
    if len(tied) < 2 or noises.between(tied[0].parametrization, tied[1].parametrization, tied[0].n_seeds).sd is None:
        return ()
    return tuple(_asked(tied, cheapest, noises))


def _asked(tied: Sequence[ParadigmResult], cheapest: ParadigmResult, noises: Noises) -> Iterator[NextRunsResult]:
    seeds = more_seeds(tied, noises)
    yield NextRunsResult(entries=tuple(p.name for p in tied), seeds=seeds)
    pair = [p for p in tied if p is tied[0] or p.same_as(cheapest)]
    if seeds is None and len(tied) > 2 and len(pair) == 2:
        yield NextRunsResult(entries=tuple(p.name for p in pair), seeds=more_seeds(pair, noises))


def more_seeds(tied: Sequence[ParadigmResult], noises: Noises) -> int | None:
    """The fewest with which the first is named over the others in FOUND_SHARE of studies, if losses are as measured.

    None where that takes over MOST_RUNS.
    """
    low, high = 0, MOST_RUNS // len(tied)
    if _share(tied, high, noises) < FOUND_SHARE:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _share(tied, middle, noises) >= FOUND_SHARE else (middle, high)
    return high


def _share(tied: Sequence[ParadigmResult], seeds: int, noises: Noises) -> float:
    """Of studies with `seeds` more of each that name the first."""
    best, *others = tied
    grown = noises.after(seeds, [p.parametrization for p in tied])
    rivals = []
    for p in others:
        noise = grown.between(best.parametrization, p.parametrization, best.n_seeds + seeds)
        lead = (p.loss or 0.0) - (best.loss or 0.0)
        rivals.append(Rival(lead / noise.sd if noise.sd else 1e9 * (lead > 0), noise.dof))
    return found_share(rivals)
