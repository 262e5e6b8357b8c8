"""Tidy frames, CSV that is safe to open, and numbers as the report writes them."""

import csv
import io
import math

import pandas as pd
import pytest

from lrladder.reports import formats
from lrladder.reports.downloads import to_csv
from lrladder.reports.regret import analysis, health, sentences
from lrladder.reports.regret.sensitivity import sensitivities
from tests.reports.synthetic import build_results, empty_results, watched_results


def test_one_row_per_measurement_in_ladder_order() -> None:
    results = build_results()
    frame = analysis.measurements(results)
    assert len(frame) == len(results.measurements)
    assert list(dict.fromkeys(frame["rung"])) == [r.name for r in results.rungs]
    assert (frame["log2_lr"] - frame["lr"].map(math.log2)).abs().max() == 0


def test_order_of_measurements_does_not_matter() -> None:
    results = build_results()
    turned = results.model_copy(update={"measurements": results.measurements[::-1]})
    pd.testing.assert_frame_equal(analysis.measurements(results), analysis.measurements(turned))


def test_diverged_runs_are_kept_but_not_finished() -> None:
    frame = analysis.measurements(build_results())
    assert (frame["verdict"] == "diverged").sum() > 0
    assert set(analysis.finished(frame)["verdict"]) == {"finished"}


def test_measurement_of_an_unknown_rung_is_kept() -> None:
    frame = analysis.measurements(build_results(rungs=()))
    assert len(frame) == len(build_results().measurements)
    assert frame["n_active"].isna().all()


def test_optima_hold_proxy_curves_and_target_oracles_of_sp() -> None:
    points = analysis.optima(build_results())
    assert list(points["part"].value_counts().sort_index().items()) == [("proxy", 6), ("target", 2)]


def test_paradigms_have_one_row_per_target_and_paradigm() -> None:
    frame = analysis.paradigms(build_results())
    assert list(zip(frame["rung"], frame["name"], strict=True)) == [
        (rung, name) for rung in ("t96x3", "t128x4") for name in ("fitting", "mutransfer")
    ]


def test_cost_shares_sum_to_one_and_are_sorted() -> None:
    costs = analysis.costs(build_results())
    assert costs["share"].sum() == pytest.approx(1)
    assert costs["flops"].is_monotonic_decreasing


@pytest.mark.parametrize("frame", [analysis.measurements, analysis.paradigms, analysis.optima, analysis.costs])
def test_empty_results_keep_their_columns(frame) -> None:  # type: ignore[no-untyped-def]
    empty = frame(empty_results())
    assert len(empty) == 0
    assert list(empty.columns) == list(frame(build_results()).columns)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1"])
def test_csv_text_is_never_a_formula(text: str) -> None:
    cells = list(csv.reader(io.StringIO(to_csv(pd.DataFrame({"a": [text], "b": [-1.5], "c": [None]})), newline="")))
    assert cells == [["a", "b", "c"], ["'" + text, "-1.5", ""]]


def test_csv_round_trips_the_numbers() -> None:
    frame = analysis.measurements(build_results())
    again = pd.read_csv(io.StringIO(to_csv(frame)))
    pd.testing.assert_series_equal(again["loss"], frame["loss"])
    pd.testing.assert_series_equal(again["lr"], frame["lr"])


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.022, "0.0220"), (0.0004419, "0.000442"), (1e-5, "1.00e-5"), (1.0, "1.00"), (8.0, "8.00"), (123.4, "123")],
)
def test_lr_has_three_significant_digits(value: float, text: str) -> None:
    assert formats.lr(value) == text


def test_numbers_read_well() -> None:
    assert formats.millinats(-0.00412) == "\u22124.1"
    assert formats.millinats(-0.00001) == "0.0"
    assert formats.flops(1.23e12) == "1.2e12"
    assert formats.flops(0.0) == "0"
    assert formats.count(262144) == "262\u202f144"
    assert formats.factor(0.284) == "0.28\u00d7"
    assert formats.exponent(2**-5.5) == "\u22125.50"
    assert formats.short(1048576) == "1.05M"
    assert formats.power_of_two(-6) == "2⁻⁶"


@pytest.mark.parametrize("missing", [None, math.nan, math.inf, -math.inf])
def test_missing_numbers_are_a_dash(missing: float | None) -> None:
    writers = (formats.lr, formats.exponent, formats.fixed, formats.loss, formats.millinats, formats.flops)
    assert {write(missing) for write in (*writers, formats.factor, formats.count)} == {"\u2013"}


def test_balance_is_that_of_each_rungs_best_runs_and_said_of_base_and_largest() -> None:
    results = watched_results()
    found = health.balances(results)
    assert [b.rung for b in found if b.parametrization == "mup"] == [
        rung.name
        for rung in results.rungs
        if rung.name in {m.rung for m in results.measurements if m.parametrization == "mup"}
    ]
    for balance in found:
        assert balance.spread.mean == pytest.approx(
            1.25 if balance.parametrization == "sp" else 1 + 0.01 * balance.depth
        )
        assert balance.spread.n == len(
            [m for m in health.at_best_lr(results, balance.parametrization) if m.rung == balance.rung]
        )
    proxy = next(b for b in found if b.parametrization == "mup")
    config = {"base": proxy.rung}
    said = sentences.balance(results.model_copy(update={"config": config}))
    assert f"{proxy.spread.mean:.2f} at {proxy.rung} (n = {proxy.spread.n} run" in said and "t128x4" in said
    assert sentences.balance(build_results()) == ""  # of an older version, without the metric


def test_a_rung_where_all_are_one_model_compares_no_sensitivity() -> None:
    results = watched_results()
    compared = {s.rung for s in sensitivities(results)}
    assert compared
    one_model = [
        m.model_copy(update={"parametrization": name})
        for m in results.measurements
        if m.parametrization == "sp" and not m.role_lrs
        for name in ("sp", "mup")
    ]
    assert sensitivities(results.model_copy(update={"measurements": tuple(one_model)})) == []
