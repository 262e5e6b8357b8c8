"""The oracle of a sweep, and the scores against it, worked from the algebra of a parabola."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from lrladder.benchmark.studies.regret.results import ParadigmResult
from lrladder.benchmark.studies.regret.scoring.components import components
from lrladder.benchmark.studies.regret.scoring.means import losses_by_lr, seed_means
from lrladder.benchmark.studies.regret.scoring.near import near_runs, target_noises
from lrladder.benchmark.studies.regret.scoring.oracle import Oracle, find_oracle, on_grid
from lrladder.benchmark.studies.regret.scoring.widths import Widths
from lrladder.paradigms.lab import Measurement
from lrladder.paradigms.level import LEVEL
from lrladder.paradigms.sweep.curve import Curve, fit_curve
from lrladder.paradigms.sweep.noise import Noise
from tests.benchmark.studies.regret.test_comparison import (
    CONFIG,
    GRID,
    HORIZON,
    MUP,
    RUNG,
    SP,
    SWEEPS,
    measured,
    proposal,
    run,
    score,
)

SEEDS = 2


KNOWN = Noise(0.002, 9)


def oracle_of(runs: list[Measurement], noise: Noise = KNOWN, arm: str = "sp") -> Oracle:
    return find_oracle(CONFIG, runs, RUNG, HORIZON, arm, noise)  # type: ignore[arg-type]


def vertex_weights(curve: Curve) -> dict[float, float]:
    """What the fitted value at the vertex is made of: a row of the hat matrix there."""
    assert curve.lr_best is not None
    x = np.log(np.array(curve.lrs_fitted) / curve.lr_best)
    row: NDArray[np.float64] = np.array([1.0, 0.0, 0.0]) @ np.linalg.pinv(np.vander(x, 3, increasing=True))
    return dict(zip(curve.lrs_fitted, row, strict=True))


def test_the_weights_of_a_minimum_are_those_of_the_parabola_at_its_vertex() -> None:
    found = oracle_of(SWEEPS)
    weights = vertex_weights(found.curve)
    assert found.curve.status == "interior"
    assert {lr: weight for (_, lr), weight in found.weights.items() if abs(weight) > 1e-6} == pytest.approx(
        weights, abs=1e-4
    )
    assert {arm for arm, _ in found.weights} == {"sp"}
    assert found.squared_weights == pytest.approx(sum(weight**2 for weight in weights.values()), rel=1e-4)


def test_an_oracle_says_what_it_rests_on_and_what_it_cost() -> None:
    found = oracle_of(SWEEPS).result
    assert (found.n_lrs, found.n_seeds, found.status) == (len(GRID), SEEDS, "interior")
    assert found.lr_low is not None and found.lr_high is not None and found.lr is not None
    assert found.lr_low < found.lr < found.lr_high
    assert found.cost_flops == len(GRID) * SEEDS  # a run each
    means = [float(np.mean([m.loss for m in SWEEPS if (m.parametrization, m.lr) == ("sp", lr)])) for lr in GRID]
    curve = fit_curve(GRID, means, noise=0.002 / math.sqrt(SEEDS))  # the noise of a mean over the seeds
    assert (found.lr_low, found.lr_high, found.loss) == (curve.lr_low, curve.lr_high, curve.minimum)
    longer = [m.model_copy(update={"horizon": 2 * HORIZON}) for m in SWEEPS]
    off_grid = [run("sp", SP, 0, 3.0), run("mup", GRID[0], 7, 3.0)]
    elsewhere = [m.model_copy(update={"rung": "t96x3", "trial_id": f"{m.trial_id}b"}) for m in SWEEPS]
    assert oracle_of([*SWEEPS, *longer, *off_grid, *elsewhere]).result == found


def test_two_lrs_are_no_sweep_and_without_one_nothing_is_known() -> None:
    two = oracle_of(measured("sp", GRID[1:3]))
    assert (two.result.loss, two.result.lr, two.result.n_lrs, two.result.n_seeds, two.weights) == (None, None, 0, 0, {})
    edge = oracle_of(measured("sp", GRID[2:]))
    assert (edge.result.lr, edge.weights) == (GRID[2], {("sp", GRID[2]): 1.0})
    assert (edge.result.lr_low, edge.result.lr_high) == (None, None)


def test_a_mean_over_seeds_waits_for_all_of_them_and_one_divergence_is_one() -> None:
    runs = [run("sp", 0.01, 0, 3.0), run("sp", 0.01, 1, 3.2), run("sp", 0.02, 0, 3.0), run("sp", 0.01, 2, 9.0)]
    runs += [run("sp", 0.03, 0, 3.0), run("sp", 0.03, 1, None, "diverged"), run("sp", 0.02, 1, None, "failed")]
    runs += [run("sp", 0.04, 1, None, "diverged"), run("mup", 0.05, 0, 3.0), run("mup", 0.05, 1, 3.0)]
    found = seed_means(losses_by_lr(runs, RUNG.name, HORIZON, "sp", (0, 1)), (0, 1), lean=False)
    assert {lr: mean.loss for lr, mean in found.items()} == {0.01: pytest.approx(3.1), 0.03: None, 0.04: None}
    assert list(found) == sorted(found)


def test_a_grid_is_a_geometric_row_to_rounding() -> None:
    for k in range(-6, 7):
        assert on_grid(0.032 * 3.0**k, 0.032, 3.0)
        assert not on_grid(0.032 * 3.0 ** (k + 0.5), 0.032, 3.0)
        assert not on_grid(0.032 * 3.0 ** (k + 1e-4), 0.032, 3.0)
        assert not on_grid(0.032 * 3.0 ** (k - 1e-4), 0.032, 3.0)
    assert on_grid(0.1 * (1 + 1e-9), 0.1, 2.0)


@pytest.mark.parametrize(("sd", "seen"), [(0.001, 0.003), (0.004, 0.003), (None, 0.003), (0.001, None)])
def test_a_misfit_is_what_the_noise_of_a_mean_does_not_explain(sd: float | None, seen: float | None) -> None:
    plain = oracle_of(SWEEPS)
    weights = {("sp", 0.01): 0.6, ("sp", 0.02): 0.5, ("sp", 0.04): -0.1}
    found = plain._replace(curve=Curve("interior", 5, residual_sd=seen), weights=weights)
    more = max(0.0, (seen or 0.0) ** 2 - (sd or 0.0) ** 2 / SEEDS)
    assert found.misfit(Noise(sd, 9)) == pytest.approx(more * 0.62)
    assert found._replace(curve=Curve("edge", 5, residual_sd=seen)).misfit(Noise(sd, 9)) == 0


def near_components() -> tuple[float, int, float, int]:
    """s2 with its degrees of freedom, tau2 with its own, of the near runs of RUNS."""
    best = {name: oracle_of(RUNS, target_noises(CONFIG, RUNS).curves, name).result.lr for name in ("sp", "mup")}
    found = components([near_runs(RUNS, best, {("sp", SP), ("mup", MUP)})])
    assert found.variance is not None
    return found.variance, found.dof, found.interaction, found.interaction_dof


# Seeds that suit a parametrization, so that there is an interaction.
RUNS = [
    m.model_copy(update={"loss": (m.loss or 0) + 0.004 * m.seed * (m.parametrization == "mup")})
    for m in (*SWEEPS, *measured("sp", [SP], rng_seed=3), *measured("mup", [MUP], rng_seed=4))
]
ENTRIES = [proposal("fitting", "sp", SP), proposal("mutransfer", "mup", MUP)]


def half_width(*parts: tuple[float, float], misfit: float = 0.0) -> float:
    total = sum(variance for variance, _ in parts)
    dof = total**2 / sum(variance**2 / dof for variance, dof in parts)
    return float(stats.t.ppf(0.95, dof)) * math.sqrt(total + misfit)


def mean_of(arm: str, lr: float) -> float:
    return float(np.mean([m.loss for m in RUNS if (m.parametrization, m.lr) == (arm, lr)]))


def test_a_regret_and_its_interval_are_worked_from_the_weights_of_the_sweep() -> None:
    s2, dof, tau2, tau_dof = near_components()
    assert tau2 > 0
    curves = target_noises(CONFIG, RUNS, ENTRIES).curves
    sp, mup = oracle_of(RUNS, curves, "sp"), oracle_of(RUNS, curves, "mup")
    assert sp.result.loss is not None and mup.result.loss is not None and mup.result.loss < sp.result.loss
    fitting, transfer = score(RUNS, ENTRIES).paradigms
    squares = {arm: sum(w**2 for w in vertex_weights(o.curve).values()) for arm, o in (("sp", sp), ("mup", mup))}
    run_noise = Noise(math.sqrt(s2), dof)
    for entry, own, lr in ((fitting, sp, SP), (transfer, mup, MUP)):
        arm = own.parametrization
        expect(
            entry,
            "lr_regret",
            mean_of(arm, lr) - (own.result.loss or 0),
            half_width((s2 * (1 + squares[arm]) / SEEDS, dof), misfit=own.misfit(run_noise)),
        )
    expect(
        transfer,
        "regret",
        transfer.lr_regret,
        half_width((s2 * (1 + squares["mup"]) / SEEDS, dof), misfit=mup.misfit(run_noise)),
    )
    across = (s2 * (1 + squares["mup"]) / SEEDS, dof), (tau2 * 2 / SEEDS, tau_dof)
    expect(fitting, "regret", mean_of("sp", SP) - mup.result.loss, half_width(*across, misfit=mup.misfit(run_noise)))


def expect(entry: ParadigmResult, name: str, value: float | None, half: float) -> None:
    assert value is not None
    found = [getattr(entry, f"{name}{end}") for end in ("", "_low", "_high")]
    assert found == pytest.approx([value, value - half, value + half], rel=1e-3)


def test_an_entry_at_an_lr_of_the_sweep_shares_its_run_with_the_minimum() -> None:
    """Its mean is in the minimum too, with its weight, so that part of the noise cancels."""
    at = GRID[2]
    entries = [proposal("fitting", "sp", at), *ENTRIES]
    entry = score(RUNS, entries).paradigms[0]
    noises = target_noises(CONFIG, RUNS, entries)
    own = oracle_of(RUNS, noises.curves)
    weights = vertex_weights(own.curve)
    squares = sum(weight**2 for lr, weight in weights.items() if lr != at) + (1 - weights[at]) ** 2
    s2 = noises.swept.variance or 0
    misfit = own.misfit(noises.swept.run)
    half = half_width((s2 * squares / SEEDS, noises.swept.dof), misfit=misfit)
    assert (entry.lr_regret_high or 0) - (entry.lr_regret or 0) == pytest.approx(half, rel=1e-3)


def test_differences_of_entries_and_of_minima_have_the_noise_of_both() -> None:
    s2, dof, tau2, tau_dof = near_components()
    (difference,) = score(RUNS, ENTRIES).differences
    value = mean_of("mup", MUP) - mean_of("sp", SP)
    half = half_width((2 * s2 / SEEDS, dof), (2 * tau2 / SEEDS, tau_dof))
    assert (difference.first, difference.second) == ("fitting", "mutransfer")
    assert (difference.value, difference.low, difference.high) == pytest.approx((value, value - half, value + half))
    noises = target_noises(CONFIG, RUNS, ENTRIES)
    oracles = {arm: oracle_of(RUNS, noises.curves, arm) for arm in ("sp", "mup")}
    widths = Widths(noises, oracles)  # type: ignore[arg-type]
    squares = sum(w**2 for o in oracles.values() for w in vertex_weights(o.curve).values())
    misfit = sum(o.misfit(noises.base.run) for o in oracles.values())
    half = half_width((s2 * squares / SEEDS, dof), (2 * tau2 / SEEDS, tau_dof), misfit=misfit)
    assert widths.minima("sp", "mup", LEVEL) == pytest.approx(half, rel=1e-3)


def test_an_entry_waits_for_all_its_seeds_unless_one_diverged() -> None:
    first = run("sp", SP, 0, 3.0)
    assert score([*SWEEPS, first], ENTRIES[:1]).paradigms == ()
    (lost,) = score([*SWEEPS, first, run("sp", SP, 1, None, "diverged")], ENTRIES[:1]).paradigms
    assert (lost.loss, lost.n_seeds, lost.diverged) == (None, 1, 1)
    both = [*SWEEPS, *measured("sp", [SP]), first.model_copy(update={"verdict": "diverged", "loss": None})]
    found = score(both, ENTRIES)
    assert [p.name for p in found.paradigms] == ["fitting"] and found.differences == ()


def test_costs_are_in_runs_of_the_target() -> None:
    fitting, transfer = score(RUNS, ENTRIES).paradigms
    flops = RUNG.flops_per_token * HORIZON
    assert (fitting.cost_flops, fitting.cost_fraction) == (2.0, 2.0 / flops)
    assert (transfer.cost_flops, transfer.cost_fraction) == (0.0, 0.0)
    assert score(RUNS, ENTRIES).run_flops == flops
