"""The parts of a law against their definitions: columns, priors, resamples, intervals of exponents, and each flag."""

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from lrladder.paradigms.laws.design import Design, LawPoint, Place
from lrladder.paradigms.laws.law import Law, fit_law
from lrladder.paradigms.laws.regression import Regression

Array = NDArray[np.float64]
SIZES, HORIZONS = (5e4, 1e5, 2e5, 4e5), (1e6, 2e6, 4e6)


def points(
    *, sizes: tuple[float, ...] = SIZES, horizons: tuple[float, ...] = HORIZONS, sd: float = 0.05, seed: int = 0
) -> list[LawPoint]:
    """lr* = 4 N^-0.3 D^-0.2, off by `sd`."""
    rng = np.random.default_rng(seed)
    law = [(n, d, math.log(4) - 0.3 * math.log(n) - 0.2 * math.log(d)) for n in sizes for d in horizons]
    return [LawPoint(n, d, lr + sd * float(rng.standard_normal()), 0.05) for n, d, lr in law]


def sparse(rule: tuple[float, float, float], *, sparsities: tuple[float, ...] = (0.1, 0.25, 0.6)) -> list[LawPoint]:
    """Exponents of active size, total size and tokens; two batches."""
    cells = [(n * a, n, d) for n in (1e5, 3e5, 9e5, 2.7e6) for a in sparsities for d in HORIZONS]
    return [
        LawPoint(active, d, float(np.dot(rule, np.log([active, n, d]))) + 0.5 * math.log(b / 1e4), 0.02, n, b)
        for i, (active, n, d) in enumerate(cells)
        for b in (8e3, 32e3)[i % 2 :: 2]
    ]


LAWS = [
    fit_law(points()),
    fit_law(points(sizes=SIZES[:3])),
    fit_law(sparse((0.0, -0.3, -0.2)), size="total"),
    fit_law(sparse((-0.3, 0.0, -0.2)), size="active"),
    fit_law(sparse((-0.25, 0.0, -0.25)), size="flops"),
]
IDS = ["dense", "three sizes", "total", "active", "flops"]
AT = Place(7e5, 9e6, 3e6, 2e4)


@pytest.mark.parametrize("law", LAWS, ids=IDS)
def test_a_law_is_its_prefactor_times_powers(law: Law) -> None:
    """lr* = k N^-u D^-v B^w A^s, with N as the law counts it."""
    powers = {"size": -law.u, "tokens": -law.v if law.size != "flops" else 0.0}
    logs = {"total": math.log(3e6), "active": math.log(7e5), "flops": math.log(7e5 * 9e6)}
    expected = math.log(law.k) + powers["size"] * logs[law.size] + powers["tokens"] * math.log(9e6)
    for name, value in (("batch", math.log(2e4)), ("sparsity", math.log(7e5 / 3e6))):
        if name in law.exponents:
            expected += law.exponents[name].value * value  # type: ignore[index]
    dense = "batch" not in law.exponents
    at = Place(AT.n_active, AT.tokens) if dense else AT
    assert law.regression.trend(at) == pytest.approx(expected)
    found = law.predict(at.n_active, at.tokens, n_total=at.n_total, batch_tokens=1e4 if dense else at.batch_tokens)
    assert math.log(found.lr) == pytest.approx(expected)  # of a new size
    assert law.v == (law.u if law.size == "flops" else law.exponents["tokens"].value)
    assert (law.u_low, law.u_high) == law.exponents["size"][1:]
    assert (law.v_low, law.v_high) == law.exponents["size" if law.size == "flops" else "tokens"][1:]
    assert law.n_points == len(law.points) == len(law.regression.posterior.robustness)


@pytest.mark.parametrize("law", LAWS, ids=IDS)
def test_exponents_have_the_wider_interval_of_the_posteriors_and_the_bootstraps(law: Law) -> None:
    half = 1.6449 * law.regression.posterior.sd[1:]
    models = {(p.n_active, p.n_total) for p in law.points}
    assert law.bootstrap == ("sizes" if len(models) >= 4 else "none")
    if law.bootstrap == "sizes":
        draws = law.regression.resampled(law.points, 1000, 0)
        half = np.maximum(half, stats.t.ppf(0.95, len(models) - 1) * draws.std(axis=0))
    for reach, name in zip(half, law.regression.design.names, strict=True):
        exponent = law.exponents[name]
        assert exponent.low is not None and exponent.high is not None
        assert (exponent.value - exponent.low, exponent.high - exponent.value) == pytest.approx(
            (reach, reach), rel=1e-4
        )


def test_fewer_than_two_draws_are_no_bootstrap() -> None:
    assert [fit_law(points(), n_boot=n).bootstrap for n in (0, 1, 2)] == ["none", "none", "sizes"]


@pytest.mark.parametrize("law", [LAWS[0], LAWS[2]], ids=["dense", "total"])
def test_a_resample_is_a_weighted_fit_to_models_drawn_with_replacement(law: Law) -> None:
    """By least squares with a row for each prior; a model that is drawn twice stands there twice."""
    regression = law.regression
    draws = regression.resampled(law.points, 5, 3)
    keys = sorted({p.place.model_key for p in law.points})
    counts = np.random.default_rng(3).multinomial(len(keys), [1 / len(keys)] * len(keys), size=5)
    roots = np.sqrt(regression.posterior.robustness) / regression.posterior.scatter
    x, y = regression.design.fitted(), np.array([p.ln_lr for p in law.points])
    assert regression.level == pytest.approx(y.mean())
    mean, sd = np.array([(0.0, 100.0), *regression.design.priors()]).T
    for count, draw in zip(counts, draws, strict=True):
        chosen = [i for i, p in enumerate(law.points) for _ in range(count[keys.index(p.place.model_key)])]
        rows = np.vstack([roots[chosen, None] * x[chosen], np.diag(1 / sd)])
        wanted = np.concatenate([roots[chosen] * (y - y.mean())[chosen], mean / sd])
        assert draw == pytest.approx(np.linalg.lstsq(rows, wanted)[0][1:], rel=1e-6)


def test_a_prediction_at_a_known_size_has_the_error_that_its_points_share() -> None:
    found = points(sd=0.0)
    shifted = [p._replace(ln_lr=p.ln_lr + 0.3 * (p.n_active == SIZES[1])) for p in found]
    law = fit_law(shifted)
    off = [law.regression.predict(Place(n, 1e7))[0] - law.regression.trend(Place(n, 1e7)) for n in (*SIZES, 9e5)]
    assert off[1] > 0.1 and off[4] == pytest.approx(0, abs=1e-12)
    wide = [np.diff(np.log(law.predict(2e6, 1e7, level=level)[1:]))[0] for level in (0.5, 0.9)]
    assert wide[0] < 0.6 * wide[1]


def test_the_columns_are_logs_about_their_means() -> None:
    places = [Place(2.0, 3.0, 8.0, 5.0), Place(4.0, 30.0, 8.0, 10.0)]
    for size, names, logs in (
        ("total", ("size", "tokens", "batch", "sparsity"), [[8, 3, 5, 0.25], [8, 30, 10, 0.5]]),
        ("active", ("size", "tokens", "batch"), [[2, 3, 5], [4, 30, 10]]),
        ("flops", ("size", "batch", "sparsity"), [[6, 5, 0.25], [120, 10, 0.5]]),
    ):
        design = Design.of(places, size, batch=True)  # type: ignore[arg-type]
        raw = np.log(np.array(logs))
        assert design.names == names
        assert design.center == pytest.approx(raw.mean(axis=0))
        assert design.logs == pytest.approx(raw - raw.mean(axis=0))
        assert design.identified == tuple(raw[1] - raw[0] > math.log(1.5))
        for place, row in zip(places, raw, strict=True):
            assert design.row(place) == pytest.approx([1.0, *(row - raw.mean(axis=0))])
        assert design.fitted()[:, 0] == pytest.approx([1, 1])
        assert design.fitted()[:, 1:] == pytest.approx((raw - raw.mean(axis=0)) * np.array(design.identified))
    assert Place(2.0, 3.0).model_key == Place(2.0, 5.0, 2.0).model_key == (2.0, 2.0)
    assert Place(2.0, 3.0, 8.0, 5.0).trunk_key == (2.0, 8.0, 5.0) != Place(2.0, 3.0, 8.0).trunk_key


def test_a_span_of_one_and_a_half_identifies_a_column() -> None:
    for ratio, told in ((1.499, False), (1.501, True)):
        design = Design.of([Place(1.0, 1.0), Place(ratio, 4.0)], "active", batch=False)
        assert design.identified == (told, True)


def test_the_prior_of_tokens_depends_on_what_is_known_of_the_batch() -> None:
    """At a given batch it is what is published; else the batch may have grown with the tokens."""
    at = [Place(1.0, 1.0, 1.0, 1.0), Place(9.0, 9.0, 9.0, 9.0)]
    size, sparsity, batch = (-0.45, 0.25), (0.1, 0.2), (0.5, 0.25)
    assert Design.of(at, "active", batch=True).priors() == (size, (-0.2, 0.2), batch)
    assert Design.of(at, "total", batch=True).priors() == (size, (-0.2, 0.2), batch, sparsity)
    assert Design.of(at, "active", batch=False).priors() == (size, (0.05, 0.2))
    fixed = [place._replace(batch_tokens=1.0) for place in at]
    assert Design.of(fixed, "active", batch=False).priors() == (size, (-0.1, 0.3))
    assert Design.of([Place(1.0, 1.0), Place(9.0, 9.0)], "active", batch=False).priors() == (size, (-0.1, 0.3))
    assert Design.of(at, "flops", batch=False).priors() == ((-0.15, 0.15), sparsity)


def correlated(r: float) -> list[Place]:
    """Places whose log size and log tokens have the correlation r."""
    z, e = np.array([-1.0, 1.0, -1.0, 1.0]), np.array([-1.0, -1.0, 1.0, 1.0])
    return [Place(math.exp(a), math.exp(r * a + math.sqrt(1 - r * r) * b)) for a, b in zip(z, e, strict=True)]


@pytest.mark.parametrize(("r", "entangled"), [(0.989, False), (0.991, True), (-0.991, True), (0.0, False)])
def test_columns_are_entangled_from_a_correlation_of_99_percent_on(r: float, entangled: bool) -> None:
    design = Design.of(correlated(r), "active", batch=False)
    assert design.entangled == (entangled, entangled)
    flags = design.flags(correlated(r), np.zeros(2))
    assert flags == tuple(
        f"{symbol} cannot be told from the other exponents, so it relies on its prior"
        for symbol in ("u (minus the exponent of size)", "v (minus the exponent of tokens)")
        if entangled
    )


def test_a_column_that_is_not_identified_entangles_none() -> None:
    places = [Place(n, d) for n, d in ((1.0, 1.0), (1.2, 3.0), (1.44, 9.0))]
    assert Design.of(places, "active", batch=False).entangled == (False, False)


def test_exponents_that_lean_on_their_priors_are_flagged() -> None:
    places = correlated(0.0)
    design = Design.of(places, "active", batch=False)
    assert design.flags(places, np.array([0.69 * 0.25, 0.69 * 0.3])) == ()
    (flag,) = design.flags(places, np.array([0.71 * 0.25, 0.69 * 0.3]))
    assert flag == "2 sizes hardly determine u (minus the exponent of size), so it relies on its prior"
    (flag,) = design.flags(places, np.array([0.0, 0.71 * 0.3]))
    assert flag == "2 horizons hardly determine v (minus the exponent of tokens), so it relies on its prior"


def test_what_the_runs_do_not_determine_is_said_with_what_is_assumed() -> None:
    one, two = (points(sizes=sizes) for sizes in ((1e5,), (1e5, 1.4e5)))
    size = "the runs do not determine u (minus the exponent of size), as they have"
    assert fit_law(one).flags == (f"{size} 1 size within 1.5x: assumed 0.45 +- 0.25",)
    assert fit_law(two).flags == (f"{size} 2 sizes within 1.5x: assumed 0.45 +- 0.25",)
    tokens = "the runs do not determine v (minus the exponent of tokens), as they have 1 horizon within 1.5x"
    assert fit_law(points(horizons=(1e6,))).flags == (f"{tokens}: assumed 0.1 +- 0.3",)
    batches = [p._replace(batch_tokens=1e4) for p in points()]
    assert fit_law(batches).flags == ()  # one batch is no weakness


def test_few_points_and_sizes_are_said() -> None:
    few = points(sizes=SIZES[:2], horizons=HORIZONS[:2], sd=0.0)
    rests, thin = (
        "the law rests on only 2 model sizes",
        "3 minima determine 3 constants, so their scatter about the law",
    )
    assert rests in fit_law(few).flags and not any("constants" in flag for flag in fit_law(few).flags)
    assert f"{thin} is not measured" in fit_law(few[:3]).flags
    assert not any("rests on" in flag for flag in fit_law(points()).flags)


@pytest.mark.parametrize(("column", "symbol"), [(0, "N"), (1, "D")])
def test_a_bend_of_two_sds_is_said_with_its_direction(column: int, symbol: str) -> None:
    for bend in (-0.4, -0.02, 0.0, 0.02, 0.4):
        moved = [
            p._replace(ln_lr=p.ln_lr + bend * math.log((p.n_active, p.tokens)[column] / 1.4e5) ** 2) for p in points()
        ]
        posterior = Regression.of(moved, "active", bend=column).posterior
        z = posterior.mean[-1] / posterior.sd[-1]
        flags = [flag for flag in fit_law(moved).flags if f"in ln {symbol}" in flag]
        told = f"the law bends {'up' if z > 0 else 'down'} in ln {symbol} ({abs(z):.1f} sds)"
        assert flags == ([told] if abs(z) > 2 else [])
        assert abs(bend) != 0.4 or (abs(z) > 2 and z * bend > 0)


def test_two_values_show_no_bend_and_a_law_in_flops_bends_in_c() -> None:
    two = [p._replace(ln_lr=p.ln_lr + 0.5 * (p.n_active > 6e4)) for p in points(sizes=SIZES[:2])]
    assert not any("bends" in flag for flag in fit_law(two).flags)
    moved = [p._replace(ln_lr=p.ln_lr + 0.2 * math.log(p.n_active * p.tokens / 1e11) ** 2) for p in points()]
    assert any("bends up in ln C" in flag for flag in fit_law(moved, size="flops").flags)


def test_a_bend_is_the_slope_of_a_square_with_a_prior_of_sd_one() -> None:
    flat, bent = (Regression.of(points(), "active", bend=bend) for bend in (None, 0))
    assert len(bent.posterior.mean) == len(flat.posterior.mean) + 1 == 4
    exact = [p._replace(ln_lr=p.ln_lr + 0.3 * math.log(p.n_active / 1.4e5) ** 2, sd=0.001) for p in points(sd=0.0)]
    assert Regression.of(exact, "active", bend=0).posterior.mean[-1] == pytest.approx(0.3, abs=0.01)
    untold = Regression.of([p._replace(sd=100.0) for p in points()], "active", bend=0).posterior
    assert untold.sd[-1] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    ("n", "words"), [(1, "1 minimum lies far off the law and counts"), (2, "2 minima lie far off the law and count")]
)
def test_outliers_are_counted(n: int, words: str) -> None:
    far = [p._replace(ln_lr=p.ln_lr + 3.0 * (i in (4, 7)[:n])) for i, p in enumerate(points(horizons=(*HORIZONS, 8e6)))]
    law = fit_law(far)
    assert int((law.regression.posterior.robustness < 0.25).sum()) == n
    assert f"{words} little in the fit" in law.flags


@pytest.mark.parametrize(("batch", "near"), [(5_400, True), (5_300, False), (47_900, True), (48_100, False)])
def test_a_batch_up_to_one_and_a_half_beyond_those_of_the_runs_is_near(batch: float, near: bool) -> None:
    """Those of the runs are 8,000 and 32,000."""
    flags = LAWS[3].flags_at(2e5, 2e6, n_total=4e5, batch_tokens=batch)
    assert flags == (() if near else (f"no run searched a batch near {batch:,.0f} tokens",))


@pytest.mark.parametrize(("sparsity", "near"), [(0.068, True), (0.066, False), (0.89, True), (0.91, False)])
def test_a_sparsity_up_to_one_and_a_half_beyond_is_near(sparsity: float, near: bool) -> None:
    flags = LAWS[2].flags_at(1e6 * sparsity, 2e6, n_total=1e6, batch_tokens=1e4)
    assert flags == (() if near else ("no run searched a sparsity near this one",))


def test_which_form_of_the_law_answers_is_said() -> None:
    law = LAWS[2]
    assert law.answering(None) is law.without_batch and law.answering(1e4) is law.regression
    told = replace(law, flags=("with",), flags_without_batch=("without",))
    assert (told.flags_by(None), told.flags_by(1e4)) == (("without",), ("with",))
    at = {"n_total": 4e5}
    assert law.flags_at(1e5, 2e6, **at) == ("no batch size is given, so the law without the batch is used",)
    assert "batch" not in law.without_batch.design.names and "batch" in law.regression.design.names
    dense = LAWS[0]
    assert dense.flags_at(1e5, 2e6) == ()
    assert dense.flags_at(1e5, 2e6, batch_tokens=1e4) == (
        "the batch sizes of the runs are not known, so the law leaves the batch out",
    )
    some = [p._replace(batch_tokens=1e4 if i else None) for i, p in enumerate(points())]
    assert "batch" not in fit_law(some).regression.design.names


@pytest.mark.parametrize(
    ("rule", "size"),
    [((-0.4, 0.0, -0.1), "active"), ((0.0, -0.4, -0.1), "total"), ((-0.25, 0.0, -0.25), "flops")],
)
def test_size_is_counted_as_predicts_left_out_sizes_best(rule: tuple[float, float, float], size: str) -> None:
    found = of_one_batch(sparse(rule, sparsities=(0.1, 0.6)))
    errors = {name: sum(e**2 for e in fit_law(found, size=name).left_out) for name in ("total", "active", "flops")}  # type: ignore[arg-type]
    law = fit_law(found, n_boot=0)
    assert law.size == min(errors, key=lambda name: errors[name])
    assert errors[law.size] <= errors[size] < max(errors.values()) / 2


def of_one_batch(found: list[LawPoint]) -> list[LawPoint]:
    return [p._replace(ln_lr=p.ln_lr - 0.5 * math.log((p.batch_tokens or 0) / 1e4), batch_tokens=None) for p in found]


def test_size_is_active_for_dense_models_and_total_where_nothing_tells() -> None:
    assert LAWS[0].size == "active"
    for sparsities, told in (((0.2, 0.29), False), ((0.2, 0.31), True)):
        law = fit_law(of_one_batch(sparse((-0.4, 0.0, -0.1), sparsities=sparsities)), n_boot=0)
        assert (law.size == "total") == (not told)
    one_total = [p for p in sparse((-0.4, 0.0, -0.1)) if p.n_total == 3e5]
    assert fit_law(one_total, n_boot=0).size == "total"


def test_left_out_sizes_are_the_six_largest_each_by_its_root_mean_square() -> None:
    found = points(sizes=tuple(5e4 * 2**k for k in range(8)))
    errors = fit_law(found).left_out
    assert len(errors) == 6
    for size, error in zip((5e4 * 2**k for k in range(2, 8)), errors, strict=True):
        law = fit_law([p for p in found if p.n_active != size])
        misses = [math.log(law.predict(p.n_active, p.tokens).lr) - p.ln_lr for p in found if p.n_active == size]
        assert error == pytest.approx(math.sqrt(np.mean(np.square(misses))))
    assert len(fit_law(points(sizes=SIZES[:2])).left_out) == 2


def test_shared_errors_of_over_64_sizes_are_left_to_the_scatter() -> None:
    sizes = tuple(1e4 * 1.1**k for k in range(65))
    many, most = (Regression.of(points(sizes=sizes[:n], horizons=(1e6,)), "active") for n in (65, 64))
    assert (many.groups, len(most.groups), len(most.groups[0])) == ((), 1, 64)


def test_trunks_share_errors_where_a_model_has_several() -> None:
    by = {
        name: Regression.of(sparse((0.0, -0.3, -0.2)), "total", batch=name == "batch").groups for name in ("batch", "")
    }
    assert [len(levels) for levels in by["batch"]] == [12, 24] and [len(levels) for levels in by[""]] == [12]


@pytest.mark.parametrize(
    ("change", "usable"),
    [
        ({"sd": 0.0}, True),
        ({"sd": math.inf}, False),
        ({"sd": -1e-9}, False),
        ({"tokens": 0.0}, False),
        ({"tokens": math.inf}, False),
        ({"n_total": 0.0}, True),  # as if it were not given
        ({"n_total": -1.0}, False),
        ({"batch_tokens": math.inf}, False),
        ({"ln_lr": -math.inf}, False),
        ({"n_active": 1e-9}, True),
    ],
)
def test_which_points_are_usable(change: dict[str, float], usable: bool) -> None:
    bad = [*points(), points()[0]._replace(**change)]
    if usable:
        assert fit_law(bad, n_boot=0).n_points == 13
        return
    with pytest.raises(ValueError, match="counts must be positive and finite"):
        fit_law(bad, n_boot=0)
