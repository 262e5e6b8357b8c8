"""Curves against numpy's least squares and the definition of their interval, and each limit of a curve from both sides.

The grid has factor 2. A `shape` is the loss above the floor in units of (ln 2)^2, so that k^2 is a parabola.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy import optimize, stats

from lrladder.paradigms.sweep.curve import Curve, fit_curve

LN2 = math.log(2)
FIVE = (-2, -1, 0, 1, 2)
NOISE = 0.001


def fit(
    shape: Sequence[float],
    *,
    floor: float = 3.0,
    curvature: float = 0.05,
    ks: Sequence[int] = FIVE,
    seeds: int = 1,
    noise: float | None = None,
    step: float = 0.0,
) -> Curve:
    losses = [floor + curvature * LN2**2 * value for value in shape]
    return fit_curve([2.0**k for k in ks] * seeds, losses * seeds, noise=noise, step=step)


def squares(ks: Sequence[int] = FIVE) -> list[float]:
    return [float(k * k) for k in ks]


LRS = [2.0**k for k in FIVE] * 2
LOSSES = [3.19, 3.062, 3.004, 3.033, 3.171, 3.183, 3.07, 3.009, 3.031, 3.166]
THREE = LRS[1:4], LOSSES[1:4]


@pytest.mark.parametrize("noise", [None, 0.002])
@pytest.mark.parametrize("level", [0.5, 0.9])
@pytest.mark.parametrize(
    "of", [(LRS, LOSSES), (LRS[:5], LOSSES[:5]), THREE], ids=["two seeds", "one seed", "three LRs"]
)
def test_a_curve_is_the_least_squares_parabola_with_fiellers_interval(
    of: tuple[list[float], list[float]], level: float, noise: float | None
) -> None:
    found = fit_curve(*of, noise=noise, level=level)
    x, y = np.log(of[0]), np.array(of[1])
    (c2, c1, c0), cov = np.polyfit(x, y, 2, cov="unscaled")[0], _unscaled(x)
    rss, dof = float(((np.polyval((c2, c1, c0), x) - y) ** 2).sum()), len(x) - 3
    if noise is None:
        sd, df = (math.sqrt(rss / dof), dof) if dof else (0.0012 * 3.004, math.inf)
    else:  # a given noise counts as four degrees of freedom
        sd, df = (math.sqrt((rss + 4 * noise**2) / (dof + 4)), dof + 4) if dof else (noise, math.inf)
    vertex = -c1 / (2 * c2)
    assert (found.status, found.n, found.dof) == ("interior", len(x), dof)
    assert math.log(found.lr_best) == pytest.approx(vertex, abs=1e-9)
    assert (found.minimum, found.curvature) == pytest.approx((c0 - c1**2 / (4 * c2), c2), rel=1e-9)
    assert found.lrs_fitted == tuple(sorted(set(of[0])))
    assert found.r2 == (pytest.approx(1 - rss / float(((y - y.mean()) ** 2).sum())) if dof else None)
    assert found.residual_sd == (pytest.approx(math.sqrt(rss / dof)) if dof else None)
    gradient = np.array([c1 / (2 * c2**2), -1 / (2 * c2), 0])
    assert found.sd_ln_lr == pytest.approx(sd * math.sqrt(gradient @ cov @ gradient))
    quantile = float(stats.t.ppf((1 + level) / 2, df))

    def excess(at: float) -> float:
        """The slope at an LR, less what the noise explains of it."""
        slope = np.array([2 * at, 1, 0])
        return float(abs(2 * c2 * at + c1) - quantile * sd * math.sqrt(slope @ cov @ slope))

    _assert_ends(found, vertex, excess, (min(x), max(x)))


def _unscaled(x: np.ndarray) -> np.ndarray:
    design = np.vander(x, 3)
    return np.linalg.inv(design.T @ design)


def _assert_ends(found: Curve, vertex: float, excess: Callable[[float], float], swept: tuple[float, float]) -> None:
    assert found.lr_low is not None and found.lr_high is not None
    ends = [optimize.brentq(excess, vertex, end) if excess(end) > 0 else end for end in swept]
    assert [math.log(found.lr_low), math.log(found.lr_high)] == pytest.approx(ends, abs=1e-9)
    cut = any(end in swept for end in ends)
    assert any("interval ends at the lowest or the highest LR tried" in flag for flag in found.flags) == cut


def test_an_interval_may_end_at_the_sweep_on_one_side_and_be_unbounded_on_none() -> None:
    skew = fit([4.0, 1.0, 0.0, 1.0], ks=FIVE[:4], noise=0.02)
    low, high = (math.log2(end) for end in (skew.lr_low or 0, skew.lr_high or 0))
    assert (low > -2, high) == (True, pytest.approx(1))
    assert skew.flags == ("the interval ends at the lowest or the highest LR tried",)
    left = fit([1.0, 0.0, 1.0, 4.0], ks=FIVE[1:], noise=0.02)
    assert (math.log2(left.lr_low or 0), math.log2(left.lr_high or 0)) == pytest.approx((-1, -low))
    any_lr = fit([1.0, 0.0, 1.0], ks=FIVE[1:4], noise=0.0239)
    assert (any_lr.lr_low, any_lr.lr_high) == pytest.approx((0.5, 2.0))
    assert "does not bound the best LR" in any_lr.flags[0]


def test_three_lrs_of_one_run_say_which_noise_they_assume() -> None:
    flags = fit([1.0, 0.0, 1.0], ks=FIVE[1:4], floor=2.5).flags
    assert flags == ("the noise is not measured but assumed to be 3 millinats: search with 2 seeds",)
    assert fit([1.0, 0.0, 1.0], ks=FIVE[1:4], noise=NOISE).flags == ()
    assert fit(squares()).flags == ()


@pytest.mark.parametrize(("wide", "uneven"), [(1.49, False), (1.51, True), (3.0, True)])
@pytest.mark.parametrize("noise", [0.0005, 0.003])
def test_three_lrs_at_uneven_distances_have_a_wider_interval(wide: float, uneven: bool, noise: float) -> None:
    """By an sd of a tenth of the wider gap, added in squares to either side, as far as LRs were tried."""
    x = np.array([-LN2, 0.0, wide * LN2])
    c2, c1, _ = 0.05, -0.004, 3.0
    losses = (3 + c1 * x + c2 * x**2).tolist()
    found, turned = (
        fit_curve(np.exp(x).tolist(), losses, noise=noise),
        fit_curve(np.exp(-x).tolist(), losses, noise=noise),
    )
    cov, vertex, z = _unscaled(x), -c1 / (2 * c2), float(stats.norm.ppf(0.95))
    hidden = 0.1 * wide * LN2 if uneven else 0.0
    gradient = np.array([c1 / (2 * c2**2), -1 / (2 * c2), 0])
    assert found.sd_ln_lr == pytest.approx(math.hypot(noise * math.sqrt(gradient @ cov @ gradient), hidden))

    def excess(at: float) -> float:
        slope = np.array([2 * at, 1, 0])
        return float(abs(2 * c2 * at + c1) - z * noise * math.sqrt(slope @ cov @ slope))

    fieller = [optimize.brentq(excess, vertex, end) if excess(end) > 0 else end for end in (x[0], x[-1])]
    ends = [vertex + side * math.hypot(end - vertex, z * hidden) for side, end in zip((-1, 1), fieller, strict=True)]
    expected = (max(ends[0], x[0]), min(ends[1], x[-1]))
    assert np.log([found.lr_low or 0, found.lr_high or 0]) == pytest.approx(expected, abs=1e-9)
    assert np.log([turned.lr_high or 0, turned.lr_low or 0]) == pytest.approx([-end for end in expected], abs=1e-9)
    assert any("three LRs at uneven distances" in flag for flag in found.flags) == uneven


@pytest.mark.parametrize(
    ("shape", "fitted"),
    [
        ([4.0, 1.0, 0.0, 0.8, 7.9], FIVE),  # 7.9 / 2^2 is below twice the steeper neighbour's 1
        ([4.0, 1.0, 0.0, 0.8, 8.1], FIVE[:4]),
        ([8.1, 0.8, 0.0, 1.0, 4.0], FIVE[1:]),
        ([0.2, 0.1, 0.0, 5.0, 20.0], FIVE[1:4]),  # the wide parabola has its minimum below the lower neighbour
        ([20.0, 5.0, 0.0, 0.1, 0.2], FIVE[1:4]),
    ],
)
def test_the_best_lr_its_neighbours_and_such_as_rise_like_a_parabola_are_fitted(
    shape: list[float], fitted: Sequence[int]
) -> None:
    assert fit(shape).lrs_fitted == tuple(2.0**k for k in fitted)
    if len(fitted) > 3:
        assert fit(shape, floor=-3.0).lrs_fitted == fit(shape).lrs_fitted  # losses may be negative, as other scores are


def test_at_most_two_lrs_to_either_side_are_fitted() -> None:
    ks = range(-4, 4)
    found = fit(squares(ks), ks=ks, seeds=2)
    assert (found.lrs_fitted, found.n) == (tuple(2.0**k for k in FIVE), 10)


def test_at_an_end_of_what_finished_the_nearest_three_are_fitted() -> None:
    losses = [3 + 0.05 * (k - 0.4) ** 2 for k in (-3, -2, -1, 0)]
    found = fit_curve([2.0**k for k in (-3, -2, -1, 0, 1)], [losses[0] + 0.3, *losses[1:], None])
    assert (found.status, found.lrs_fitted) == ("interior", (0.25, 0.5, 1.0))
    assert math.log2(found.lr_best or 0) == pytest.approx(0.4)


def test_at_an_end_of_what_finished_no_farther_lrs_speak_for_the_best() -> None:
    """The vertex of the nearest three is three octaves above the best; that of the first three would be near it."""
    losses = [3 + 0.01 * value for value in (11.56, 5.76, 1.96, -1.0)]
    found = fit_curve([2.0**k for k in (-3, -2, -1, 0, 1)], [*losses, None])
    assert (found.status, len(found.flags)) == ("bracketed", 1)


@pytest.mark.parametrize(("rise", "status"), [(0.039, "interior"), (0.041, "bracketed")])
def test_the_limits_of_a_loss_of_zero_are_those_of_one_nat(rise: float, status: str) -> None:
    assert fit_curve([0.5, 1.0, 2.0], [rise, 0.0, 0.0]).status == status


@pytest.mark.parametrize(("floor", "n_lrs"), [(1.0, 3), (1.4, 3), (1.6, 5), (3.0, 5)])
def test_a_wide_fit_over_a_hundredth_above_the_lowest_run_gives_way_to_three_lrs(floor: float, n_lrs: int) -> None:
    """By the weights (-3, 12, 17, 12, -3) / 35 the middle of the parabola is 0.0154 above the lowest run."""
    dip = [value / LN2**2 for value in (0.11, 0.05, 0.0, 0.05, 0.11)]
    found = fit(dip, floor=floor, curvature=1.0)
    assert len(found.lrs_fitted) == n_lrs
    assert found.minimum == pytest.approx(floor + (0.0154286 if n_lrs == 5 else 0.0), abs=1e-6)


@pytest.mark.parametrize(("rise", "status"), [(0.0390, "interior"), (0.0410, "bracketed")])
def test_a_minimum_over_a_two_hundredth_below_the_lowest_run_is_not_believed(rise: float, status: str) -> None:
    """A parabola through (rise, 0, 0) has its minimum rise / 8 below, half way between the equal two."""
    found = fit_curve([0.5, 1.0, 2.0], [1 + rise, 1.0, 1.0])
    assert found.status == status
    if status == "interior":
        assert (found.lr_best, found.minimum) == pytest.approx((math.sqrt(2), 1 - rise / 8))
        return
    assert (found.lr_best, found.lr_low, found.lr_high, found.minimum) == (
        1.0,
        pytest.approx(0.5),
        pytest.approx(2.0),
        None,
    )
    assert found.sd_ln_lr == pytest.approx(math.log(4) / math.sqrt(12))  # uniform between its neighbours
    assert found.flags == (
        "no parabola holds near the lowest run",
        "bracketed by its neighbours between LR 0.5 and 2, so the lowest run stands for the minimum",
    )


def test_where_a_neighbour_diverged_the_bracket_is_said_unless_the_vertex_lies_in_it() -> None:
    lrs = [0.25, 0.5, 1.0, 2.0]
    outside = fit_curve(lrs, [3.2, 3.1, 3.02, None])  # the vertex of these three is 3.5 octaves above the best
    assert (outside.status, outside.lr_low, outside.lr_high) == ("bracketed", pytest.approx(0.5), pytest.approx(2.0))
    assert outside.flags[-1].startswith("bracketed by divergence between LR 0.5 and 2, ")
    below = fit_curve([0.5, 1.0, 2.0, 4.0], [None, 3.02, 3.1, 3.2])
    assert (below.status, below.lr_low, below.lr_high) == ("bracketed", pytest.approx(0.5), pytest.approx(2.0))
    assert [len(found.flags) for found in (outside, below)] == [1, 1]  # no parabola was asked whether it holds
    assert fit_curve([0.5, 1.0, 2.0, 4.0], [None, 3.0, 3.02, 3.12]).status == "interior"
    assert fit_curve([0.5, 1.0, 2.0], [None, 3.0, 3.1]).status == "bracketed"


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_sweep_is_flat_up_to_a_rise_of_the_noise_over_half_its_width(seeds: int) -> None:
    """An exact parabola has no residuals, which count beside the four degrees of freedom of the given noise."""
    dof = 5 * seeds - 3
    limit = 0.05 * (2 * LN2) ** 2 / math.sqrt(4 / (4 + dof))
    assert fit(squares(), seeds=seeds, noise=1.01 * limit).status == "flat"
    assert fit(squares(), seeds=seeds, noise=0.99 * limit).status == "interior"


@pytest.mark.parametrize(("rise", "status"), [(2.9e-9, "flat"), (3.1e-9, "interior")])
def test_a_rise_below_a_billionth_of_the_loss_is_rounding(rise: float, status: str) -> None:
    assert fit([rise / LN2**2, 0.0, rise / LN2**2], ks=FIVE[1:4], curvature=1.0).status == status


@pytest.mark.parametrize("noise", [None, 1e-9])
def test_rounded_losses_have_at_least_the_noise_of_their_rounding(noise: float | None) -> None:
    """The sd of a number rounded to multiples of s is s / sqrt(12)."""
    limit = 0.05 * LN2**2 * math.sqrt(12)
    three = {"ks": FIVE[1:4], "noise": noise}
    assert fit([1.0, 0.0, 1.0], step=1.01 * limit, **three).status == "flat"  # type: ignore[arg-type]
    assert fit([1.0, 0.0, 1.0], step=0.99 * limit, **three).status == "interior"  # type: ignore[arg-type]
    known = fit(squares(), step=0.01, noise=noise)
    assert known.sd_ln_lr == pytest.approx((fit(squares(), noise=0.01 / math.sqrt(12)).sd_ln_lr or 0), rel=0.3)


def outlying(off: float, rest: float = 0.0, *, seeds: int = 1, at: int = 1) -> Curve:
    """The LR 2^at is off by `off` sds; the others by `rest` sds in the one way that no parabola of theirs explains."""
    others = [k for k in FIVE if k != at]
    *_, odd = np.linalg.svd(np.vander(others, 3).T)[2]
    moved = dict(zip(others, rest * odd, strict=True)) | {at: off}
    shape = [k * k + NOISE * moved[k] / (0.2 * LN2**2) for k in FIVE]
    return fit(shape, curvature=0.2, seeds=seeds, noise=NOISE)


@pytest.mark.parametrize(("at", "leverage"), [(-2, 31 / 35), (-1, 13 / 35), (1, 13 / 35), (2, 31 / 35)])
def test_a_run_is_left_out_from_six_sds_off_the_others_on(at: int, leverage: float) -> None:
    """Off by d sds, it adds d^2 (1 - leverage) to the squares of the residuals; these are of the parabola of five."""
    limit = 6 / math.sqrt(1 - leverage)
    for sign in (-1, 1):
        bad = outlying(sign * 1.01 * limit, at=at)
        assert (bad.n, 2.0**at in bad.lrs_fitted) == (4, False)
        assert bad.flags[0] == f"runs at LR {2.0**at:.3g} are off the curve of the others and are left out"
        assert bad.lr_best == pytest.approx(1.0)
        good = outlying(sign * 0.99 * limit, at=at)
        assert (good.n, good.flags) == (5, ())


@pytest.mark.parametrize(("seeds", "limit"), [(1, 2.0), (2, math.sqrt(4 * 5 / 2))])
def test_nobody_is_left_out_where_the_others_do_not_agree_within_two_sds(seeds: int, limit: float) -> None:
    """`seeds` runs at each of four LRs leave 4 seeds - 3 degrees of freedom."""
    assert outlying(60, 0.98 * limit, seeds=seeds).n == 4 * seeds
    assert outlying(60, 1.02 * limit, seeds=seeds).n == 5 * seeds


def test_of_four_lrs_none_can_be_told_to_be_the_outlier() -> None:
    shape = [1.0, 0.0, 1.3, 4.0]
    assert fit(shape, ks=FIVE[1:], curvature=0.2, noise=NOISE).n == 4
    assert fit([4.0, *shape], curvature=0.2, noise=NOISE).n == 4


def test_a_low_run_on_a_hill_is_no_outlier_of_a_bowl() -> None:
    """Without it the others lie on a parabola exactly, but on one that opens downwards."""
    found = fit([0.6, 0.9, 0.0, 0.9, 0.6], noise=NOISE)
    assert not any("left out" in flag for flag in found.flags)
