"""What the figures of a report show: the frontier and its baselines, lines from the base, laws, balance, losses."""

import math

import numpy as np
import pytest

from lrladder.benchmark.studies.regret.results import CurveResult, LawResult
from lrladder.reports.regret import analysis, learning_figure, sensitivity, sentences
from lrladder.reports.regret.baselines import KEEP, SWEEP, Array, Finished, _half_width, _means, _Parabola, baselines
from lrladder.reports.regret.bowls import _is_fitted
from lrladder.reports.regret.frontier import Point, frontier, points
from lrladder.reports.regret.page import render
from tests.reports.regret.studies import simulated
from tests.reports.synthetic import CURVATURE, best_lr, build_results, watched_results


def test_no_entry_beats_one_on_the_frontier() -> None:
    found = [Point(str(i), "sp", True, cost, regret) for i, (cost, regret) in enumerate(
        [(1, 5), (2, 3), (2, 4), (3, 3), (4, 1), (5, 2)]
    )]  # fmt: skip
    baseline = Point("b", "sp", False, 0.1, 0.0)
    assert [p.name for p in frontier([*found, baseline])] == ["0", "1", "4"]


def test_baselines_are_the_sweeps_and_the_lr_of_the_base() -> None:
    results = build_results(config={"base": "p48x3"})
    rungs = {rung.name: rung for rung in results.rungs}
    for target in results.targets:
        found = baselines(results, target)
        assert {b.parametrization for b in found if b.name == SWEEP} == {n for n, o in target.oracle.items() if o.lr}
        assert all(b.lr_regret == 0 for b in found if b.name == SWEEP)
        (kept,) = (b for b in found if b.name == KEEP)
        assert kept.lr == best_lr(rungs["p48x3"], 262144, "sp")
        distance = math.log(kept.lr / best_lr(rungs[target.rung], target.tokens, "sp"))
        if abs(distance) < math.log(2):
            assert kept.lr_regret == pytest.approx(CURVATURE * distance**2)
        assert {p.name for p in points(results, target)} >= {"fitting", "mutransfer", SWEEP}


def test_every_line_of_the_transfer_passes_through_the_base() -> None:
    frame = analysis.drift(build_results(config={"base": "p48x3"}))
    at_base = frame[frame["rung"] == "p48x3"]
    assert set(at_base["parametrization"]) == {"sp", "mup"}
    assert (at_base["octaves"] == 0).all()
    sp = frame[frame["parametrization"] == "sp"].set_index("rung")["octaves"]
    assert sp["p32x2"] > 0 > sp["p64x3"] > sp["t96x3"]  # the best LR falls with size


def test_a_law_that_knows_the_batch_and_the_share_gives_their_lr() -> None:
    known = {"k": 2.0, "u": 0.5, "u_low": None, "u_high": None, "v": 0.25, "v_low": None, "v_high": None, "n_points": 4}
    plain = LawResult.model_validate(known)
    assert plain.lr(16, 64, 81, 4096) == pytest.approx(2 * 16**-0.5 / 3)
    whole = LawResult.model_validate({**known, "size": "total", "w": 0.5, "s": 1.0})
    assert whole.lr(16, 64, 81, 4096) == pytest.approx(2 * 64**-0.5 / 3 * 64 / 4)
    flops = LawResult.model_validate({**known, "size": "flops"})
    assert flops.lr(16, 64, 4, 1) == pytest.approx(2 * 64**-0.5)


def test_points_that_entered_a_fit_are_told_from_the_others() -> None:
    curve = CurveResult(rung="a", horizon=1, parametrization="sp", status="interior", n=3, curvature=1.0)
    row = {"parametrization": "sp", "lr": 0.1}
    assert _is_fitted(row, [curve])  # of an older version, which does not tell
    assert _is_fitted(row, [curve.model_copy(update={"lrs_fitted": (0.1, 0.2)})])
    assert not _is_fitted(row, [curve.model_copy(update={"lrs_fitted": (0.2, 0.4)})])
    fitted = [c for c in simulated().curves if c.status == "interior"]
    lrs = {(m.rung, m.parametrization, m.lr) for m in simulated().measurements}
    assert fitted and all(len(c.lrs_fitted) >= 3 for c in fitted)
    assert all((c.rung, c.parametrization, lr) in lrs for c in fitted for lr in c.lrs_fitted)


def test_the_noise_of_a_batch_cancels_in_training_losses_of_one_seed() -> None:
    results = simulated()
    frame = learning_figure.rows(results)
    losses = {(t.rung, p.name): p.loss or 0.0 for t in results.targets for p in t.paradigms}
    own = learning_figure.references(results)
    for row in frame.to_dict("records"):
        apart = losses[row["rung"], row["entry"]] - losses[row["rung"], own[row["rung"]]]
        assert row["difference"] == pytest.approx(apart, abs=1e-9)


def test_sensitivity_covers_the_same_octaves_about_each_best_lr() -> None:
    found = sensitivity.sensitivities(watched_results())
    assert found
    for rung in {s.rung for s in found}:
        here = [s for s in found if s.rung == rung]
        assert len({s.octaves for s in here}) == 1 and len(here) > 1
        assert all(sensitivity.LEAST <= s.octaves <= sensitivity.MOST and s.spread.least > 0 for s in here)


def test_the_sentence_of_the_frontier_counts_the_seeds_of_the_sweep() -> None:
    """An entry may have more seeds than the sweep; its LR regret rests on those of both."""
    results = build_results()
    targets = tuple(
        t.model_copy(update={"paradigms": tuple(p.model_copy(update={"n_seeds": 3}) for p in t.paradigms)})
        for t in results.targets
    )
    assert {o.n_seeds for t in targets for o in t.oracle.values()} == {2}
    assert "n = 2 seeds each" in sentences.cost(results.model_copy(update={"targets": targets}))


@pytest.mark.parametrize(("octaves", "on_curve"), [(0.5, True), (2.0, False)])
def test_the_interval_of_the_proxys_lr_covers_the_truth(octaves: float, on_curve: bool) -> None:
    """Both readings of a sweep of 5 LRs and 2 seeds: on its parabola, and between neighbouring runs."""
    rng, sd, hits = np.random.default_rng(0), 0.007, []
    results = build_results(seed_noise=sd, seed_noise_df=1000)
    oracle = results.targets[0].oracle["sp"]
    x, place = math.log(2) * np.arange(-2.0, 3.0), octaves * math.log(2)
    for _ in range(300):
        losses = 3 + 0.05 * x**2 + sd / math.sqrt(2) * rng.standard_normal(5)
        means = [Finished(loss, {(lr, seed): 0.5 for seed in range(2)}) for lr, loss in zip(x, losses, strict=True)]
        fitted = _Parabola(x, means, np.ones(5, dtype=bool))

        def read(y: Array, fitted: _Parabola = fitted) -> float:
            return fitted.above(place, y) if on_curve else float(np.interp(place, x, y)) - fitted.minimum(y)

        half = _half_width(results, oracle, fitted, read)
        assert half is not None
        hits.append(abs(read(losses) - 0.05 * place**2) <= half)
    assert 0.86 < np.mean(hits) <= 0.98


def test_the_baselines_are_read_off_the_seeds_that_all_lrs_have() -> None:
    """A proposal on the sweep's grid has a seed more, whose own effect would enter."""
    runs = [m for m in build_results().measurements if (m.rung, m.parametrization) == ("t96x3", "mup")]
    more = runs[0].model_copy(update={"seed": 9, "loss": 99.0})
    assert _means(build_results(), [*runs, more]) == _means(build_results(), runs)


def test_the_baselines_of_a_lean_sweep_are_read_off_all_its_seeds() -> None:
    """An LR with the first seed alone is completed as in the scoring, so that seeds whose own effects differ agree."""
    results = build_results(config={"validation": {"oracle_lean": True, "seeds": [1, 2, 3]}})
    runs = [m for m in results.measurements if (m.rung, m.parametrization) == ("t96x3", "mup")]
    runs = [m.model_copy(update={"loss": 3.0 + 0.1 * m.seed, "verdict": "finished"}) for m in runs]
    far = min(m.lr for m in runs)
    found = _means(results, [m for m in runs if m.lr != far or m.seed == 1])
    assert [mean.loss for mean in found.values()] == pytest.approx([3.15] * len(found))
    assert len(found) == len({m.lr for m in runs})
    assert sum(w**2 for w in found[far].runs.values()) > 1 > sum(w**2 for w in found[max(found)].runs.values())


def test_what_was_not_swept_has_no_row_and_no_baseline() -> None:
    results = build_results()
    nothing = {"lr": None, "loss": None, "status": "few", "n_lrs": 0, "n_seeds": 0}
    targets = tuple(
        t.model_copy(update={"oracle": {n: o.model_copy(update=nothing) for n, o in t.oracle.items()}})
        for t in results.targets
    )
    partial = results.model_copy(update={"targets": targets})
    assert all(baselines(partial, target) == [] for target in partial.targets)
    page = render(partial)
    assert "Direct sweep" not in page and "0 LRs" not in page
    assert "Direct sweep" in render(results)
