"""A drift study on a lab whose drift is known, and its config."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrladder.benchmark.config.text import parse_yaml, read_preset, validate
from lrladder.benchmark.errors import InputError
from lrladder.benchmark.lab.resolve import resolve
from lrladder.benchmark.studies.drift.config import DriftConfig
from lrladder.benchmark.studies.drift.drift import Drift, Optimum, fit_drift, pooled_scatter
from lrladder.benchmark.studies.drift.loss import loss_change
from lrladder.benchmark.studies.drift.results import DriftResults
from lrladder.benchmark.studies.drift.study import assemble, judge
from lrladder.benchmark.studies.kinds import load_study, plan_of
from lrladder.benchmark.studies.results import Found
from lrladder.benchmark.studies.runner import run_on
from lrladder.models.rules import STANDARD
from lrladder.paradigms.lab import Measurement, Request
from lrladder.paradigms.sweep.bracket import CellLosses
from lrladder.reports.drift.page import render

TEXT = """
kind: axes
name: tiny
schedule: {warmup_tokens: 8192}
search: {lr_guess: 0.03125, points: 4, seeds: [0, 1]}
axes:
  - {axis: width, values: [32, 64, 128], variants: {"off": {}, "on": {width: true}}}
  - {axis: horizon, values: [65536, 131072, 262144], variants: {"off": {}, sde: {horizon: sde}}}
"""
DRIFT = {"width:off": -1.0, "width:on": 0.0, "horizon:off": -0.35, "horizon:sde": 0.15}


def config(text: str = TEXT) -> DriftConfig:
    return validate(DriftConfig, parse_yaml(text, source="test"), source="test")


@dataclass
class KnownDrift:
    """Loss is a parabola in ln lr whose vertex moves by DRIFT octaves per doubling of the axis, plus noise."""

    noise: float = 0.01
    seen: list[Measurement] = field(default_factory=list)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def measure(self, requests: Sequence[Request], *, payer: str) -> list[list[Measurement]]:
        measured = [[self._read(request, horizon) for horizon in request.horizons] for request in requests]
        self.seen += [m for run in measured for m in run]
        return measured

    def cost_flops(self, payer: str) -> float:
        return 0.0

    def _read(self, request: Request, horizon: int) -> Measurement:
        ratio = horizon / 131072 if request.rung == "horizon" else int(request.rung.split("-")[1]) / 32
        best = math.log2(0.03) + DRIFT[request.parametrization] * math.log2(ratio)
        off = math.log(2) * (math.log2(request.lr) - best)
        return Measurement(
            trial_id=f"{request}",
            rung=request.rung,
            parametrization=request.parametrization,
            lr=request.lr,
            seed=request.seed,
            horizon=horizon,
            verdict="finished",
            loss=4.0 + 0.08 * off**2 + self.noise * self.rng.standard_normal(),
        )


@pytest.fixture(scope="module")
def results() -> DriftResults:
    lab = KnownDrift()
    return run_on(config(), lab)


def test_known_drifts_are_recovered_within_their_intervals(results: DriftResults) -> None:
    assert results.complete
    for axis in results.axes:
        for variant in axis.variants:
            assert variant.drift_low is not None
            assert variant.drift_high is not None
            assert variant.drift_low <= DRIFT[variant.parametrization] <= variant.drift_high, variant.parametrization
            assert variant.drift_high - variant.drift_low < 0.7


def test_findings_tell_a_rule_that_holds_from_one_that_does_not(results: DriftResults) -> None:
    findings = {variant.parametrization: variant.finding for axis in results.axes for variant in axis.variants}
    assert findings["width:off"] == "does not hold"
    assert findings["width:on"] == "holds"
    moves = {variant.parametrization: variant.against_off for axis in results.axes for variant in axis.variants}
    assert (moves["width:off"], moves["width:on"]) == (None, "less")
    assert all(variant.name in axis.sentence for axis in results.axes for variant in axis.variants)


@given(
    slope=st.floats(-2, 2),
    level=st.floats(-9, -2),
    ratios=st.lists(st.integers(-2, 4), min_size=3, max_size=5, unique=True),
)
def test_a_line_without_noise_is_found_exactly(slope: float, level: float, ratios: list[int]) -> None:
    drift = fit_drift([Optimum(ratio, level + slope * ratio, 0.05) for ratio in ratios])
    assert drift is not None
    assert drift.slope == pytest.approx(slope, abs=1e-9)
    assert drift.at_base == pytest.approx(level, abs=1e-9)
    assert drift.low < drift.slope < drift.high


def test_one_axis_value_has_no_drift() -> None:
    assert fit_drift([Optimum(0.0, -5.0, 0.1), Optimum(0.0, -5.1, 0.1)]) is None


@pytest.mark.parametrize("true_sd", [0.1, 0.3])
def test_intervals_cover_the_truth_also_where_sds_are_understated(true_sd: float) -> None:
    """Six lines of three points, whose stated sd is 0.1."""
    rng = np.random.default_rng(1)
    hits = []
    for _ in range(150):
        lines = [
            [Optimum(x, -5 - 0.3 * x + true_sd * rng.standard_normal(), 0.1) for x in (0.0, 1, 2)] for _ in range(6)
        ]
        scatter = pooled_scatter(lines)
        for line in lines:
            drift = fit_drift(line, scatter=scatter)
            assert drift is not None
            hits.append(drift.low <= -0.3 <= drift.high)
    assert np.mean(hits) > 0.87


def test_a_line_alone_takes_its_own_scatter() -> None:
    bent = [Optimum(0.0, -5.0, 0.05), Optimum(1.0, -5.6, 0.05), Optimum(2.0, -5.0, 0.05)]
    straight = [optimum._replace(lr=-5.0) for optimum in bent]
    alone, level = fit_drift(bent), fit_drift(straight)
    assert alone is not None
    assert level is not None
    assert alone.high - alone.low > 10 * (level.high - level.low)


@pytest.mark.parametrize(
    ("low", "high", "finding"), [(-0.2, 0.3, "holds"), (0.4, 0.6, "does not hold"), (0.1, 0.5, "not decided")]
)
def test_the_rule_of_the_finding(low: float, high: float, finding: str) -> None:
    assert judge(Drift((low + high) / 2, low, high, -5.0, 3), 0.35) == finding


def test_at_the_base_all_variants_are_one_trial() -> None:
    study = config()
    for name in ("width:off", "width:on"):
        (trial,) = resolve(Request("width-32", name, 0.01, 0, (131072,)), study, corpus_digest="", precision="fp32")
        assert trial.rules == STANDARD
    ids = {
        trial.id
        for name in ("horizon:off", "horizon:sde")
        for trial in resolve(Request("horizon", name, 0.01, 0, (131072,)), study, corpus_digest="", precision="fp32")
    }
    assert len(ids) == 1


def test_a_variant_decays_over_its_own_fraction_and_its_horizons_share_a_trunk() -> None:
    study = config(TEXT.replace("sde: {horizon: sde}}", "short: {}}, decay_fractions: {short: 0.1}"))
    horizons = (65536, 131072, 262144)
    for variant, fraction in (("off", 0.2), ("short", 0.1)):
        request = Request("horizon", f"horizon:{variant}", 0.01, 0, horizons)
        (trial,) = resolve(request, study, corpus_digest="", precision="fp32")
        assert (trial.schedule.decay_fraction, trial.horizons) == (fraction, horizons)
        decays = sum(math.ceil(fraction * h / 1024) * 1024 for h in horizons)
        assert trial.tokens == 262144 - math.ceil(fraction * 262144 / 1024) * 1024 + decays
    assert study.schedule_of("width:on") == study.schedule


def test_the_plan_prices_each_distinct_run_once() -> None:
    rungs = [(trial.rung, trial.parametrization) for trial in plan_of(config()).trials if not trial.extension]
    assert ("width-32", "width:off") in rungs
    assert ("width-32", "width:on") not in rungs


def test_the_preset_fits_an_hour_on_two_cores() -> None:
    study = load_study("axes")
    assert isinstance(study, DriftConfig)
    assert plan_of(study, workers=2).maximum.hours < 1


def test_a_loss_that_a_rule_costs_is_told_from_noise() -> None:
    """The minimum of one curve lies 0.05 nats above the other's."""
    rng = np.random.default_rng(3)
    lrs = [2.0**-k for k in (7, 6, 5, 4) for _ in range(2)]
    losses = [
        [4.0 + up + 0.05 * (math.log(lr) + 4) ** 2 + 0.005 * rng.standard_normal() for lr in lrs] for up in (0.05, 0)
    ]
    change = loss_change(CellLosses(lrs, list(losses[0])), CellLosses(lrs, list(losses[1])))
    assert change is not None
    assert 0 < change.low < 0.05 < change.high < 0.1
    assert loss_change(CellLosses(), CellLosses(lrs, list(losses[1]))) is None
    bracketed = CellLosses([0.01, 0.02, 0.04], [3.1, 3.0, None])
    assert bracketed.fit().lr_best == 0.02
    assert loss_change(bracketed, CellLosses(lrs, list(losses[1]))) is None


def test_a_partial_study_says_what_is_missing_and_renders() -> None:
    lab = KnownDrift()
    run_on(config(), lab)
    some = [m for m in lab.seen if m.parametrization == "width:off"]
    partial = assemble(config(), Found(some))
    assert not partial.complete
    assert any("horizon" in line for line in partial.missing)
    assert "partial" in render(partial)


def test_results_survive_json(results: DriftResults) -> None:
    assert DriftResults.from_json(results.to_json()) == results
    with pytest.raises(ValueError, match=r"lrladder\.axes/2"):
        DriftResults.from_json("{}")


def test_the_page_is_one_file_with_a_panel_per_axis(results: DriftResults) -> None:
    page = render(results)
    assert page.count("<figure>") == len(results.axes)
    assert "http" not in page.replace("http://www.w3.org", "").replace("http-equiv", "")
    assert render(results) == page


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("kind: axes", "kind: axis", "axes"),
        ("values: [32, 64, 128]", "values: [64, 128]", "base's 32 is missing"),
        ('"off": {}, "on"', '"aus": {}, "on"', "'off' is missing"),
        ("width: true", "widht: true", "widht"),
        ("262144]", "262145]", "must be a multiple"),
        ("values: [32, 64, 128]", "values: [32, 32]", "given twice"),
        ("sde: {horizon: sde}", "sde: {horizon: fitted}", "use wsd, sde or power"),
        ("axis: width, values: [32, 64, 128]", "axis: experts, values: [6, 8]", "must be whole"),
        ("sde: {horizon: sde}}", "sde: {}}, decay_fractions: {sd: 0.1}", "there is no variant 'sd'"),
        ("sde: {horizon: sde}}", "sde: {}}, decay_fractions: {sde: 0.95}", "sde: the decay begins before"),
    ],
)
def test_a_bad_config_is_one_line(tmp_path: object, old: str, new: str, words: str) -> None:
    path = f"{tmp_path}/axes.yaml"
    with open(path, "w", encoding="utf-8") as file:
        file.write(TEXT.replace(old, new))
    with pytest.raises(InputError, match=words) as error:
        load_study(path)
    assert "\n" not in str(error.value)


def test_the_presets_kind_is_told() -> None:
    assert read_preset("axes").count("kind: axes") == 1
