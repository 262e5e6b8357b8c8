"""Active search: on a lab whose law is known it finds it, within its budget, in any units, by runs that exist."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest

from lrladder.benchmark.lab.simulated import SimulatedLab
from lrladder.benchmark.lab.truth import TrueLaw
from lrladder.paradigms.lab import Measurement, Request
from lrladder.paradigms.laws.posterior import LEAST_SD
from lrladder.paradigms.paradigm import NoProposal
from lrladder.paradigms.strategies.active import Active, ActiveSpec
from lrladder.paradigms.strategies.book import GridSpec
from lrladder.paradigms.strategies.surrogate import Surrogate

LAW = TrueLaw(k=500.0, u=0.3, v=0.35)
GRID = tuple(1e-4 * 2**k for k in range(10))


class Cell(NamedTuple):
    """A rung of one horizon, as published runs have."""

    name: str
    n_active: int
    horizons: tuple[int, ...]
    part: str = "proxy"
    batch_tokens: int = 65536

    @property
    def n_total(self) -> int:
        return self.n_active

    @property
    def flops_per_token(self) -> int:
        return 6 * self.n_active


SIZES, HORIZONS = (10_000_000, 20_000_000, 40_000_000, 80_000_000), (10**9, 2 * 10**9, 4 * 10**9)
CELLS = [Cell(f"{n:g} at {d:g}", n, (d,)) for n in SIZES for d in HORIZONS]
RUNGS = [Cell(f"{n:g}", n, HORIZONS) for n in SIZES]
TARGET = Cell("target", 320_000_000, (16 * 10**9,), part="target")
BEST = LAW.best(TARGET, TARGET.horizons[0], "sp")
RUN = TARGET.flops_per_token * TARGET.horizons[0]


class Log(SimulatedLab):
    asked: list[Request]

    def measure(self, requests: Sequence[Request], *, payer: str) -> list[list[Measurement]]:
        self.asked = [*getattr(self, "asked", []), *requests]
        return super().measure(requests, payer=payer)


def lab(cells: Sequence[Cell] = CELLS, **options) -> Log:
    return Log(cells, LAW, **options)


def searched(on: SimulatedLab, cells: Sequence[Cell] = CELLS, **spec) -> Active:
    strategy = Active(ActiveSpec(**spec), aim=TARGET)
    strategy.search(on, cells)
    return strategy


@pytest.mark.parametrize("cells", [CELLS, RUNGS], ids=["one horizon a rung", "three horizons a rung"])
@pytest.mark.parametrize("grid", [None, GRID], ids=["free LRs", "fixed LRs"])
def test_it_finds_a_known_law(cells, grid):
    choice = searched(lab(cells, grid=grid, noise_sd=0.0), cells).propose(TARGET)
    assert choice.lr == pytest.approx(BEST, rel=0.01)
    assert choice.lr_low < BEST < choice.lr_high


def test_with_noise_it_stops_at_the_sd_that_was_asked_for():
    on = lab(noise_sd=0.001)
    choice = searched(on, stop_sd=0.1).propose(TARGET)
    sd = math.log(choice.lr_high / choice.lr_low) / (2 * 1.645)
    assert math.sqrt(sd**2 - LEAST_SD**2) < 0.12
    assert abs(math.log(choice.lr / BEST)) < 0.25
    assert on.cost_flops("active") < RUN


@pytest.mark.parametrize("budget", [0.08, 0.2])
def test_the_budget_is_kept(budget):
    on = lab(noise_sd=0.005)
    searched(on, stop_sd=0.01, target_runs=budget)
    assert on.cost_flops("active") <= budget * RUN


def test_it_begins_with_the_cheap_cells_and_spends_where_it_tells_most():
    on = lab(noise_sd=0.002)
    searched(on)
    first = {request.rung for request in on.asked[:12]}
    assert first == {"1e+07 at 1e+09", "2e+07 at 1e+09", "4e+07 at 1e+09", "1e+07 at 2e+09"}
    assert len(on.asked) == len(set(on.asked))


def test_equal_seeds_ask_equal_runs():
    runs = []
    for _ in range(2):
        on = lab(noise_sd=0.003, seed=5)
        searched(on)
        runs.append(on.asked)
    assert runs[0] == runs[1]


def test_fixed_lrs_are_kept_to_and_not_asked_twice():
    on = lab(grid=GRID, noise_sd=0.003)
    searched(on)
    assert {request.lr for request in on.asked} <= set(GRID)
    assert {request.seed for request in on.asked} == {0}
    assert len(on.asked) == len(set(on.asked))


def test_above_a_diverged_lr_nothing_more_is_asked():
    on = lab(noise_sd=0.001, diverge_above=3.0)
    choice = searched(on, grid=GridSpec(lr_guess=0.02)).propose(TARGET)
    assert abs(math.log(choice.lr / BEST)) < 0.5
    for cell in CELLS:
        best = LAW.best(cell, cell.horizons[0], "sp")
        tried = sorted({r.lr for r in on.asked if r.rung == cell.name and r.lr > 3 * best})
        assert len(tried) <= 3  # all in the block that opened the cell


class Rescaled:
    """The lab in other units: counts, LRs and losses times a constant each."""

    def __init__(self, inner: SimulatedLab, cells: Sequence[Cell], *, n: int, d: int, lr: float, loss: float):
        self.inner, self.names, self.scales = inner, {c.name: c for c in cells}, (n, d, lr, loss)
        self.cells = [self.scale(cell) for cell in cells]

    def scale(self, cell: Cell) -> Cell:
        n, d, *_ = self.scales
        return cell._replace(n_active=n * cell.n_active, horizons=tuple(d * h for h in cell.horizons))

    def lrs(self, rung: str) -> tuple[float, ...]:
        return tuple(self.scales[2] * lr for lr in GRID)

    def measure(self, requests: Sequence[Request], *, payer: str) -> list[list[Measurement]]:
        inner = [self.unscaled(request) for request in requests]
        answers = self.inner.measure(inner, payer=payer)
        return [
            [m.model_copy(update={"lr": r.lr, "horizon": r.horizons[0], "loss": self.scales[3] * m.loss})]
            for r, (m,) in zip(requests, answers, strict=True)
        ]

    def unscaled(self, request: Request) -> Request:
        back = {self.scales[2] * lr: lr for lr in GRID}
        return request._replace(lr=back[request.lr], horizons=self.names[request.rung].horizons)

    def flops(self, request: Request) -> float:
        return self.scales[0] * self.scales[1] * self.inner.flops(self.unscaled(request))

    def cost_flops(self, payer: str) -> float:
        return self.scales[0] * self.scales[1] * self.inner.cost_flops(payer)


def test_units_do_not_matter():
    plain = searched(lab(grid=GRID, noise_sd=0.003)).propose(TARGET)
    scaled = Rescaled(lab(noise_sd=0.003), CELLS, n=7, d=3, lr=31.0, loss=0.01)
    target = scaled.scale(TARGET)
    strategy = Active(ActiveSpec(), aim=target)
    strategy.search(scaled, scaled.cells)
    found = strategy.propose(target)
    assert np.array(found[:3]) / 31.0 == pytest.approx(np.array(plain[:3]), rel=1e-3)
    assert found.flags == plain.flags


def test_what_it_cannot_do_it_says():
    with pytest.raises(NoProposal, match="no cell has a bracketed minimum"):
        searched(lab(grid=[1e-8, 2e-8, 4e-8]))
    with pytest.raises(NoProposal, match="no cell has a bracketed minimum"):
        searched(lab(), target_runs=1e-6)
    with pytest.raises(NoProposal, match="has not been run"):
        Active(aim=TARGET).propose(TARGET)


def test_the_surrogate_finds_the_minima_of_a_known_law_and_of_cells_it_has_not_seen():
    seen, rng = CELLS[:7], np.random.default_rng(0)
    rows = [
        (math.log(c.n_active), math.log(c.horizons[0]), math.log(lr), i) for i, c in enumerate(seen) for lr in GRID[3:8]
    ]
    table = np.array(rows)
    best = np.array([math.log(LAW.best(c, c.horizons[0], "sp")) for c in CELLS])
    cells = table[:, 3].astype(int)
    losses = 3 + 0.02 * (table[:, 2] - best[cells]) ** 2 + 0.0005 * rng.standard_normal(len(table))
    surrogate = Surrogate.fit(table[:, :3], losses, cells)
    places = np.array([(math.log(c.n_active), math.log(c.horizons[0])) for c in CELLS])
    found = surrogate.thompson(places, np.linspace(-9, -2, 71), rng, samples=64)
    assert np.abs(found.mean(axis=0) - best).max() < 0.15
    assert surrogate.unit == pytest.approx(0.02, rel=0.2)


def test_a_run_near_the_aim_tells_more_than_one_far_from_it():
    on = lab(noise_sd=0.003)
    answers = on.measure([Request(c.name, "sp", lr, 0, c.horizons) for c in CELLS[:4] for lr in GRID[4:7]], payer="x")
    table = np.array([(math.log(c.n_active), math.log(c.horizons[0])) for c in CELLS[:4] for _ in range(3)])
    points = np.column_stack([table, np.tile(np.log(GRID[4:7]), 4)])
    losses = np.array([answer[0].loss for answer in answers])
    surrogate = Surrogate.fit(points, losses, np.repeat(np.arange(4), 3))
    vertex = np.array([math.log(8e7), math.log(4e9), math.log(GRID[5])])
    runs = vertex + np.array([(0, 0, 0.7), (-2.0, -1.4, 0.7)])  # near the aim, and far
    alone = [surrogate.learn(vertex, run[None]) for run in runs]
    told = [abs(gain[0]) / math.sqrt(cov[0, 0]) for gain, cov in alone]
    assert told[0] > told[1]
