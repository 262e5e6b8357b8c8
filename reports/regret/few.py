"""Selects the runs of a large study that a page shows one by one. Everything that is computed uses all runs."""

from collections import Counter

from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.reports.kept import kept

SHOWN = 3000  # most readings that are shown; as points and as rows of a table they take 3 MB of a page


def few(results: RegretResults) -> RegretResults:
    """The results with at most SHOWN readings: those of the first seeds of each cell and LR, but at least one seed."""
    if len(results.measurements) <= SHOWN:
        return results
    ranks = _ranks(results)
    of_rank = Counter(ranks)
    most, total = 0, 0
    for rank in sorted(of_rank):
        total += of_rank[rank]
        most = rank if total <= SHOWN else most
    shown = [m for m, rank in zip(results.measurements, ranks, strict=True) if rank <= most]
    return results.model_copy(update={"measurements": tuple(shown)})


def sentence(results: RegretResults) -> str:
    """A sentence that says how many readings are not shown one by one; empty if all are."""
    shown, there = len(few(results).measurements), len(results.measurements)
    if shown == there:
        return ""
    return (
        f"The study has {there:,} readings. {shown:,} of them are drawn as points and listed here, those of the first "
        "seeds at each learning rate. Fits, intervals, counts and the data for download are of all."
    )


@kept
def _ranks(results: RegretResults) -> list[int]:
    """The place of each reading among the seeds of its cell and LR, from 0."""
    measurements = results.measurements
    seen: Counter[tuple[object, ...]] = Counter()
    ranks = {}
    for place in sorted(range(len(measurements)), key=lambda place: measurements[place].seed):
        m = measurements[place]
        sweep = (m.rung, m.parametrization, m.horizon, m.lr, m.role_lrs)
        ranks[place] = seen[sweep]
        seen[sweep] += 1
    return [ranks[place] for place in range(len(measurements))]
