"""A regret's parts that are not the LR's add up, whichever recipes were swept."""

from itertools import product

import pytest

from lrladder.benchmark.studies.regret.scoring.gaps import Gaps, Recipe, split_gap

SP, MUP = Recipe("sp", "wsd"), Recipe("mup", "wsd")
SP_POWER, MUP_POWER = Recipe("sp", "power"), Recipe("mup", "power")
ALL = {SP: 3.05, MUP: 3.02, SP_POWER: 3.04, MUP_POWER: 3.0}


@pytest.mark.parametrize("own", ALL)
@pytest.mark.parametrize("swept", product((True, False), repeat=4))
def test_parts_add_up_to_the_whole_or_are_not_told(own: Recipe, swept: tuple[bool, ...]) -> None:
    minima = {recipe: loss for (recipe, loss), there in zip(ALL.items(), swept, strict=True) if there}
    gaps = split_gap(own, minima)
    if own not in minima:
        assert gaps == Gaps(None, None)
    elif gaps.parametrization is not None and gaps.schedule is not None:
        assert gaps.parametrization + gaps.schedule == pytest.approx(minima[own] - min(minima.values()))
    else:
        best = min(minima, key=lambda recipe: minima[recipe])
        assert best.parametrization != own.parametrization
        assert best.schedule != own.schedule
        assert len(minima) == 2


def test_each_part_is_what_changing_it_alone_is_worth() -> None:
    assert split_gap(SP, {SP: 3.05, MUP: 3.02}) == pytest.approx((0.03, 0.0))
    assert split_gap(MUP, {MUP: 3.02, MUP_POWER: 3.0}) == pytest.approx((0.0, 0.02))
    assert split_gap(SP, ALL) == pytest.approx((0.03, 0.02))  # by muP under the own schedule
    assert split_gap(SP, {r: loss for r, loss in ALL.items() if r != MUP}) == pytest.approx((0.04, 0.01))
    assert split_gap(MUP_POWER, ALL) == (0.0, 0.0)


@pytest.mark.parametrize(("first", "second"), [("power", "wsd"), ("wsd", "power")])
@pytest.mark.parametrize(("one", "other"), [("mup", "sp"), ("sp", "mup")])
def test_names_and_sizes_of_losses_do_not_matter(one: str, other: str, first: str, second: str) -> None:
    own, best = Recipe(one, first), Recipe(other, second)
    under_own, under_best = Recipe(other, first), Recipe(one, second)
    assert split_gap(own, {own: 7.0, under_own: 5.5, best: 0.5}) == (1.5, 5.0)
    assert split_gap(own, {own: 7.0, under_best: 5.5, best: 0.5}) == (5.0, 1.5)
    assert split_gap(own, {own: 7.0, under_own: 0.5}) == (6.5, 0.0)
    assert split_gap(own, {own: 7.0, under_best: 0.5}) == (0.0, 6.5)
    assert split_gap(own, {own: 7.0, best: 0.5}) == (None, None)
