"""More LRs beside the best ones, and more seeds: always, or only where the noise of the losses moves the best LRs."""

import math
from collections import Counter

import pytest
from pydantic import ValidationError

from lrladder.benchmark.lab.simulated import SimulatedLab
from lrladder.paradigms.fitting import Fitting
from lrladder.paradigms.paradigm import Terms
from lrladder.paradigms.settings import Confirm, FittingSettings
from lrladder.paradigms.strategies.book import NEAR, OPENING, PILOTS
from lrladder.paradigms.strategies.search import Economy, EconomySpec, FactorSpec, LawSearch, SearchFactor
from lrladder.paradigms.sweep.quiet import QUIET_SD
from tests.paradigms.strategies.grid_lab import AIM, BEST, CELLS, lab

CURVATURE = 0.03
STEP = math.log(2)  # of the grid, in ln lr
# the sd of a loss at which three LRs give a minimum with the sd QUIET_SD: the parabola of three equally spaced points
JUST = QUIET_SD * 2 * math.sqrt(2) * CURVATURE * STEP


def searched(when: Confirm, noise_sd: float, *, economy: bool = False) -> tuple[LawSearch, SimulatedLab]:
    simulated = lab(noise_sd=noise_sd, curvature=CURVATURE)
    spec = {"confirm": when, "target_runs": math.inf}
    strategy = Economy(EconomySpec(**spec), aim=AIM) if economy else SearchFactor(FactorSpec(**spec), aim=AIM)  # type: ignore[arg-type]
    strategy.search(simulated, CELLS)
    return strategy, simulated


def lrs_by_cell(simulated: SimulatedLab, name: str) -> Counter[str]:
    return Counter(request.rung for request in simulated._charged[name])


@pytest.mark.parametrize("economy", [False, True])
def test_quiet_losses_need_no_more_lrs(economy: bool) -> None:
    strategy, simulated = searched("if_noisy", 0.2 * JUST, economy=economy)
    _, confirmed = searched("always", 0.2 * JUST, economy=economy)
    assert simulated.cost_flops(strategy.name) < 0.75 * confirmed.cost_flops(strategy.name)
    few, many = (lrs_by_cell(one, strategy.name) for one in (simulated, confirmed))
    assert min(many.values()) >= 2 * NEAR + 1
    assert sum(count >= 2 * NEAR + 1 for count in few.values()) <= PILOTS  # and where an opening missed the best LR
    assert min(few.values()) == OPENING
    assert strategy.propose(AIM).lr == pytest.approx(BEST, rel=0.15)


@pytest.mark.parametrize("economy", [False, True])
def test_noisy_losses_get_all_of_them(economy: bool) -> None:
    strategy, simulated = searched("if_noisy", 8 * JUST, economy=economy)
    _, confirmed = searched("always", 8 * JUST, economy=economy)
    assert lrs_by_cell(simulated, strategy.name) == lrs_by_cell(confirmed, strategy.name)


def test_a_budget_holds_for_the_pilots_too() -> None:
    spec = FactorSpec(confirm="if_noisy", target_runs=0.05)
    simulated, strategy = lab(noise_sd=0.001), SearchFactor(spec, aim=AIM)
    strategy.search(simulated, CELLS)
    assert simulated.cost_flops(strategy.name) <= 0.05 * AIM.flops_per_token * AIM.tokens


def test_a_strategy_that_weighs_the_noise_itself_refuses_the_key() -> None:
    with pytest.raises(ValidationError, match=r"confirm: the strategy active .* remove confirm"):
        FittingSettings.model_validate({"lr_guess": 0.01, "strategy": "active", "confirm": "if_noisy"})


def seeds_of_full_search(when: Confirm, noise_sd: float) -> Counter[int]:
    settings = FittingSettings(lr_guess=0.005, seeds=(0, 1, 2))
    simulated = lab(grid=None, noise_sd=noise_sd, curvature=CURVATURE)
    Fitting(settings, Terms(name="full"), confirm=when).search(simulated, CELLS)  # type: ignore[arg-type]
    return Counter(request.seed for request in simulated._charged["full"])


def test_a_full_search_of_quiet_losses_needs_one_seed() -> None:
    assert set(seeds_of_full_search("if_noisy", 0.2 * JUST)) == {0}
    assert set(seeds_of_full_search("always", 0.2 * JUST)) == {0, 1, 2}


def test_a_full_search_of_noisy_losses_runs_every_lr_with_every_seed() -> None:
    found = seeds_of_full_search("if_noisy", 8 * JUST)
    assert found[0] == found[1] == found[2] > 0


def test_the_default_is_left_out_so_that_digests_stay() -> None:
    assert "confirm" not in FittingSettings(lr_guess=0.01, strategy="economy").model_dump()
    assert FittingSettings(lr_guess=0.01, strategy="economy", confirm="if_noisy").model_dump()["confirm"] == "if_noisy"
