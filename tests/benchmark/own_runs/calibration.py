"""How often the intervals of the best LR hold, by nominal level: on tables of real sweeps, and on simulated ones.

`python -m tests.benchmark.own_runs.calibration RUNS.csv RUNS.csv RUNS.csv` prints the tables of docs/fitting.md in some
minutes. Nothing is tuned on what it is scored on: each file is scored with the constants that the other files choose.
"""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np

from lrladder.benchmark.own_runs.cells import RunCell, all_cells, choose_batch
from lrladder.benchmark.own_runs.lab import ReplayedLab, rungs_of
from lrladder.benchmark.own_runs.replay import Task, tasks
from lrladder.benchmark.own_runs.runs import Runs, load_runs
from lrladder.benchmark.own_runs.ways import Way
from lrladder.paradigms.laws import posterior
from lrladder.paradigms.laws.law import Law, LawPoint, fit_law
from lrladder.paradigms.paradigm import NoProposal
from lrladder.paradigms.registry import NAMED

LEVELS = (0.5, 0.8, 0.9, 0.95)
NOMINAL = 0.9
# Pairs of (OWN_SD, SIZE_SD), from narrow to wide, among which the other files choose
PAIRS = ((0.05, 0.05), (0.08, 0.08), (0.1, 0.12), (0.12, 0.15), (0.15, 0.2), (0.2, 0.25))
BUDGETS = (0.1, 0.3, 1.0)
STRATEGIES = (
    Way("fitting", NAMED["fitting"]),
    *(Way(name, NAMED[name], budget) for name in ("economy", "active") for budget in BUDGETS),
)


class Place(NamedTuple):
    """A law and a minimum that it has not seen: its cell, ln lr* and the sd of that."""

    law: Law
    n_active: float
    n_total: float
    tokens: float
    batch: float | None
    ln_lr: float

    def ends(self, level: float) -> tuple[float, float]:
        """Of the interval of ln lr*."""
        found = self.law.predict(self.n_active, self.tokens, n_total=self.n_total, batch_tokens=self.batch, level=level)
        return math.log(found.lr_low), math.log(found.lr_high)


class Calibration(NamedTuple):
    """`n` minima, the share that lies in the interval of each of LEVELS, and the median half width at 90%, octaves."""

    n: int
    covered: tuple[float, ...]
    half: float


def calibrate(places: Sequence[Place]) -> Calibration:
    """Score the intervals."""
    ends = {level: [place.ends(level) for place in places] for level in LEVELS}
    covered = tuple(
        float(np.mean([low <= place.ln_lr <= high for place, (low, high) in zip(places, ends[level], strict=True)]))
        for level in LEVELS
    )
    half = float(np.median([high - low for low, high in ends[NOMINAL]])) / 2 / math.log(2)
    return Calibration(len(places), covered, half)


def place(law: Law, cell: RunCell) -> Place:
    assert cell.curve.lr_best is not None
    return Place(law, cell.n_active, cell.n_params, cell.tokens, cell.batch_tokens, math.log(cell.curve.lr_best))


def point(cell: RunCell) -> LawPoint:
    assert cell.curve.lr_best is not None
    assert cell.curve.sd_ln_lr is not None
    ln_lr, sd = math.log(cell.curve.lr_best), cell.curve.sd_ln_lr
    return LawPoint(cell.n_active, cell.tokens, ln_lr, sd, cell.n_params, cell.batch_tokens)


def left_out(found: Sequence[RunCell]) -> Iterator[Place]:
    """Each size and each horizon left out in turn, and predicted from the others."""
    closed = [cell for cell in found if cell.curve.status == "interior"]
    for by in (_size, _horizon):
        for group in sorted({by(cell) for cell in closed}):
            rest = [cell for cell in closed if by(cell) != group]
            if rest:
                law = fit_law([point(cell) for cell in rest], n_boot=0)
                yield from (place(law, cell) for cell in closed if by(cell) == group)


def _size(cell: RunCell) -> tuple[float, ...]:
    return cell.n_active, cell.n_params


def _horizon(cell: RunCell) -> tuple[float, ...]:
    return (cell.tokens,)


def of_strategy(way: Way, found: Sequence[Task]) -> tuple[list[Place], list[Task]]:
    """The laws of a search at each target, and the targets that it found no minimum for."""
    places, without = [], []
    for task in found:
        rungs, aim = rungs_of(task.sources, task.target)
        try:
            law = way.search(ReplayedLab(rungs, task.sources), (*rungs, aim)).law
        except NoProposal:
            without.append(task)
            continue
        assert law is not None
        batch = None if task.target.batch_tokens is None else float(aim.batch_tokens)
        counts = float(aim.n_active), float(aim.n_total), float(max(aim.horizons)), batch
        places.append(Place(law, *counts, place(law, task.target).ln_lr))
    return places, without


def chosen_by(others: Sequence[Sequence[Place]]) -> tuple[float, float]:
    """The narrowest of PAIRS whose 90% intervals hold 90% of the minima; the widest where none does."""
    for pair in PAIRS:
        with constants(pair):
            hits = [low <= p.ln_lr <= high for places in others for p in places for low, high in [p.ends(NOMINAL)]]
        if np.mean(hits) >= NOMINAL:
            return pair
    return PAIRS[-1]


def constants(pair: tuple[float, float]) -> mock._patch_dict:  # type: ignore[name-defined]
    """Predict with other constants than those of posterior.py."""
    return mock.patch.multiple(posterior, OWN_SD=pair[0], SIZE_SD=pair[1])


def row(name: str, places: Sequence[Place]) -> str:
    """One row of Markdown."""
    found = calibrate(places)
    shares = " | ".join(f"{100 * share:.0f}%" for share in found.covered)
    return f"| {name} | {found.n} | {shares} | {found.half:.2f} |"


def _head(first: str) -> str:
    names = " | ".join(f"{100 * level:g}%" for level in LEVELS)
    return f"\n| {first} | optima | {names} | half width at 90%, octaves |\n|---|---|{'---|' * len(LEVELS)}---|"


def nested(files: Mapping[str, Runs]) -> Iterator[str]:
    """Sizes and horizons left out, each file with the constants that the others choose."""
    every = {name: all_cells(runs) for name, runs in files.items()}
    out = {name: list(left_out(found)) for name, found in every.items()}
    best = {name: list(left_out(choose_batch(found, "best"))) for name, found in every.items()}
    yield _head("left out: every size, every horizon")
    for name in files:
        pair = chosen_by([places for other, places in out.items() if other != name])
        with constants(pair):
            yield row(f"{name}, every batch, with {pair}", out[name])
            yield row(f"{name}, best batch, with {pair}", best[name])
    yield f"\nAll files together choose {chosen_by(list(out.values()))}."


def by_strategy(files: Mapping[str, Runs]) -> Iterator[str]:
    """Targets at four times the FLOPs of their largest source or more."""
    yield _head("strategy, targets of a replay")
    every = [task for runs in files.values() for task in tasks(runs, "best")]
    for way in STRATEGIES:
        places, without = of_strategy(way, every)
        yield row(f"{way.name}{f' ({len(without)} without a minimum)' if without else ''}", places)


def main(paths: Sequence[str]) -> None:
    from tests.benchmark.own_runs.simulated_tables import KINDS, places

    files = {Path(path).stem: load_runs(path) for path in paths}
    for line in [*nested(files), *by_strategy(files)] if files else []:
        print(line, flush=True)
    print(_head("500 simulated tables, minima off the law"))
    for name, errors in KINDS.items():
        print(row(name, places(errors, 500)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
