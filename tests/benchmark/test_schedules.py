"""Schedules at their phase borders, against values worked by hand, and what makes one trunk serve several horizons."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lrladder.benchmark.schedules import Reference, ScheduleConfig, factor, power_lr
from lrladder.paradigms.published import POWER_A, POWER_D, POWER_LR_MAX

BATCH, WARM = 10, 100
AT = Reference(batch_tokens=BATCH, tokens=500)
KINDS = ("constant", "linear", "cosine", "wsd", "power")
SHAPES = ({"decay": "linear"}, {"decay": "sqrt"}, {"decay": "exponential", "decay_to": 0.01})
SCHEDULES = [ScheduleConfig(warmup_tokens=WARM, kind=kind, **shape) for kind in KINDS for shape in SHAPES]  # type: ignore[arg-type]
steps = st.integers(0, 99).map(lambda step: step * BATCH)


def at(schedule: ScheduleConfig, tokens: int, horizon: int = 1000, batch: int = BATCH) -> float:
    return factor(schedule, tokens, batch_tokens=batch, horizon=horizon, at=AT)


def wsd(tokens: int, horizon: int = 1000) -> float:
    return at(ScheduleConfig(warmup_tokens=WARM), tokens, horizon)


def test_phase_borders_of_wsd() -> None:
    assert wsd(0) == 0.1  # the first step already moves
    assert wsd(90) == 1.0 and wsd(790) == 1.0  # last warm-up step, last stable step
    assert wsd(800) == 1.0 and wsd(900) == 0.5  # decay is linear to zero
    assert wsd(990) == 0.05 and wsd(1000) == 0.0  # the last step still moves


def test_shapes_of_the_decay_half_way() -> None:
    found = [at(ScheduleConfig(warmup_tokens=WARM, **shape), 900) for shape in SHAPES]  # type: ignore[arg-type]
    assert found == pytest.approx([0.5, 1 - math.sqrt(0.5), 0.1])
    assert at(ScheduleConfig(warmup_tokens=WARM, kind="cosine"), 550) == pytest.approx(0.5)
    assert at(ScheduleConfig(warmup_tokens=WARM, kind="cosine", decay_to=0.1), 1000) == pytest.approx(0.1)
    assert at(ScheduleConfig(warmup_tokens=WARM, kind="linear"), 550) == pytest.approx(0.5)


def test_power_is_one_at_its_reference_and_follows_batch_and_tokens() -> None:
    power = ScheduleConfig(warmup_tokens=WARM, kind="power")
    assert at(power, 500) == pytest.approx(1.0)
    assert at(power, 790) == pytest.approx((790 / 500) ** -0.51)
    assert at(power, 500, batch=20) == pytest.approx(2.0)
    assert at(power, 90) == pytest.approx((WARM / 500) ** -0.51)  # warm-up ends at eta_power(N_w), eq. 8
    assert at(power, 900) == pytest.approx(0.5 * (800 / 500) ** -0.51)  # decay from eta_power(N - N_decay)
    assert at(power.model_copy(update={"cap": 1.5}), 100) == 1.5


def test_the_published_constants_worked_by_hand() -> None:
    """Batch 1,024 sequences: 1024 * 4.6 * (1e13)^-0.51 is the paper's 1.10e-3; the cap binds up to 26B tokens."""
    assert power_lr(1e13, batch=1024, a=4.6, b=POWER_D, lr_max=POWER_LR_MAX) == pytest.approx(1.10e-3, rel=0.005)
    paper = {"batch": 1024, "a": POWER_A, "b": POWER_D, "lr_max": POWER_LR_MAX}
    assert power_lr(1e9, **paper) == 0.02
    # 4096 * (1e11)^-0.51: ln 4096 = 8.3178, 0.51 ln 1e11 = 12.9175, e^-4.5997 = 0.010055
    assert power_lr(1e11, **paper) == pytest.approx(0.010055, rel=1e-3)
    binds = (POWER_LR_MAX / (POWER_A * 1024)) ** (1 / POWER_D)
    assert binds == pytest.approx(26e9, rel=0.02)
    # in tokens, for any sequence length: 4 / 4096 per token of the batch
    in_tokens = power_lr(1e11, batch=1024 * 4096, a=POWER_A / 4096, b=POWER_D, lr_max=POWER_LR_MAX)
    assert in_tokens == pytest.approx(power_lr(1e11, **paper))


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: f"{s.kind}-{s.decay}")
def test_every_schedule_is_bounded_and_moves_one_way_in_each_phase(schedule: ScheduleConfig) -> None:
    found = [at(schedule, step * BATCH) for step in range(100)]
    top = (WARM / AT.tokens) ** -0.51 if schedule.kind == "power" else 1.0
    assert all(0 <= value <= top * (1 + 1e-12) for value in found)
    warm, rest = found[: WARM // BATCH], found[WARM // BATCH :]
    assert all(a < b for a, b in pairwise(warm))
    assert all(a >= b for a, b in pairwise(rest))


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: f"{s.kind}-{s.decay}")
def test_no_phase_border_jumps(schedule: ScheduleConfig) -> None:
    """In steps of a thousandth of the run, nothing moves by more than a step's share of warm-up or decay."""
    horizon, fine = 100_000, ScheduleConfig(**{**schedule.model_dump(), "warmup_tokens": 10_000})
    near = Reference(BATCH, 50_000)
    found = [factor(fine, n, batch_tokens=100, horizon=horizon, at=near) for n in range(0, horizon, 100)]
    jump = max(abs(a - b) for a, b in pairwise(found))
    assert jump <= (0.3 if fine.decay == "sqrt" and fine.has_trunk else 0.12) * max(found)


@given(tokens=steps, schedule=st.sampled_from([s for s in SCHEDULES if s.has_trunk]))
def test_a_trunk_is_the_same_for_every_longer_horizon(tokens: int, schedule: ScheduleConfig) -> None:
    if tokens < schedule.decay_start(1000, BATCH):
        assert at(schedule, tokens, 1000) == at(schedule, tokens, 2000) == at(schedule, tokens, 5000)


@given(tokens=steps, schedule=st.sampled_from([s for s in SCHEDULES if not s.has_trunk]))
def test_without_a_trunk_the_horizon_matters_from_warm_up_on(tokens: int, schedule: ScheduleConfig) -> None:
    assert (at(schedule, tokens, 1000) == at(schedule, tokens, 2000)) == (tokens <= WARM)
    assert schedule.decay_start(1000, BATCH) == 1000


def test_an_exponential_decay_needs_its_end() -> None:
    with pytest.raises(ValidationError, match="give what it ends at"):
        ScheduleConfig(warmup_tokens=WARM, decay="exponential")
