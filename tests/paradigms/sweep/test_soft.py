"""The minimum of a sweep that its runs do not bracket: what two runs tell, and how sure that is."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrladder.paradigms.sweep.soft import CURVATURE, CURVATURE_LOG_SD, soft_minimum

WIDE = 1.7  # sd of ln lr before the runs


def bowl(lr: float, *, best: float = 0.003, level: float = 3.0, curvature: float = CURVATURE) -> float:
    return level * (1 + curvature * math.log(lr / best) ** 2)


def test_two_runs_about_the_best_place_it() -> None:
    lrs = (0.0015, 0.005)
    found = soft_minimum(lrs, [bowl(lr) for lr in lrs], center=math.log(0.01), spread=WIDE)
    assert found is not None
    assert found.ln_lr == pytest.approx(math.log(0.003), abs=0.25)
    assert found.sd < 0.8


def test_two_runs_on_one_side_say_only_the_direction() -> None:
    lrs = (0.001, 0.002)
    found = soft_minimum(lrs, [3.4, 3.2], center=math.log(0.002), spread=WIDE)
    assert found is not None
    assert found.ln_lr > math.log(0.002)
    near = soft_minimum((0.0015, 0.005), [bowl(0.0015), bowl(0.005)], center=math.log(0.002), spread=WIDE)
    assert near is not None
    assert found.sd > near.sd


def test_the_best_lies_below_a_diverged_lr() -> None:
    found = soft_minimum((0.001, 0.002, 0.004), [3.2, 3.1, None], center=math.log(0.01), spread=WIDE)
    assert found is not None
    assert found.ln_lr < math.log(0.004)


@pytest.mark.parametrize("losses", [[3.0], [None, None], [3.0, None]])
def test_one_finished_run_says_nothing(losses: list[float | None]) -> None:
    lrs = [0.001 * 2**k for k in range(len(losses))]
    assert soft_minimum(lrs, losses, center=math.log(0.001), spread=WIDE) is None


def test_it_is_as_sure_as_it_is_right() -> None:
    """Bowls drawn from its own assumptions: misses over the stated sd scatter by about one."""
    rng = np.random.default_rng(0)
    z = []
    for _ in range(300):
        center = math.log(0.003)
        best = math.exp(center + 0.8 * rng.standard_normal())
        curvature = CURVATURE * math.exp(CURVATURE_LOG_SD * rng.standard_normal())
        lrs = (0.0015, 0.005)
        losses = [bowl(lr, best=best, curvature=curvature) + 0.0036 * rng.standard_normal() for lr in lrs]
        found = soft_minimum(lrs, losses, center=center, spread=0.8)
        assert found is not None
        z.append((math.log(best) - found.ln_lr) / found.sd)
    assert 0.8 < float(np.std(z)) < 1.1


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_units_do_not_matter(loss: float, rate: float) -> None:
    lrs = (0.0015, 0.005, 0.012)
    losses = [bowl(lr) for lr in lrs]
    plain = soft_minimum(lrs, losses, center=math.log(0.003), spread=WIDE)
    scaled = soft_minimum(
        [rate * lr for lr in lrs], [loss * y for y in losses], center=math.log(0.003 * rate), spread=WIDE
    )
    assert plain is not None
    assert scaled is not None
    assert scaled.ln_lr - math.log(rate) == pytest.approx(plain.ln_lr, abs=1e-6)
    assert scaled.sd == pytest.approx(plain.sd, abs=1e-6)
