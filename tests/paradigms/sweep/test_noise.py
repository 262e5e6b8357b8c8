"""Noise told by curves, against runs of a known noise; slopes of a minimum, against the algebra of a parabola."""

import math

import numpy as np
import pytest
from scipy import stats

from lrladder.paradigms.sweep.curve import ASSUMED_NOISE, Curve, fit_curve
from lrladder.paradigms.sweep.noise import MIN_SHARED_DOF, Noise, pooled_noise, typical_noise
from lrladder.paradigms.sweep.slopes import loss_slopes, minimum_slopes

LRS = [0.01 * 2.0**k for k in range(-2, 3)]


def _curves(n: int, *, sd: float) -> list[Curve]:
    rng = np.random.default_rng(0)
    return [fit_curve(LRS, [3 + 0.02 * math.log(lr / 0.01) ** 2 + sd * rng.normal() for lr in LRS]) for _ in range(n)]


def test_both_find_the_noise_of_many_curves_and_only_the_median_bears_a_bad_one() -> None:
    curves = _curves(200, sd=0.001)
    assert pooled_noise(curves).sd == pytest.approx(0.001, rel=0.1)
    assert typical_noise(curves).sd == pytest.approx(0.001, rel=0.25)
    bad = [*curves, Curve("flat", 5, residual_sd=0.1, dof=2)]
    assert pooled_noise(bad).sd == pytest.approx(math.sqrt((0.1**2 * 2) / pooled_noise(bad).dof), rel=0.05)
    assert typical_noise(bad).sd == pytest.approx(typical_noise(curves).sd, rel=0.02)


def test_a_noise_is_shared_from_enough_degrees_of_freedom_on_and_assumed_only_without_any() -> None:
    assert Noise(0.002, MIN_SHARED_DOF).shared == 0.002
    assert Noise(0.002, MIN_SHARED_DOF - 1).shared is None
    assert pooled_noise([Curve("few", 2)]) == typical_noise([]) == (None, 0)
    assert Noise(None, 0).or_assumed == (ASSUMED_NOISE, math.inf)
    assert Noise(0.002, 1).or_assumed == (0.002, 1)


def test_a_half_width_is_students_of_the_sum_and_a_normals_where_the_noise_is_known() -> None:
    assert Noise(None, 0).half_width(1.0) is None
    assert Noise(0.002, 5).half_width(2.0, 3e-6) == pytest.approx(stats.t.ppf(0.95, 5) * math.sqrt(8e-6 + 3e-6))
    assert Noise(0.002, math.inf).half_width(1.0, level=0.98) == pytest.approx(0.002 * stats.norm.ppf(0.99))


def test_slopes_of_a_minimum_are_the_weights_that_a_least_squares_fit_has_at_its_vertex() -> None:
    """By the envelope theorem a minimum moves as the fitted loss at the vertex does, were that held fast."""
    losses = [3.041, 3.0095, 3.0002, 3.0108, 3.0392]
    x = np.log(np.array(LRS) / 0.01)
    design = np.vander(x, 3, increasing=True)
    vertex = fit_curve(LRS, losses)
    assert vertex.n == len(LRS)
    assert vertex.lr_best is not None
    at = math.log(vertex.lr_best / 0.01)
    weights = np.array([1, at, at**2]) @ np.linalg.pinv(design)
    assert minimum_slopes(LRS, losses) == pytest.approx(weights, abs=1e-4)
    assert sum(minimum_slopes(LRS, losses)) == pytest.approx(1, abs=1e-4)


def test_a_diverged_run_has_no_slope_and_one_that_takes_the_value_away_slope_zero() -> None:
    assert len(minimum_slopes([*LRS, 0.08], [3.04, 3.01, 3.0, 3.01, 3.04, None])) == len(LRS)
    assert loss_slopes([1.0, None, 2.0], lambda losses: (losses[0] or 0.0,) if losses[2] == 2.0 else None) == [
        (pytest.approx(1.0),),
        (0.0,),
    ]
    with pytest.raises(ValueError, match="no values"):
        loss_slopes([1.0], lambda losses: None)
