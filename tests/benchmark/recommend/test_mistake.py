"""What a recommendation says beside the LR: the price of a mistake, the margin to divergence, and the next sweep."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from lrladder.benchmark.cli import app
from lrladder.benchmark.own_runs.fit_file import fit_file
from lrladder.benchmark.own_runs.fit_results import FitResults
from lrladder.benchmark.recommend.fit import recommend, words
from lrladder.benchmark.recommend.sanity import Target
from tests.benchmark.own_runs.run_tables import CURVATURE, HORIZONS, SIZES, best_lr, save, table
from tests.paths import ROOT

TARGET = Target(6.4e8, 6.4e10)
DIVERGES = 8.0  # times the best LR, above which runs of the table below have no loss


def fitted(folder: Path, runs: pd.DataFrame) -> FitResults:
    return fit_file(save(runs, folder / "runs.csv"), protocol="best")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> FitResults:
    return fitted(tmp_path_factory.mktemp("runs"), table())


def loss(n: float, tokens: float) -> float:
    """At the best LR of the table."""
    return 2 + 400 * n**-0.34 + 400 * tokens**-0.28


def test_both_ends_cost_what_the_curvature_says(results: FitResults) -> None:
    found = recommend(results, TARGET)
    assert found.mistake is not None
    assert found.mistake.curvature == pytest.approx(CURVATURE, rel=1e-3)
    for end, lr in ((found.mistake.low, found.lr_low), (found.mistake.high, found.lr_high)):
        assert end.lr == lr
        assert end.rise == pytest.approx(CURVATURE * math.log(lr / found.lr) ** 2, rel=1e-3)


def test_extra_tokens_make_up_for_the_loss(results: FitResults) -> None:
    """In the law that made the table, as far as it is found from nine cells."""
    mistake = recommend(results, TARGET).mistake
    assert mistake is not None
    assert mistake.low.extra_tokens is not None
    more = loss(TARGET.n_params, TARGET.tokens) - loss(TARGET.n_params, TARGET.tokens * (1 + mistake.low.extra_tokens))
    assert more == pytest.approx(mistake.low.rise, rel=0.3)


def test_gpu_hours_are_those_of_the_tokens(results: FitResults) -> None:
    assert recommend(results, TARGET).mistake.low.gpu_hours is None
    end = recommend(results, TARGET, tflops=400.0).mistake.low
    assert end.gpu_hours == pytest.approx(end.extra_tokens * TARGET.flops / 400e12 / 3600)


def test_no_divergence_says_how_far_runs_went(results: FitResults) -> None:
    found = recommend(results, TARGET)
    assert (found.mistake.margin.least, found.mistake.margin.n_diverged) == (None, 0)
    assert found.mistake.margin.reached > 2
    assert "no run diverged" in words(found)


@pytest.mark.parametrize("blown", [math.nan, 9.0])
def test_the_margin_to_divergence(tmp_path: Path, blown: float) -> None:
    runs = table()
    best = [best_lr(n, d) for n, d in zip(runs.n_params, runs.tokens, strict=True)]
    runs.loc[runs.lr > DIVERGES * pd.Series(best), "loss"] = blown
    margin = recommend(fitted(tmp_path, runs), TARGET).mistake.margin
    assert margin.n_diverged == margin.n_cells - sum(
        runs.lr.max() <= DIVERGES * best_lr(n, d) for n in SIZES for d in HORIZONS
    )
    assert 3 <= margin.least < 4
    assert margin.reached <= 3


@pytest.mark.parametrize("budget", [1.0, 0.1, 1e-3, 1e-6])
def test_there_is_always_a_next_sweep_within_the_budget(results: FitResults, budget: float) -> None:
    found = recommend(results, TARGET, budget=budget)
    sweep = found.next_sweep
    assert 0 < sweep.cost_fraction <= min(budget, 0.75) * (1 + 1e-6)
    assert sweep.octaves_after < sweep.octaves_before
    assert len(sweep.lrs) == 3
    assert sweep.lrs[1] == pytest.approx(best_lr(sweep.n_params, sweep.tokens), rel=0.2)
    short = sweep.tokens < min(HORIZONS) / 3
    assert short == any("far below all searched horizons" in flag for flag in found.flags)


def with_decay(runs: pd.DataFrame) -> pd.DataFrame:
    """Three weight decays: 0.1 is best but at the smallest size, others cost 5 and 20 millinats."""
    parts = []
    for value, worse in ((0.05, 0.005), (0.1, 0.0), (0.4, 0.02)):
        best = value == 0.05
        small = (runs.n_params == SIZES[0]).map({True: -0.01 if best else 0.0, False: 0.0})
        parts.append(runs.assign(weight_decay=value, loss=runs.loss + worse + small))
    return pd.concat(parts)


def test_a_setting_that_varies_is_told_and_its_best_is_used(tmp_path: Path, results: FitResults) -> None:
    found = fitted(tmp_path, with_decay(table()))
    (setting,) = found.settings
    by_value = {row.value: row for row in setting.values}
    assert (setting.name, setting.n_cells) == ("weight_decay", 9)
    assert {value: row.n_best for value, row in by_value.items()} == {0.05: 3, 0.1: 6, 0.4: 0}
    assert by_value[0.4].above == pytest.approx(0.02, abs=1e-6)
    assert recommend(found, TARGET).lr == pytest.approx(recommend(results, TARGET).lr, rel=1e-6)
    assert any("are left out: their weight_decay is not that of the best run" in flag for flag in found.flags)
    said = words(recommend(found, TARGET))
    assert "weight_decay 0.1 is best in 6 of 9 cells" in said


def test_a_setting_that_is_the_same_everywhere_changes_nothing(tmp_path: Path, results: FitResults) -> None:
    found = fitted(tmp_path, table().assign(beta2=0.95, warmup_tokens="1M"))
    assert found.settings == ()
    assert found.cells == results.cells


def test_the_command_prices_in_gpu_hours(tmp_path: Path) -> None:
    call = CliRunner().invoke
    assert call(app, ["fit", str(ROOT / "docs" / "runs.csv"), "--out", str(tmp_path / "f")]).exit_code == 0
    asked = ["recommend", str(tmp_path / "f"), "--n-params", "1.2e9", "--tokens", "6e10", "--batch-tokens", "262144"]
    done = call(app, [*asked, "--tflops", "400", "--budget", "0.1", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["mistake"]["low"]["gpu_hours"] > 0
    assert found["next_sweep"]["cost_fraction"] <= 0.1
    assert "GPU-hours" in call(app, [*asked, "--tflops", "400"]).output
