"""How well the law of the loss predicts cells that it has not seen: on tables of real sweeps, and on simulated ones.

`python -m tests.benchmark.own_runs.loss_calibration RUNS.csv RUNS.csv RUNS.csv` prints the tables of docs/fitting.md in
some ten minutes. The cells of one left-out size miss together, so standard errors are those over groups.
"""

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lrladder.benchmark.own_runs.cells import cells
from lrladder.benchmark.own_runs.runs import load_runs
from lrladder.paradigms.laws.loss_law import LossPoint, fit_loss_law

N_BOOT = 10
N_TABLES = 67  # of each simulated truth
MIN_REST = 6  # cells that a law is fitted to: as many as it has constants
FOUR = 4 * (1 - 1e-9)  # a target has at least so many times the FLOPs of its sources, as in `replay`


class Miss(NamedTuple):
    """A prediction minus the loss, whether the 90% interval holds the loss, its half width (nats), and the group."""

    off: float
    held: bool
    half: float
    group: float


def missed(known: Sequence[LossPoint], unseen: Sequence[LossPoint], group: float) -> Iterator[Miss]:
    """The misses at `unseen` cells by the law of the known ones; none if these are too few, or one size."""
    law = fit_loss_law(known, n_boot=N_BOOT) if len(known) >= MIN_REST else None
    if law is not None:
        for point in unseen:
            loss, low, high = law.predict(point.n, point.tokens)
            yield Miss(loss - point.loss, low <= point.loss <= high, (high - low) / 2, group)


def left_out(points: Sequence[LossPoint], by: Callable[[LossPoint], float]) -> list[Miss]:
    """Each group left out in turn, and predicted from the others."""
    found: list[Miss] = []
    for group in sorted({by(point) for point in points}):
        rest = [point for point in points if by(point) != group]
        found += missed(rest, [point for point in points if by(point) == group], group)
    return found


def at_four_times(points: Sequence[LossPoint]) -> list[Miss]:
    """Each cell predicted from the cells with a quarter of its FLOPs or less, where these determine a law."""
    found: list[Miss] = []
    for target in points:
        known = [point for point in points if FOUR * point.n * point.tokens <= target.n * target.tokens]
        law = fit_loss_law(known, n_boot=0)
        if law is not None and not law.flags:
            found += missed(known, [target], target.n)
    return found


# Truths of simulated tables: E, and what falls with size and tokens (relative to the largest), each a form of the law
TRUTHS: Mapping[str, Callable[[float, float, float, float], float]] = {
    "additive": lambda n, d, a, b: 1.7 + 0.5 * n**-a + 0.4 * d**-b,
    "power": lambda n, d, a, b: 1.4 + (0.5 * n ** (-2 * a) + 0.4 * d ** (-2 * b)) ** 0.5,
    "product": lambda n, d, a, b: 1.7 + 0.8 * n**-a * d**-b,
}
NOISE = 0.001  # sd of ln loss, as about the law within a size of OpenEuroLLM; assumption
SIZE_SD = 0.004  # sd of ln loss that all cells of a size are off together; each table has its own about this


def simulated(truth: str, n_tables: int, seed: int = 0) -> list[Miss]:
    """Tables of 3 to 5 sizes and 3 to 5 horizons, whose target has 4 times the FLOPs of the largest cell."""
    rng = np.random.default_rng(seed)
    return [miss for i in range(n_tables) for miss in _of_table(truth, rng, i)]


def _of_table(truth: str, rng: np.random.Generator, group: float) -> Iterator[Miss]:
    sizes = rng.uniform(1.7, 3.0) ** -np.arange(rng.integers(3, 6))
    horizons = rng.uniform(1.7, 3.0) ** -np.arange(rng.integers(3, 6))
    alpha, beta = 0.32 * np.exp(0.25 * rng.standard_normal(2))  # spread as published exponents are; assumption
    size_sd = SIZE_SD * abs(rng.standard_normal())

    def sweep(n: float, tokens: Sequence[float]) -> list[LossPoint]:
        off = size_sd * rng.standard_normal()
        losses = [TRUTHS[truth](n, d, alpha, beta) * math.exp(off + NOISE * rng.standard_normal()) for d in tokens]
        return [LossPoint(4e8 * n, 3e10 * d, loss) for d, loss in zip(tokens, losses, strict=True)]

    known = [point for n in sizes for point in sweep(float(n), [*map(float, horizons)])]
    yield from missed(known, sweep(2.0, [2.0]), group)


def row(name: str, found: Sequence[Miss]) -> str:
    """One row of Markdown, in millinats."""
    offs = 1e3 * np.array([miss.off for miss in found])
    groups = sorted({miss.group for miss in found})
    means = [np.mean([1e3 * miss.off for miss in found if miss.group == group]) for group in groups]
    error = f"{np.std(means, ddof=1) / math.sqrt(len(means)):.2g}" if len(means) > 1 else "-"
    held = f"{sum(miss.held for miss in found)} ({100 * np.mean([miss.held for miss in found]):.0f}%)"
    half = 1e3 * np.median([miss.half for miss in found])
    mean, median = offs.mean(), np.median(np.abs(offs))
    return f"| {name} | {len(found)}, {len(groups)} | {mean:.1f} +- {error} | {median:.1f} | {held} | {half:.0f} |"


def main(paths: Sequence[str]) -> None:
    print("| left out | losses, groups | bias +- standard error | median error | in the 90% interval | half width |")
    print("|---|---|---|---|---|---|")
    for path in paths:
        found = [cell for cell in cells(load_runs(path)) if cell.curve.minimum is not None]
        points = [LossPoint(cell.n_active, cell.tokens, cell.curve.minimum or 0.0) for cell in found]
        name = Path(path).stem
        print(row(f"{name}, sizes", left_out(points, lambda point: point.n)), flush=True)
        print(row(f"{name}, horizons", left_out(points, lambda point: point.tokens)), flush=True)
        if far := at_four_times(points):
            print(row(f"{name}, 4 times the FLOPs", far), flush=True)
    for truth in TRUTHS:
        print(row(f"{N_TABLES} simulated tables, {truth}", simulated(truth, N_TABLES)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
