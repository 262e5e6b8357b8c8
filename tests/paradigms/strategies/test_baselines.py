"""Baselines: published laws give their papers' numbers, the others do what they say on a known law."""

import math

import numpy as np
import pytest

from lrladder.paradigms.paradigm import NoProposal
from lrladder.paradigms.published import LAWS
from lrladder.paradigms.strategies.baselines import (
    AsPublished,
    ConstantBest,
    ConstantMedian,
    NearestCell,
    RandomSearch,
    Refitted,
    TpeSearch,
)
from lrladder.paradigms.strategies.search import run_flops
from lrladder.paradigms.sweep.curve import Curve
from tests.paradigms.strategies.grid_lab import AIM, BEST, CELLS, GRID, HORIZONS, LAW, SIZES, OneCell, lab

BY_NAME = {law.name: law for law in LAWS}


@pytest.mark.parametrize(
    ("name", "n_active", "n_total", "tokens", "lr"),
    [
        ("step_law", 1e8, 1e9, 1e11, 1.79 * 1e9**-0.713 * 1e11**0.307),
        ("deepseek", 1.3e9, 12e9, 5e11, 6.2e-4),  # the theory's own figure for this target
        ("zhou", 1.3e9, 12e9, 5e11, 6.2e-4),  # as above, N in millions
        ("joint_moe", 1e9, 1e9, 1e11, math.exp(8.39 - 0.81 * math.log(1e9))),
    ],
)
def test_published_laws_give_their_figures(
    name: str, n_active: float, n_total: float, tokens: float, lr: float
) -> None:
    assert math.exp(BY_NAME[name].ln_lr(n_active, n_total, tokens)) == pytest.approx(lr, rel=0.02)


def test_a_published_law_asks_for_nothing_and_says_its_convention() -> None:
    simulated, strategy = lab(), AsPublished(BY_NAME["step_law"])
    strategy.search(simulated, CELLS)
    choice = strategy.propose(AIM)
    assert simulated.cost_flops(strategy.name) == 0
    assert "the published factor k need not hold for another training recipe" in choice.flags
    assert any("arXiv 2503.04715: N total" in flag for flag in choice.flags)


def test_a_law_of_unknown_inputs_is_not_used() -> None:
    with pytest.raises(NoProposal, match="needs the number of experts, which is not known"):
        AsPublished(BY_NAME["joint_moe"]).propose(AIM)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_refitting_keeps_exponents_and_meets_the_cells_on_average(law) -> None:  # type: ignore[no-untyped-def]
    strategy = Refitted(law)
    strategy.search(lab(), CELLS)
    off = [math.log(strategy.propose(cell).lr / LAW.lr(cell.n_active, cell.tokens, "sp")) for cell in CELLS]
    assert np.mean(off) == pytest.approx(0, abs=1e-6)
    ratio = strategy.propose(CELLS[-1]).lr / strategy.propose(CELLS[0]).lr
    sizes, horizons = SIZES[-1] / SIZES[0], HORIZONS[-1] / HORIZONS[0]
    assert ratio == pytest.approx(sizes**law.n * horizons**law.d)


def test_the_nearest_cell_is_copied_and_alone_paid_for() -> None:
    simulated, strategy = lab(), NearestCell(aim=AIM)
    strategy.search(simulated, CELLS)
    nearest = CELLS[-1]
    assert strategy.propose(AIM).lr == pytest.approx(LAW.lr(nearest.n_active, nearest.tokens, "sp"), rel=1e-6)
    assert simulated.cost_flops("nearest_cell") == pytest.approx(len(GRID) * run_flops(nearest))


def test_the_next_cell_is_copied_where_the_nearest_is_not_bracketed() -> None:
    grid = tuple(lr for lr in GRID if lr > 1.1 * LAW.lr(CELLS[-1].n_active, CELLS[-1].tokens, "sp"))
    simulated, strategy = lab(grid=grid), NearestCell(aim=AIM)
    strategy.search(simulated, CELLS)
    assert simulated.cost_flops("nearest_cell") > len(grid) * run_flops(CELLS[-1])
    assert grid[0] < strategy.propose(AIM).lr < grid[-1]


@pytest.mark.parametrize("strategy", [ConstantMedian(), ConstantBest()], ids=lambda s: s.name)
def test_constants_lie_amid_the_cells(strategy: ConstantMedian | ConstantBest) -> None:
    strategy.search(lab(), CELLS)
    middle = LAW.lr(SIZES[1], HORIZONS[1], "sp")  # of equal curvatures the mean is the median
    assert strategy.propose(AIM).lr == strategy.propose(CELLS[0]).lr == pytest.approx(middle, rel=1e-6)


def test_a_constant_of_cells_without_a_parabola_is_their_mean() -> None:
    strategy = ConstantBest()
    cells = [Curve("bracketed", 2, lr_best=lr, lr_low=lr / 2, lr_high=lr * 2) for lr in (0.01, 0.04)]
    strategy.minima = [(CELLS[0], (CELLS[0].name, 1), curve) for curve in cells]
    assert strategy.propose(AIM).lr == pytest.approx(0.02)


@pytest.mark.parametrize("kind", [RandomSearch, TpeSearch])
@pytest.mark.parametrize("trials", [1, 3, 5, 100])
def test_tuning_tries_distinct_lrs_at_the_target(kind: type[RandomSearch | TpeSearch], trials: int) -> None:
    simulated, strategy = lab(noise_sd=0.002), kind(trials)
    strategy.search(simulated, [AIM])
    tried = len(strategy.losses)
    assert tried == trials or (tried <= len(GRID) < trials)
    assert simulated.cost_flops(strategy.name) == pytest.approx(tried * run_flops(AIM))
    assert strategy.propose(AIM).lr == min(strategy.losses, key=lambda lr: strategy.losses[lr])


@pytest.mark.parametrize("kind", [RandomSearch, TpeSearch])
def test_tuning_is_seeded(kind: type[RandomSearch | TpeSearch]) -> None:
    def tried(seed: int) -> list[float]:
        strategy = kind(4, seed=seed)
        strategy.search(lab(), [AIM])
        return list(strategy.losses)

    assert tried(0) == tried(0)
    assert tried(0) != tried(1)


@pytest.mark.parametrize("kind", [RandomSearch, TpeSearch])
def test_tuning_survives_divergence(kind: type[RandomSearch | TpeSearch]) -> None:
    strategy = kind(len(GRID))
    strategy.search(lab(diverge_above=2.0), [AIM])
    assert strategy.propose(AIM).lr <= 2 * BEST
    with pytest.raises(NoProposal, match="every trial diverged"):
        kind(2).search(lab(diverge_above=1e-9), [AIM])


def test_tuning_needs_fixed_lrs() -> None:
    with pytest.raises(NoProposal, match="no fixed LRs"):
        RandomSearch(3).search(lab(grid=None), [AIM])


@pytest.mark.parametrize("strategy", [NearestCell(aim=AIM), ConstantMedian(), Refitted(LAWS[0]), RandomSearch(3)])
def test_nothing_is_proposed_before_a_search(strategy: NearestCell | ConstantMedian | Refitted | RandomSearch) -> None:
    with pytest.raises(NoProposal, match="search has not been run"):
        strategy.propose(OneCell(10**7, 10**9))
