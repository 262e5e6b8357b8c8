"""How much the loss of one run scatters over seeds."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lrladder.benchmark.studies.regret.protocol import ORACLES
from lrladder.paradigms.lab import Measurement, ParametrizationName
from lrladder.paradigms.paradigm import Proposal
from lrladder.paradigms.sweep.noise import Noise

Point = tuple[str, float]  # a run but for its seed: its parametrization, with multipliers of roles, and LR


class Noises(NamedTuple):
    """Of runs whose parametrization is swept at targets, and of all. An entry that is not swept, as one under another
    schedule, may scatter more: that must not blur what is said of the others."""

    swept: Noise
    all: Noise

    def of(self, *parametrizations: ParametrizationName) -> Noise:
        return self.swept if set(parametrizations) <= set(ORACLES) and self.swept.sd is not None else self.all


def target_noises(measurements: Sequence[Measurement], targets: set[str]) -> Noises:
    runs = [m for m in measurements if m.rung in targets]
    return Noises(seed_noise(m for m in runs if m.parametrization in ORACLES), seed_noise(runs))


def seed_noise(measurements: Iterable[Measurement]) -> Noise:
    """Residuals of loss ~ (parametrization, LR) + seed within each rung and horizon, pooled over these.

    The seed's own effect (its data order) is common to all runs of a rung, and regret compares runs of the same seeds,
    so it is taken out. One effect serves both parametrizations: where a seed suits one of them better, that
    stays in the noise, as it must for regret to be compared across them. Only LRs with two finished seeds count.
    """
    cells: dict[tuple[str, int], dict[tuple[Point, int], float]] = {}
    for m in measurements:
        if m.loss is not None and m.verdict == "finished":
            cells.setdefault((m.rung, m.horizon), {})[((label(m), m.lr), m.seed)] = m.loss
    squares, df = 0.0, 0
    for cell in cells.values():
        cell_squares, cell_df = _residuals(cell)
        squares, df = squares + cell_squares, df + cell_df
    return Noise(math.sqrt(squares / df) if df else None, df)


def label(of: Measurement | Proposal) -> str:
    return of.parametrization + "".join(f" {role} x{factor:g}" for role, factor in sorted(of.role_lrs))


def _residuals(cell: Mapping[tuple[Point, int], float]) -> tuple[float, int]:
    """Sum of squares and degrees of freedom of the two-way additive model."""
    seeds_of: dict[Point, int] = {}
    for point, _ in cell:
        seeds_of[point] = seeds_of.get(point, 0) + 1
    runs = [(point, seed, loss) for (point, seed), loss in cell.items() if seeds_of[point] > 1]
    points, seeds = sorted({run[0] for run in runs}), sorted({run[1] for run in runs})
    design = np.array(
        [[*(float(p == point) for p in points), *(float(s == seed) for s in seeds)] for point, seed, _ in runs]
    )
    if not runs:
        return 0.0, 0
    losses = np.array([loss for _, _, loss in runs])
    rank = int(np.linalg.matrix_rank(design))
    fitted = design @ np.linalg.lstsq(design, losses, rcond=None)[0]
    df = len(runs) - rank
    return (float(np.sum((losses - fitted) ** 2)), df) if df else (0.0, 0)
