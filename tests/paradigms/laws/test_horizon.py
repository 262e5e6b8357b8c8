"""Loss against tokens: a known law plus noise, and what is not to be used."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrladder.paradigms.laws.horizon import HorizonLaw, fit_horizons, interval

TOKENS = np.array([1.0, 2.0, 4.0, 8.0]) * 1e9


def _curves(
    *, noise: float, rng: np.random.Generator, gamma: float = 0.35, n: int = 4
) -> list[tuple[list[float], list[float]]]:
    """Loss 2 + i / 10 + 0.6 (D / 1e9)^-gamma, one curve per LR."""
    return [(list(TOKENS), list(_true(TOKENS, i, gamma) + noise * rng.standard_normal(len(TOKENS)))) for i in range(n)]


def _true(tokens: float | np.ndarray, i: int, gamma: float = 0.35) -> np.ndarray:
    return np.asarray(2 + 0.1 * i + 0.6 * (np.asarray(tokens) / 1e9) ** -gamma)


@settings(max_examples=20)
@given(gamma=st.floats(0.1, 1.0))
def test_a_law_with_little_noise_is_found(gamma: float) -> None:
    laws = fit_horizons(_curves(noise=1e-6, rng=np.random.default_rng(0), gamma=gamma))
    for i, law in enumerate(laws):
        assert law.gamma == pytest.approx(gamma, rel=0.02)
        assert law.predict(16e9).loss == pytest.approx(float(_true(16e9, i, gamma)), abs=2e-3)


def test_prediction_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    hits = []
    for _ in range(60):
        for i, law in enumerate(fit_horizons(_curves(noise=0.002, rng=rng))):
            low, high = interval(law.predict(24e9), law.dof)
            hits.append(low <= _true(24e9, i) <= high)
    assert np.mean(hits) > 0.85


def test_three_horizons_of_one_lr_are_never_usable() -> None:
    (law,) = fit_horizons([(TOKENS[:3], _true(TOKENS[:3], 0))])
    assert not law.usable
    assert not law.reaches(16e9)
    assert any("as many constants as losses" in flag for flag in law.flags)


def test_three_horizons_serve_where_lrs_share_gamma() -> None:
    curves = [(tokens[:3], losses[:3]) for tokens, losses in _curves(noise=0.001, rng=np.random.default_rng(2))]
    laws = fit_horizons(curves)
    assert all(law.usable for law in laws)
    assert [law.predict(8e9).loss for law in laws] == pytest.approx([float(_true(8e9, i)) for i in range(4)], abs=0.03)


def test_nothing_is_predicted_far_beyond_what_was_seen() -> None:
    law = fit_horizons(_curves(noise=0.001, rng=np.random.default_rng(3)))[0]
    assert law.reaches(16e9)
    assert not law.reaches(100e9)


def test_a_loss_that_does_not_fall_is_flagged() -> None:
    (law,) = fit_horizons([(TOKENS, [2.0, 2.001, 1.999, 2.0005])])
    assert not law.usable


@settings(max_examples=20)
@given(loss=st.floats(0.1, 10), tokens=st.floats(1e-6, 1e3))
def test_units_do_not_matter(loss: float, tokens: float) -> None:
    curves = _curves(noise=0.002, rng=np.random.default_rng(4))
    scaled = [([tokens * x for x in xs], [loss * y for y in ys]) for xs, ys in curves]
    for law, other in zip(fit_horizons(curves), fit_horizons(scaled), strict=True):
        one, two = law.predict(16e9), other.predict(16e9 * tokens)
        assert two.loss == pytest.approx(loss * one.loss, rel=1e-4)
        assert two.sd == pytest.approx(loss * one.sd, rel=1e-2)
        assert _same(law, other)


def _same(law: HorizonLaw, other: HorizonLaw) -> bool:
    return law.flags == other.flags and law.reaches(16e9) == other.reaches(16e9 * other.center / law.center)


@pytest.mark.parametrize(
    ("tokens", "losses"),
    [([1e9], [2.0]), ([1e9, 1e9], [2.0, 2.1]), ([1e9, 2e9], [2.0, float("nan")]), ([-1, 1], [1, 1])],
)
def test_what_cannot_be_a_curve_is_refused(tokens: list[float], losses: list[float]) -> None:
    with pytest.raises(ValueError, match=r"horizons|positive"):
        fit_horizons([(tokens, losses)])
