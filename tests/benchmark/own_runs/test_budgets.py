"""Searches within a budget: it is kept, there is always an answer, and its interval says how little was searched."""

import math
from pathlib import Path

import pytest

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.own_runs.cells import cells
from lrladder.benchmark.own_runs.fit_file import fit_file
from lrladder.benchmark.own_runs.replay import Replay, StrategyScore, replay
from lrladder.benchmark.own_runs.runs import Runs, load_runs
from lrladder.benchmark.own_runs.ways import parse_budgets
from lrladder.benchmark.own_runs.within import within_budget
from lrladder.benchmark.recommend.fit import recommend
from lrladder.benchmark.recommend.sanity import Target
from lrladder.paradigms.published import LAWS
from lrladder.paradigms.strategies.fallback import MISS
from lrladder.reports.fit.replay_table import Summary, frontier
from tests.paths import ROOT, SHARED

TABLE = ROOT / "docs" / "runs.csv"
PUBLISHED = [SHARED / "data" / f"{name}.csv" for name in ("openeurollm_dense", "steplaw_dense", "steplaw_moe")]
BUDGETS = (0.02, 0.1, 0.3, 1.0)
SEARCHES = ("search_factor", "economy", "active")


@pytest.fixture(scope="module")
def result() -> Replay:
    return replay(load_runs(TABLE), strategies=SEARCHES, budgets=BUDGETS)


def budgeted(result: Replay) -> list[StrategyScore]:
    return [score for target in result.targets for score in target.strategies if score.budget is not None]


def half_octaves(score: StrategyScore) -> float:
    assert score.lr_low is not None
    assert score.lr_high is not None
    return math.log2(score.lr_high / score.lr_low) / 2


def test_every_budget_is_kept_and_answered(result: Replay) -> None:
    scores = budgeted(result)
    assert {score.name for score in scores} == {f"{name}@{budget:g}" for name in SEARCHES for budget in BUDGETS}
    for score in scores:
        assert score.budget is not None
        assert score.cost_fraction <= score.budget * (1 + 1e-6)
        assert score.covered
        assert score.regret_quadratic is not None


def test_little_money_makes_wide_intervals(result: Replay) -> None:
    at = {budget: [half_octaves(s) for s in budgeted(result) if s.budget == budget] for budget in BUDGETS}
    middle = [sorted(widths)[len(widths) // 2] for widths in at.values()]
    assert middle == sorted(middle, reverse=True)
    assert middle[0] == pytest.approx(MISS)
    assert middle[-1] < 1


def test_an_answer_without_a_minimum_says_so(result: Replay) -> None:
    for score in budgeted(result):
        told = any("middle one of 3 published laws" in flag for flag in score.flags)
        assert told == (half_octaves(score) == pytest.approx(MISS))
        few = any("the usual curvature of a sweep answer" in flag for flag in score.flags)
        assert not (told and few)


def test_two_runs_answer_better_than_published_laws(tmp_path: Path) -> None:
    """A budget of two runs of the cheapest cell: no minimum can be bracketed."""
    runs = load_runs(TABLE)
    target = max(cells(runs), key=lambda cell: cell.flops)
    cheapest = min(cells(runs), key=lambda cell: cell.flops)
    frame = runs.frame.assign(held_out=(runs.frame.n_params == target.n_params) & (runs.frame.tokens == target.tokens))
    pair = 2.5 * cheapest.flops / target.flops
    none = 0.5 * cheapest.flops / target.flops
    for strategy in SEARCHES:
        result = replay(Runs(frame), strategies=[strategy], budgets=[none, pair])
        published, few = (score for score in result.targets[0].strategies if score.budget is not None)
        assert published.cost_fraction == 0
        assert 0 < few.cost_fraction <= pair * (1 + 1e-6)
        assert few.covered
        assert half_octaves(few) < half_octaves(published) == pytest.approx(MISS)


@pytest.mark.skipif(not PUBLISHED[0].exists(), reason="the published sweeps are not beside the checkout")
@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_published_laws_miss_public_tables_by_less_than_the_fallback_says(path: Path) -> None:
    laws = [law for law in LAWS if not law.needs]
    for cell in cells(load_runs(path)):
        if cell.curve.lr_best is not None:
            said = sorted(law.ln_lr(cell.n_active, cell.n_params, cell.tokens) for law in laws)
            assert abs(said[1] - math.log(cell.curve.lr_best)) < MISS * math.log(2)


def test_a_fit_within_a_budget_has_only_what_that_buys() -> None:
    runs = load_runs(TABLE)
    part = within_budget(runs, 0.3, protocol="best")
    largest = max(cell.flops for cell in cells(runs))
    spent = 6 * (part.frame.n_active * part.frame.tokens).sum()
    assert 0.1 * largest < spent <= 0.3 * largest * (1 + 1e-6)
    assert len(part.frame.merge(runs.frame, on=list(runs.frame.columns))) == len(part.frame)
    assert "within the budget" in part.flags[-1]
    results = fit_file(TABLE, protocol="best", budget=0.3)
    assert results.n_runs == len(part.frame)
    assert results.digest != fit_file(TABLE, protocol="best").digest


def a_pair() -> float:
    """The budget that buys two runs of the cheapest cell."""
    flops = [cell.flops for cell in cells(load_runs(TABLE))]
    return 2.5 * min(flops) / max(flops)


def test_a_fit_within_any_budget_answers_and_its_interval_holds_the_best_lr() -> None:
    largest = max(cells(load_runs(TABLE)), key=lambda cell: cell.flops)
    assert largest.curve.lr_best is not None
    halves = []
    for budget in (0.001, a_pair(), 0.1):  # no run, two runs of one cell, three sweeps
        results = fit_file(TABLE, protocol="best", budget=budget)
        assert 6 * sum(cell.n_active * cell.tokens * cell.n for cell in results.cells) <= budget * largest.flops
        found = recommend(results, Target(largest.n_params, largest.tokens), force=True)
        assert found.lr_low < largest.curve.lr_best < found.lr_high
        halves.append(math.log2(found.lr_high / found.lr_low) / 2)
    assert halves[0] == pytest.approx(MISS)
    assert halves == sorted(halves, reverse=True)


def test_an_answer_of_a_fit_without_a_minimum_says_so() -> None:
    target = Target(2.4e8, 1.92e10)
    none = recommend(fit_file(TABLE, protocol="best", budget=0.001), target)
    assert "middle one of 3 published laws" in none.flags[0]
    assert (none.next_sweep, none.extrapolation) == (None, None)
    few = fit_file(TABLE, protocol="best", budget=a_pair())
    assert few.counts.keys() == {"few"}
    assert "2 runs of 1 cells and the usual curvature" in recommend(few, target, force=True).flags[0]
    with pytest.raises(InputError, match="no cell has a bracketed minimum"):
        recommend(few.model_copy(update={"budget": None}), target)


@pytest.mark.parametrize("text", ["", "0.1,,1", "0", "-1", "nan", "ten", "inf"])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a cost; write runs of the target"):
        parse_budgets(text)


def test_budgets_are_sorted_and_once() -> None:
    assert parse_budgets("1, 0.1,1.0") == (0.1, 1.0)
    assert parse_budgets(None) == ()


def test_a_budget_that_no_strategy_has_is_refused() -> None:
    with pytest.raises(InputError, match="no chosen strategy has a budget"):
        replay(load_runs(TABLE), strategies=["random_3"], budgets=[1.0])


def test_the_frontier_holds_what_nothing_cheaper_undercuts() -> None:
    def row(name: str, cost: float, median: float, n: int = 3) -> Summary:
        return Summary(name, 3, n, median, median, median, median, median, cost, 0, 0)

    rows = [row("dear", 5, 2.0), row("good", 3, 1.0), row("partial", 0, 0.0, n=2), row("cheap", 0.1, 4.0)]
    assert [found.name for found in frontier(rows)] == ["cheap", "good"]
