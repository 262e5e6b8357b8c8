"""Planted spikes are found, with their number, area and length."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrladder.benchmark.training.spikes import LEAST, WINDOW, find_spikes, window


def _calm(steps: int) -> list[float]:
    return [4 + 0.01 * value for value in np.random.default_rng(0).uniform(-1, 1, steps)]


def test_a_planted_spike_is_measured() -> None:
    values = _calm(200)
    values[100:103] = [5.0, 6.0, 4.5]
    values[150] = 4.3
    found = find_spikes(values)
    assert (found.number, found.steps, found.judged) == (2, 4, 200 - window(200))
    assert abs(found.area - (1 + 2 + 0.5 + 0.3)) < 0.05


def test_what_cannot_be_judged_is_said() -> None:
    assert find_spikes([4.0] * 10 + [9.0] + [4.0] * (LEAST - 11)) == (0, 0.0, 0, 0)


def test_most_of_a_short_run_is_judged_and_a_long_one_has_the_whole_window() -> None:
    assert find_spikes(_calm(128)).judged >= 0.7 * 128
    assert window(10_000) == WINDOW
    values = _calm(128)
    values[50] = 6.0
    assert find_spikes(values).number == 1


@pytest.mark.parametrize(("steps", "expected"), [(1, 32), (128, 32), (132, 33), (200, 50), (256, 64), (300, 64)])
def test_a_window_is_a_quarter_of_a_run_between_32_and_64_steps(steps: int, expected: int) -> None:
    assert window(steps) == expected


@given(st.lists(st.integers(0, 30).map(float), min_size=30, max_size=80), st.integers(0, 99))
def test_spikes_are_those_of_the_definition(values: list[float], seed: int) -> None:
    """Above the median of the 32 steps before by 5 robust sds, until below that threshold again."""
    values = [value + 50 * (i % 17 == seed % 17) for i, value in enumerate(values)]
    number, area, steps, until = 0, 0.0, 0, 0
    for step in range(32, len(values)):
        before = np.array(values[step - 32 : step])
        middle = float(np.median(before))
        threshold = middle + 5 * 1.4826 * float(np.median(np.abs(before - middle)))
        if step >= until and values[step] > threshold:
            end = next((i for i in range(step, len(values)) if values[i] <= threshold), len(values))
            number, steps, until = number + 1, steps + end - step, end
            area += sum(value - middle for value in values[step:end])
    assert find_spikes(values) == (number, pytest.approx(area), steps, max(0, len(values) - 32))


def test_calm_noise_of_128_steps_hardly_ever_spikes() -> None:
    rng = np.random.default_rng(1)
    assert sum(find_spikes(list(rng.normal(4, 0.1, 128))).number for _ in range(100)) <= 5


@given(shift=st.floats(-10, 10), scale=st.floats(0.1, 100))
def test_units_do_not_matter(shift: float, scale: float) -> None:
    values = _calm(120)
    values[90] = 7.0
    plain, moved = find_spikes(values), find_spikes([shift + scale * value for value in values])
    assert (plain.number, plain.steps) == (moved.number, moved.steps) == (1, 1)
    assert abs(moved.area - scale * plain.area) < 1e-6 * scale


@given(st.lists(st.floats(0, 10), min_size=WINDOW + 1, max_size=2 * WINDOW))
def test_falling_values_never_spike(values: list[float]) -> None:
    assert find_spikes(sorted(values, reverse=True)).number == 0
