"""The intervals of the best LR hold as often as they say, and the count of it tunes nothing on what it scores."""

import pytest

from lrladder.benchmark.own_runs.replay import tasks
from lrladder.benchmark.own_runs.runs import load_runs
from lrladder.benchmark.own_runs.ways import Way
from lrladder.paradigms.laws import posterior
from lrladder.paradigms.registry import NAMED
from tests.benchmark.own_runs import calibration
from tests.benchmark.own_runs.calibration import (
    LEVELS,
    PAIRS,
    Place,
    calibrate,
    chosen_by,
    constants,
    of_strategy,
)
from tests.benchmark.own_runs.simulated_tables import KINDS, places
from tests.paths import ROOT


@pytest.fixture(scope="module")
def simulated() -> list[Place]:
    return places(KINDS["as public tables"], 60)


def test_intervals_hold_on_simulated_tables(simulated: list[Place]) -> None:
    """Of 500 tables 91% hold; 60 of them scatter by 4 points."""
    found = calibrate(simulated)
    assert found.n == len(simulated)
    assert found.covered == tuple(sorted(found.covered))
    assert 0.8 <= found.covered[LEVELS.index(0.9)] <= 0.98
    assert found.half < 0.8


def test_where_the_law_is_exact_they_are_too_wide_and_never_too_narrow() -> None:
    assert min(calibrate(places(KINDS["an exact law"], 20)).covered[1:]) >= 0.95


def test_the_narrowest_pair_that_holds_is_chosen(simulated: list[Place]) -> None:
    pair = chosen_by([simulated])
    hits = []
    for candidate in PAIRS[: PAIRS.index(pair) + 1]:
        with constants(candidate):
            hits.append(calibrate(simulated).covered[LEVELS.index(0.9)])
    assert hits == sorted(hits)
    assert hits[-1] >= 0.9
    assert all(hit < 0.9 for hit in hits[:-1])
    assert (posterior.OWN_SD, posterior.SIZE_SD) == (0.12, 0.15)


def test_a_strategy_is_scored_at_its_targets() -> None:
    found = list(tasks(load_runs(ROOT / "docs" / "runs.csv"), "best"))[:2]
    scored, without = of_strategy(Way("economy", NAMED["economy"], 1.0), found)
    assert len(scored) + len(without) == 2
    for one in scored:
        low, high = one.ends(0.9)
        assert low < one.ln_lr < high


def test_no_file_is_scored_with_its_own_choice(monkeypatch: pytest.MonkeyPatch, simulated: list[Place]) -> None:
    """Three files; each choice sees the places of the two others alone."""
    seen: list[set[int]] = []
    files = {name: load_runs(ROOT / "docs" / "runs.csv") for name in "abc"}
    thirds = iter([simulated[i::6] for i in range(6)])
    monkeypatch.setattr(calibration, "left_out", lambda found: next(thirds))
    monkeypatch.setattr(
        calibration, "chosen_by", lambda others: seen.append({id(p) for o in others for p in o}) or PAIRS[0]
    )
    rows = [line for line in calibration.nested(files) if line.startswith("| ")]
    assert len(rows) == 6
    own = [{id(p) for p in simulated[i::6]} for i in range(3)]
    assert [seen[i] & own[i] for i in range(3)] == [set()] * 3
    assert [len(found) for found in seen[:3]] == [20, 20, 20]
