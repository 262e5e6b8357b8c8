"""Laws against known exponents, the coverage of their predictions, and designs that identify nothing."""

import math

import numpy as np
import pytest

from paradigms.fitting.law import PRIOR_U, PRIOR_V, LawPoint, fit_law

K, U, V = 4.0, 0.22, 0.35
SIZES = (50_000, 100_000, 200_000, 400_000)
HORIZONS = (1_000_000, 2_000_000, 4_000_000)
TARGET = (1_600_000, 8_000_000)


def truth(n, d):
    return math.log(K) - U * math.log(n) - V * math.log(d)


def design(sizes=SIZES, horizons=HORIZONS, sd=0.0, rng=None):
    noise = (lambda: 0.0) if rng is None else (lambda: sd * rng.standard_normal())
    return [LawPoint(n, d, truth(n, d) + noise(), sd) for n in sizes for d in horizons]


@pytest.mark.parametrize("sizes", [SIZES, SIZES[:3], SIZES[:2]])
def test_known_exponents_are_recovered(sizes):
    law = fit_law(design(sizes))
    assert (law.k, law.u, law.v) == pytest.approx((K, U, V), rel=1e-8)
    assert law.u_low <= U <= law.u_high
    assert law.v_low <= V <= law.v_high
    assert law.predict(*TARGET)[0] == pytest.approx(math.exp(truth(*TARGET)), rel=1e-8)
    assert law.bootstrap == ("sizes" if len(sizes) > 3 else "parametric")


@pytest.mark.parametrize(("sizes", "words"), [(SIZES[:3], "only 3 sizes"), (SIZES[:2], "N identified by 2 sizes")])
def test_few_sizes_are_said(sizes, words):
    assert words in fit_law(design(sizes)).flags
    assert fit_law(design()).flags == ()


def test_one_size_fixes_u_and_never_explodes():
    law = fit_law(design(SIZES[:1]))
    assert (law.u, law.u_low, law.u_high) == (PRIOR_U, None, None)
    assert law.v == pytest.approx(V)
    assert any("u not identified" in flag for flag in law.flags)
    lr, low, high = law.predict(1000 * SIZES[0], HORIZONS[-1])
    assert 0 < low < lr < high < math.inf
    assert high / low > 5  # the prior's own uncertainty, over 1000x in size


def test_one_horizon_fixes_v():
    law = fit_law(design(horizons=HORIZONS[:1]))
    assert (law.v, law.v_low, law.v_high) == (PRIOR_V, None, None)
    assert law.u == pytest.approx(U)


def test_tokens_in_proportion_to_size_fix_v():
    law = fit_law([LawPoint(n, 20 * n, truth(n, 20 * n), 0.05) for n in SIZES])
    assert law.v == PRIOR_V
    assert any("tokens move with size" in flag for flag in law.flags)
    assert law.predict(SIZES[-1], 20 * SIZES[-1])[0] == pytest.approx(math.exp(truth(SIZES[-1], 20 * SIZES[-1])))


def test_one_point_still_answers():
    lr, low, high = fit_law(design(SIZES[:1], HORIZONS[:1])).predict(*TARGET)
    assert 0 < low < lr < high < math.inf


def test_the_interval_grows_with_distance():
    law = fit_law(design(sd=0.1, rng=np.random.default_rng(0)))
    widths = []
    for scale in (1, 4, 16, 64):
        _, low, high = law.predict(SIZES[-1] * scale, HORIZONS[-1] * scale)
        widths.append(math.log(high / low))
    assert widths == sorted(widths)


@pytest.mark.parametrize("sizes", [SIZES, SIZES[:3]])
def test_coverage_of_the_prediction(sizes):
    rng = np.random.default_rng(7)
    hits, inside = [], []
    for seed in range(200):
        law = fit_law(design(sizes, sd=0.15, rng=rng), n_boot=200, seed=seed)
        _, low, high = law.predict(*TARGET)
        hits.append(low <= math.exp(truth(*TARGET) + 0.15 * rng.standard_normal()) <= high)
        inside.append(law.u_low <= U <= law.u_high)
    assert 0.82 <= np.mean(hits) <= 0.97, np.mean(hits)
    assert 0.8 <= np.mean(inside) <= 0.985, np.mean(inside)


def test_the_same_seed_gives_the_same_law():
    points = design(sd=0.1, rng=np.random.default_rng(1))
    assert fit_law(points).u_low == fit_law(points).u_low


@pytest.mark.parametrize("point", [LawPoint(0, 1, 0.0, 0.1), LawPoint(1, 1, math.nan, 0.1), LawPoint(1, 1, 0.0, -1.0)])
def test_unusable_points_are_refused(point):
    with pytest.raises(ValueError, match="finite"):
        fit_law([point])


def test_no_points_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        fit_law([])
