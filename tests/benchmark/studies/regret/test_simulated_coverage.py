"""On simulated ladders up to 12B: intervals of every strategy cover the true LR as often as they say, and what a design
cannot tell is flagged every time.

`measure_coverage` with 400 seeds is the full measurement; the suite takes a few seeds of it.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest
from scipy import stats

from lrladder.benchmark.lab.simulated import SimulatedLab
from lrladder.benchmark.lab.truth import TrueLaw
from lrladder.benchmark.ladder import Rung
from lrladder.benchmark.studies.regret.config import load_config
from lrladder.paradigms.paradigm import NoProposal
from lrladder.paradigms.strategies.active import Active, ActiveSpec
from lrladder.paradigms.strategies.book import GridSpec
from lrladder.paradigms.strategies.search import (
    Choice,
    Economy,
    EconomySpec,
    FactorSpec,
    FullGrid,
    SearchFactor,
    Strategy,
)

CONFIG = load_config("moe12b")
PROXIES, TARGET = CONFIG.rungs.proxies, CONFIG.rungs.targets[-1]
LAW = TrueLaw(k=825, u=0.2219, v=0.3509)
GRID = GridSpec(lr_guess=0.005)
STRATEGIES: dict[str, Callable[[], Strategy]] = {
    "fitting": lambda: FullGrid(GRID),
    "search_factor": lambda: SearchFactor(FactorSpec(GRID), aim=TARGET),
    "economy": lambda: Economy(EconomySpec(GRID), aim=TARGET),
    "active": lambda: Active(ActiveSpec(GRID), aim=TARGET),
}
NOISES = (0.001, 0.003, 0.005)  # nats


class Coverage(NamedTuple):
    n: int
    covered: int  # targets whose true best LR lies in the 90% interval
    bias: float  # mean error of ln lr
    rms: float
    half: float  # mean half-width of the interval of ln lr
    cost: float  # mean, in target runs


def search(name: str, lab: SimulatedLab, cells: Sequence[Rung] = PROXIES) -> Choice:
    strategy = STRATEGIES[name]()
    strategy.search(lab, cells)
    return strategy.propose(TARGET)


def measure_coverage(name: str, noise: float, seeds: Sequence[int]) -> Coverage:
    """Search the 12B ladder once a seed; the truth is the law's LR at the largest target."""
    best, run = LAW.best(TARGET, TARGET.horizons[0], "sp"), TARGET.flops_per_token * TARGET.horizons[0]
    errors, halves, costs, covered = [], [], [], 0
    for seed in seeds:
        lab = SimulatedLab(CONFIG.rungs, LAW, noise_sd=noise, seed=seed)
        choice = search(name, lab)
        assert choice.lr_low is not None
        assert choice.lr_high is not None
        covered += choice.lr_low <= best <= choice.lr_high
        errors.append(math.log(choice.lr / best))
        halves.append(math.log(choice.lr_high / choice.lr_low) / 2)
        costs.append(lab.cost_flops(name) / run)
    n = len(errors)
    rms = math.sqrt(sum(error**2 for error in errors) / n)
    return Coverage(n, covered, sum(errors) / n, rms, sum(halves) / n, sum(costs) / n)


@pytest.mark.parametrize("name", STRATEGIES)
def test_intervals_cover_the_true_lr(name):
    """At a true coverage of 85%, fewer are covered than asked for here in one study of a thousand."""
    found = [measure_coverage(name, noise, range(4)) for noise in NOISES]
    n, covered = sum(c.n for c in found), sum(c.covered for c in found)
    assert covered >= stats.binom.ppf(0.001, n, 0.85)
    assert all(c.cost <= 4 for c in found)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_ladder_of_one_size_is_always_flagged(name):
    for seed, rung in enumerate(PROXIES):
        choice = search(name, SimulatedLab(CONFIG.rungs, LAW, seed=seed), [rung])
        assert any("do not determine u" in flag for flag in choice.flags), choice.flags


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_ladder_of_one_horizon_is_always_flagged(name):
    for seed in range(2):
        cells = [rung._replace(horizons=rung.horizons[:1]) for rung in PROXIES]
        choice = search(name, SimulatedLab(cells, LAW, seed=seed), cells)
        assert any("do not determine v" in flag for flag in choice.flags), choice.flags


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("planted", range(3))
def test_a_cell_that_its_lrs_do_not_bracket_is_always_flagged_and_left_out(name, planted):
    cells = [rung._replace(horizons=rung.horizons[:1]) for rung in PROXIES[:3]]
    cells[0] = cells[0]._replace(horizons=PROXIES[0].horizons)
    lab = Cut(cells, planted)
    choice = search(name, lab, cells)
    assert any(flag.startswith(f"left out of the law: {cells[planted].name}") for flag in choice.flags), choice.flags


class Cut(SimulatedLab):
    """Fixed LRs, which for one rung end far below its best."""

    def __init__(self, cells: Sequence[Rung], planted: int) -> None:
        super().__init__(cells, LAW, noise_sd=0.002, seed=planted)
        self.planted = cells[planted].name

    def lrs(self, rung: str) -> tuple[float, ...]:
        top = 1e-3 if rung == self.planted else 4e-2
        return tuple(top / 2**k for k in reversed(range(7)))


@pytest.mark.parametrize("name", STRATEGIES)
def test_nothing_bracketed_is_no_proposal(name):
    with pytest.raises(NoProposal, match="no cell has a bracketed minimum"):
        search(name, SimulatedLab(CONFIG.rungs, LAW, grid=[1e-6, 2e-6, 4e-6, 8e-6]))
