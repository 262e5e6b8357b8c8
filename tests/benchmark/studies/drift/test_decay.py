"""Does a shorter decay make the best LR fall more steeply? On labs whose exponents are known."""

import math
from collections.abc import Mapping

import numpy as np
import pytest

from lrladder.benchmark.studies.drift.decay import decay_result
from lrladder.benchmark.studies.drift.drift import Scatter
from lrladder.benchmark.studies.drift.older import with_decay
from lrladder.benchmark.studies.drift.results import DriftResults, VariantResult
from lrladder.benchmark.studies.runner import run_on
from lrladder.paradigms.level import LEVEL
from lrladder.reports.drift.page import render
from tests.benchmark.studies.drift import test_drift
from tests.benchmark.studies.drift.test_drift import KnownDrift, config

TEXT = """
kind: axes
name: decays
schedule: {warmup_tokens: 8192}
search: {lr_guess: 0.03125, points: 4, seeds: [0, 1]}
axes:
  - axis: horizon
    values: [65536, 131072, 262144, 524288]
    variants: {"off": {}, sde: {horizon: sde}, decay_0.1: {}, decay_0.5: {}, decay_0.85: {}}
    decay_fractions: {decay_0.1: 0.1, decay_0.5: 0.5, decay_0.85: 0.85}
"""
FRACTIONS = {"off": 0.2, "decay_0.1": 0.1, "decay_0.5": 0.5, "decay_0.85": 0.85}


def exponents(at_whole: float, slope: float) -> dict[str, float]:
    return {name: at_whole + slope * math.log2(fraction) for name, fraction in FRACTIONS.items()}


def study(monkeypatch: pytest.MonkeyPatch, known: Mapping[str, float]) -> DriftResults:
    drifts = {f"horizon:{name}": drift for name, drift in {**known, "sde": 0.15}.items()}
    monkeypatch.setattr(test_drift, "DRIFT", drifts)
    results: DriftResults = run_on(config(TEXT), KnownDrift(noise=0.004))
    return results


@pytest.mark.parametrize(("slope", "answer"), [(0.2, "steeper"), (-0.2, "less steep")])
def test_exponents_and_their_change_with_the_decay_are_recovered(
    slope: float, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = exponents(-0.15, slope)
    (axis,) = study(monkeypatch, known).axes
    found = axis.decay
    assert found is not None
    assert [p.fraction for p in found.points] == [0.1, 0.2, 0.5, 0.85]  # not that of the rule
    assert all(p.low <= known[p.variant] <= p.high and p.n_optima == 4 and p.n_runs >= 24 for p in found.points)
    assert found.slope_low <= slope <= found.slope_high
    assert found.answer == answer
    assert "decay_" not in axis.sentence  # no rule is judged there


def test_the_page_and_the_results_have_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    results = study(monkeypatch, exponents(-0.15, 0.2))
    (axis,) = results.axes
    assert axis.decay is not None
    page = render(results)
    assert axis.decay.sentence in page and "n = 4 decay fractions, 16 minima" in axis.decay.sentence
    assert all(f'<th class="t">{p.fraction:g}</th>' in page for p in axis.decay.points)
    assert DriftResults.from_json(results.to_json()) == results


def test_results_of_an_older_version_get_the_answer_from_their_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    results = study(monkeypatch, exponents(-0.5, 0.1))
    older = results.model_copy(update={"axes": tuple(a.model_copy(update={"decay": None}) for a in results.axes)})
    assert with_decay(older) == results
    assert with_decay(older.model_copy(update={"config": {}})).axes == older.axes


def variant(name: str, drift: float, half: float) -> VariantResult:
    ends = {"drift": drift, "drift_low": drift - half, "drift_high": drift + half}
    return VariantResult(name=name, parametrization=name, rules={}, points=(), **ends)


@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_the_interval_of_the_change_covers_it(slope: float) -> None:
    rng, scatter, sd, hits = np.random.default_rng(0), Scatter(20.0, 20), 0.06, []
    fractions = {name: fraction for name, fraction in FRACTIONS.items() if name != "off"}
    for _ in range(400):
        drifts = {name: drift + sd * rng.standard_normal() for name, drift in exponents(-0.2, slope).items()}
        variants = [variant(name, drift, scatter.quantile(LEVEL) * sd) for name, drift in drifts.items()]
        found = decay_result(variants, fractions, FRACTIONS["off"], scatter)
        assert found is not None
        hits.append(found.slope_low <= slope <= found.slope_high)
    assert 0.87 < np.mean(hits) < 0.96


def test_without_two_exponents_there_is_no_answer() -> None:
    missing = VariantResult(name="decay_0.1", parametrization="p", rules={}, points=())
    assert decay_result([variant("off", -0.3, 0.1), missing], {"decay_0.1": 0.1}, 0.2, Scatter()) is None
    other = variant("decay_0.1", 0.0, 0.1).model_copy(update={"rules": {"horizon": "sde"}})
    assert decay_result([variant("off", -0.3, 0.1), other], {"decay_0.1": 0.1}, 0.2, Scatter()) is None
