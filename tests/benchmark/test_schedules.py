"""WSD at its phase borders, and what makes one trunk serve several horizons."""

from hypothesis import given
from hypothesis import strategies as st

from benchmark.training.schedules import wsd

BATCH = 10


def _wsd(tokens: int, horizon: int = 1000) -> float:
    return wsd(tokens, batch_tokens=BATCH, warmup=100, decay_start=horizon * 8 // 10, horizon=horizon)


def test_phase_borders() -> None:
    assert _wsd(0) == 0.1  # the first step already moves
    assert _wsd(90) == 1.0 and _wsd(790) == 1.0  # last warm-up step, last stable step
    assert _wsd(800) == 1.0 and _wsd(900) == 0.5  # decay is linear to zero
    assert _wsd(990) == 0.05 and _wsd(1000) == 0.0  # the last step still moves


@given(tokens=st.integers(0, 79).map(lambda step: step * BATCH))
def test_trunk_is_the_same_for_every_longer_horizon(tokens: int) -> None:
    assert _wsd(tokens, 1000) == _wsd(tokens, 2000) == _wsd(tokens, 5000)


@given(tokens=st.integers(0, 1000))
def test_factor_is_between_zero_and_one(tokens: int) -> None:
    assert 0 <= _wsd(tokens) <= 1
