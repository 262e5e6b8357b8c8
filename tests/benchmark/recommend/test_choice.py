"""Whose LR a study recommends, read from its results alone."""

import pytest

from lrladder.benchmark.errors import InputError
from lrladder.benchmark.recommend.choice import choose
from lrladder.benchmark.recommend.reach import CHECKED, require_reach
from lrladder.benchmark.studies.regret.results import ParadigmResult, RegretResults, TargetResult


def target(rung: str, flops: float, **said: object) -> TargetResult:
    losses = {"law": 3.0, "carried": 3.0, "guess": 3.0, "lost": None}
    found = tuple(ParadigmResult.model_construct(None, name=name, loss=loss) for name, loss in losses.items())
    given = {"rung": rung, "tokens": 1000, "run_flops": flops, "paradigms": found, "winner": None, **said}
    return TargetResult.model_construct(None, **given)


def results(*targets: TargetResult) -> RegretResults:
    return RegretResults.model_construct(None, targets=targets)


def test_the_winner_at_the_largest_target_answers_and_other_winners_are_said() -> None:
    found = choose(results(target("small", 1.0, winner="guess"), target("large", 2.0, winner="law")))
    assert found is not None
    assert (found.name, found.others) == ("law", ())
    assert found.why == "law wins at large on 1,000 tokens; elsewhere win guess at small on 1,000"


def test_a_target_that_is_asked_for_has_its_own_choice() -> None:
    both = results(target("small", 1.0, winner="guess"), target("large", 2.0, winner="law"))
    found = choose(both, rung="small", tokens=1000)
    assert found is not None
    assert found.name == "guess"


def test_where_nobody_wins_the_cheapest_answers_and_those_not_worse_are_named() -> None:
    found = choose(results(target("large", 2.0, cheapest="carried", behind=("guess",))))
    assert found is not None
    assert (found.name, found.others) == ("carried", ("law",))
    assert "nobody wins" in found.why
    assert found.why.endswith("the others are law")


def test_a_study_that_names_nobody_chooses_nobody() -> None:
    assert choose(results(target("large", 2.0))) is None
    assert choose(results()) is None


def test_what_is_too_far_is_answered_only_by_force() -> None:
    assert require_reach(CHECKED, forced=False) == ()
    with pytest.raises(InputError, match=r"301 times the FLOPs.*--force"):
        require_reach(CHECKED + 1, forced=False)
    (flag,) = require_reach(CHECKED + 1, forced=True)
    assert "forced" in flag
