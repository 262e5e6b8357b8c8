"""The rule of decision: properties, its arrays, and how often it is wrong in simulated studies."""

import math

import numpy as np
import pytest
from scipy import stats

from lrladder.benchmark.studies.regret.scoring.components import Run, combined, components
from lrladder.benchmark.studies.regret.scoring.decision import (
    FOUND_SHARE,
    WINNER_LEVEL,
    HalfWidth,
    Rival,
    behind_level,
    decide,
    found_share,
    smallest_difference,
)
from lrladder.paradigms.sweep.noise import Noise
from tests.benchmark.studies.regret.simulated_studies import UNITS, Rates, Sampled, decide_all, estimate, rates, sample

STUDIES = 1000  # two verdicts each: standard error 0.7 points at 10%, 0.9 at 80%
ENTRIES = (2, 4, 6, 8)


def known(sd: float, dof: float = math.inf) -> HalfWidth:
    return lambda first, second, level: Noise(sd, dof).half_width(1.0, level=level)


def test_the_winner_beats_every_rival_at_the_uncorrected_level() -> None:
    bar = float(stats.norm.ppf(0.96))
    assert decide({"a": 0.0, "b": bar + 0.01, "c": 9.0}, known(1.0)).winner == "a"
    close = decide({"c": 9.0, "b": bar - 0.01, "a": 0.0}, known(1.0))
    assert (close.winner, close.order, close.behind, close.tied) == (None, ("a", "b", "c"), ("c",), ("a", "b"))


def test_behind_goes_from_the_worst_up_and_stops_at_the_first_that_is_not() -> None:
    assert behind_level(2) == WINNER_LEVEL
    bars = [float(stats.norm.ppf((1 + behind_level(rank)) / 2)) for rank in (2, 3, 4)]
    assert bars == sorted(bars)
    means = {"a": 0.0, "b": 0.5, "c": bars[1] + 0.01, "d": bars[2] - 0.01}
    assert decide(means, known(1.0)).behind == ()  # c alone would be, but d, which is worse, is not
    assert decide(means | {"d": bars[2] + 0.01}, known(1.0)).behind == ("c", "d")


def test_without_a_noise_or_a_rival_or_a_difference_nobody_wins() -> None:
    unknown = decide({"a": 0.0, "b": 5.0}, lambda *_: None)
    assert (unknown.winner, unknown.behind, unknown.noise_known) == (None, (), False)
    assert decide({"a": 0.0}, known(1.0)).winner is None
    assert decide({"a": 0.0, "b": 0.0}, known(0.0)).winner is None
    with pytest.raises(ValueError, match="no competitor"):
        decide({}, known(1.0))


@pytest.mark.parametrize("dof", [4, 20])
def test_one_rival_is_the_noncentral_t(dof: int) -> None:
    quantile = float(stats.t.ppf(0.96, dof))
    for difference in (2.0, 3.0, 4.0):
        expected = stats.nct.sf(quantile, dof, difference)
        assert found_share([Rival(difference, dof)]) == pytest.approx(expected, abs=0.002)


def test_a_rival_far_behind_does_not_count_and_each_one_nearer_costs() -> None:
    shares = [found_share([Rival(3.0, 12), Rival(other, 12)]) for other in (99.0, 6.0, 4.0, 3.0)]
    assert shares[0] == pytest.approx(found_share([Rival(3.0, 12)]))
    assert shares == sorted(shares, reverse=True)


def test_with_an_exact_noise_a_share_is_that_of_a_normal_distribution() -> None:
    """Differences from the same best have a correlation of a half."""
    bar = float(stats.norm.ppf(0.96))
    for leads in ((3.0, 3.0), (2.0, 3.0, 2.5), (2.2, 2.2, 2.2, 4.0)):
        cov = 0.5 * (np.eye(len(leads)) + 1)
        expected = stats.multivariate_normal(np.zeros(len(leads)), cov, seed=0).cdf(np.array(leads) - bar)
        assert found_share([Rival(lead, math.inf) for lead in leads]) == pytest.approx(float(expected), abs=0.001)


@pytest.mark.parametrize("dof", [1, 2, 12, math.inf])
def test_over_one_rival_the_smallest_difference_is_that_of_a_t_test_of_power_80(dof: float) -> None:
    quantile = float(stats.t.ppf(0.96, dof))
    found = smallest_difference(Noise(0.5, dof), 1)
    assert found is not None
    power = stats.norm.sf(quantile, found / 0.5) if math.isinf(dof) else stats.nct.sf(quantile, dof, found / 0.5)
    assert power == pytest.approx(0.8, abs=0.006 if dof == 1 else 0.002)


def test_the_level_of_a_rank_is_bonferronis_over_the_pairs_above_it() -> None:
    assert [behind_level(rank) for rank in (2, 3, 4, 5)] == pytest.approx([1 - 0.08 / pairs for pairs in (1, 3, 6, 10)])


@pytest.mark.parametrize("entries", ENTRIES)
def test_the_smallest_difference_is_found_in_80_percent_of_studies(entries: int) -> None:
    n, dof, studies = 3, 12, 20_000
    lead = smallest_difference(Noise(math.sqrt(2 / n), dof), entries - 1)
    assert lead is not None
    rng = np.random.default_rng(entries)
    means = rng.standard_normal((studies, entries)) / math.sqrt(n)
    half = stats.t.ppf(0.96, dof) * np.sqrt(rng.chisquare(dof, studies) / dof * 2 / n)
    won = (means[:, 1:].min(-1) + lead - means[:, 0]) > half
    assert won.mean() == pytest.approx(FOUND_SHARE, abs=4 * math.sqrt(0.16 / studies))


def test_the_smallest_difference_grows_with_rivals_and_needs_a_noise() -> None:
    leads = [smallest_difference(Noise(1.0, 8), rivals) or 0.0 for rivals in (1, 3, 7)]
    assert leads == sorted(leads)
    assert smallest_difference(Noise(None, 0), 3) is None
    assert smallest_difference(Noise(1.0, 8), 0) is None
    assert smallest_difference(Noise(0.0, 8), 2) == 0


@pytest.mark.parametrize("sweep_seeds", [2, 3])
@pytest.mark.parametrize("entries", [2, 5, 8])
def test_the_simulation_decides_as_the_project_does(entries: int, sweep_seeds: int) -> None:
    n, rng = 3, np.random.default_rng(7)
    drawn = sample("inter", entries, n, sweep_seeds, 40, rng)
    found = estimate(drawn)
    means = drawn.entries.mean(-1) + 1.5 * np.arange(entries)[rng.permutation(entries)]
    winners, behind = decide_all(means, drawn.groups, n, found)
    for study in range(40):
        own = components(_runs(drawn, study, target) for target in range(2))
        assert own.variance == pytest.approx(found.s2[study])
        assert own.interaction == pytest.approx(found.tau2[study], abs=1e-9)
        assert own.dof == found.dof[study]

        def half_width(first: str, second: str, level: float, own=own) -> float | None:
            same = int(first) % 2 == int(second) % 2
            parts = [(own.variance * 2 / n, own.dof)] + [(own.interaction * 2 / n, own.interaction_dof)] * (not same)
            return combined(parts).half_width(1.0, level=level)

        for target in range(2):
            decision = decide({str(j): float(means[study, target, j]) for j in range(entries)}, half_width)
            assert decision.winner == (str(winners[study, target]) if winners[study, target] >= 0 else None)
            assert set(decision.behind) == {str(j) for j in np.flatnonzero(behind[study, target])}


def _runs(drawn: Sampled, study: int, target: int) -> dict[Run, float]:
    runs = {}
    for (j, seed), loss in np.ndenumerate(drawn.entries[study, target]):
        runs[Run(str(j % 2), j, seed)] = float(loss)
    for (group, seed), loss in np.ndenumerate(drawn.near[study, target]):
        runs[Run(str(group), "swept", seed)] = float(loss)
    return runs


def holds(found: Rates, promised: float) -> bool:
    """The promises of docs/decision.md, to two standard errors of a sample of STUDIES studies."""
    false, power = (2 * math.sqrt(share * (1 - share) / (2 * STUDIES)) for share in (0.10, promised))
    return found.false <= 0.10 + false and found.found >= promised - power and found.covered >= 0.88


@pytest.mark.parametrize("pattern", UNITS)
@pytest.mark.parametrize(("seeds", "promised"), [(3, 0.80), (4, 0.90)])
def test_claims_are_seldom_false_and_three_sds_are_found(pattern: str, seeds: int, promised: float) -> None:
    for entries in ENTRIES:
        assert holds(found := rates(pattern, entries, seeds, seeds, STUDIES), promised), (entries, found)


@pytest.mark.parametrize("pattern", UNITS)
@pytest.mark.parametrize(("seeds", "promised"), [(3, 0.80), (4, 0.90)])
def test_sweeps_may_have_two_seeds_where_entries_have_more(pattern: str, seeds: int, promised: float) -> None:
    """3 and 2 are the default."""
    for entries in ENTRIES:
        assert holds(found := rates(pattern, entries, seeds, 2, STUDIES), promised), (entries, found)


@pytest.mark.parametrize("pattern", UNITS)
def test_four_parametrizations_keep_the_promise(pattern: str) -> None:
    """The shape of preset `cpu`: eight entries under four parametrizations, each with its schedule; and one of each."""
    for entries in (4, 8):
        assert holds(found := rates(pattern, entries, 3, 2, STUDIES, n_groups=4), 0.80), (entries, found)


@pytest.mark.parametrize("pattern", UNITS)
def test_lean_sweeps_keep_the_promise(pattern: str) -> None:
    for entries, n_groups in [*((entries, 2) for entries in ENTRIES), (4, 4), (8, 4)]:
        found = rates(pattern, entries, 3, 2, STUDIES, n_groups=n_groups, lean=True)
        assert holds(found, 0.80), (entries, n_groups, found)


def test_an_interaction_estimated_as_zero_is_pooled_in_about_half_of_the_studies_without_one() -> None:
    drawn = sample("even", 2, 3, 2, STUDIES, np.random.default_rng(1))
    found = estimate(drawn)
    pooled = found.tau2 == 0
    assert 0.4 < pooled.mean() < 0.75
    assert set(found.dof[pooled]) == {8} and set(found.dof[~pooled]) == {4}
    assert np.array_equal(found.dof_across[pooled], found.dof[pooled])
