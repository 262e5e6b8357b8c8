"""Stability and feature metrics of the runs as tidy tables. docs/stability.md explains each metric."""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

import pandas as pd

from lrladder.benchmark.studies.regret.results import RegretResults
from lrladder.models.slope import fit_slope
from lrladder.paradigms.lab import Measurement
from lrladder.reports.downloads import PIECE, Run
from lrladder.reports.drawing import labels_of
from lrladder.reports.kept import kept
from lrladder.reports.regret import analysis
from lrladder.reports.regret.recorded import Recorded, Table
from lrladder.reports.regret.signs import STABILITY, Metric

SWEPT = ("rung", "parametrization", "log2_lr", "seed", "metric", "value")
OWN = ("rung", "horizon", "paradigm", "seed", "metric", "value")
DECIDES = 0.5  # octaves per doubling of width; assumption: an interval of more than +-this does not decide anything
TINY = 0.01  # octaves per doubling of width; assumption: a trend this small does not matter


def deepest(results: RegretResults, m: Measurement) -> str:
    """The key of the change of the deepest features of a run, those that enter the final norm."""
    return _deepest(results)[m.rung]


@kept
def _deepest(results: RegretResults) -> dict[str, str]:
    return {rung.name: f"feature_change/{rung.depth}" for rung in results.rungs}


@kept
def own_runs(results: RegretResults) -> list[tuple[int, str, Measurement]]:
    """(index of the target, entry, run) for every seed of every proposal that was trained."""
    proposed = analysis.proposals(results)
    places = {(t.rung, t.tokens): i for i, t in enumerate(results.targets)}
    return [
        (places[m.rung, m.horizon], name, m)
        for m in results.measurements
        if (m.rung, m.horizon) in places
        for name in analysis.proposers(m, proposed)
    ]


class Spread(NamedTuple):
    """Mean, lowest and highest value over n runs."""

    mean: float
    least: float
    most: float
    n: int


def spread(values: Sequence[float]) -> Spread | None:
    """The spread of the values; None if there are none."""
    return Spread(fmean(values), min(values), max(values), len(values)) if values else None


def at_own_lr(results: RegretResults) -> list[dict[tuple[str, str], Spread]]:
    """For each target, the spread of each metric over the seeds of each proposal, by (entry, metric)."""
    keys = [metric.key for metric in STABILITY]
    found: list[dict[tuple[str, str], Spread]] = [{} for _ in results.targets]
    for (place, name), runs in _proposed(results).items():
        numbers = Table.of(runs).recorded(keys)
        for at, key in enumerate(keys):
            if over := spread(numbers.number[numbers.key == at].tolist()):
                found[place][name, key] = over
    return found


def _proposed(results: RegretResults) -> dict[tuple[int, str], list[Measurement]]:
    """The runs of each proposal, by target and entry."""
    found: dict[tuple[int, str], list[Measurement]] = {}
    for place, name, m in own_runs(results):
        found.setdefault((place, name), []).append(m)
    return found


def differing(spreads: Mapping[tuple[str, str], Spread]) -> list[Metric]:
    """The metrics in which the gap between two entries is larger than the range of the runs of either."""
    ranges = {metric: [s for (_, key), s in spreads.items() if key == metric.key] for metric in STABILITY}
    return [metric for metric, found in ranges.items() if any(_apart(a, b) for a in found for b in found)]


def _apart(low: Spread, high: Spread) -> bool:
    return high.least - low.most > max(low.most - low.least, high.most - high.least)


def alike(spreads: Mapping[tuple[str, str], Spread]) -> list[Metric]:
    """The recorded metrics that are not `differing`."""
    apart, recorded = differing(spreads), {key for _, key in spreads}
    return [metric for metric in STABILITY if metric.key in recorded and metric not in apart]


def swept_runs(results: RegretResults, metrics: Sequence[Metric]) -> Iterator[Run]:
    """The metrics of each swept run at the longest horizon of each rung. The columns are SWEPT."""
    runs, keys = _swept(results), [metric.key for metric in metrics]
    for start in range(0, len(runs), PIECE):
        piece = runs[start : start + PIECE]
        yield from zip(map(_place, piece), Table.of(piece).by_run(keys), strict=True)


@kept
def swept(results: RegretResults, metrics: Sequence[Metric]) -> pd.DataFrame:
    """A row for each number of `swept_runs`."""
    runs, keys = _swept(results), [metric.key for metric in metrics]
    return _rows(pd.DataFrame(map(_place, runs), columns=SWEPT[:4]), keys, Table.of(runs).recorded(keys))


def _swept(results: RegretResults) -> list[Measurement]:
    labels = set(labels_of(results))
    longest = {rung.name: max(rung.horizons) for rung in results.rungs}
    return [
        m
        for m in results.measurements
        if m.horizon == longest.get(m.rung) and not m.role_lrs and m.parametrization in labels and m.lr > 0
    ]


def _place(m: Measurement) -> tuple[str, str, float, int]:
    """What a swept run is: the first columns of SWEPT."""
    return m.rung, m.parametrization, math.log2(m.lr), m.seed


def _rows(runs: pd.DataFrame, names: Sequence[str], found: Recorded) -> pd.DataFrame:
    """A row for each number that was found: what its run is, the name of its key, and the number."""
    rows = runs.iloc[found.run].reset_index(drop=True)
    return rows.assign(metric=pd.Series(names, dtype=object).iloc[found.key].to_numpy(), value=found.number)


@kept
def at_best_lr(results: RegretResults, parametrization: str) -> list[Measurement]:
    """The runs at the swept LR with the lowest mean loss, at the longest horizon of each rung."""
    found = []
    for rung in results.rungs:
        runs = _by_lr(results).get((rung.name, max(rung.horizons, default=0), parametrization), {})
        most = max(map(len, runs.values()), default=0)
        whole = {lr: some for lr, some in runs.items() if len(some) == most}
        if whole:
            found += min(whole.values(), key=lambda some: fmean(m.loss or 0.0 for m in some))
    return found


@kept
def _by_lr(results: RegretResults) -> dict[tuple[str, int, str], dict[float, list[Measurement]]]:
    """Swept runs with a loss, by LR, for each rung, horizon and parametrization."""
    found: dict[tuple[str, int, str], dict[float, list[Measurement]]] = {}
    for m in results.measurements:
        if not m.role_lrs and m.loss is not None:
            found.setdefault((m.rung, m.horizon, m.parametrization), {}).setdefault(m.lr, []).append(m)
    return found


class Slope(NamedTuple):
    """Octaves per doubling of width, with its 90% t interval over n runs."""

    slope: float
    low: float
    high: float
    n: int

    @property
    def trend(self) -> str:
        """The trend in words, of a metric that should not change with width."""
        if self.high - self.low > 2 * DECIDES:
            return "too uncertain to tell a trend"
        if self.low <= TINY and self.high >= -TINY:
            return "constant within the interval"
        return "growing" if self.slope > 0 else "shrinking"


def width_slope(results: RegretResults, runs: Sequence[Measurement], values: Sequence[float]) -> Slope | None:
    """The slope of log2 of `values`, one for each run, against log2 width; None for fewer than three widths.

    Depth may differ too, as it does in the ladder.
    """
    widths = {rung.name: rung.width for rung in results.rungs}
    sizes = [widths[m.rung] for m in runs]
    if len(set(sizes)) < 3:
        return None
    fit = fit_slope(sizes, values)
    return Slope(*fit, len(sizes)) if math.isfinite(fit.slope) else None


class Balance(NamedTuple):
    """Load of the busiest expert / mean load at the best LR and longest horizon of a rung (`max_load`)."""

    rung: str
    depth: int
    parametrization: str
    lr: float
    spread: Spread


@kept
def balances(results: RegretResults) -> list[Balance]:
    """The load balance of each rung and parametrization, in the order of the ladder."""
    found = []
    for p in labels_of(results):
        best: dict[str, list[Measurement]] = {}
        for m in at_best_lr(results, p):
            if "max_load" in m.metrics:
                best.setdefault(m.rung, []).append(m)
        for place, rung in enumerate(results.rungs):
            here = best.get(rung.name, [])
            if over := spread([m.metrics["max_load"] for m in here]):
                found.append((place, Balance(rung.name, rung.depth, p, here[0].lr, over)))
    return [balance for _, balance in sorted(found, key=lambda pair: pair[0])]


@kept
def feature_rows(results: RegretResults) -> pd.DataFrame:
    """The change of the last features in a row per run at the best LR of its rung."""
    widths = {rung.name: rung.width for rung in results.rungs}
    rows = [
        (m.rung, widths[m.rung], p, m.seed, seen)
        for p in labels_of(results)
        for m in at_best_lr(results, p)
        if (seen := m.metrics.get(deepest(results, m))) is not None
    ]
    return pd.DataFrame(rows, columns=["rung", "width", "parametrization", "seed", "value"])


def metric_rows(results: RegretResults, prefix: str, target: tuple[str, int]) -> pd.DataFrame:
    """All metrics whose key begins with `prefix`, for the proposals at one target: entry, seed, rest of key, value."""
    runs, own = _own(results, target)
    keys = own.names(prefix)
    return _rows(runs, [key.removeprefix(prefix) for key in keys], own.recorded(keys))


def steady_rows(results: RegretResults, target: tuple[str, int]) -> pd.DataFrame:
    """Update-to-weight ratio / its steady state by role, for the proposals at one target, as in `metric_rows`."""
    runs, own = _own(results, target)
    steady = own.names("update_ratio_steady/")
    roles = [key.removeprefix("update_ratio_steady/") for key in steady]
    keys = [f"update_ratio/{role}~{key}" for role, key in zip(roles, steady, strict=True)]
    return _rows(runs, roles, own.recorded(keys))


@kept
def _own(results: RegretResults, target: tuple[str, int]) -> tuple[pd.DataFrame, Table]:
    """The runs of the proposals at one target, with a row of entry and seed for each, and their metrics."""
    found = [(name, m) for _, name, m in own_runs(results) if (m.rung, m.horizon) == target]
    runs = pd.DataFrame([(name, m.seed) for name, m in found], columns=["paradigm", "seed"])
    return runs, Table.of([m for _, m in found])


def all_runs(results: RegretResults) -> Iterator[Run]:
    """All metrics of every run of a proposal. The columns are OWN."""
    for _, name, m in own_runs(results):
        yield (m.rung, m.horizon, name, m.seed), m.metrics
