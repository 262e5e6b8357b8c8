"""The study of schedules on a simulated lab, where the best LR of each schedule is known at every cell."""

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.simulated import SimulatedLab
from lrladder.benchmark.lab.truth import TrueLaw
from lrladder.benchmark.ladder import Rung
from lrladder.benchmark.studies.kinds import load_study, plan_of
from lrladder.benchmark.studies.results import Found
from lrladder.benchmark.studies.runner import run_on
from lrladder.benchmark.studies.schedules.config import SCHEDULE_NAMES, SchedulesConfig
from lrladder.benchmark.studies.schedules.regret import at_lr
from lrladder.benchmark.studies.schedules.results import SchedulesResults
from lrladder.benchmark.studies.schedules.study import assemble
from lrladder.paradigms.lab import Measurement, ParametrizationName, Request
from lrladder.paradigms.laws.power import PowerPoint, fit_by_paper, fit_by_regression
from lrladder.paradigms.published import POWER_SEQ_LEN
from lrladder.paradigms.sweep.bracket import CellLosses
from lrladder.reports.formats import millinats
from lrladder.reports.schedules.conclusion import conclusion
from lrladder.reports.schedules.page import render

CONFIG = load_study("power")
assert isinstance(CONFIG, SchedulesConfig)
SHORT, BATCH = min(CONFIG.horizons), CONFIG.base_batch
CURVATURE = 0.03


class Truth(TrueLaw):
    """WSD's best LR follows eta = k B^w T^v; Power's is that over its own law, and cosine's 1.5 times WSD's."""

    def best(self, rung: Rung, horizon: int, parametrization: ParametrizationName) -> float:  # type: ignore[override]
        wsd = self.k * (rung.batch_tokens / BATCH) ** self.w * (horizon / SHORT) ** self.v
        if parametrization == "power":
            return float(wsd / ((rung.batch_tokens / BATCH) * (horizon / SHORT) ** CONFIG.power.exponent))
        return float(wsd * (1.5 if parametrization == "cosine" else 1.0))


class Log(SimulatedLab):
    seen: list[Measurement]

    def measure(self, requests: Sequence[Request], *, payer: str) -> list[list[Measurement]]:
        found = super().measure(requests, payer=payer)
        self.seen = [*getattr(self, "seen", []), *(m for run in found for m in run)]
        return found


def study(v: float = -0.51, w: float = 1.0, noise_sd: float = 0.0, seed: int = 0) -> SchedulesResults:
    lab = Log(CONFIG.rungs, Truth(k=0.02, u=0, v=v, w=w), noise_sd=noise_sd, curvature=CURVATURE, seed=seed)
    return run_on(CONFIG, lab)


def test_where_powers_law_is_true_it_needs_no_tuning_and_the_others_do() -> None:
    results = study()
    assert results.complete
    for setting in results.settings:
        assert setting.n_untold == 0 or setting.schedule != "power"
        if setting.schedule == "power":
            assert setting.worst_regret == pytest.approx(0, abs=1e-9)
            assert setting.a == pytest.approx(0.02 * POWER_SEQ_LEN / BATCH * SHORT**0.51)
        else:
            assert setting.mean_regret is not None
            assert setting.mean_regret > 0.005
    for cell in results.cells:
        if cell.schedule == "wsd" and cell.batch_tokens == BATCH and cell.tokens == 2 * SHORT:
            assert cell.regret == pytest.approx(CURVATURE * (0.51 * math.log(2)) ** 2, rel=1e-6)


def test_where_the_best_lr_does_not_move_power_is_what_costs() -> None:
    by = {s.schedule: s for s in study(v=0.0, w=0.0).settings if (s.family, s.scope) == ("moe", "all")}
    assert by["wsd"].worst_regret == pytest.approx(0, abs=1e-9)
    assert by["power"].mean_regret is not None
    assert by["power"].mean_regret > 0.005


def test_tokens_and_the_batch_are_told_apart() -> None:
    """Power's token exponent is right and its linear batch rule is not: only the other batches may show regret."""
    by = {(s.schedule, s.scope): s for s in study(v=-0.51, w=0.5).settings if s.family == "moe"}
    assert by["power", "base batch"].worst_regret == pytest.approx(0, abs=1e-9)
    assert by["power", "base batch"].n_cells == by["cosine", "base batch"].n_cells == 7
    wrong = CURVATURE * (0.5 * math.log(2)) ** 2  # one doubling of the batch, half an exponent off
    assert by["power", "other batches"].mean_regret == pytest.approx(wrong, rel=1e-6)
    assert ("cosine", "other batches") not in by


def test_both_fits_recover_the_law() -> None:
    for fit in study(v=-0.4, w=1.0).fits:
        assert fit.b.value == pytest.approx(-0.4, abs=0.01)
        assert fit.w.value == pytest.approx(1.0, abs=0.01)
        assert fit.a.value == pytest.approx(0.02 * POWER_SEQ_LEN / BATCH * SHORT**0.4, rel=0.1)


def test_a_batch_exponent_other_than_one_is_seen_by_the_regression_alone() -> None:
    fits = {fit.by: fit for fit in study(v=-0.4, w=0.5).fits if fit.family == "moe"}
    assert fits["regression"].w.value == pytest.approx(0.5, abs=0.01)
    assert fits["paper"].w.low is None
    assert fits["paper"].residual_sd is not None
    assert fits["paper"].residual_sd > 0.2


def test_intervals_cover_the_true_exponent() -> None:
    fits = [fit for seed in range(40) for fit in study(v=-0.4, w=0.7, noise_sd=0.004, seed=seed).fits]
    covered = [fit.b.low <= -0.4 <= fit.b.high for fit in fits if fit.by == "regression" and fit.b.low and fit.b.high]
    assert len(covered) == 80
    assert 0.75 <= np.mean(covered) <= 0.99


def test_an_interrupted_study_reports_what_it_has_and_hostile_names_are_escaped() -> None:
    empty = assemble(CONFIG, Found([]))
    assert not empty.complete
    assert all(setting.mean_regret is None for setting in empty.settings)
    page = render(empty.model_copy(update={"preset": "<script>alert(1)</script>"}))
    assert "<script>alert" not in page
    assert "partial" in page


def test_the_page_shows_what_the_results_say() -> None:
    results = study(noise_sd=0.003)
    page = render(results)
    assert page.count("<figure") == 3 * len(CONFIG.families)
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert SchedulesResults.from_json(results.to_json()) == SchedulesResults.from_json(
        json.dumps(json.loads(results.to_json()))
    )


def test_the_conclusion_has_each_number_with_its_n_and_interval() -> None:
    results = study(noise_sd=0.003)
    text = " ".join(conclusion(results, "moe"))
    for setting in (s for s in results.settings if s.family == "moe" and s.scope != "all"):
        interval = f"[{millinats(setting.mean_low)}, {millinats(setting.mean_high)}]"
        assert f"{millinats(setting.mean_regret)} {interval} millinats" in text
        assert f"n = {setting.n_cells} cells; {millinats(setting.worst_regret)} in the worst" in text
    assert all(f"n = {row.n_cells} cells)" in text for row in results.against_wsd if row.family == "moe")


def test_a_schedule_below_wsd_is_called_so_and_one_without_a_setting_is_named() -> None:
    results = study()
    row = results.against_wsd[0].model_copy(update={"tuned": True, "mean": -0.01, "low": -0.02, "high": -0.005})
    lost = results.settings[0].model_copy(update={"lr": None, "mean_regret": None})
    found = list(conclusion(results.model_copy(update={"against_wsd": (row,), "settings": (lost,)}), row.family))
    assert any("10.0 [5.0, 20.0] millinats below WSD's" in text for text in found)
    assert any("has no one LR" in text for text in found)


def test_a_trunk_is_charged_once_for_wsd_and_power_and_cosine_for_each_horizon() -> None:
    share = {setting.schedule: setting.tokens_share for setting in study().settings}
    assert share["cosine"] == 1
    assert share["wsd"] == share["power"] == pytest.approx(0.627, abs=0.01)
    tokens = {t.parametrization: t.tokens for t in plan_of(CONFIG).trials if t.rung == f"moe-32x2-b{BATCH}"}
    assert tokens["cosine"] == sum(CONFIG.horizons)
    assert tokens["power"] == tokens["wsd"] < tokens["cosine"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rules": {"horizon": "sde"}}, "rules: no rule may depend on tokens"),
        ({"batches": {"wsd": [1024], "power": [1024]}}, "batches.cosine: base_batch 1024 is missing"),
        ({"horizons": [65536, 65536]}, "horizons: a value is given twice"),
        ({"horizons": [65536, 100000]}, "must be a multiple of the batch"),
        ({"schedule": {"warmup_tokens": 8192, "kind": "cosine"}}, "schedule.kind: leave it wsd"),
    ],
)
def test_a_wrong_config_is_one_clear_line(change: dict[str, object], message: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    data = CONFIG.model_dump(mode="json") | change
    path = tmp_path / "mine.yaml"
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=message):
        load_study(str(path))


@settings(max_examples=30)
@given(place=st.floats(-2, 2), at=st.floats(-0.6, 0.6))
def test_regret_is_the_parabolas_within_a_step_and_nothing_outside_the_sweep(place: float, at: float) -> None:
    assume(abs(place % 1 - 0.5) > 1e-3)  # two equally good runs: which points are fitted hangs on the last bit
    lrs = [0.01 * 2.0**k for k in range(-3, 4)]
    best = 0.01 * 2**place
    cell = CellLosses(lrs, [3 + CURVATURE * math.log(lr / best) ** 2 for lr in lrs])
    found = at_lr(cell, best * 2**at, factor=2)
    assert found is not None
    assert found.regret == pytest.approx(CURVATURE * (at * math.log(2)) ** 2, abs=1e-6)
    assert sum(found.loss_weights) == pytest.approx(1, abs=1e-2)
    assert sum(found.regret_weights) == pytest.approx(0, abs=1e-2)
    assert at_lr(cell, 1.0, factor=2) is None


def test_a_cell_between_diverged_lrs_has_a_best_lr_but_no_regret() -> None:
    cell = CellLosses([0.01, 0.02, 0.04], [3.1, 3.0, None])
    assert (cell.fit().status, cell.fit().lr_best) == ("bracketed", 0.02)
    assert at_lr(cell, 0.02, factor=2) is None


def test_a_law_of_one_horizon_is_refused() -> None:
    points = [PowerPoint(1e6, batch, 1e9, -4.0, 0.1, 3.0) for batch in (1e4, 2e4, 4e4)]
    for fit in (fit_by_paper, fit_by_regression):
        with pytest.raises(ValueError, match="two or more horizons"):
            fit(points)


def test_the_smallest_cell_is_the_same_run_under_wsd_for_every_family_of_rules() -> None:
    assert all(CONFIG.base_of(rung, "wsd").tokens == SHORT for rung in CONFIG.rungs)
    assert {CONFIG.schedule_of(name).kind for name in SCHEDULE_NAMES} == set(SCHEDULE_NAMES)
