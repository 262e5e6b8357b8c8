"""The sentences of a conclusion word for word: which name, which number, singular or plural."""

import math

import pytest

from lrladder.benchmark.studies.regret.results import NextRunsResult, OracleResult, ParadigmResult
from lrladder.benchmark.studies.regret.scoring.components import Components
from lrladder.benchmark.studies.regret.scoring.conclusion import Judgement, conclude
from lrladder.benchmark.studies.regret.scoring.noise import Noises
from lrladder.benchmark.studies.regret.scoring.widths import Widths
from lrladder.benchmark.studies.regret.scoring.words import MINUS, interval, lead, milli, of_loose, of_next_runs
from lrladder.paradigms.sweep.noise import Noise
from tests.benchmark.studies.regret.test_conclusion import NEAR, SD, SEEDS, Entry, judged, result, sweep

ENTRIES = {name: result(name, Entry(loss), i) for i, (name, loss) in enumerate({"a": 0, "b": 2.5, "c": 7.1}.items())}


def test_a_number_is_in_millinats_with_its_interval() -> None:
    assert (milli(0.0123), milli(-0.0123)) == ("12.3", f"{MINUS}12.3")
    assert interval(0.002, -0.001, 0.005) == f"2.0 [{MINUS}1.0, 5.0]"
    assert interval(0.002, None, 0.005) == interval(0.002, -0.001, None) == "2.0"


def test_a_lead_is_the_second_minus_the_best_with_the_interval_of_the_difference() -> None:
    told = "the loss of `a` is 2.5 millinats lower than that of `b`"
    assert lead(ENTRIES["a"], ENTRIES["b"], 0.004) == f"{told} [{MINUS}1.5, 6.5; n = 3 seeds]"
    assert lead(ENTRIES["a"], ENTRIES["b"], None) == f"{told} [n = 3 seeds]"
    small, large = (ENTRIES[name].model_copy(update={"loss": loss}) for name, loss in (("a", 0.5), ("b", 1.75)))
    assert "is 1250.0 millinats lower" in lead(small, large, None)


def next_text(*found: tuple[str, int | None]) -> list[str]:
    return list(of_next_runs([NextRunsResult(entries=tuple(names), seeds=seeds) for names, seeds in found], ENTRIES))


def test_what_would_decide_counts_runs_and_seeds() -> None:
    (pair,), (three,) = next_text(("ab", 4)), next_text(("abc", 1))
    assert pair == (
        "What would decide: 4 more seeds of each of `a`, `b`, 8 runs at this target. If the loss of `b` is truly 2.5 "
        "millinats higher, as measured, then 80% of such studies name `a`"
    )
    assert three == (
        "What would decide: 1 more seed of each of `a`, `b`, `c`, 3 runs at this target. If the losses of `b`, `c` are "
        "truly 2.5, 7.1 millinats higher, as measured, then 80% of such studies name `a`"
    )


def test_what_would_take_too_many_runs_is_said_with_the_lead_once() -> None:
    more = "would take more than 100 runs at this target, because"
    assert next_text(("ab", None)) == [f"To tell `a` from `b` {more} its loss is only 2.5 millinats higher"]
    dear = f"To tell `a` from `b`, `c` {more} their losses are only 2.5, 7.1"
    assert next_text(("abc", None), ("ac", None)) == [f"{dear} millinats higher"]
    first, second = next_text(("abc", None), ("ac", 2))
    assert first == f"{dear} millinats higher"
    assert second.startswith("What would decide: 2 more seeds of each of `a`, `c`, 4 runs")


def oracle(status: str, n_lrs: int = 4) -> OracleResult:
    return sweep("sp", 3.0).result.model_copy(update={"status": status, "n_lrs": n_lrs})


def test_loose_sweeps_are_named_by_what_is_wrong() -> None:
    assert list(of_loose({"sp": oracle("interior"), "mup": oracle("interior")})) == []
    all_kinds = {"a": oracle("bracketed"), "b": oracle("edge"), "c": oracle("few", 0), "d": oracle("flat")}
    unfitted, loose, unswept = of_loose({**all_kinds, "e": oracle("interior")})
    assert "no parabola fits (`a`), so its lowest run stands for the minimum" in unfitted
    assert (
        loose == "The oracle's sweep does not bracket its minimum (`b`: edge, `d`: flat), so the true best may be lower"
    )
    assert unswept == "The target has not been swept yet under `c`, so the best LR there is not known"


def concluded(
    entries: dict[str, Entry], minima: dict[str, float], regrets: dict[str, tuple[float | None, float | None]]
) -> Judgement:
    """As `judged`, with the ends of each entry's LR regret."""
    oracles = {name: sweep(name, loss) for name, loss in minima.items()}
    scored = [
        result(name, entry, i).model_copy(
            update={"lr_regret": 0.001, "lr_regret_low": regrets[name][0], "lr_regret_high": regrets[name][1]}
        )
        for i, (name, entry) in enumerate(entries.items())
    ]
    widths = Widths(Noises(Noise(SD, 24), NEAR, NEAR, {}), oracles)
    return conclude(scored, {name: o.result for name, o in oracles.items()}, widths)


REASON = "so the parametrization makes the difference"
PAIR = {"a": Entry(0, "mup"), "b": Entry(40, "sp")}
APART = {"mup": 3.0, "sp": 3.04}
FINE = {"a": (-0.001, 0.002), "b": (-0.001, 0.002)}


def test_a_parametrization_makes_the_difference_only_where_every_lr_is_as_good_as_its_own_best() -> None:
    assert REASON in concluded(PAIR, APART, FINE).conclusion
    assert REASON in concluded(PAIR, APART, {**FINE, "b": (0.0, 0.002)}).conclusion
    assert REASON in concluded(PAIR, APART, {**FINE, "b": (-0.002, 0.0)}).conclusion
    for ends in ((0.001, 0.002), (-0.002, -0.001), (None, 0.002), (-0.001, None)):
        assert REASON not in concluded(PAIR, APART, {**FINE, "b": ends}).conclusion
    assert REASON not in concluded(PAIR, {"mup": 3.0, "sp": 3.0}, FINE).conclusion  # the minima are level
    assert REASON not in concluded(PAIR, {"mup": 3.04, "sp": 3.0}, FINE).conclusion  # the other is the lower
    assert REASON not in concluded({"a": Entry(0), "b": Entry(40)}, {"sp": 3.0}, FINE).conclusion
    tied = {"a": Entry(0, "mup"), "b": Entry(1, "sp")}
    assert REASON not in concluded(tied, APART, FINE).conclusion


def test_an_entry_that_is_not_swept_is_not_compared_with_its_own_best() -> None:
    third = {**PAIR, "c": Entry(60, "power")}
    assert REASON in concluded(third, APART, {**FINE, "c": (None, None)}).conclusion


def test_the_lowest_minimum_is_told_with_the_interval_of_the_difference() -> None:
    """Of two means of three seeds; the weights of these sweeps are 1. Noise is 24 + 4 df, tau2 is 0."""
    half = 1.7109 * SD * math.sqrt(2 / SEEDS)  # t(0.95; 24)
    said = concluded(PAIR, APART, FINE).conclusion
    ends = f"[{1000 * (0.04 - half):.1f}, {1000 * (0.04 + half):.1f}] millinats, n = 3 seeds."
    assert f"The sweeps at the target find the lowest loss under mup: sp {MINUS} mup = 40.0 {ends}" in said
    assert "LR regret under mup (loss above the lowest of its own sweep): a 1.0 [" in said
    assert f"LR regret under sp: b 1.0 [{MINUS}1.0, 2.0] millinats, n = 3 seeds." in said
    one = concluded({"a": Entry(0, "mup")}, {"mup": 3.0}, FINE)
    assert "sweeps at the target" not in one.conclusion


def test_only_fitted_minima_are_compared() -> None:
    oracles = {name: sweep(name, loss) for name, loss in APART.items()}
    loose = oracles["sp"].result.model_copy(update={"status": "edge"})
    widths = Widths(Noises(Noise(SD, 24), NEAR, NEAR, {}), oracles)
    scored = [result(name, entry, i) for i, (name, entry) in enumerate(PAIR.items())]
    said = conclude(scored, {"mup": oracles["mup"].result, "sp": loose}, widths).conclusion
    assert "lowest loss" not in said and "a wins" in said


def test_who_is_compared_where_some_did_not_finish() -> None:
    assert "No proposal has been scored." in judged({}).conclusion
    assert "No proposal finished all its seeds." in judged({"a": Entry(None)}).conclusion
    alone = judged({"a": Entry(None), "b": Entry(5)})
    assert "b wins: no other entry finished all its seeds." in alone.conclusion
    assert "Only" not in alone.conclusion
    assert "a diverged in 1 of 3 seeds." in alone.conclusion


def test_the_smallest_lead_is_that_of_the_widest_noise_over_as_many_rivals() -> None:
    """Between parametrizations there is an interaction too, so the difference is noisier."""
    near = NEAR._replace(interaction=0.01**2)
    same, other = (judged({"a": Entry(0), "b": Entry(1, arm)}, near=near) for arm in ("sp", "mup"))
    three = judged({"a": Entry(0), "b": Entry(1), "c": Entry(2, "mup")}, near=near)
    sizes = [found.smallest_difference or 0.0 for found in (same, other, three)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[1] < sizes[2]
    assert f"A lead of {1000 * sizes[2]:.1f} millinats over all others would have been found" in three.conclusion


def test_runs_that_do_not_scatter_are_not_the_widest_noise() -> None:
    """Within a parametrization runs are exact here, and only across is there a noise."""
    exact = NEAR._replace(variance=0.0, interaction=0.01**2)
    found = judged({"a": Entry(0), "b": Entry(1), "c": Entry(2, "mup")}, near=exact)
    assert found.winner is None and (found.smallest_difference or 0) > 0.01


def test_a_run_that_two_entries_propose_is_named_after_the_first_of_them() -> None:
    found = judged({"a": Entry(9, lr=0.02), "b": Entry(0), "c": Entry(9, lr=0.02), "d": Entry(9, lr=0.02)})
    assert "c proposes the same run as a, so they share one place." in found.conclusion
    assert "d proposes the same run as a, so they share one place." in found.conclusion
    assert "a proposes" not in found.conclusion


@pytest.mark.parametrize("unknown", [Components(None, 0, 0.0, 0), NEAR._replace(interaction_dof=0)])
def test_a_difference_whose_noise_is_not_known_is_told_without_ends(unknown: Components) -> None:
    found = judged({"a": Entry(0, "sp"), "b": Entry(90, "mup")}, near=unknown)
    assert "because the seed noise is unknown: the loss of a is 90.0 millinats lower than that of b [n = 3" in (
        found.conclusion
    )
    assert (found.winner, found.next_runs, found.cheapest) == (None, (), None)


def test_results_that_are_alike_are_told_apart_by_lr_arm_and_multipliers() -> None:
    first: ParadigmResult = ENTRIES["a"]
    assert first.same_as(first.model_copy(update={"name": "z", "loss": 9.0}))
    for update in ({"lr": 0.5}, {"parametrization": "mup"}, {"role_lrs": (("head", 2.0),)}):
        assert not first.same_as(first.model_copy(update=update))
