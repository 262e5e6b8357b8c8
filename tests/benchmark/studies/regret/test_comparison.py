"""Scoring from measurements and proposals alone."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from lrladder.benchmark.studies.counts import count_trials
from lrladder.benchmark.studies.regret.assembly import assemble
from lrladder.benchmark.studies.regret.config import load_config
from lrladder.benchmark.studies.regret.results import TargetResult
from lrladder.benchmark.studies.regret.scoring.comparison import compare
from lrladder.benchmark.studies.regret.scoring.near import target_noises
from lrladder.benchmark.studies.regret.scoring.noise import seed_noise
from lrladder.benchmark.studies.results import Found
from lrladder.paradigms.lab import Measurement, ParametrizationName, Verdict
from lrladder.paradigms.paradigm import Proposal
from tests.paths import TWO_TARGETS

CPU = load_config(TWO_TARGETS)
SWEPT = CPU.validation.model_copy(update={"oracles": ("sp", "mup")})
CONFIG = CPU.model_copy(update={"validation": SWEPT})  # Power is not swept
RUNG = CONFIG.rungs.rung("t128x4")
HORIZON = 262144
CURVATURE = 0.05
GRID = [0.016 * 2.0**k for k in range(-2, 3)]
BEST: dict[ParametrizationName, float] = {"sp": 0.016, "mup": 0.02}
FLOOR: dict[ParametrizationName, float] = {"sp": 3.0, "mup": 2.99}


def run(
    parametrization: ParametrizationName, lr: float, seed: int, loss: float | None, verdict: Verdict = "finished"
) -> Measurement:
    return Measurement(
        trial_id=f"{parametrization}-{lr!r}-{seed}",
        rung=RUNG.name,
        parametrization=parametrization,
        lr=lr,
        seed=seed,
        horizon=HORIZON,
        verdict=verdict,
        loss=loss,
        flops=1.0,
    )


def measured(
    parametrization: ParametrizationName, lrs: Sequence[float], *, noise: float = 0.002, rng_seed: int = 0
) -> list[Measurement]:
    rng = np.random.default_rng(rng_seed)
    runs: list[Measurement] = []
    for lr in lrs:
        truth = FLOOR[parametrization] + CURVATURE * math.log(lr / BEST[parametrization]) ** 2
        runs += [  # a seed's own effect, common to all, must cancel
            run(parametrization, lr, seed, truth + 0.5 * seed + noise * rng.standard_normal())
            for seed in CONFIG.validation.seeds
        ]
    return runs


def proposal(name: str, parametrization: ParametrizationName, lr: float) -> Proposal:
    return Proposal(
        paradigm=name,
        parametrization=parametrization,
        rung=RUNG.name,
        horizon=HORIZON,
        lr=lr,
        lr_low=lr / 2,
        lr_high=lr * 2,
        extrapolation=4.0,
    )


def score(measurements: Sequence[Measurement], proposals: Sequence[Proposal]) -> TargetResult:
    return compare(
        CONFIG, measurements, proposals, RUNG, HORIZON, target_noises(CONFIG, measurements, proposals), {"fitting": 2.0}
    )


SWEEPS = [*measured("sp", GRID, rng_seed=1), *measured("mup", GRID, rng_seed=2)]
SP, MUP = 0.0163, 0.0207  # near the best, off the grid


def test_seed_noise_is_recovered_without_the_seeds_own_effect() -> None:
    runs = measured("sp", [0.001 * 1.01**k for k in range(400)], noise=0.003)
    noise = seed_noise(runs)
    assert noise.dof == 399
    assert noise.sd == pytest.approx(0.003, rel=0.1)


def test_an_entry_that_scatters_under_its_own_schedule_blurs_nothing_else() -> None:
    two = [proposal("fitting", "sp", SP), proposal("mutransfer", "mup", MUP)]
    runs = [*SWEEPS, *measured("sp", [SP], rng_seed=3), *measured("mup", [MUP], rng_seed=4)]
    wild = [run("mup+power", MUP, seed, 3.5 + 0.8 * seed) for seed in (0, 1)]
    plain, third = score(runs, two), score([*runs, *wild], [*two, proposal("mutransfer+power", "mup+power", MUP)])
    assert third.paradigms[:2] == plain.paradigms
    widths = [p.regret_high - p.regret_low for p in third.paradigms if p.regret_high and p.regret_low]
    assert widths[2] > 3 * max(widths[:2])


def test_seed_noise_needs_two_seeds_at_two_lrs() -> None:
    assert seed_noise([]) == (None, 0)
    assert seed_noise([run("sp", 0.01, 0, 3.0), run("sp", 0.02, 1, 3.1)]) == (None, 0)
    assert seed_noise([run("sp", 0.01, 0, 3.0), run("sp", 0.01, 1, 3.1)]) == (None, 0)
    assert seed_noise(SWEEPS).dof == 2 * len(GRID) - 1


def test_a_seed_that_suits_one_parametrization_is_noise() -> None:
    runs = [*measured("sp", GRID, noise=0.0), *measured("mup", GRID, noise=0.0)]
    assert seed_noise(runs).sd == pytest.approx(0, abs=1e-12)
    shifted = [m.model_copy(update={"loss": (m.loss or 0) + 0.1 * m.seed * (m.parametrization == "mup")}) for m in runs]
    assert (seed_noise(shifted).sd or 0) > 0.03


def test_a_perfect_proposal_has_a_regret_of_zero_within_its_interval() -> None:
    runs = [*SWEEPS, *measured("mup", [MUP], rng_seed=3)]
    (paradigm,) = score(runs, [proposal("mutransfer", "mup", MUP)]).paradigms
    assert paradigm.regret_low is not None
    assert paradigm.regret_high is not None
    assert paradigm.regret_low < 0 < paradigm.regret_high
    assert paradigm.parametrization_gap == 0


def test_an_lr_twice_too_high_costs_what_the_curve_says_and_loses() -> None:
    lr = 2.02 * BEST["sp"]
    runs = [*SWEEPS, *measured("sp", [lr], rng_seed=3), *measured("mup", [MUP], rng_seed=4)]
    target = score(runs, [proposal("fitting", "sp", lr), proposal("mutransfer", "mup", MUP)])
    fitting, _ = target.paradigms
    truth = CURVATURE * math.log(2.02) ** 2
    assert fitting.lr_regret_low is not None
    assert fitting.lr_regret_high is not None
    assert fitting.lr_regret_low < truth < fitting.lr_regret_high
    assert fitting.lr_regret_high - fitting.lr_regret_low < 0.02  # near runs: 2 degrees of freedom at one target
    assert target.winner == "mutransfer"
    sp, mup, minimum, outcome = target.conclusion.split(". ")
    assert sp.startswith("LR regret under sp (loss above the lowest of its own sweep): fitting 24.0 [16.")
    assert mup.startswith("LR regret under mup: mutransfer \N{MINUS SIGN}1.5 [")
    assert minimum.startswith("The sweeps at the target find the lowest loss under mup: sp \N{MINUS SIGN} mup = 9.4 [")
    assert outcome.startswith("mutransfer wins: the loss of mutransfer is 3")
    assert outcome.endswith("; n = 2 seeds].")


def test_regret_is_the_sum_of_its_parts() -> None:
    runs = [*SWEEPS, *measured("sp", [SP], rng_seed=3), *measured("mup", [MUP], rng_seed=4)]
    target = score(runs, [proposal("fitting", "sp", SP), proposal("mutransfer", "mup", MUP)])
    for p in target.paradigms:
        assert p.regret is not None
        assert p.lr_regret is not None
        assert p.parametrization_gap is not None
        assert p.schedule_gap == 0  # both are swept under one
        assert abs(p.regret - p.lr_regret - p.parametrization_gap) < 1e-12
    assert target.paradigms[0].parametrization_gap == pytest.approx(0.01, abs=0.005)
    assert target.paradigms[0].cost_fraction == 2.0 / target.run_flops


def test_identical_proposals_have_no_winner() -> None:
    runs = [*SWEEPS, *measured("sp", [SP], rng_seed=3)]
    target = score(runs, [proposal("fitting", "sp", SP), proposal("mutransfer", "sp", SP)])
    assert target.winner is None
    assert "Nobody wins, because all that finished propose the same run: fitting, mutransfer." in target.conclusion
    (difference,) = target.differences
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)


def test_a_diverged_proposal_has_no_loss_and_loses() -> None:
    diverged = [run("sp", SP, 0, 3.0), run("sp", SP, 1, None, "diverged")]
    proposals = [proposal("fitting", "sp", SP), proposal("mutransfer", "mup", MUP)]
    target = score([*SWEEPS, *diverged, *measured("mup", [MUP])], proposals)
    fitting = target.paradigms[0]
    assert (fitting.loss, fitting.regret, fitting.lr_regret, fitting.diverged) == (None, None, None, 1)
    assert target.winner == "mutransfer"
    assert "fitting diverged in 1 of 2 seeds" in target.conclusion
    alone = score([*SWEEPS, *diverged], proposals[:1])
    assert alone.winner is None
    assert "No proposal finished all its seeds." in alone.conclusion


def test_a_best_at_the_edge_is_used_and_said() -> None:
    runs = [*measured("sp", GRID[2:]), *measured("mup", GRID), *measured("sp", [SP], rng_seed=3)]
    target = score(runs, [proposal("fitting", "sp", SP)])
    oracle = target.oracle["sp"]
    assert (oracle.status, oracle.lr, oracle.lr_low) == ("edge", GRID[2], None)
    assert oracle.loss == pytest.approx(np.mean([m.loss or 0 for m in runs[:2]]))
    assert "does not bracket its minimum (sp: edge)" in target.conclusion
    assert target.paradigms[0].regret is not None


def test_a_best_between_diverged_lrs_is_used_with_its_bracket_and_said() -> None:
    lost = [run("sp", lr, seed, None, "diverged") for lr in GRID[3:] for seed in CONFIG.validation.seeds]
    runs = [*measured("sp", GRID[1:3]), *lost, *measured("mup", GRID)]
    target = score(runs, [proposal("fitting", "sp", SP)])
    oracle = target.oracle["sp"]
    assert (oracle.status, oracle.lr, oracle.lr_low, oracle.lr_high) == ("bracketed", GRID[2], GRID[1], GRID[3])
    assert oracle.loss == pytest.approx(np.mean([m.loss or 0 for m in runs[2:4]]))
    assert "no parabola fits (sp), so its lowest run stands for the minimum" in target.conclusion
    assert "does not bracket its minimum" not in target.conclusion
    assert "The oracle's sweeps find" not in target.conclusion
    assert "None of the oracle's sweeps" not in target.conclusion  # one of the two is not known


def test_runs_of_proposals_do_not_move_the_oracle() -> None:
    before = score(SWEEPS, []).oracle
    low = [m.model_copy(update={"loss": 1.0}) for m in measured("sp", [SP])]
    noise = target_noises(CONFIG, SWEEPS)
    assert compare(CONFIG, [*SWEEPS, *low], [], RUNG, HORIZON, noise, {}).oracle == before


def test_nothing_measured_is_all_missing() -> None:
    results = assemble(CONFIG, Found([]))
    assert not results.complete
    assert len(results.missing) == 10  # two targets: two proposals and two oracles each
    assert results.seed_noise is None
    assert [oracle.loss for oracle in results.targets[0].oracle.values()] == [None, None]


def test_trials_count_once_and_by_their_worst_horizon() -> None:
    twice = [run("sp", 0.01, 0, 3.0), run("sp", 0.01, 0, None, "diverged").model_copy(update={"horizon": 2})]
    counts = count_trials([*twice, run("sp", 0.02, 0, None, "failed"), run("sp", 0.03, 0, 3.0)], trained_now=2)
    assert (counts.finished, counts.diverged, counts.failed, counts.trained_now) == (1, 1, 1, 2)
    failed = assemble(CONFIG, Found([run("sp", 0.02, 0, None, "failed")]))
    assert "failed run: t128x4, sp, lr 0.02, seed 0: no message" in failed.missing
