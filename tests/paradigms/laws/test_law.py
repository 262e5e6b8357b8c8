"""Laws against known exponents, the coverage of their predictions, designs that identify nothing, and units."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrladder.paradigms.laws.design import PRIORS
from lrladder.paradigms.laws.law import LawPoint, fit_law
from lrladder.paradigms.laws.posterior import LEAST_SD
from lrladder.paradigms.sweep.pooled import fit_curves

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
    assert (law.u, law.v) == pytest.approx((U, V), abs=1e-3)
    assert law.k == pytest.approx(K, rel=0.02)
    assert law.u_low <= U <= law.u_high
    assert law.v_low <= V <= law.v_high
    assert law.predict(*TARGET).lr == pytest.approx(math.exp(truth(*TARGET)), rel=1e-3)
    assert law.bootstrap == ("sizes" if len(sizes) > 3 else "none")


@pytest.mark.parametrize(("sizes", "words"), [(SIZES[:k], f"the law rests on only {k} model sizes") for k in (2, 3)])
def test_few_sizes_are_said(sizes, words):
    assert words in fit_law(design(sizes)).flags
    assert fit_law(design()).flags == ()


@settings(max_examples=15)
@given(spread=st.floats(1.0, 1.49), seed=st.integers(0, 99))
def test_sizes_within_half_as_much_again_are_flagged_and_never_explode(spread, seed):
    rng = np.random.default_rng(seed)
    law = fit_law(design((100_000, 100_000 * spread), sd=0.1, rng=rng))
    assert law.u == pytest.approx(-PRIORS["size"].mean)
    assert (law.u_low, law.u_high) == (None, None)
    assert any("do not determine u" in flag for flag in law.flags)
    lr, low, high = law.predict(1000 * SIZES[0], HORIZONS[-1])
    assert 0 < low < lr < high < math.inf
    assert high / low > 5  # the prior's own uncertainty, over 1000x in size


@settings(max_examples=15)
@given(spread=st.floats(1.0, 1.49))
def test_one_horizon_leaves_v_to_its_prior(spread):
    law = fit_law(design(horizons=(HORIZONS[0], HORIZONS[0] * spread)))
    assert (law.v_low, law.v_high) == (None, None)
    assert any("do not determine v" in flag for flag in law.flags)
    assert law.u == pytest.approx(U, abs=1e-2)


@settings(max_examples=15)
@given(power=st.floats(0.3, 2), factor=st.floats(0.01, 100), seed=st.integers(0, 99))
def test_tokens_that_move_with_size_are_flagged(power, factor, seed):
    rng = np.random.default_rng(seed)
    cells = [(n, factor * n**power * math.exp(0.02 * rng.standard_normal())) for n in (*SIZES, 3 * SIZES[-1])]
    law = fit_law([LawPoint(n, d, truth(n, d), 0.05) for n, d in cells])
    assert any(("v " in flag and "prior" in flag) or "do not determine v" in flag for flag in law.flags), law.flags
    n, d = cells[-1]
    assert math.log(law.predict(n, d).lr) == pytest.approx(truth(n, d), abs=0.1)  # on the line, it can be told


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
    for seed in range(150):
        law = fit_law(design(sizes, sd=0.15, rng=rng), n_boot=200, seed=seed)
        _, low, high = law.predict(*TARGET)
        hits.append(low <= math.exp(truth(*TARGET) + LEAST_SD * rng.standard_normal()) <= high)
        inside.append(law.u_low <= U <= law.u_high)
    assert 0.84 <= np.mean(hits) <= 0.98, np.mean(hits)
    assert 0.84 <= np.mean(inside) <= 0.995, np.mean(inside)


@pytest.mark.parametrize(("noise", "points"), [(0.001, 5), (0.005, 5), (0.003, 3)])
def test_coverage_from_sweeps_to_a_target_beyond(noise, points):
    """Sweeps with the noise of a loss, in nats, at 4 sizes and 3 horizons; the target is 16x the largest in FLOPs."""
    rng = np.random.default_rng(3)
    cells = [(n, d) for n in SIZES for d in HORIZONS]
    hits = []
    for _ in range(60):
        u, v = rng.uniform(0.1, 0.7), rng.uniform(0.0, 0.5)
        best = {cell: -5 - u * math.log(cell[0] / 1e5) - v * math.log(cell[1] / 1e6) for cell in (*cells, TARGET)}
        sweeps = []
        for cell in cells:
            first = round(best[cell] / math.log(2) + rng.uniform(-0.4, 0.4)) - points // 2
            lrs = [2.0 ** (first + k) for k in range(points)]
            losses = [2.5 + 0.015 * (math.log(x) - best[cell]) ** 2 + noise * rng.standard_normal() for x in lrs]
            sweeps.append((lrs, losses))
        law = fit_law(
            [
                LawPoint(n, d, math.log(curve.lr_best), curve.sd_ln_lr)
                for (n, d), curve in zip(cells, fit_curves(sweeps), strict=True)
                if curve.lr_best is not None
            ],
            n_boot=0,
        )
        _, low, high = law.predict(*TARGET)
        hits.append(math.log(low) <= best[TARGET] <= math.log(high))
    assert 0.8 <= np.mean(hits) <= 1.0, np.mean(hits)


def test_points_that_share_their_size_count_less_than_points_of_many_sizes():
    """Errors of 0.2 shared by the horizons of a size beside 0.03 of a point's own, and only the latter."""
    rng = np.random.default_rng(5)
    widths = []
    for _ in range(12):
        shared = {n: 0.2 * rng.standard_normal() for n in SIZES}
        own = design(sd=0.03, rng=rng)
        for points in (own, [p._replace(ln_lr=p.ln_lr + shared[p.n_active]) for p in own]):
            law = fit_law(points, n_boot=0)
            _, low, high = law.predict(4 * SIZES[-1], HORIZONS[0])
            widths.append((law.u_high - law.u_low, law.v_high - law.v_low, math.log(high / low)))
    u, v, target = (np.median(widths[1::2], axis=0) / np.median(widths[::2], axis=0)).tolist()
    assert u > 1.5 * v
    assert target > 1.15


def test_a_bad_minimum_moves_the_law_little_and_is_said():
    points = design(sd=0.03, rng=np.random.default_rng(2))
    bad = [*points[:7], points[7]._replace(ln_lr=points[7].ln_lr + 1.5), *points[8:]]
    assert any("far off the law" in flag for flag in fit_law(bad).flags)
    assert math.log(fit_law(bad).predict(*TARGET).lr) == pytest.approx(truth(*TARGET), abs=0.15)


def test_a_bend_is_said():
    points = [p._replace(ln_lr=p.ln_lr + 0.15 * math.log(p.n_active / 1e5) ** 2) for p in design(sd=0.01)]
    assert any("bends up in ln N" in flag for flag in fit_law(points).flags)


def batched(rng, w=0.4, sd=0.03):
    return [
        LawPoint(n, d, truth(n, d) + w * math.log(b / 1e4) + sd * rng.standard_normal(), sd, n, b)
        for n in SIZES
        for d in HORIZONS
        for b in (8_000, 16_000, 32_000)
        if rng.random() < 0.6
    ]


def test_the_batch_is_a_regressor_where_it_varies():
    law = fit_law(batched(np.random.default_rng(0)))
    assert law.exponents["batch"].value == pytest.approx(0.4, abs=0.06)
    assert law.exponents["batch"].low < 0.4 < law.exponents["batch"].high
    wanted = truth(*TARGET) + 0.4 * math.log(64_000 / 1e4)
    assert math.log(law.predict(*TARGET, batch_tokens=64_000).lr) == pytest.approx(wanted, abs=0.15)
    assert law.flags_at(*TARGET, batch_tokens=16_000) == ()
    assert "no run searched a batch near" in law.flags_at(*TARGET, batch_tokens=64_000)[0]
    assert "no batch size is given" in law.flags_at(*TARGET)[0]
    known, unknown = law.predict(*TARGET, batch_tokens=16_000), law.predict(*TARGET)
    assert unknown.lr_high / unknown.lr_low > known.lr_high / known.lr_low


def test_a_batch_that_no_run_had_widens_the_interval():
    law = fit_law([p._replace(batch_tokens=10_000) for p in design(sd=0.02, rng=np.random.default_rng(1))])
    near, far = (law.predict(*TARGET, batch_tokens=b) for b in (10_000, 160_000))
    assert far.lr_high / far.lr_low > 2 * near.lr_high / near.lr_low
    assert law.flags == ()


def sparse(rule, sparsities, totals, sd=0.02):
    rng = np.random.default_rng(4)
    return [
        LawPoint(n * a, d, rule(n, n * a, d) + sd * rng.standard_normal(), sd, n)
        for n in totals
        for a in sparsities
        for d in HORIZONS
    ]


def test_one_total_size_with_many_active_ones_identifies_sparsity_only():
    points = sparse(lambda n, active, d: 0.2 * math.log(active) - 0.1 * math.log(d), (0.1, 0.2, 0.4), (1_000_000,))
    law = fit_law(points)
    assert law.size == "total"
    assert any("do not determine u" in flag for flag in law.flags)
    assert law.exponents["sparsity"].value == pytest.approx(0.2, abs=0.1)
    assert any("sparsity" in flag for flag in law.flags_at(900_000, 4_000_000, n_total=1_000_000))


@pytest.mark.parametrize(
    ("size", "rule"),
    [
        ("total", lambda n, active, d: -0.5 * math.log(n) - 0.2 * math.log(d)),
        ("active", lambda n, active, d: -0.5 * math.log(active) - 0.2 * math.log(d)),
        ("flops", lambda n, active, d: -0.3 * math.log(active * d)),
    ],
)
def test_the_measure_of_size_makes_no_odds_where_all_vary(size, rule):
    totals = tuple(100_000 * 3**k for k in range(4))
    law = fit_law(sparse(rule, (0.1, 0.3, 0.9), totals, sd=0.01))
    if size != "flops":  # with flops, u = v is within reach of the other two
        assert law.size in (size, "total")
    n, active, d = 3e7, 6e6, 1e7
    assert math.log(law.predict(active, d, n_total=n).lr) == pytest.approx(rule(n, active, d), abs=0.15)


def test_left_out_sizes_are_scored():
    law = fit_law(design(sd=0.01, rng=np.random.default_rng(6)))
    assert len(law.left_out) == len(SIZES)
    assert max(law.left_out) < 0.1
    assert fit_law(design(SIZES[:1])).left_out == ()


units = st.floats(1e-6, 1e6)


@settings(max_examples=5)
@given(n=units, d=units, b=units, lr=units, order=st.randoms())
def test_units_and_order_do_not_matter(n, d, b, lr, order):
    points = batched(np.random.default_rng(8))
    scaled = [
        LawPoint(p.n_active * n, p.tokens * d, p.ln_lr + math.log(lr), p.sd, p.n_total * n, p.batch_tokens * b)
        for p in points
    ]
    order.shuffle(scaled)
    plain = fit_law(points, n_boot=50)
    other = fit_law(scaled, n_boot=50)
    assert (other.u, other.v, other.u_low) == pytest.approx((plain.u, plain.v, plain.u_low), rel=1e-6)
    wanted = [value * lr for value in plain.predict(*TARGET, batch_tokens=20_000)]
    assert other.predict(TARGET[0] * n, TARGET[1] * d, batch_tokens=20_000 * b) == pytest.approx(wanted, rel=1e-6)
    assert len(other.flags) == len(plain.flags)


def test_the_same_seed_gives_the_same_law():
    points = design(sd=0.1, rng=np.random.default_rng(1))
    assert fit_law(points).u_low == fit_law(points).u_low


@pytest.mark.parametrize(
    "point",
    [
        LawPoint(0, 1, 0.0, 0.1),
        LawPoint(1, 1, math.nan, 0.1),
        LawPoint(1, 1, 0.0, -1.0),
        LawPoint(1, 1, 0.0, 0.1, math.inf),
        LawPoint(1, 1, 0.0, 0.1, None, -2.0),
    ],
)
def test_unusable_points_are_refused(point):
    with pytest.raises(ValueError, match="finite"):
        fit_law([point])


def test_no_points_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        fit_law([])
