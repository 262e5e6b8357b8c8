"""Schedules at their phase borders, against values worked by hand, and what makes one trunk serve several horizons."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lrladder.benchmark.schedules import Kind, Reference, ScheduleConfig, Shape, decay, factor, power_lr
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
    assert wsd(800) == pytest.approx(20 / 21) and wsd(900) == pytest.approx(10 / 21)  # 20 decay steps
    assert wsd(990) == pytest.approx(1 / 21) and wsd(1000) == 0.0  # the last step still moves


def test_four_decay_steps_are_four_fifths_to_one_fifth() -> None:
    steps = [at(ScheduleConfig(warmup_tokens=WARM), 160 + 10 * k, horizon=200) for k in range(4)]
    assert steps == pytest.approx([0.8, 0.6, 0.4, 0.2])


@pytest.mark.parametrize("kind", ["wsd", "linear", "cosine"])
@given(steps=st.integers(1, 60), to=st.sampled_from([0.0, 0.1]))
def test_decays_are_torchs_schedulers_between_their_ends(kind: Kind, steps: int, to: float) -> None:
    """K steps are the inner ones of K + 1 of LinearLR or CosineAnnealingLR: neither the peak nor the end is a step."""
    stable = 4 * steps if kind == "wsd" else 1  # of wsd's run a fifth decays
    config = ScheduleConfig(warmup_tokens=BATCH, kind=kind, decay_to=to)
    found = [at(config, (stable + k) * BATCH, (stable + steps) * BATCH) for k in range(steps)]
    adam = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    oracle: torch.optim.lr_scheduler.LRScheduler
    if kind == "cosine":
        oracle = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps + 1, eta_min=to)
    else:
        oracle = torch.optim.lr_scheduler.LinearLR(adam, 1.0, to, steps + 1)
    for value in found:
        adam.step()
        oracle.step()
        assert value == pytest.approx(oracle.get_last_lr()[0])
    assert found[0] < 1 and found[-1] > to


@given(warm=st.integers(1, 300), steps=st.integers(31, 99), kind=st.sampled_from(["linear", "cosine"]))
def test_the_peak_is_one_step_whether_or_not_warm_up_is_whole_steps(warm: int, steps: int, kind: Kind) -> None:
    schedule = ScheduleConfig(warmup_tokens=warm, kind=kind)
    found = [at(schedule, step * BATCH, steps * BATCH) for step in range(steps)]
    assert found.count(1.0) == 1 and found.index(1.0) == -(-warm // BATCH) - 1
    assert schedule.fall_start(steps * BATCH, BATCH) == (found.index(1.0) + 1) * BATCH


@given(hundredths=st.integers(1, 99), batches=st.integers(1, 50))
def test_a_decay_of_hundredths_starts_at_its_own_step(hundredths: int, batches: int) -> None:
    """In floats 1 - 0.8 is below 0.2, and the decay began a step early."""
    horizon = 100 * batches * BATCH
    schedule = ScheduleConfig(warmup_tokens=1, decay_fraction=hundredths / 100)
    assert schedule.decay_start(horizon, BATCH) == (100 - hundredths) * batches * BATCH


@pytest.mark.parametrize(
    ("changes", "horizon", "remedy"),
    [
        ({"decay_fraction": 0.2}, 40, "raise decay_fraction"),
        ({"kind": "power", "decay_fraction": 0.09}, 100, "raise decay_fraction"),
        ({"kind": "cosine"}, 100, "shorten warmup_tokens"),
    ],
)
def test_a_decay_shorter_than_a_batch_is_refused(changes: dict[str, object], horizon: int, remedy: str) -> None:
    schedule = ScheduleConfig.model_validate({"warmup_tokens": WARM, **changes})
    with pytest.raises(ValueError, match=f"t9: horizon {horizon} decays over .*less than one batch of 10 .*{remedy}"):
        schedule.require_decay(horizon, BATCH, where="t9")
    schedule.require_decay(horizon + 100, BATCH, where="t9")  # at least a batch


def test_shapes_of_the_decay_half_way() -> None:
    """Of 19 steps the tenth is half way."""
    found = [at(ScheduleConfig(warmup_tokens=WARM, decay_fraction=0.19, **shape), 900) for shape in SHAPES]  # type: ignore[arg-type]
    assert found == pytest.approx([0.5, 1 - math.sqrt(0.5), 0.1])
    assert at(ScheduleConfig(warmup_tokens=WARM, kind="cosine", decay_to=0.1), 1000) == pytest.approx(0.1)
    assert at(ScheduleConfig(warmup_tokens=WARM, kind="linear"), 540, 990) == pytest.approx(0.5)
    assert at(ScheduleConfig(warmup_tokens=WARM, kind="cosine"), 540, 990) == pytest.approx(0.5)


def test_power_is_one_at_its_reference_and_follows_batch_and_tokens() -> None:
    power = ScheduleConfig(warmup_tokens=WARM, kind="power")
    assert at(power, 500) == pytest.approx(1.0)
    assert at(power, 790) == pytest.approx((790 / 500) ** -0.51)
    assert at(power, 500, batch=20) == pytest.approx(2.0)
    assert at(power, 90) == pytest.approx((WARM / 500) ** -0.51)  # warm-up ends at eta_power(N_w), eq. 8
    assert at(power, 800) == pytest.approx((800 / 500) ** -0.51)  # eq. 8: f is 1 at n = N - N_decay
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
    assert (at(schedule, tokens, 1000) == at(schedule, tokens, 2000)) == (tokens < WARM)
    assert schedule.decay_start(1000, BATCH) == 1000


def test_an_exponential_decay_needs_its_end() -> None:
    with pytest.raises(ValidationError, match="give the value at its end"):
        ScheduleConfig(warmup_tokens=WARM, decay="exponential")


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
def test_an_average_of_the_weights_is_as_old_as_the_decay_that_it_stands_for(fraction: float) -> None:
    """The mean age of a uniform average over the decay is half of it; that of the weights (n / N)^g by quadrature."""
    g = ScheduleConfig(warmup_tokens=WARM, decay_fraction=fraction, read="ema").average_exponent
    n = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    assert float(((1 - n) * n**g).sum() / (n**g).sum()) == pytest.approx(fraction / 2, rel=1e-4)


def test_a_run_to_several_horizons_trains_their_trunk_once() -> None:
    """To 1,600 of the longer of two horizons, of which 400 and 200 tokens are decays."""
    schedule = ScheduleConfig(warmup_tokens=WARM)
    assert schedule.run_tokens([1000], BATCH) == 1000
    assert schedule.run_tokens([1000, 2000], BATCH) == schedule.run_tokens([2000, 1000], BATCH) == 1600 + 400 + 200
    long = schedule.model_copy(update={"decay_fraction": 0.6})
    assert long.run_tokens([1000, 2000], BATCH) == 800 + 600 + 1200
    assert schedule.model_copy(update={"read": "ema"}).run_tokens([1000, 2000], BATCH) == 2000
    assert schedule.model_copy(update={"kind": "constant"}).run_tokens([1000, 2000], BATCH) == 2000


@pytest.mark.parametrize(
    ("shape", "quarter"),
    [
        ("linear", 0.2 + 0.8 * 0.25),
        ("sqrt", 1 - 0.8 * math.sqrt(0.75)),
        ("cosine", 0.2 + 0.8 * (1 - math.sqrt(0.5)) / 2),
        ("exponential", 0.2**0.75),
    ],
)
def test_a_decay_goes_from_one_to_its_end(shape: Shape, quarter: float) -> None:
    assert [decay(shape, left, 0.2) for left in (1.0, 0.25, 0.0)] == pytest.approx([1.0, quarter, 0.2])


def test_the_power_law_starts_at_its_cap_and_is_a_times_the_batch_at_one_token() -> None:
    assert power_lr(0, batch=2.0, a=3.0, b=-0.5, lr_max=100.0) == 100.0
    assert power_lr(1, batch=2.0, a=3.0, b=-0.5, lr_max=100.0) == pytest.approx(6.0)
    assert power_lr(4, batch=2.0, a=3.0, b=-0.5, lr_max=100.0) == pytest.approx(3.0)
    assert power_lr(0.25, batch=2.0, a=3.0, b=-0.5, lr_max=100.0) == pytest.approx(12.0)


@pytest.mark.parametrize(
    ("key", "inside", "outside"),
    [
        ("decay_fraction", (0.001, 0.999), (0.0, 1.0)),
        ("decay_to", (0.0, 0.999), (-0.001, 1.0)),
        ("exponent", (-2.0, 0.0), (-2.001, 0.001)),
        ("cap", (1.0, 6.4), (0.999,)),
        ("warmup_tokens", (1,), (0,)),
    ],
)
def test_the_ends_of_each_key(key: str, inside: tuple[float, ...], outside: tuple[float, ...]) -> None:
    for value in inside:
        assert getattr(ScheduleConfig.model_validate({"warmup_tokens": WARM, key: value}), key) == value
    for value in outside:
        with pytest.raises(ValidationError, match=key):
            ScheduleConfig.model_validate({"warmup_tokens": WARM, key: value})


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_kind_has(kind: Kind) -> None:
    schedule = ScheduleConfig(warmup_tokens=WARM, kind=kind)
    trunk = kind in ("constant", "wsd", "power")
    assert (schedule.has_trunk, schedule.decays) == (trunk, kind != "constant")
    assert schedule.shape == ("cosine" if kind == "cosine" else "linear")
    schedule.require_decay(BATCH if kind == "constant" else 10 * WARM, BATCH, where="t9")
    if trunk:
        averaged = ScheduleConfig(warmup_tokens=WARM, kind=kind, read="ema")
        assert not averaged.decays
        assert averaged.decay_start(1000, BATCH) == averaged.fall_start(1000, BATCH) == 1000
        assert averaged.words(1000, AT).endswith("evaluated through an average of the weights")
        assert averaged.model_dump()["read"] == "ema" and "read" not in schedule.model_dump()
    else:
        with pytest.raises(ValidationError, match="has no trunk"):
            ScheduleConfig(warmup_tokens=WARM, kind=kind, read="ema")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "constant"}, "constant: linear warm-up over 100 tokens, then constant"),
        ({"kind": "linear"}, "linear: linear warm-up over 100 tokens, then decay to 0 of the peak at 5,000 tokens; at"),
        ({"kind": "cosine", "decay_to": 0.1}, "cosine: linear warm-up over 100 tokens, then decay to 0.1 of the peak"),
        ({}, "WSD: linear warm-up over 100 tokens, constant, then linear decay to 0 over the last 20% of 5,000 tokens"),
        ({"decay_to": 0.1}, "constant, then linear decay to 0.1 times that over the last 20% of 5,000 tokens; at step"),
        ({"kind": "power"}, "min(4, (B / 10) (n / 500)^-0.51) after n tokens, with B tokens per batch, then linear"),
    ],
)
def test_the_words_of_a_schedule(changes: dict[str, object], words: str) -> None:
    schedule = ScheduleConfig.model_validate({"warmup_tokens": WARM, **changes})
    told = schedule.words(5000, AT)
    assert words in told
    edge = {"constant": None, "power": "(K + 1 - k) / K of"}.get(schedule.kind, "(K + 1 - k) / (K + 1) of")
    assert "of the decay is still to come" not in told if edge is None else edge in told
