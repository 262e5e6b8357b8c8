"""The simulated lab keeps the lab's contract: deterministic, and each payer pays for each distinct run once."""

import math

import pytest

from benchmark.lab.simulated import SimulatedLab, TrueLaw
from paradigms.base import Request

LAW = TrueLaw(k=4.0, u=0.22, v=0.35, mup_base=1000, mup_drift=0.1)


class OneRung:
    name, part, n_total, n_active, batch_tokens, horizons, flops_per_token = (
        "a",
        "proxy",
        4000,
        1000,
        8,
        (800, 1600),
        10,
    )


REQUEST = Request("a", "sp", 1e-2, 0, (800, 1600))


def test_a_repeated_request_gives_the_same_losses():
    first = SimulatedLab([OneRung], LAW, seed=1).measure([REQUEST], payer="x")
    assert first == SimulatedLab([OneRung], LAW, seed=1).measure([REQUEST], payer="y")
    assert first != SimulatedLab([OneRung], LAW, seed=2).measure([REQUEST], payer="x")
    assert first != SimulatedLab([OneRung], LAW, seed=1).measure([REQUEST._replace(seed=1)], payer="x")


def test_one_measurement_per_horizon_in_order():
    (answer,) = SimulatedLab([OneRung], LAW).measure([REQUEST], payer="x")
    assert [m.horizon for m in answer] == [800, 1600]
    (alone,) = SimulatedLab([OneRung], LAW).measure([REQUEST._replace(horizons=(800,))], payer="x")
    assert alone[0].loss == answer[0].loss
    assert alone[0].trial_id != answer[0].trial_id


def test_every_payer_pays_for_each_distinct_run_once():
    lab = SimulatedLab([OneRung], LAW)
    lab.measure([REQUEST, REQUEST._replace(horizons=(1600, 800))], payer="x")
    lab.measure([REQUEST], payer="x")
    run = 10 * (0.8 * 1600 + 0.2 * (800 + 1600))
    assert lab.cost_flops("x") == pytest.approx(run)
    assert lab.cost_flops("y") == 0
    lab.measure([REQUEST], payer="y")
    assert lab.cost_flops("y") == pytest.approx(run)


def test_losses_are_a_parabola_in_ln_lr():
    lab = SimulatedLab([OneRung], LAW, noise_sd=0.0, curvature=0.03)
    best = LAW.lr(1000, 800, "sp")
    runs = [Request("a", "sp", best * math.exp(x), 0, (800,)) for x in (0, 1, -2)]
    low, one, two = (answer[0].loss for answer in lab.measure(runs, payer="x"))
    assert (one - low, two - low) == pytest.approx((0.03, 0.12))


def test_divergence_is_a_result():
    lab = SimulatedLab([OneRung], LAW, diverge_above=4.0)
    best = LAW.lr(1000, 800, "sp")
    runs = [Request("a", "sp", best * factor, 0, (800,)) for factor in (3.9, 4.1)]
    assert [answer[0].verdict for answer in lab.measure(runs, payer="x")] == ["finished", "diverged"]
    assert lab.measure(runs, payer="x")[1][0].loss is None


def test_mup_moves_with_size_by_its_drift_only():
    assert LAW.lr(64_000, 800, "mup") / LAW.lr(1000, 800, "mup") == pytest.approx(64**-0.1)
    assert LAW.lr(1000, 800, "mup") == pytest.approx(LAW.lr(1000, 800, "sp"))
    assert LAW.lr(64_000, 800, "sp") / LAW.lr(1000, 800, "sp") == pytest.approx(64**-0.22)
