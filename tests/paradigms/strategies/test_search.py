"""Search strategies on a known law: they find it, pay what they say, stay in their budgets, and start warm."""

import math

import pytest

from lrladder.benchmark.own_runs.ways import Way
from lrladder.paradigms.paradigm import NoProposal
from lrladder.paradigms.registry import NAMED
from lrladder.paradigms.strategies.book import GridSpec
from lrladder.paradigms.strategies.search import (
    Economy,
    EconomySpec,
    FactorSpec,
    FullGrid,
    LawSearch,
    SearchFactor,
    run_flops,
)
from tests.paradigms.strategies.grid_lab import AIM, BEST, CELLS, GRID, HORIZONS, LAW, SIZES, lab


def _all() -> list[LawSearch]:
    return [FullGrid(), SearchFactor(aim=AIM), Economy(aim=AIM)]


@pytest.mark.parametrize("strategy", _all(), ids=lambda s: s.name)
def test_a_law_without_noise_is_recovered(strategy: LawSearch) -> None:
    strategy.search(lab(), CELLS)
    choice = strategy.propose(AIM)
    assert choice.lr == pytest.approx(BEST, rel=0.12)
    assert choice.lr_low is not None
    assert choice.lr_high is not None
    assert choice.lr_low < BEST < choice.lr_high


@pytest.mark.parametrize("strategy", _all(), ids=lambda s: s.name)
def test_cells_in_another_order_give_the_same_answer(strategy: LawSearch) -> None:
    strategy.search(lab(noise_sd=0.002), CELLS)
    again = type(strategy)() if isinstance(strategy, FullGrid) else type(strategy)(aim=AIM)  # type: ignore[call-arg]
    again.search(lab(noise_sd=0.002), CELLS[::-1])
    assert again.propose(AIM) == strategy.propose(AIM)


def test_the_full_grid_asks_for_every_lr() -> None:
    simulated, strategy = lab(), FullGrid()
    strategy.search(simulated, CELLS)
    assert simulated.cost_flops("fitting") == pytest.approx(len(GRID) * sum(map(run_flops, CELLS)))
    assert len(strategy.curves) == len(CELLS)


def test_the_search_factor_pays_for_c_d_horizons_and_c_eta_lrs() -> None:
    simulated, strategy = lab(), SearchFactor(FactorSpec(horizons=2, lrs=3), aim=AIM)
    strategy.search(simulated, CELLS)
    ends = [cell for cell in CELLS if cell.tokens in (HORIZONS[0], HORIZONS[-1])]
    assert strategy.planned_flops == pytest.approx(3 * sum(map(run_flops, ends)))
    extended = simulated.cost_flops("search_factor") / strategy.planned_flops
    assert 1 <= extended < 2  # two more LRs confirm each bracket
    assert {name for name, _ in strategy.curves} == {cell.name for cell in ends}


def test_more_lrs_are_asked_for_where_the_config_says_so() -> None:
    simulated, strategy = lab(), SearchFactor(FactorSpec(lrs=5, target_runs=math.inf), aim=AIM)
    strategy.search(simulated, CELLS)
    assert simulated.cost_flops("search_factor") >= 5 * sum(map(run_flops, CELLS)) * 0.999


@pytest.mark.parametrize("target_runs", [0.05, 0.1, 0.6])
def test_budgets_are_kept(target_runs: float) -> None:
    for strategy in (
        Economy(EconomySpec(target_runs=target_runs), aim=AIM),
        SearchFactor(FactorSpec(target_runs=target_runs), aim=AIM),
    ):
        simulated = lab()
        strategy.search(simulated, CELLS)
        assert 0 < simulated.cost_flops(strategy.name) <= target_runs * run_flops(AIM)


@pytest.mark.parametrize("target_runs", [0.02, 0.05, 0.6])
def test_the_economy_plan_begins_with_an_l(target_runs: float) -> None:
    strategy = Economy(EconomySpec(target_runs=target_runs), aim=AIM)
    strategy.search(lab(), CELLS)
    legs = {cell.name for cell in CELLS if cell.n_active == SIZES[0] or cell.tokens == HORIZONS[0]}
    searched = {name for name, _ in strategy.curves}
    assert searched <= legs or searched >= legs


def test_warm_starts_leave_little_to_extend() -> None:
    wide = tuple(2.0**power for power in range(-30, 15))  # whose middle is far from any best LR
    simulated, strategy = lab(grid=wide), SearchFactor(FactorSpec(target_runs=math.inf), aim=AIM)
    strategy.search(simulated, CELLS)
    assert all(curve.status == "interior" for curve in strategy.curves.values())
    assert simulated.cost_flops("search_factor") < 1.9 * strategy.planned_flops


def test_a_lab_with_free_lrs_is_searched_from_the_guess() -> None:
    strategy = FullGrid(GridSpec(lr_guess=0.001))
    strategy.search(lab(grid=None), CELLS)
    assert strategy.propose(AIM).lr == pytest.approx(BEST, rel=0.12)


@pytest.mark.parametrize("strategy", _all(), ids=lambda s: s.name)
def test_no_bracket_is_no_proposal(strategy: LawSearch) -> None:
    low = tuple(lr for lr in GRID if lr < 0.5 * min(LAW.lr(c.n_active, c.tokens, "sp") for c in CELLS))
    with pytest.raises(NoProposal, match="no cell has a bracketed minimum"):
        strategy.search(lab(grid=low), CELLS)
    with pytest.raises(NoProposal, match="search has not been run"):
        strategy.propose(AIM)


def test_a_budget_that_buys_nothing_is_said() -> None:
    with pytest.raises(NoProposal, match="no cell can be searched within the budget"):
        Economy(EconomySpec(target_runs=1e-6), aim=AIM).search(lab(), CELLS)


@pytest.mark.parametrize("name", NAMED)
def test_every_name_of_the_registry_pays_under_its_own_name_and_answers(name: str) -> None:
    simulated, way = lab(), Way(name, NAMED[name])
    found = way.search(simulated, [AIM] if way.searches_targets else [*CELLS, AIM])
    assert (simulated.cost_flops(name) > 0) == (not name.endswith("_published"))
    if name != "joint_moe_published":
        assert found.propose(AIM, AIM.tokens).lr > 0
